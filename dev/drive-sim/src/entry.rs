//! A file, folder or shortcut, and how Drive describes it.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use time::{OffsetDateTime, macros::format_description};

use crate::{content::Source, fields::Fields};

pub(crate) const FOLDER: &str = "application/vnd.google-apps.folder";
pub(crate) const SHORTCUT: &str = "application/vnd.google-apps.shortcut";
pub(crate) const DOCUMENT: &str = "application/vnd.google-apps.document";

/// One item of a Drive.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) mime_type: Cow<'static, str>,
    pub(crate) parent: Option<String>,
    /// The shared drive it belongs to.
    pub(crate) drive: Option<String>,
    pub(crate) modified: OffsetDateTime,
    pub(crate) source: Source,
    pub(crate) described: Described,
    pub(crate) media: Media,
    /// Without this key in the request the item does not seem to exist.
    pub(crate) resource_key: Option<&'static str>,
    pub(crate) shortcut: Option<Shortcut>,
    /// Whether only accounts see it that it is shared with.
    pub(crate) private: bool,
}

/// Where a shortcut leads.
#[derive(Debug, Clone)]
pub(crate) struct Shortcut {
    pub(crate) target: String,
    pub(crate) mime_type: &'static str,
    pub(crate) resource_key: Option<&'static str>,
}

/// What metadata says about the bytes.
#[derive(Debug, Clone)]
pub(crate) enum Described {
    /// The truth.
    Truly,
    /// The truth, as far as it is told.
    Partly { md5: bool, sha256: bool },
    /// This, be it true or not.
    As {
        size: u64,
        md5: Option<String>,
        sha256: Option<String>,
    },
}

/// How a download is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    /// With the bytes.
    Served,
    /// As if the file did not exist, though listings still show it.
    Gone,
    /// Only to those who acknowledge the abuse.
    Abusive,
    /// Never: its owner disabled downloads.
    DownloadDisabled,
    /// Never: the caller may read metadata only.
    Forbidden,
}

impl Entry {
    /// An ordinary file.
    pub(crate) fn file(id: String, name: String, parent: &str, mime: &'static str) -> Self {
        Self {
            modified: moment(crate::hash::hash(&[&id]) % 40_000_000),
            id,
            name,
            mime_type: Cow::Borrowed(mime),
            parent: Some(parent.to_owned()),
            drive: None,
            source: Source::None,
            described: Described::Truly,
            media: Media::Served,
            resource_key: None,
            shortcut: None,
            private: false,
        }
    }

    /// A folder; the root of a share has no parent that a stranger could see.
    pub(crate) fn folder(id: &str, name: &str, parent: Option<&str>) -> Self {
        let parent_id = parent.unwrap_or_default();
        let mut entry = Self::file(id.to_owned(), name.to_owned(), parent_id, FOLDER);
        entry.parent = parent.map(str::to_owned);
        entry
    }

    /// Whether Drive has bytes for it.
    pub(crate) fn is_stored(&self) -> bool {
        !self.mime_type.starts_with("application/vnd.google-apps.")
    }

    /// The selected fields as JSON. May build the content, or hash it.
    pub(crate) fn to_json(&self, fields: &Fields) -> Value {
        let mut map = Map::new();
        let mut put = |name: &str, value: &dyn Fn() -> Value| {
            if let Some(beneath) = fields.get(name) {
                let mut value = value();
                if !value.is_null() {
                    beneath.prune(&mut value);
                    map.insert(name.to_owned(), value);
                }
            }
        };
        put("kind", &|| json!("drive#file"));
        put("id", &|| json!(self.id));
        put("name", &|| json!(self.name));
        put("mimeType", &|| json!(self.mime_type));
        put("parents", &|| {
            self.parent
                .as_ref()
                .map_or(Value::Null, |parent| json!([parent]))
        });
        put("driveId", &|| json!(self.drive));
        put("teamDriveId", &|| json!(self.drive));
        put("resourceKey", &|| json!(self.resource_key));
        put("trashed", &|| json!(false));
        put("explicitlyTrashed", &|| json!(false));
        put("starred", &|| json!(false));
        put("spaces", &|| json!(["drive"]));
        put("version", &|| json!("3"));
        put("createdTime", &|| {
            json!(rfc3339(self.modified - time::Duration::hours(2)))
        });
        put("modifiedTime", &|| json!(rfc3339(self.modified)));
        put("ownedByMe", &|| json!(false));
        put("webViewLink", &|| {
            json!(format!("https://drive.google.com/file/d/{}/view", self.id))
        });
        put("capabilities", &|| {
            let can_download = self.media != Media::DownloadDisabled && self.shortcut.is_none();
            json!({"canDownload": can_download, "canEdit": false, "canCopy": can_download,
                   "canListChildren": self.mime_type == FOLDER})
        });
        put("shortcutDetails", &|| match &self.shortcut {
            None => Value::Null,
            Some(shortcut) => {
                let mut details = json!({
                    "targetId": shortcut.target,
                    "targetMimeType": shortcut.mime_type,
                });
                if let Some(key) = shortcut.resource_key {
                    details["targetResourceKey"] = json!(key);
                }
                details
            }
        });
        if self.is_stored() {
            self.describe_bytes(fields, &mut put);
        }
        Value::Object(map)
    }

    fn describe_bytes(&self, fields: &Fields, put: &mut dyn FnMut(&str, &dyn Fn() -> Value)) {
        let named = std::path::Path::new(&self.name).extension();
        put("fileExtension", &|| {
            json!(named.and_then(|name| name.to_str()).unwrap_or_default())
        });
        put("originalFilename", &|| json!(self.name));
        let sums = [
            "size",
            "quotaBytesUsed",
            "md5Checksum",
            "sha256Checksum",
            "imageMediaMetadata",
        ];
        if !sums.iter().any(|name| fields.has(name)) {
            return;
        }
        let hashed = fields.has("md5Checksum") || fields.has("sha256Checksum");
        let (size, md5, sha256) = match &self.described {
            Described::As { size, md5, sha256 } => (*size, md5.clone(), sha256.clone()),
            Described::Truly => self.truth(hashed, hashed),
            Described::Partly { md5, sha256 } => self.truth(*md5, *sha256),
        };
        put("size", &|| json!(size.to_string()));
        put("quotaBytesUsed", &|| json!(size.to_string()));
        put("md5Checksum", &|| json!(md5));
        put("sha256Checksum", &|| json!(sha256));
        put("imageMediaMetadata", &|| match self
            .source
            .content()
            .and_then(|content| content.dimensions())
        {
            Some((width, height)) => {
                json!({"width": width, "height": height, "rotation": 0})
            }
            None => Value::Null,
        });
    }

    fn truth(&self, md5: bool, sha256: bool) -> (u64, Option<String>, Option<String>) {
        if let Source::Disk(file) = &self.source {
            // A file that vanished meanwhile has no checksums; its download says the rest.
            let sums = if md5 || sha256 {
                file.sums().ok()
            } else {
                None
            };
            let (sum_md5, sum_sha256) = sums.unzip();
            return (
                file.len,
                sum_md5.filter(|_| md5),
                sum_sha256.filter(|_| sha256),
            );
        }
        self.source.content().map_or((0, None, None), |content| {
            (
                content.len(),
                md5.then(|| content.md5()),
                sha256.then(|| content.sha256()),
            )
        })
    }
}

/// A moment some seconds after the start of 2024.
pub(crate) fn moment(seconds: u64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH
        + time::Duration::seconds(1_704_067_200)
        + time::Duration::milliseconds(seconds as i64 * 1000 + (seconds % 1000) as i64)
}

fn rfc3339(time: OffsetDateTime) -> String {
    const FORMAT: &[time::format_description::BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    time.to_offset(time::UtcOffset::UTC)
        .format(&FORMAT)
        .unwrap_or_default()
}
