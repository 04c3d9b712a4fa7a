//! The rules of the fold, one by one.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{
    accepted, deleted, event, failed, file_id, import_failed, import_id, imported, imported_as,
    listed, listing_completed, object, redriven, retrying, seconds, skipped, source,
};
use contracts::{Cause, EventBody, ImportId};
use read_model::fold::State;
use read_model::{ImportRow, ImportStatus, Item, ItemState, ProviderStatistics};

struct Model {
    state: State,
    clock: u64,
    id: ImportId,
}

impl Model {
    fn of(bodies: impl IntoIterator<Item = EventBody>) -> Self {
        let mut model = Self {
            state: State::default(),
            clock: 0,
            id: import_id("one"),
        };
        model.fold(bodies);
        model
    }

    fn fold(&mut self, bodies: impl IntoIterator<Item = EventBody>) {
        for body in bodies {
            self.clock += 1;
            let event = event(&self.id, seconds(self.clock), body);
            self.state.apply(self.clock, &event);
        }
    }

    fn import(&self) -> &ImportRow {
        self.state.import(&self.id).unwrap()
    }

    fn item(&self, item: &str) -> &Item {
        let id = file_id(item);
        self.state
            .items()
            .find(|(_, item)| item.item_id == id)
            .unwrap()
            .1
    }

    /// total, imported, skipped, failed, retrying
    fn counters(&self) -> [u64; 5] {
        let ImportRow {
            total,
            imported,
            skipped,
            failed,
            retrying,
            ..
        } = *self.import();
        [total, imported, skipped, failed, retrying]
    }

    fn statistics(&self) -> Vec<ProviderStatistics> {
        let mut all: Vec<_> = self.state.statistics().cloned().collect();
        all.sort_by(|a, b| a.provider.cmp(&b.provider));
        all
    }
}

fn statistics(provider: &str, images: u64, bytes: u64) -> ProviderStatistics {
    ProviderStatistics {
        provider: provider.to_owned(),
        images,
        bytes,
    }
}

#[test]
fn an_import_runs_to_completion() {
    let mut model = Model::of([
        accepted(),
        listed(1, &["a", "b"], &["t"]),
        listed(2, &["c"], &[]),
    ]);
    assert_eq!(model.counters(), [4, 0, 1, 0, 0]);
    model.fold([
        imported("a", 1),
        retrying("b", 1, 1),
        skipped("c", 1),
        listing_completed(2),
    ]);
    assert_eq!(model.counters(), [4, 1, 2, 0, 1]);
    assert_eq!(model.import().status, ImportStatus::Processing);
    model.fold([failed("b", 1, Cause::NotAnImage)]);

    let import = model.import();
    assert_eq!(model.counters(), [4, 1, 2, 1, 0]);
    assert_eq!(import.status, ImportStatus::Completed);
    assert_eq!(import.bytes, 1000);
    assert_eq!(import.pages, 2);
    assert_eq!(import.folder_name.as_deref(), Some("Holiday"));
    assert_eq!(import.prefix.as_str(), "a/b");
    assert!(!import.recursive);
    assert_eq!(import.started_at, Some(seconds(1)));
    assert_eq!(import.finished_at, Some(seconds(8)));
    assert!(model.item("b").task.is_some());
}

#[test]
fn an_empty_folder_completes_once_it_is_listed() {
    let mut model = Model::of([accepted(), listed::<&str>(1, &[], &[])]);
    assert_eq!(model.import().status, ImportStatus::Processing);
    model.fold([listing_completed(1)]);
    assert_eq!(model.import().status, ImportStatus::Completed);
}

#[test]
fn a_worker_may_be_faster_than_the_listing() {
    let mut model = Model::of([imported("a", 1)]);
    assert_eq!(model.import().folder, None);
    assert_eq!(model.counters(), [1, 1, 0, 0, 0]);
    model.fold([accepted(), listed(1, &["a"], &[]), listing_completed(1)]);
    assert_eq!(model.counters(), [1, 1, 0, 0, 0]);
    assert_eq!(model.import().status, ImportStatus::Completed);
    assert!(model.import().folder.is_some());
    assert_eq!(model.import().created_at, seconds(1));
}

#[test]
fn the_first_outcome_of_a_run_stands_and_the_image_has_its_row() {
    let model = Model::of([
        listed(1, &["a", "b"], &[]),
        failed("a", 1, Cause::NetworkError),
        imported("a", 1),
        imported("b", 1),
        failed("b", 1, Cause::NetworkError),
        retrying("b", 1, 3),
    ]);
    assert_eq!(model.counters(), [2, 1, 0, 1, 0]);
    assert_eq!(model.item("a").state, ItemState::Failed);
    assert_eq!(model.item("b").state, ItemState::Imported);
    assert_eq!(model.state.images().count(), 2);
}

#[test]
fn a_newer_run_opens_a_completed_import_and_completes_it_again() {
    let mut model = Model::of([
        listed(1, &["a", "b"], &[]),
        listing_completed(1),
        imported("a", 1),
        failed("b", 1, Cause::NetworkError),
    ]);
    assert_eq!(model.import().status, ImportStatus::Completed);
    model.fold([retrying("b", 2, 1)]);
    assert_eq!(model.import().status, ImportStatus::Processing);
    assert_eq!(model.import().finished_at, None);
    assert_eq!(model.counters(), [2, 1, 0, 0, 1]);
    assert!(model.item("b").task.is_none());
    model.fold([failed("b", 1, Cause::NetworkError), imported("b", 1)]);
    assert_eq!(model.counters(), [2, 1, 0, 0, 1], "an older run is over");
    model.fold([imported("b", 2)]);
    assert_eq!(model.import().status, ImportStatus::Completed);
    assert_eq!(model.import().finished_at, Some(seconds(8)));
    assert_eq!(model.counters(), [2, 2, 0, 0, 0]);
    assert_eq!(model.import().bytes, 2000);
}

#[test]
fn an_entry_that_was_in_no_listing_cannot_undo_completed() {
    let mut model = Model::of([
        listed(1, &["a"], &[]),
        listing_completed(1),
        imported("a", 1),
    ]);
    model.fold([listed(1, &["late"], &[]), retrying("later", 1, 1)]);
    assert_eq!(model.import().status, ImportStatus::Completed);
    assert_eq!(model.counters(), [1, 1, 0, 0, 0]);
}

#[test]
fn after_cancellation_no_counter_moves_but_stored_images_have_rows() {
    let mut model = Model::of([
        accepted(),
        listed(1, &["a", "b"], &[]),
        imported("a", 1),
        EventBody::ImportCancelled {},
    ]);
    let finished = model.import().finished_at;
    assert_eq!(finished, Some(seconds(4)));
    model.fold([
        imported("b", 1),
        listed(2, &["c"], &[]),
        listing_completed(2),
        EventBody::ImportResumed {},
        import_failed(Cause::FolderForbidden),
    ]);
    assert_eq!(model.counters(), [2, 1, 0, 0, 0]);
    assert_eq!(model.import().status, ImportStatus::Cancelled);
    assert_eq!(model.import().finished_at, finished);
    assert_eq!(model.import().cause, None);
    assert_eq!(model.item("b").state, ItemState::Queued);
    assert_eq!(model.state.images().count(), 2);
}

#[test]
fn an_unreadable_request_leaves_a_failed_import_without_a_folder() {
    let mut model = Model::of([import_failed(Cause::MalformedRequest)]);
    assert_eq!(model.import().status, ImportStatus::Failed);
    assert_eq!(model.import().folder, None);
    assert_eq!(model.import().started_at, None);
    assert_eq!(model.import().cause, Some(Cause::MalformedRequest));
    model.fold([
        EventBody::ImportCancelled {},
        import_failed(Cause::NotAFolder),
    ]);
    assert_eq!(model.import().status, ImportStatus::Failed);
    assert_eq!(model.import().cause, Some(Cause::MalformedRequest));
}

#[test]
fn a_paused_import_still_counts_what_was_under_way() {
    let mut model = Model::of([listed(1, &["a", "b"], &[]), EventBody::ImportPaused {}]);
    assert_eq!(model.import().status, ImportStatus::Paused);
    model.fold([imported("a", 1)]);
    assert_eq!(model.counters(), [2, 1, 0, 0, 0]);
    assert_eq!(model.import().status, ImportStatus::Paused);
    model.fold([EventBody::ImportResumed {}]);
    assert_eq!(model.import().status, ImportStatus::Processing);
    model.fold([
        EventBody::ImportPaused {},
        listing_completed(1),
        imported("b", 1),
    ]);
    assert_eq!(model.import().status, ImportStatus::Completed);
    model.fold([EventBody::ImportPaused {}]);
    assert_eq!(model.import().status, ImportStatus::Completed);
}

#[test]
fn events_about_no_entry_bring_no_import_into_being() {
    let unreadable = EventBody::TaskUnreadable {
        cause: Cause::MalformedTask,
        message: "expected value".to_owned(),
        payload: "x".to_owned(),
    };
    let model = Model::of([unreadable, deleted("a", "k")]);
    assert_eq!(model.state.imports().count(), 0);
}

#[test]
fn two_shortcuts_to_one_file_are_two_entries_and_one_image() {
    let mut shortcut = source("a");
    shortcut.item_id = file_id("shortcut");
    let model = Model::of([
        imported("a", 1),
        imported_as(shortcut, object("a/b/a", 1000), 1),
    ]);
    assert_eq!(model.counters(), [2, 2, 0, 0, 0]);
    assert_eq!(model.statistics(), [statistics("local", 1, 1000)]);
    assert_eq!(model.item("shortcut").file_id, Some(file_id("a")));
}

#[test]
fn a_file_imported_again_keeps_its_row_and_moves_its_bytes() {
    let mut moved = object("new-key", 250);
    moved.provider = "aws".to_owned();
    let mut model = Model::of([imported("a", 1)]);
    model.id = import_id("two");
    model.fold([imported_as(source("a"), moved, 1)]);

    let image = &model.state.images().next().unwrap().image;
    assert_eq!(image.created_at, seconds(1));
    assert_eq!(image.updated_at, seconds(2));
    assert_eq!(image.import_id, import_id("two"));
    assert_eq!(
        model.statistics(),
        [statistics("aws", 1, 250), statistics("local", 0, 0)]
    );

    model.fold([deleted("a", "a/b/a")]);
    assert_eq!(
        model.state.images().count(),
        1,
        "an older object's deletion"
    );
    model.fold([deleted("a", "new-key"), deleted("a", "new-key")]);
    assert_eq!(model.state.images().count(), 0);
    assert_eq!(
        model.statistics(),
        [statistics("aws", 0, 0), statistics("local", 0, 0)]
    );
}

#[test]
fn absurd_sizes_neither_panic_nor_wrap() {
    let huge = |item: &str| imported_as(source(item), object(item, u64::MAX), 1);
    let model = Model::of([huge("a"), huge("b"), deleted("a", "a")]);
    assert_eq!(model.counters(), [2, 2, 0, 0, 0]);
    assert_eq!(model.import().bytes, u64::MAX);
}

#[test]
fn a_redrive_opens_failed_entries_and_nothing_else() {
    let mut model = Model::of([
        accepted(),
        listed(1, &["a", "b", "c"], &[]),
        listing_completed(1),
        imported("a", 1),
        failed("b", 1, Cause::NetworkError),
        failed("c", 1, Cause::NetworkError),
    ]);
    assert_eq!(model.import().status, ImportStatus::Completed);
    model.fold([redriven(&[("a", 2), ("b", 2), ("unknown", 2)])]);
    assert_eq!(model.counters(), [3, 1, 0, 1, 0]);
    assert_eq!(model.import().status, ImportStatus::Processing);
    assert_eq!(model.item("b").state, ItemState::Queued);

    // An echo of the first run, the outcome of the second, and the announcement once more.
    model.fold([failed("b", 1, Cause::NetworkError)]);
    assert_eq!(model.counters(), [3, 1, 0, 1, 0]);
    model.fold([imported("b", 2), redriven(&[("b", 2)])]);
    assert_eq!(model.counters(), [3, 2, 0, 1, 0]);
    assert_eq!(model.import().status, ImportStatus::Completed);

    // A worker was faster than the announcement.
    model.fold([failed("c", 2, Cause::NotAnImage), redriven(&[("c", 2)])]);
    assert_eq!(model.counters(), [3, 2, 0, 1, 0]);
    assert_eq!(model.item("c").run, 2);
}
