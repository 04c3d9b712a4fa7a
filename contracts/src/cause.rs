//! Why something failed or was skipped: stable codes for programs, advice for people.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $code:literal: $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $code)] $variant,)*
            /// A code this release does not know, written by a newer one.
            #[serde(other, rename = "unknown")]
            Unknown,
        }

        impl $name {
            /// Every code this release writes.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code on the wire, in metrics and in SQL. Never changes once released.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Unknown => "unknown",
                }
            }

            /// What to tell people: what it means and what to do.
            #[must_use]
            pub fn advice(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Unknown => "Written by a newer release; upgrade this one to see what it means.",
                }
            }

            /// The reverse of [`Self::code`]; an unknown code is [`Self::Unknown`].
            #[must_use]
            pub fn from_code(code: &str) -> Self {
                Self::ALL.iter().copied().find(|known| known.code() == code).unwrap_or(Self::Unknown)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.code())
            }
        }
    };
}

codes! {
    /// Why an image or an import failed.
    Cause {
        /// The request is no JSON, or lacks what it needs.
        MalformedRequest = "malformed_request": "The request could not be read. Publish {\"v\":1,\"source\":{\"google_drive\":{\"folder\":\"<folder URL>\"}}}.",
        /// A task that is no JSON of ours.
        MalformedTask = "malformed_task": "A task could not be read. Check what else publishes to images.tasks.",
        /// A command that is no JSON of ours.
        MalformedCommand = "malformed_command": "A command could not be read. Publish {\"v\":1,\"import_id\":\"<import>\",\"action\":\"cancel\"}, or pause, resume, retry.",
        /// A message of a newer version.
        UnknownVersion = "unknown_version": "The message was written by a newer release. Upgrade this one, then send it again.",
        /// The URL names no folder.
        NotAFolderUrl = "not_a_folder_url": "Open the folder in Google Drive and copy the address from the browser.",
        /// The id is a file's.
        NotAFolder = "not_a_folder": "The link leads to a file. Import the folder that holds it.",
        /// Drive does not know the folder, or hides it.
        FolderNotFound = "folder_not_found": "Drive does not know this folder, or it is private. Share it with \"Anyone with the link\", or with the account that Imagefleet signs in as.",
        /// Drive refuses access to the folder.
        FolderForbidden = "folder_forbidden": "The credentials may not read this folder. Share it with \"Anyone with the link\", or with the account that Imagefleet signs in as.",
        /// Drive refuses the key or the login.
        CredentialsRejected = "credentials_rejected": "Google Drive refuses the credentials. Check GOOGLE_API_KEY or GOOGLE_APPLICATION_CREDENTIALS (`imagefleet doctor` names the fix), then import again.",
        /// The tree of subfolders does not fit into one checkpoint message.
        FolderTreeTooLarge = "folder_tree_too_large": "The folder holds too many subfolders for one import. Import its subfolders one by one.",
        /// The file vanished between listing and download.
        SourceGone = "source_gone": "The file was deleted or unshared after it was listed. Restore it in Drive, then retry.",
        /// Drive refuses this one file.
        SourceForbidden = "source_forbidden": "The credentials may list this file but not download it. Allow downloads in its sharing settings, then retry.",
        /// Flagged by Google as malware or spam.
        SourceAbusive = "source_abusive": "Google flagged this file as malware or spam; only its owner can download it. With the owner's credentials, set GOOGLE_DRIVE_ACKNOWLEDGE_ABUSE=true and retry.",
        /// A Google document, form, site: there are no bytes.
        NotDownloadable = "not_downloadable": "This is a Google document, not a stored file. Export it to an image first.",
        /// The file's own download quota is used up.
        DownloadQuotaExceeded = "download_quota_exceeded": "Too many people downloaded this file lately; Drive lifts the limit within 24 hours. Retry then, or copy the file.",
        /// The bytes are no image.
        NotAnImage = "not_an_image": "The file is named like an image, but its bytes are not one. Look at the file in Drive.",
        /// No bytes at all.
        EmptyFile = "empty_file": "The file has zero bytes. Upload it to Drive again.",
        /// Drive's checksum and Drive's bytes disagree, twice in the same way.
        ChecksumMismatch = "checksum_mismatch": "Drive delivers other bytes than its checksum says, repeatedly. Download it by hand and upload it again.",
        /// Bytes were damaged on the way.
        CorruptTransfer = "corrupt_transfer": "The bytes were damaged on the way, more often than retries allow. Check the network, then retry.",
        /// Larger than the store takes.
        TooLarge = "too_large": "The file is larger than the store accepts.",
        /// Drive answered 5xx.
        DriveUnavailable = "drive_unavailable": "Google Drive answered with errors of its own. Retry later.",
        /// Drive's rate limit.
        DriveThrottled = "drive_throttled": "Google Drive's rate limit was hit too often. Lower DRIVE_QUOTA_UNITS_PER_MINUTE, then retry.",
        /// A connection broke or stalled.
        NetworkError = "network_error": "The connection to Google Drive broke or stalled, more often than retries allow. Check the network, then retry.",
        /// Drive refused the request itself.
        DriveRejected = "drive_rejected": "Google Drive refused the request. The message says why.",
        /// The store refused this object.
        StoreRejected = "store_rejected": "The store refused this object. The message says why.",
        /// The task killed several workers.
        WorkerCrashed = "worker_crashed": "Workers died while they held this task, five times over. Look at the file before retrying.",
        /// Ours.
        InternalError = "internal_error": "A defect of Imagefleet. Please report it with the message.",
    }
}

codes! {
    /// Why an entry was not imported although nothing is wrong with it.
    SkipReason {
        /// Imported before with the same content.
        Unchanged = "unchanged": "Imported before with the same content.",
        /// Its type and name are not an image's.
        NotAnImage = "not_an_image": "Not an image by its type.",
        /// A Google document, sheet, form and the like.
        GoogleNative = "google_native": "A Google document; it has no bytes to import.",
        /// A subfolder that cannot be listed; its images are unknown.
        FolderUnreadable = "folder_unreadable": "A subfolder that was deleted, or that the credentials may not open; what it holds was not imported. Share it, then import again.",
        /// Drive's metadata of the entry makes no sense.
        UnreadableMetadata = "unreadable_metadata": "Google Drive describes this entry in a way that makes no sense.",
        /// A shortcut to something that is gone.
        BrokenShortcut = "broken_shortcut": "A shortcut to something that no longer exists or is not shared.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_read_back() {
        for cause in Cause::ALL {
            assert_eq!(Cause::from_code(cause.code()), *cause);
            let json = serde_json::to_string(cause).unwrap_or_default();
            assert_eq!(json, format!("\"{}\"", cause.code()));
            assert!(cause.advice().ends_with(['.', '}']), "{cause}");
        }
        let mut codes: Vec<_> = Cause::ALL.iter().map(|cause| cause.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Cause::ALL.len());
    }

    #[test]
    fn a_code_from_the_future_is_unknown_not_an_error() {
        assert_eq!(
            serde_json::from_str::<Cause>("\"solar_flare\"").ok(),
            Some(Cause::Unknown)
        );
    }
}
