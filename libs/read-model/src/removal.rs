//! An object that no row points to any more, because its file was imported again with other content.

use contracts::{DeleteObject, FileId, ImportId, Task};

use crate::image::Image;

/// One replaced object, to be removed from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The sequence of the event that replaced it.
    pub sequence: u64,
    /// The import that stored it.
    pub import_id: ImportId,
    /// The file it came from.
    pub file_id: FileId,
    /// Bucket, container, or directory.
    pub bucket: String,
    /// Key within it.
    pub key: String,
}

impl Removal {
    pub(crate) fn of(image: &Image, sequence: u64) -> Self {
        Self {
            sequence,
            import_id: image.import_id.clone(),
            file_id: image.google_drive_id.clone(),
            bucket: image.bucket.clone(),
            key: image.object_key.clone(),
        }
    }

    /// The task that carries it out. The object goes only if that import is still the one who stored
    /// it: the file may have changed back since.
    #[must_use]
    pub fn task(&self) -> Task {
        Task::DeleteObject(DeleteObject {
            import_id: self.import_id.clone(),
            file_id: self.file_id.clone(),
            bucket: self.bucket.clone(),
            key: self.key.clone(),
            written_by: Some(self.import_id.clone()),
        })
    }

    /// The id of that task's message.
    #[must_use]
    pub fn message_id(&self) -> String {
        format!("removal.{}", self.sequence)
    }
}
