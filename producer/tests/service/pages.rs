//! What is listed, and how much of it at a time.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use contracts::{EventBody, ImportRequest, subjects};
use drive_sim::{Exhibit, Expect};
use producer::Config;
use testkit::until;

use crate::fleet::{DEADLINE, Fleet, Running, assert_whole, each_once, images, listed};

#[tokio::test]
async fn every_listed_image_is_queued_once() {
    let fleet = Fleet::start().await;
    let producer = fleet.producer();
    let import = fleet
        .import_as(ImportRequest {
            destination_prefix: "trips/2026".parse().unwrap(),
            ..ImportRequest::google_drive(
                "https://drive.google.com/drive/u/0/folders/sim-n2500-s10k?usp=sharing",
            )
        })
        .await;
    fleet.settled().await;

    let expected = images("sim-n2500-s10k", 2_500);
    let tasks = fleet.take_tasks().await;
    assert_eq!(each_once(&tasks), expected);
    for task in &tasks {
        assert_eq!((&task.import_id, task.run, task.attempt), (&import, 1, 1));
        assert_eq!(task.destination_prefix.as_str(), "trips/2026");
        assert_eq!(
            (&task.file.id, task.file.size),
            (&task.file.item_id, Some(10_240))
        );
        assert!(task.file.md5.is_some() && task.file.path.is_empty());
    }
    let events = fleet.events(&import).await;
    assert_whole(&events, &expected);
    assert_eq!(listed(&events).len(), 3, "2,500 images are three pages");
    let EventBody::ImportAccepted { folder_name, .. } = &events[0] else {
        panic!("{:?}", events[0]);
    };
    assert_eq!(folder_name.as_deref(), Some("sim-n2500-s10k"));
    let requests = fleet.drive.stats().requests;
    assert_eq!((requests.get, requests.list, requests.download), (1, 3, 0));
    producer.stop().await;
}

#[tokio::test]
async fn an_empty_folder_completes_with_nothing() {
    let fleet = Fleet::start().await;
    let producer = fleet.producer();
    let import = fleet.import(drive_sim::EMPTY_FOLDER).await;
    fleet.settled().await;
    assert_whole(&fleet.events(&import).await, &BTreeSet::new());
    assert!(fleet.take_tasks().await.is_empty());
    producer.stop().await;
}

#[tokio::test]
async fn a_shared_drive_is_listed_with_its_subfolder() {
    let fleet = Fleet::start().await;
    let producer = fleet.producer();
    let import = fleet.import("0Asimshareddrive-n4-s1k").await;
    fleet.settled().await;
    let expected = images("0Asimshareddrive-n4-s1k", 7);
    assert_whole(&fleet.events(&import).await, &expected);
    let tasks = fleet.take_tasks().await;
    assert_eq!(each_once(&tasks), expected);
    let below = tasks.iter().filter(|task| task.file.path == "Subfolder");
    assert_eq!(below.count(), 3);
    producer.stop().await;
}

#[tokio::test]
async fn the_queue_holds_no_more_than_a_window() {
    let fleet = Fleet::start().await;
    let producer = fleet.narrow_producer();
    let large = fleet.import("sim-n4000-s256").await;
    fleet.queued_are(&large, 1_000).await;
    // A small import beside it is not held up, and proves that the producer still works.
    let small = fleet.import("sim-n5-s256").await;
    until("the small import is listed", DEADLINE, || async {
        let events = fleet.events(&small).await;
        matches!(
            events.last(),
            Some(EventBody::ImportListingCompleted { .. })
        )
        .then_some(())
    })
    .await;
    assert_eq!(fleet.queued(&large).await, 1_000);
    assert_eq!(fleet.requests().await, 1, "the large import is not settled");

    // Cancelling purges; listing goes on into the room that gives.
    let tasks = fleet.nats.context.get_stream("TASKS").await.unwrap();
    tasks.purge().filter(subjects::task(&large)).await.unwrap();
    fleet.queued_are(&large, 1_000).await;
    // So does a worker that takes tasks.
    let taken = Cell::new(0);
    until("workers have taken all that is left", DEADLINE, || async {
        taken.set(taken.get() + fleet.take_tasks().await.len());
        (taken.get() == 3_000 + 5).then_some(())
    })
    .await;
    fleet.settled().await;
    assert_whole(
        &fleet.events(&large).await,
        &images("sim-n4000-s256", 4_000),
    );
    producer.stop().await;
}

/// Listing a page takes as long as Drive likes; workers that are through with one must not wait for
/// that from the beginning.
#[tokio::test]
async fn the_next_page_is_asked_for_while_one_waits_for_room_and_no_further_one() {
    let fleet = Fleet::start().await;
    let producer = Running::start(Config {
        window: 500,
        ..fleet.config()
    });
    let lists = || fleet.drive.stats().requests.list;
    let large = fleet.import("sim-n4000-s256").await;
    fleet.queued_are(&large, 500).await;
    until("the second page is asked for", DEADLINE, || async {
        (lists() == 2).then_some(())
    })
    .await;
    // What is announced is what is stored: nothing of the second page.
    until("500 images are announced", DEADLINE, || async {
        let announced = listed(&fleet.events(&large).await);
        let images: usize = announced.iter().map(|(queued, _)| queued.len()).sum();
        (images == 500).then_some(())
    })
    .await;
    // Another import is listed from end to end meanwhile.
    let small = fleet.import("sim-n5-s256").await;
    until("the small import is listed", DEADLINE, || async {
        let last = fleet.events(&small).await.pop();
        matches!(last, Some(EventBody::ImportListingCompleted { .. })).then_some(())
    })
    .await;
    assert_eq!(
        lists(),
        3,
        "two pages of the large one and one of the small one"
    );
    assert_eq!(fleet.queued(&large).await, 500);

    let taken = fleet.drain().await;
    assert_eq!(each_once(&taken).len(), 4_005);
    assert_whole(
        &fleet.events(&large).await,
        &images("sim-n4000-s256", 4_000),
    );
    assert_eq!(lists(), 6, "no page is listed twice");
    producer.stop().await;
}

#[tokio::test]
async fn each_exhibit_of_the_museum_is_queued_or_skipped_as_it_must() {
    let fleet = Fleet::start().await;
    let producer = fleet.producer();
    let import = fleet.import(drive_sim::MUSEUM).await;
    fleet.settled().await;
    let exhibits = drive_sim::museum();
    compare(&fleet, &import, exhibits).await;

    let flat = fleet
        .import_as(ImportRequest {
            recursive: false,
            ..ImportRequest::google_drive(drive_sim::MUSEUM)
        })
        .await;
    fleet.settled().await;
    let mut exhibits = drive_sim::museum();
    exhibits.retain(|exhibit| exhibit.path.is_empty() && exhibit.item_id != "museum-in-annex");
    compare(&fleet, &flat, exhibits).await;
    producer.stop().await;
}

async fn compare(fleet: &Fleet, import: &contracts::ImportId, exhibits: Vec<Exhibit>) {
    let tasks = fleet.take_tasks().await;
    each_once(&tasks);
    let queued: BTreeMap<_, _> = tasks
        .into_iter()
        // A slash within a name is another character in a path, so that it is no level.
        .map(|task| {
            let path = task.file.path.replace('\u{2215}', "/");
            (task.file.item_id.to_string(), (task.file.name, path))
        })
        .collect();
    let mut expected = BTreeMap::new();
    let mut skips = BTreeMap::new();
    for exhibit in exhibits {
        let id = exhibit.item_id;
        match exhibit.expect {
            Expect::Skipped(reason) => {
                skips.insert(id, (exhibit.name, reason));
            }
            Expect::Imported { .. } | Expect::Failed(_) => {
                let path = match id.as_str() {
                    // Only a shortcut leads there.
                    "museum-in-annex" => "Annex".to_owned(),
                    _ => exhibit.path,
                };
                expected.insert(id, (exhibit.name, path));
            }
        }
    }
    assert_eq!(queued, expected);

    let listed = listed(&fleet.events(import).await);
    let announced: Vec<String> = listed
        .iter()
        .flat_map(|(queued, _)| queued.iter().cloned())
        .collect();
    assert_eq!(announced.len(), queued.len());
    let skipped: Vec<_> = listed
        .into_iter()
        .flat_map(|(_, skipped)| skipped)
        .map(|entry| (entry.item_id.to_string(), (entry.name, entry.reason.code())))
        .collect();
    assert_eq!(skipped.len(), skips.len());
    assert_eq!(skipped.into_iter().collect::<BTreeMap<_, _>>(), skips);
}
