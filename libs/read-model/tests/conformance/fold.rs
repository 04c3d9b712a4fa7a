//! Folding into tables: it equals the pure fold, the fence holds, and readers are not in the way.

use std::collections::{BTreeMap, HashMap};

use crate::bed::Bed;
use crate::common::{
    PROJECTOR, accepted, deleted, event, failed, file_id, fold, import_failed, import_id, imported,
    imported_as, listed, listing_completed, object, redriven, retrying, seconds, skipped, source,
};
use contracts::{Cause, Event, EventBody};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use read_model::fold::State;
use read_model::{ImageRow, ImagesQuery, ImportStatus, ReadModel, ReadModelError};

const IMPORTS: [&str; 2] = ["one", "two"];

fn any_body() -> impl Strategy<Value = EventBody> {
    let item = (0..5u8).prop_map(|n| format!("item{n}"));
    let cause = prop_oneof![
        Just(Cause::NetworkError),
        Just(Cause::NotAnImage),
        Just(Cause::Unknown)
    ];
    let image = (item.clone(), 0..3u8, 0..2u8, 1..3u32, 0..5000u64).prop_map(
        |(item, file, place, run, size)| {
            let mut source = source(&item);
            source.id = file_id(&format!("file{file}"));
            source.name = format!("Ünï\u{1F4F7}\n{item}");
            let mut object = object(&format!("key{place}"), size);
            object.provider = ["aws", "azure"][usize::from(place)].to_owned();
            imported_as(source, object, run)
        },
    );
    let page = (
        1..4u64,
        prop::collection::vec(0..8u8, 0..6),
        prop::collection::vec(0..8u8, 0..3),
    );
    let page = page.prop_map(|(page, queued, skipped)| {
        let names = |numbers: &[u8]| numbers.iter().map(|n| format!("item{n}")).collect();
        let (queued, skipped): (Vec<String>, Vec<String>) = (names(&queued), names(&skipped));
        listed(page, &queued, &skipped)
    });
    prop_oneof![
        8 => image,
        4 => page,
        2 => (item.clone(), 1..3u32).prop_map(|(item, run)| skipped(&item, run)),
        3 => (item.clone(), 1..3u32, 1..4u32).prop_map(|(item, run, n)| retrying(&item, run, n)),
        3 => (item.clone(), 1..3u32, cause).prop_map(|(item, run, cause)| failed(&item, run, cause)),
        2 => (item, 2..4u32).prop_map(|(item, run)| redriven(&[(&item, run)])),
        1 => Just(accepted()),
        1 => (1..4u64).prop_map(listing_completed),
        1 => Just(EventBody::ImportPaused {}),
        1 => Just(EventBody::ImportResumed {}),
        1 => prop_oneof![
            Just(EventBody::ImportCancelled {}),
            Just(import_failed(Cause::FolderNotFound))
        ],
        2 => (0..3u8, 0..2u8).prop_map(|(n, k)| deleted(&format!("file{n}"), &format!("key{k}"))),
    ]
}

fn any_history() -> impl Strategy<Value = Vec<Event>> {
    let step = (0..IMPORTS.len(), 0..10_000u64, any_body());
    prop::collection::vec(step, 0..80).prop_map(|steps| {
        let event = |(import, at, body)| event(&import_id(IMPORTS[import]), seconds(at), body);
        steps.into_iter().map(event).collect()
    })
}

/// Fold `history` in batches of these sizes.
async fn fold_in_batches(model: &ReadModel, history: &[Event], sizes: &[usize]) {
    let mut rest: Vec<(u64, Event)> = (1..).zip(history.iter().cloned()).collect();
    let (mut checkpoint, mut sizes) = (0, sizes.iter().cycle());
    while !rest.is_empty() {
        let size = (*sizes.next().unwrap()).min(rest.len());
        let batch: Vec<_> = rest.drain(..size).collect();
        let to = batch.last().unwrap().0;
        model.fold(PROJECTOR, checkpoint, batch, to).await.unwrap();
        checkpoint = to;
    }
}

async fn assert_equal(model: &ReadModel, state: &State) {
    for id in IMPORTS.map(import_id) {
        assert_eq!(model.import(&id).await.unwrap().as_ref(), state.import(&id));
        let mut expected: Vec<_> = state
            .items()
            .filter(|(import, _)| **import == id)
            .map(|(_, item)| item.clone())
            .collect();
        expected.sort_by(|a, b| a.item_id.cmp(&b.item_id));
        assert_eq!(model.items(&id, None, 1000).await.unwrap(), expected);
    }
    let mut stored: HashMap<_, ImageRow> = HashMap::new();
    let mut all = model.all_images(ImagesQuery::default());
    while let Some(row) = all.next().await.unwrap() {
        stored.insert(row.image.google_drive_id.clone(), row);
    }
    let expected: HashMap<_, _> = state
        .images()
        .map(|row| (row.image.google_drive_id.clone(), row.clone()))
        .collect();
    assert_eq!(stored, expected);
    let by_provider = |rows: Vec<read_model::ProviderStatistics>| -> BTreeMap<_, _> {
        rows.into_iter()
            .map(|row| (row.provider, (row.images, row.bytes)))
            .collect()
    };
    let mut removals: Vec<_> = state.removals().cloned().collect();
    removals.sort_by_key(|removal| removal.sequence);
    assert_eq!(model.removals(1000).await.unwrap(), removals);
    assert_eq!(
        by_provider(model.statistics().await.unwrap()),
        by_provider(state.statistics().cloned().collect())
    );
}

/// Run `property` on random inputs, on tables that were emptied for each.
async fn holds_for_any<S, F>(
    bed: &Bed,
    inputs: impl FnOnce() -> S + Send + 'static,
    property: impl Fn(Bed, S::Value) -> F + Send + 'static,
) where
    S: Strategy,
    F: Future<Output = ()>,
{
    drop(bed.model().await);
    let bed = bed.clone();
    let runtime = tokio::runtime::Handle::current();
    let check = move || {
        let mut runner = TestRunner::new(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(bed.cases())
        });
        let outcome = runner.run(&inputs(), |input| {
            runtime.block_on(async {
                bed.clear().await;
                property(bed.clone(), input).await;
            });
            Ok(())
        });
        outcome.map_err(|error| error.to_string())
    };
    tokio::task::spawn_blocking(check).await.unwrap().unwrap();
}

pub async fn folding_equals_the_pure_fold(bed: &Bed) {
    let inputs = || (any_history(), prop::collection::vec(1..20usize, 1..20));
    holds_for_any(bed, inputs, |bed, (history, sizes)| async move {
        let mut state = State::default();
        (1..)
            .zip(&history)
            .for_each(|(sequence, event)| state.apply(sequence, event));
        let model = bed.model().await;
        fold_in_batches(&model, &history, &sizes).await;
        assert_equal(&model, &state).await;
    })
    .await;
}

pub async fn the_tables_are_the_same_however_events_are_cut_into_batches(bed: &Bed) {
    let cuts = || prop::array::uniform2(prop::collection::vec(1..20usize, 1..10));
    holds_for_any(
        bed,
        move || (any_history(), cuts()),
        |bed, (history, cuts)| async move {
            let model = bed.model().await;
            fold_in_batches(&model, &history, &cuts[0]).await;
            let one = bed.dump().await;
            bed.clear().await;
            fold_in_batches(&model, &history, &cuts[1]).await;
            assert_eq!(one.len(), 6, "{one:?}");
            assert_eq!(one, bed.dump().await);
        },
    )
    .await;
}

pub async fn a_page_of_a_listing_is_folded_whole(bed: &Bed) {
    const PAGES: u64 = 7;
    let model = bed.model().await;
    let one = import_id("one");
    let pages = (1..=PAGES).map(|page| {
        let items: Vec<String> = (0..999).map(|n| format!("1aB_{page}-{n:03}")).collect();
        listed(page, &items[..900], &items[900..])
    });
    let pages: Vec<EventBody> = pages.collect();
    fold(&model, &one, pages.clone()).await;
    fold(&model, &one, pages).await;
    let row = model.import(&one).await.unwrap().unwrap();
    assert_eq!((row.total, row.skipped), (999 * PAGES, 99 * PAGES));

    let (mut after, mut count) = (None, 0);
    loop {
        let items = model.items(&one, after.as_ref(), 1000).await.unwrap();
        let Some(last) = items.last() else { break };
        assert!(after.as_ref().is_none_or(|after| *after < items[0].item_id));
        count += items.len() as u64;
        after = Some(last.item_id.clone());
    }
    assert_eq!(count, 999 * PAGES);
}

pub async fn the_same_batch_again_is_refused_and_changes_nothing(bed: &Bed) {
    let model = bed.model().await;
    let one = import_id("one");
    let batch = vec![(7, event(&one, seconds(1), imported("a", 1)))];
    model.fold(PROJECTOR, 0, batch.clone(), 9).await.unwrap();
    let before = model.import(&one).await.unwrap();

    let again = model.fold(PROJECTOR, 0, batch, 9).await;
    assert!(
        matches!(again, Err(ReadModelError::Fenced { expected: 0, .. })),
        "{again:?}"
    );
    assert_eq!(model.import(&one).await.unwrap(), before);
    assert_eq!(model.checkpoint(PROJECTOR).await.unwrap(), 9);
    assert_eq!(model.checkpoint("another").await.unwrap(), 0);

    let folded = vec![(9, event(&one, seconds(2), imported("b", 1)))];
    let passed_over = model.fold(PROJECTOR, 9, folded, 10).await.unwrap();
    assert_eq!(passed_over.events, 0);
    assert_eq!(model.import(&one).await.unwrap(), before);
}

pub async fn of_two_writers_one_is_fenced_for_every_batch(bed: &Bed) {
    let one = import_id("one");
    let writers = [bed.model().await, bed.model().await];
    let mut fenced = 0;
    for round in 0..20 {
        let batch = || {
            vec![(
                round + 1,
                event(&one, seconds(1), imported(&format!("i{round}"), 1)),
            )]
        };
        let (a, b) = tokio::join!(
            writers[0].fold(PROJECTOR, round, batch(), round + 1),
            writers[1].fold(PROJECTOR, round, batch(), round + 1),
        );
        assert!(a.is_ok() ^ b.is_ok(), "{a:?} {b:?}");
        let lost = a.err().or(b.err()).unwrap();
        assert!(matches!(lost, ReadModelError::Fenced { .. }), "{lost}");
        fenced += 1;
    }
    assert_eq!(fenced, 20);
    let import = writers[0].import(&one).await.unwrap().unwrap();
    assert_eq!((import.total, import.imported), (20, 20));
}

pub async fn a_finished_import_is_told_once(bed: &Bed) {
    let model = bed.model().await;
    let one = import_id("one");
    let events = |bodies: Vec<EventBody>, from: u64| -> Vec<(u64, Event)> {
        (from..)
            .zip(bodies)
            .map(|(n, body)| (n, event(&one, seconds(n), body)))
            .collect()
    };
    let begun = events(
        vec![accepted(), listed(1, &["a"], &[]), listing_completed(1)],
        1,
    );
    let folded = model.fold(PROJECTOR, 0, begun, 3).await.unwrap();
    assert_eq!((folded.events, folded.finished.len()), (3, 0));

    let ended = events(vec![imported("a", 1), imported("a", 1)], 4);
    let folded = model.fold(PROJECTOR, 3, ended, 5).await.unwrap();
    assert_eq!(folded.finished.len(), 1);
    assert_eq!(folded.finished[0].status, ImportStatus::Completed);

    let repeated = events(vec![imported("a", 1)], 6);
    let folded = model.fold(PROJECTOR, 5, repeated, 6).await.unwrap();
    assert_eq!((folded.events, folded.finished.len()), (1, 0));
}

pub async fn a_deleted_and_newly_imported_image_counts_once(bed: &Bed) {
    let model = bed.model().await;
    let one = import_id("one");
    fold(&model, &one, vec![imported("a", 1)]).await;
    fold(&model, &one, vec![deleted("a", "a/b/a"), imported("a", 1)]).await;
    let statistics = model.statistics().await.unwrap();
    assert_eq!((statistics[0].images, statistics[0].bytes), (1, 1000));
    assert_eq!(
        model
            .images(ImagesQuery::default())
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    fold(&model, &one, vec![deleted("a", "a/b/a")]).await;
    assert_eq!(
        model
            .images(ImagesQuery::default())
            .await
            .unwrap()
            .items
            .len(),
        0
    );
    assert_eq!(model.statistics().await.unwrap()[0].images, 0);
}

pub async fn fifty_thousand_images_while_readers_look_on(bed: &Bed) {
    const IMAGES: u64 = 50_000;
    const BATCH: u64 = 500;
    let model = bed.model().await;
    let one = import_id("one");

    let reader = bed.reader();
    let readers = (0..3).map(|_| {
        let (reader, one) = (reader.clone(), one.clone());
        tokio::spawn(async move {
            let (mut looks, mut last) = (0, 0);
            while last < IMAGES {
                let imported = reader
                    .import(&one)
                    .await
                    .unwrap()
                    .map_or(0, |row| row.imported);
                let page = reader.images(ImagesQuery::default()).await.unwrap();
                assert!(imported >= last, "a counter went back");
                assert!(imported.is_multiple_of(BATCH), "half a batch was seen");
                assert!(page.total >= imported, "the later of two looks shows less");
                last = imported;
                looks += 1;
            }
            looks
        })
    });
    let readers: Vec<_> = readers.collect();

    for first in (1..=IMAGES).step_by(usize::try_from(BATCH).unwrap()) {
        let image = |n: u64| {
            let id = format!("1AbC_{:016x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            (n, event(&one, seconds(n), imported(&id, 1)))
        };
        let batch: Vec<_> = (first..first + BATCH).map(image).collect();
        model
            .fold(PROJECTOR, first - 1, batch, first + BATCH - 1)
            .await
            .unwrap();
    }
    for looks in readers {
        assert!(looks.await.unwrap() > 0);
    }

    drop(model);
    let model = bed.model().await;
    assert_eq!(model.checkpoint(PROJECTOR).await.unwrap(), IMAGES);
    let import = model.import(&one).await.unwrap().unwrap();
    assert_eq!((import.total, import.imported), (IMAGES, IMAGES));
    assert_eq!(import.bytes, IMAGES * 1000);
    let (mut all, mut count, mut last) = (model.all_images(ImagesQuery::default()), 0, i64::MAX);
    while let Some(row) = all.next().await.unwrap() {
        assert!(row.id < last);
        last = row.id;
        count += 1;
    }
    assert_eq!(count, IMAGES);
}
