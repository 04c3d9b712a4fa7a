//! The fold on random histories: repetition and reordering, as far as the promises allow them, give
//! the same counters; counters never go back; completed is final.
//!
//! Allowed are: any event again, any time after its first; each worker's report on an entry
//! anywhere among the producer's events; reports on different entries in any order. The producer's
//! events keep their order, and so do the reports on one entry.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{
    accepted, event, failed, import_id, imported, listed, listing_completed, retrying, seconds,
    skipped,
};
use contracts::{Cause, Event, EventBody};
use proptest::prelude::*;
use proptest::sample::Index;
use read_model::fold::State;
use read_model::{ImportRow, ImportStatus, Item, ItemState};

/// What workers report on one entry.
#[derive(Debug, Clone)]
enum Fate {
    SkippedByListing,
    Runs(Vec<Run>),
}

#[derive(Debug, Clone)]
struct Run {
    retries: u32,
    outcomes: Vec<ItemState>,
}

fn fate(max_runs: usize) -> impl Strategy<Value = Fate> {
    let outcome = prop_oneof![
        Just(ItemState::Imported),
        Just(ItemState::Skipped),
        Just(ItemState::Failed)
    ];
    // Two outcomes of one run: a delivery that was handed to two workers.
    let run = (0..3u32, prop::collection::vec(outcome, 0..3))
        .prop_map(|(retries, outcomes)| Run { retries, outcomes });
    prop_oneof![
        1 => Just(Fate::SkippedByListing),
        4 => prop::collection::vec(run, 0..=max_runs).prop_map(Fate::Runs),
    ]
}

/// One lane per party whose events keep their order: the producer's first, then one per entry.
fn lanes(fates: &[Fate], listed_twice: bool) -> Vec<Vec<Event>> {
    let names: Vec<String> = (0..fates.len()).map(|n| format!("item{n}")).collect();
    let mut producer = vec![accepted()];
    for _ in 0..=usize::from(listed_twice) {
        for (page, (names, fates)) in names.chunks(3).zip(fates.chunks(3)).enumerate() {
            let of = |wanted: bool| -> Vec<&str> {
                let pairs = names.iter().zip(fates);
                let is_skipped = |fate: &Fate| matches!(fate, Fate::SkippedByListing);
                pairs
                    .filter(|(_, f)| is_skipped(f) == wanted)
                    .map(|(n, _)| n.as_str())
                    .collect()
            };
            producer.push(listed(page as u64 + 1, &of(false), &of(true)));
        }
    }
    producer.push(listing_completed(fates.len().div_ceil(3) as u64));

    let mut lanes = vec![producer];
    for (name, fate) in names.iter().zip(fates) {
        let Fate::Runs(runs) = fate else { continue };
        let reports = (1..)
            .zip(runs)
            .flat_map(|(number, run)| reports(name, number, run));
        lanes.push(reports.collect());
    }
    let import = import_id("one");
    let mut clock = 0;
    let mut stamp = |body: EventBody| {
        clock += 1;
        event(&import, seconds(clock), body)
    };
    lanes
        .into_iter()
        .map(|lane| lane.into_iter().map(&mut stamp).collect())
        .collect()
}

fn reports(name: &str, number: u32, run: &Run) -> Vec<EventBody> {
    let retries = (1..=run.retries).map(|attempt| retrying(name, number, attempt));
    let outcomes = run.outcomes.iter().map(|outcome| match outcome {
        ItemState::Imported => imported(name, number),
        ItemState::Skipped => skipped(name, number),
        _ => failed(name, number, Cause::NetworkError),
    });
    retries.chain(outcomes).collect()
}

/// The lanes merged as `picks` says, with the events that `repeats` names again at a later place.
fn shuffled(mut lanes: Vec<Vec<Event>>, picks: &[Index], repeats: &[(Index, Index)]) -> Vec<Event> {
    lanes.iter_mut().for_each(|lane| lane.reverse());
    let mut picks = picks.iter().cycle();
    let mut merged = Vec::new();
    loop {
        lanes.retain(|lane| !lane.is_empty());
        if lanes.is_empty() {
            break;
        }
        let lane = picks.next().unwrap().index(lanes.len());
        merged.push(lanes[lane].pop().unwrap());
    }
    for (which, how_much_later) in repeats {
        let which = which.index(merged.len());
        let place = which + 1 + how_much_later.index(merged.len() - which);
        merged.insert(place, merged[which].clone());
    }
    merged
}

fn folded<'e>(events: impl IntoIterator<Item = &'e Event>) -> State {
    let mut state = State::default();
    (1..)
        .zip(events)
        .for_each(|(sequence, event)| state.apply(sequence, event));
    state
}

/// What must not depend on repetition and order. When the import finished, and at which revision it is,
/// depends on which of its last events came last.
fn essence(state: &State) -> ImportRow {
    let import = state.import(&import_id("one")).unwrap().clone();
    ImportRow {
        finished_at: None,
        revision: 0,
        ..import
    }
}

/// Each entry with its steps: state, run and attempt.
fn states(state: &State) -> Vec<(String, Vec<(ItemState, u32, u32)>)> {
    let steps = |item: &Item| {
        let steps = item.timeline();
        let steps = steps
            .iter()
            .map(|step| (step.state, step.run, step.attempt));
        steps.collect()
    };
    let mut all: Vec<_> = state
        .items()
        .map(|(_, item)| (item.item_id.to_string(), steps(item)))
        .collect();
    all.sort();
    all
}

fn picks() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 60)
}

fn repeats() -> impl Strategy<Value = Vec<(Index, Index)>> {
    prop::collection::vec(any::<(Index, Index)>(), 0..12)
}

proptest! {
    #[test]
    fn repetition_and_reordering_change_nothing(
        fates in prop::collection::vec(fate(3), 0..10),
        listed_twice: bool,
        picks in picks(),
        repeats in repeats(),
    ) {
        let lanes = lanes(&fates, listed_twice);
        let plain = folded(lanes.iter().flatten());
        let shuffled = folded(&shuffled(lanes, &picks, &repeats));
        prop_assert_eq!(essence(&plain), essence(&shuffled));
        prop_assert_eq!(states(&plain), states(&shuffled));
        prop_assert_eq!(plain.images().count(), shuffled.images().count());
    }

    #[test]
    fn progress_is_honest_at_every_step(
        fates in prop::collection::vec(fate(1), 0..10),
        listed_twice: bool,
        picks in picks(),
        repeats in repeats(),
    ) {
        let events = shuffled(lanes(&fates, listed_twice), &picks, &repeats);
        let mut state = State::default();
        let mut before: Option<ImportRow> = None;
        for (sequence, event) in (1..).zip(&events) {
            state.apply(sequence, event);
            let now = state.import(&import_id("one")).unwrap().clone();
            prop_assert!(now.settled() + now.retrying <= now.total);
            prop_assert_eq!(now.total, state.items().count() as u64);
            let settled = now.listing_completed && now.settled() == now.total;
            prop_assert_eq!(now.status == ImportStatus::Completed, settled);
            prop_assert_eq!(now.finished_at.is_some(), settled);
            if let Some(before) = before {
                prop_assert!(now.total >= before.total);
                prop_assert!(now.imported >= before.imported);
                prop_assert!(now.skipped >= before.skipped);
                prop_assert!(now.failed >= before.failed);
                prop_assert!(now.bytes >= before.bytes);
                if before.status == ImportStatus::Completed {
                    prop_assert_eq!(now.status, ImportStatus::Completed);
                    prop_assert_eq!(now.finished_at, before.finished_at);
                }
            }
            before = Some(now);
        }
    }

    #[test]
    fn counters_are_counts_of_entries_whatever_the_runs(
        fates in prop::collection::vec(fate(3), 0..10),
        picks in picks(),
        repeats in repeats(),
    ) {
        let state = folded(&shuffled(lanes(&fates, false), &picks, &repeats));
        let import = state.import(&import_id("one")).unwrap();
        let count = |wanted| state.items().filter(|(_, item)| item.state == wanted).count() as u64;
        prop_assert_eq!(import.imported, count(ItemState::Imported));
        prop_assert_eq!(import.skipped, count(ItemState::Skipped));
        prop_assert_eq!(import.failed, count(ItemState::Failed));
        prop_assert_eq!(import.retrying, count(ItemState::Retrying));
        let stored = state.items().filter(|(_, item)| item.state == ItemState::Imported);
        prop_assert_eq!(import.bytes, stored.map(|(_, item)| item.size.unwrap()).sum::<u64>());
    }

    #[test]
    fn after_a_failed_listing_only_what_was_listed_counts_and_after_a_cancellation_nothing(
        fates in prop::collection::vec(fate(2), 1..8),
        picks in picks(),
        end_at: Index,
        cancelled: bool,
    ) {
        let mut events = shuffled(lanes(&fates, false), &picks, &[]);
        let end_at = end_at.index(events.len());
        let end = if cancelled {
            EventBody::ImportCancelled {}
        } else {
            common::import_failed(Cause::FolderForbidden)
        };
        events.insert(end_at, event(&import_id("one"), seconds(500), end));
        let at_end = essence(&folded(&events[..=end_at]));
        prop_assume!(at_end.status != ImportStatus::Completed);
        let later = essence(&folded(&events));
        prop_assert_eq!(at_end.status, later.status);
        prop_assert_eq!(at_end.total, later.total);
        if cancelled {
            prop_assert_eq!(
                (at_end.imported, at_end.skipped, at_end.failed, at_end.retrying),
                (later.imported, later.skipped, later.failed, later.retrying)
            );
        } else {
            prop_assert!(later.settled() + later.retrying <= later.total);
        }
    }
}
