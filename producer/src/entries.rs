//! What becomes of one listed entry.

use contracts::event::SkippedEntry;
use contracts::{FileId, SkipReason, SourceFile};
use drive::{Entry, File, Malformed};

/// Extensions of images whose type Drive may not know.
const IMAGE_EXTENSIONS: &[&str] = &[
    "avif", "bmp", "gif", "heic", "heif", "ico", "jfif", "jpeg", "jpg", "jxl", "png", "psd", "svg",
    "tif", "tiff", "webp",
];

/// What to do with an entry that needs nothing more to be known.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Import it.
    Queue(SourceFile),
    /// Count it as skipped.
    Skip(SkippedEntry),
}

/// Whether Drive's type, or failing that the name, says that it may be an image.
pub(crate) fn may_be_image(mime_type: &str, name: &str) -> bool {
    if mime_type.starts_with("image/") {
        return true;
    }
    let vague = mime_type.is_empty() || mime_type == "application/octet-stream";
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    vague && extension.is_some_and(|extension| IMAGE_EXTENSIONS.contains(&extension.as_str()))
}

/// Judge a file; `item` is the entry it was found as (its own id, or a shortcut's).
pub(crate) fn judge(item_id: FileId, name: String, file: File, path: &str) -> Verdict {
    let skip = |name, reason| {
        Verdict::Skip(SkippedEntry {
            item_id: item_id.clone(),
            name,
            reason,
        })
    };
    if file.is_google_native() {
        return skip(name, SkipReason::GoogleNative);
    }
    if !may_be_image(&file.mime_type, &name) && !may_be_image(&file.mime_type, &file.name) {
        return skip(name, SkipReason::NotAnImage);
    }
    Verdict::Queue(SourceFile {
        item_id,
        id: file.id,
        name,
        mime_type: file.mime_type,
        size: file.size,
        md5: file.md5,
        sha256: file.sha256,
        modified_time: file.modified_time,
        resource_key: file.resource_key,
        path: path.to_owned(),
    })
}

/// An entry whose metadata makes no sense. Without an id it cannot even be counted.
pub(crate) fn malformed(entry: &Malformed) -> Option<SkippedEntry> {
    entry.id.clone().map(|item_id| SkippedEntry {
        name: item_id.to_string(),
        item_id,
        reason: SkipReason::UnreadableMetadata,
    })
}

/// The path of the folder `name` in `parent`; never empty, as only the root's is. Slashes within a
/// name must not look like folders.
pub(crate) fn child_path(parent: &str, name: &str) -> String {
    let name = match name {
        "" => "unnamed".to_owned(),
        name => name.replace('/', "\u{2215}"),
    };
    if parent.is_empty() {
        name
    } else {
        format!("{parent}/{name}")
    }
}

/// What a shortcut's target must be before it is worth a call to Drive.
pub(crate) fn shortcut_verdict(shortcut: &drive::Shortcut) -> Option<SkippedEntry> {
    let skip = |reason| {
        Some(SkippedEntry {
            item_id: shortcut.id.clone(),
            name: shortcut.name.clone(),
            reason,
        })
    };
    if may_be_image(&shortcut.target_mime_type, &shortcut.name) {
        None
    } else if shortcut
        .target_mime_type
        .starts_with("application/vnd.google-apps.")
    {
        skip(SkipReason::GoogleNative)
    } else {
        skip(SkipReason::NotAnImage)
    }
}

/// Whether the entry is a folder or may lead to one.
pub(crate) fn leads_to_folder(entry: &Entry) -> bool {
    match entry {
        Entry::Folder(_) => true,
        Entry::Shortcut(shortcut) => shortcut.targets_folder(),
        Entry::File(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_first_names_only_when_the_type_is_vague() {
        assert!(may_be_image("image/x-unheard-of", "a"));
        assert!(may_be_image("application/octet-stream", "photo.HEIC"));
        assert!(may_be_image("", "photo.jpg"));
        assert!(!may_be_image("text/html", "photo.jpg"));
        assert!(!may_be_image("application/octet-stream", "jpg"));
        assert!(!may_be_image("application/pdf", "scan.pdf"));
    }

    #[test]
    fn a_slash_in_a_folder_name_is_no_level() {
        assert_eq!(child_path("a", "b/c"), "a/b\u{2215}c");
        assert_eq!(child_path("", "b"), "b");
        assert_eq!(child_path("", ""), "unnamed");
    }
}
