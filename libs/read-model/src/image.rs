//! One image in the store: one row per Drive file, whatever imported it.

use contracts::{FileId, ImportId, Object, SourceFile};
use time::OffsetDateTime;

use crate::fold::to_millisecond;

/// An image as the events tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The file whose bytes these are.
    pub google_drive_id: FileId,
    /// Its name in Drive: any Unicode, slashes and newlines included.
    pub name: String,
    /// Folder names from the import's root, `/` between them; empty in the root.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// What the bytes are, by their first bytes.
    pub mime_type: String,
    /// `aws`, `azure` or `local`.
    pub provider: String,
    /// Bucket, container, or directory.
    pub bucket: String,
    /// Key within it.
    pub object_key: String,
    /// Lower-case hex MD5 of the bytes.
    pub md5: String,
    /// Lower-case hex SHA-256 of the bytes.
    pub sha256: String,
    /// [`SourceFile::content_tag`] of the imported version.
    pub content_tag: String,
    /// [`Object::width`]: pixels as stored.
    pub width: Option<u32>,
    /// [`Object::height`]: pixels as stored.
    pub height: Option<u32>,
    /// [`Object::taken_at`]: local time, with its offset where known.
    pub taken_at: Option<String>,
    /// [`Object::orientation`]: 1 to 8.
    pub orientation: Option<u8>,
    /// When the file's content last changed in Drive.
    pub modified_time: Option<OffsetDateTime>,
    /// The import that last stored it.
    pub import_id: ImportId,
    /// When it was first stored.
    pub created_at: OffsetDateTime,
    /// When it was last stored.
    pub updated_at: OffsetDateTime,
}

/// An image with the number the API knows it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRow {
    /// The sequence of the `image.imported` that made the row: rises with each new row, stays when
    /// the file is imported again, and is the same however often the events are folded anew.
    pub id: i64,
    /// The image.
    pub image: Image,
}

impl Image {
    /// The row after an `image.imported`: of several events the last in the stream is believed;
    /// only the time of creation stays.
    #[must_use]
    pub fn imported(
        current: Option<&Self>,
        import_id: &ImportId,
        file: &SourceFile,
        object: &Object,
        at: OffsetDateTime,
    ) -> Self {
        Self {
            google_drive_id: file.id.clone(),
            name: file.name.clone(),
            path: file.path.clone(),
            size: object.size,
            mime_type: object.content_type.clone(),
            provider: object.provider.clone(),
            bucket: object.bucket.clone(),
            object_key: object.key.clone(),
            md5: object.md5.clone(),
            sha256: object.sha256.clone(),
            content_tag: file.content_tag(),
            width: object.width,
            height: object.height,
            taken_at: object.taken_at.clone(),
            orientation: object.orientation,
            modified_time: file.modified_time.map(to_millisecond),
            import_id: import_id.clone(),
            created_at: current.map_or(at, |image| image.created_at),
            updated_at: at,
        }
    }
}
