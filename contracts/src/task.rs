//! What a worker is asked to do.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{FileId, ImportId, Message, Prefix};

/// One unit of a worker's work, published to `images.tasks.<import>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Task {
    /// Move one image into the store.
    ImportImage(ImportImage),
    /// Remove one object from the store.
    DeleteObject(DeleteObject),
}

impl Task {
    /// The import this task belongs to.
    #[must_use]
    pub fn import_id(&self) -> &ImportId {
        match self {
            Self::ImportImage(task) => &task.import_id,
            Self::DeleteObject(task) => &task.import_id,
        }
    }
}

impl Message for Task {
    const NAME: &'static str = "task";
    const VERSION: u32 = 1;
}

/// Download, verify, store and report one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportImage {
    /// The import.
    pub import_id: ImportId,
    /// Rises with each re-drive; events of an earlier run are ignored.
    #[serde(default = "one")]
    pub run: u32,
    /// 1 for the first execution; rises only with failures of the image's own.
    #[serde(default = "one")]
    pub attempt: u32,
    /// What Drive listed.
    pub file: SourceFile,
    /// Prepended to the object key.
    #[serde(default, skip_serializing_if = "Prefix::is_empty")]
    pub destination_prefix: Prefix,
}

impl ImportImage {
    /// The id of this execution's message: the same task published twice is stored once within the
    /// duplicate window.
    #[must_use]
    pub fn message_id(&self) -> String {
        format!(
            "{}.{}.{}.{}",
            self.import_id, self.run, self.file.item_id, self.attempt
        )
    }
}

/// One file as Drive listed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceFile {
    /// The entry in the folder: the file's own id, or the shortcut's. Unique within an import.
    pub item_id: FileId,
    /// The file whose bytes are wanted: differs from `item_id` for a shortcut.
    pub id: FileId,
    /// Its name, as Drive gave it: any Unicode, slashes and newlines included.
    pub name: String,
    /// The type Drive claims.
    pub mime_type: String,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Lower-case hex MD5; Drive omits it now and then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
    /// Lower-case hex SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// When its content last changed.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub modified_time: Option<OffsetDateTime>,
    /// The key some link-shared files need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_key: Option<String>,
    /// Folder names from the import's root, `/` between them; empty in the root.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
}

impl SourceFile {
    /// What stands for this content before it is downloaded: the strongest thing Drive told us.
    /// Equal content of one file gives an equal tag.
    #[must_use]
    pub fn content_tag(&self) -> String {
        if let Some(md5) = &self.md5 {
            format!("md5:{md5}")
        } else if let Some(sha256) = &self.sha256 {
            format!("sha256:{sha256}")
        } else {
            let modified = self
                .modified_time
                .map_or(0, OffsetDateTime::unix_timestamp_nanos);
            format!("modified:{modified}:{}", self.size.unwrap_or(0))
        }
    }
}

/// Remove one object; asked for by `DELETE /api/images/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeleteObject {
    /// The import that made the image; its events carry the deletion.
    pub import_id: ImportId,
    /// The Drive file the image came from.
    pub file_id: FileId,
    /// Where the object is.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// Remove it only if this import stored it: another import may have stored the same content
    /// under the same key since. Without it, the object goes whoever stored it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_by: Option<ImportId>,
}

fn one() -> u32 {
    1
}
