//! The fold: from events to rows. Pure and total; a store loads the rows that a batch touches, folds
//! the batch here, and writes back what changed.

use std::collections::HashMap;

use contracts::{Event, EventBody, FileId, ImportId, Object, SourceFile};
use time::{OffsetDateTime, UtcOffset};

use crate::image::{Image, ImageRow};
use crate::import::ImportRow;
use crate::item::{Item, fold_item, redrive_item};
use crate::query::{Folded, ProviderStatistics};
use crate::removal::Removal;
use crate::table::Table;

/// One item's place: its import and its entry.
pub(crate) type ItemKey = (ImportId, FileId);

/// The read model in memory: all of it, or the part that a batch of events touches.
#[derive(Debug, Default)]
pub struct State {
    pub(crate) imports: Table<ImportId, ImportRow>,
    pub(crate) items: Table<ItemKey, Item>,
    pub(crate) images: Table<FileId, ImageRow>,
    pub(crate) statistics: Table<String, ProviderStatistics>,
    /// By key: that alone is what `image.deleted` names.
    pub(crate) removals: Table<String, Removal>,
}

impl State {
    /// Fold one event, with its sequence in the stream. The same events in the same order always
    /// give the same state; an event folded twice changes no counter.
    pub fn apply(&mut self, sequence: u64, event: &Event) {
        let at = to_millisecond(event.at);
        let id = &event.import_id;
        match &event.body {
            // These two say nothing about an import, so they do not bring one into being.
            EventBody::TaskUnreadable { .. } => self.touch(sequence, id, at),
            EventBody::ImageDeleted { file_id, key } => {
                self.touch(sequence, id, at);
                self.delete_image(file_id, key);
            }
            body => {
                self.apply_to_import(sequence, id, body, at);
                if let EventBody::ImageImported { file, object, .. } = body {
                    self.store_image(sequence, id, file, object, at);
                }
            }
        }
    }

    /// One import.
    #[must_use]
    pub fn import(&self, id: &ImportId) -> Option<&ImportRow> {
        self.imports.get(id)
    }

    /// Every import, in no order.
    pub fn imports(&self) -> impl Iterator<Item = &ImportRow> {
        self.imports.rows().map(|(_, import)| import)
    }

    /// Every entry of every import, in no order.
    pub fn items(&self) -> impl Iterator<Item = (&ImportId, &Item)> {
        self.items.rows().map(|((import, _), item)| (import, item))
    }

    /// Every image, in no order.
    pub fn images(&self) -> impl Iterator<Item = &ImageRow> {
        self.images.rows().map(|(_, image)| image)
    }

    /// Statistics of every provider ever seen, in no order.
    pub fn statistics(&self) -> impl Iterator<Item = &ProviderStatistics> {
        self.statistics.rows().map(|(_, statistics)| statistics)
    }

    /// Every replaced object that is not known to be gone, in no order.
    pub fn removals(&self) -> impl Iterator<Item = &Removal> {
        self.removals.rows().map(|(_, removal)| removal)
    }

    /// Fold a batch, with the sequences of its events.
    pub(crate) fn apply_all(&mut self, events: &[&(u64, Event)]) -> Folded {
        let finished_before: HashMap<_, _> = self
            .imports()
            .map(|import| (import.id.clone(), import.finished_at))
            .collect();
        for (sequence, event) in events {
            self.apply(*sequence, event);
        }
        let newly_finished = |import: &&ImportRow| {
            import.status.is_final()
                && finished_before.get(&import.id).copied().flatten() != import.finished_at
        };
        Folded {
            events: events.len() as u64,
            finished: self.imports().filter(newly_finished).cloned().collect(),
            removals: self.removals().count() as u64,
        }
    }

    fn touch(&mut self, sequence: u64, id: &ImportId, at: OffsetDateTime) {
        if let Some(import) = self.imports.change(id) {
            import.touch(sequence, at);
        }
    }

    fn apply_to_import(
        &mut self,
        sequence: u64,
        id: &ImportId,
        body: &EventBody,
        at: OffsetDateTime,
    ) {
        let Self { imports, items, .. } = self;
        let import = imports.change_or_insert(id, || ImportRow::first_heard_of(id.clone(), at));
        import.touch(sequence, at);
        match body {
            EventBody::ImportAccepted {
                request,
                folder_name,
            } => {
                import.start(at);
                import.request(request);
                import.folder_name = import.folder_name.take().or_else(|| folder_name.clone());
            }
            EventBody::ImportListed {
                page,
                queued,
                skipped,
            } => {
                import.start(at);
                import.page_listed(*page);
                let queued = queued.iter().map(|entry| Item::queued(entry.clone(), at));
                let skipped = skipped.iter().map(|entry| Item::passed_over(entry, at));
                for item in queued.chain(skipped) {
                    // Only what is unknown: a worker may have been faster than this event, and a
                    // second listing names what the first one did.
                    let key = (id.clone(), item.item_id.clone());
                    if items.get(&key).is_none() && import.admits(None) {
                        import.count(None, &item);
                        items.put(key, item);
                    }
                }
            }
            EventBody::ImportListingCompleted { pages } => {
                import.page_listed(*pages);
                import.listing_completed = true;
            }
            EventBody::ImportFailed {
                cause,
                message,
                request,
            } => {
                if let Some(request) = request {
                    import.request(request);
                }
                import.fail(*cause, message);
            }
            EventBody::ImportCancelled {} => import.cancel(),
            EventBody::ImportPaused {} => import.pause(),
            EventBody::ImportResumed {} => import.resume(),
            EventBody::ImportRedriven { items: redriven } => {
                for entry in redriven {
                    let key = (id.clone(), entry.item_id.clone());
                    let before = items.get(&key);
                    if import.admits(before)
                        && let Some(after) = redrive_item(before, entry.run, at)
                    {
                        import.count(before, &after);
                        items.put(key, after);
                    }
                }
            }
            body => {
                if let Some(report) = Item::reported(body, at) {
                    import.start(at);
                    let key = (id.clone(), report.item_id.clone());
                    let before = items.get(&key);
                    if import.admits(before)
                        && let Some(after) = fold_item(before, report)
                    {
                        import.count(before, &after);
                        items.put(key, after);
                    }
                }
            }
        }
        import.complete_if_settled();
    }

    fn store_image(
        &mut self,
        sequence: u64,
        import: &ImportId,
        file: &SourceFile,
        object: &Object,
        at: OffsetDateTime,
    ) {
        let before = self.images.get(&file.id);
        let after = Image::imported(before.map(|row| &row.image), import, file, object, at);
        let mut id = number(sequence);
        if let Some(before) = before {
            id = before.id;
            take_from(&mut self.statistics, &before.image);
            // The same key in another bucket is left alone: the deletion would name only the key,
            // and would take this very row with it.
            if before.image.object_key != after.object_key {
                let removal = Removal::of(&before.image, sequence);
                self.removals.put(removal.key.clone(), removal);
            }
        }
        add_to(&mut self.statistics, &after);
        self.removals.remove(&after.object_key);
        let row = ImageRow { id, image: after };
        self.images.put(file.id.clone(), row);
    }

    /// Only the object that the event names is gone: if the file was imported again meanwhile, under
    /// another key, its row stays.
    fn delete_image(&mut self, file_id: &FileId, key: &str) {
        self.removals.remove(&key.to_owned());
        let row = self.images.get(file_id);
        if let Some(row) = row.filter(|row| row.image.object_key == key) {
            take_from(&mut self.statistics, &row.image);
            self.images.remove(file_id);
        }
    }
}

fn add_to(statistics: &mut Table<String, ProviderStatistics>, image: &Image) {
    let of_provider = statistics.change_or_insert(&image.provider, || {
        ProviderStatistics::none(image.provider.clone())
    });
    of_provider.images = of_provider.images.saturating_add(1);
    of_provider.bytes = of_provider.bytes.saturating_add(image.size);
}

fn take_from(statistics: &mut Table<String, ProviderStatistics>, image: &Image) {
    if let Some(of_provider) = statistics.change(&image.provider) {
        of_provider.images = of_provider.images.saturating_sub(1);
        of_provider.bytes = of_provider.bytes.saturating_sub(image.size);
    }
}

/// SQL's integers are signed; no size, count or sequence comes near the end of their range.
pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The time as SQL keeps it: UTC, whole milliseconds.
pub(crate) fn to_millisecond(at: OffsetDateTime) -> OffsetDateTime {
    at.checked_to_offset(UtcOffset::UTC)
        .unwrap_or(at)
        .truncate_to_millisecond()
}
