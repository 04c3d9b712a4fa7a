//! Which rows a batch of events may change: what a store loads before it folds.

use std::collections::BTreeSet;

use contracts::{Event, EventBody, FileId, ImportId};

/// The keys of those rows, each once.
#[derive(Debug, Default)]
pub(crate) struct Touched<'e> {
    pub(crate) imports: BTreeSet<&'e ImportId>,
    pub(crate) items: BTreeSet<(&'e ImportId, &'e FileId)>,
    pub(crate) images: BTreeSet<&'e FileId>,
}

impl<'e> Touched<'e> {
    pub(crate) fn by(events: impl IntoIterator<Item = &'e Event>) -> Self {
        let mut touched = Self::default();
        for event in events {
            touched.event(event);
        }
        touched
    }

    fn event(&mut self, event: &'e Event) {
        let id = &event.import_id;
        self.imports.insert(id);
        let mut item = |entry: &'e FileId| _ = self.items.insert((id, entry));
        match &event.body {
            EventBody::ImportListed {
                queued, skipped, ..
            } => {
                queued.iter().for_each(&mut item);
                skipped.iter().map(|entry| &entry.item_id).for_each(item);
            }
            EventBody::ImportRedriven { items } => {
                items.iter().map(|entry| &entry.item_id).for_each(item);
            }
            EventBody::ImageImported { file, .. } => {
                item(&file.item_id);
                self.images.insert(&file.id);
            }
            EventBody::ImageSkipped { file, .. } => item(&file.item_id),
            EventBody::ImageRetrying { item_id, .. } => item(item_id),
            EventBody::ImageFailed { task, .. } => item(&task.file.item_id),
            EventBody::ImageDeleted { file_id, .. } => _ = self.images.insert(file_id),
            _ => {}
        }
    }
}
