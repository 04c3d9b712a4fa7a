//! What Drive says about files and folders, checked once.

use contracts::FileId;
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::DriveError;

/// MIME type of a folder.
pub(crate) const FOLDER: &str = "application/vnd.google-apps.folder";
/// MIME type of a shortcut.
const SHORTCUT: &str = "application/vnd.google-apps.shortcut";
/// How the MIME types of Google's own documents begin.
const NATIVE: &str = "application/vnd.google-apps.";

/// The fields wanted of every listed file.
pub(crate) const FIELDS: &str = "id,name,mimeType,size,md5Checksum,sha256Checksum,modifiedTime,\
    parents,resourceKey,shortcutDetails,capabilities/canDownload,imageMediaMetadata(width,height)";

/// One thing in a folder.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A file, of whatever type.
    File(File),
    /// A subfolder.
    Folder(Folder),
    /// A pointer to a file or folder elsewhere.
    Shortcut(Shortcut),
}

/// A file's metadata.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    /// Its id.
    pub id: FileId,
    /// Its name: any Unicode, slashes and newlines included.
    pub name: String,
    /// The type Drive claims.
    pub mime_type: String,
    /// Bytes.
    pub size: Option<u64>,
    /// Lower-case hex, 32 digits. Drive omits it now and then.
    pub md5: Option<String>,
    /// Lower-case hex, 64 digits.
    pub sha256: Option<String>,
    /// When its content last changed.
    pub modified_time: Option<OffsetDateTime>,
    /// The key that some link-shared files need.
    pub resource_key: Option<String>,
    /// Whether these credentials may download it; true if Drive does not say.
    pub can_download: bool,
    /// Pixels, if Drive looked.
    pub width: Option<u32>,
    /// Pixels, if Drive looked.
    pub height: Option<u32>,
}

impl File {
    /// A Google document, sheet, form and the like: it has no bytes.
    #[must_use]
    pub fn is_google_native(&self) -> bool {
        self.mime_type.starts_with(NATIVE)
    }
}

/// A folder that can be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its id.
    pub id: FileId,
    /// Its name.
    pub name: String,
    /// The key that some link-shared folders need.
    pub resource_key: Option<String>,
    /// The shared drive it lies in; a listed subfolder inherits its parent's.
    pub drive_id: Option<String>,
}

/// A pointer. Follow it with [`crate::Drive::file`] or [`crate::Drive::folder`]; pointers can form
/// cycles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortcut {
    /// The shortcut's own id.
    pub id: FileId,
    /// The shortcut's own name.
    pub name: String,
    /// Where it points; that may no longer exist.
    pub target_id: FileId,
    /// The target's type when the shortcut was made.
    pub target_mime_type: String,
    /// The key the target needs.
    pub target_resource_key: Option<String>,
}

impl Shortcut {
    /// Whether it points to a folder.
    #[must_use]
    pub fn targets_folder(&self) -> bool {
        self.target_mime_type == FOLDER
    }
}

/// One page of a folder's listing.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// What it lists: may be few, may be none, even if more pages follow.
    pub entries: Vec<Entry>,
    /// Entries whose metadata cannot be used. They never cost the rest of the page.
    pub malformed: Vec<Malformed>,
    /// Token of the next page. Only its absence ends a listing.
    pub next: Option<String>,
    /// Drive admits that it may have left something out (it searched several shared drives).
    pub incomplete: bool,
}

/// An entry that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {}: {reason}", id.as_ref().map_or("without an id", FileId::as_str))]
pub struct Malformed {
    /// Its id, if at least that could be read.
    pub id: Option<FileId>,
    /// What is wrong with it.
    pub reason: String,
}

impl From<Malformed> for DriveError {
    fn from(malformed: Malformed) -> Self {
        Self::Protocol(malformed.to_string())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPage {
    files: Option<Vec<Value>>,
    next_page_token: Option<String>,
    incomplete_search: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFile {
    id: String,
    name: String,
    mime_type: String,
    size: Option<String>,
    md5_checksum: Option<String>,
    sha256_checksum: Option<String>,
    modified_time: Option<String>,
    resource_key: Option<String>,
    shortcut_details: Option<RawShortcut>,
    capabilities: Option<RawCapabilities>,
    image_media_metadata: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawShortcut {
    target_id: String,
    target_mime_type: String,
    target_resource_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCapabilities {
    can_download: Option<bool>,
}

impl Page {
    /// Reads the answer to a listing of a folder in the shared drive `drive_id`.
    pub(crate) fn read(json: &[u8], drive_id: Option<&str>) -> Result<Self, DriveError> {
        let raw: RawPage = read_json(json)?;
        // Both were asked for. Somebody else's JSON must not pass for an empty folder.
        if raw.files.is_none() && raw.incomplete_search.is_none() {
            return Err(DriveError::Protocol("a listing without files".to_owned()));
        }
        let mut page = Self {
            entries: Vec::new(),
            malformed: Vec::new(),
            next: raw.next_page_token.filter(|token| !token.is_empty()),
            incomplete: raw.incomplete_search.unwrap_or(false),
        };
        for value in raw.files.unwrap_or_default() {
            match Entry::read(value, drive_id) {
                Ok(entry) => page.entries.push(entry),
                Err(malformed) => page.malformed.push(malformed),
            }
        }
        Ok(page)
    }
}

/// Any JSON of Drive's.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, DriveError> {
    serde_json::from_slice(json)
        .map_err(|error| DriveError::Protocol(format!("this is no JSON of Drive's: {error}")))
}

impl Entry {
    /// Reads one `files` resource; `drive_id` is for folders.
    pub(crate) fn read(value: Value, drive_id: Option<&str>) -> Result<Self, Malformed> {
        let id = value
            .get("id")
            .and_then(Value::as_str)
            .and_then(|id| id.parse().ok());
        Self::check(value, drive_id).map_err(|reason| Malformed { id, reason })
    }

    fn check(value: Value, drive_id: Option<&str>) -> Result<Self, String> {
        let raw = RawFile::deserialize(value).map_err(|error| error.to_string())?;
        let id: FileId = parse_id(&raw.id)?;
        let resource_key = raw.resource_key.filter(|key| !key.is_empty());
        match raw.mime_type.as_str() {
            FOLDER => Ok(Self::Folder(Folder {
                id,
                name: raw.name,
                resource_key,
                drive_id: drive_id.map(str::to_owned),
            })),
            SHORTCUT => {
                let target = raw.shortcut_details.ok_or("a shortcut without a target")?;
                Ok(Self::Shortcut(Shortcut {
                    id,
                    name: raw.name,
                    target_id: parse_id(&target.target_id)?,
                    target_mime_type: target.target_mime_type,
                    target_resource_key: target.target_resource_key.filter(|key| !key.is_empty()),
                }))
            }
            _ => Ok(Self::File(File {
                id,
                name: raw.name,
                size: raw.size.as_deref().map(parse_size).transpose()?,
                md5: raw
                    .md5_checksum
                    .map(|hex| parse_hex("md5", hex, 32))
                    .transpose()?,
                sha256: raw
                    .sha256_checksum
                    .map(|hex| parse_hex("sha256", hex, 64))
                    .transpose()?,
                modified_time: raw.modified_time.as_deref().map(parse_time).transpose()?,
                resource_key,
                can_download: raw
                    .capabilities
                    .and_then(|can| can.can_download)
                    .unwrap_or(true),
                width: pixels(raw.image_media_metadata.as_ref(), "width"),
                height: pixels(raw.image_media_metadata.as_ref(), "height"),
                mime_type: raw.mime_type,
            })),
        }
    }
}

fn parse_id(id: &str) -> Result<FileId, String> {
    id.parse()
        .map_err(|error: contracts::IdError| error.to_string())
}

/// Drive writes 64-bit numbers as strings.
fn parse_size(size: &str) -> Result<u64, String> {
    size.parse()
        .map_err(|_| format!("size is no byte count: {:?}", excerpt(size)))
}

fn parse_hex(what: &str, mut hex: String, digits: usize) -> Result<String, String> {
    if hex.len() == digits && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        hex.make_ascii_lowercase();
        Ok(hex)
    } else {
        Err(format!(
            "{what} is not {digits} hex digits: {:?}",
            excerpt(&hex)
        ))
    }
}

fn parse_time(time: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(time, &Rfc3339)
        .map_err(|_| format!("modifiedTime is no RFC 3339 time: {:?}", excerpt(time)))
}

/// Nothing depends on these numbers, so a strange one is dropped rather than the image.
fn pixels(metadata: Option<&Value>, name: &str) -> Option<u32> {
    metadata?.get(name)?.as_u64()?.try_into().ok()
}

fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
