//! Files that are stored already are skipped, without a download.

use std::collections::BTreeSet;

use contracts::{
    Event, EventBody, ImportId, ImportImage, ImportRequest, Object, SkipReason, Timings,
};
use read_model::ReadModel;
use testkit::until;

use crate::fleet::{DEADLINE, Fleet, assert_whole, each_once, images, listed};

/// What a worker says of `task` when its image is stored.
fn imported(task: ImportImage) -> Event {
    let file = task.file;
    let body = EventBody::ImageImported {
        run: task.run,
        attempt: task.attempt,
        object: Object {
            provider: "local".into(),
            bucket: "images".into(),
            key: format!("{}.jpg", file.id),
            size: file.size.unwrap(),
            md5: file.md5.clone().unwrap(),
            sha256: "0".repeat(64),
            content_type: "image/jpeg".into(),
            width: None,
            height: None,
            taken_at: None,
            orientation: None,
        },
        file,
        timings: Timings::default(),
        worker: "test".into(),
    };
    Event::now(task.import_id, body)
}

#[tokio::test]
async fn files_stored_with_the_same_content_are_skipped() {
    let fleet = Fleet::start().await;
    let producer = fleet.producer();
    let all = images("sim-n1200-s256", 1_200);
    // Nothing was ever imported: there is not even a read model.
    let first = fleet.import("sim-n1200-s256").await;
    fleet.settled().await;
    let tasks = fleet.take_tasks().await;
    assert_whole(&fleet.events(&first).await, &all);

    let model = ReadModel::open_sqlite(&fleet.database()).await.unwrap();
    let events: Vec<(u64, Event)> = (1..)
        .zip(tasks.into_iter().take(1_100).map(|mut task| {
            if task.file.id.as_str() == "sim-n1200-s256-f7" {
                // It was another version that was stored.
                task.file.md5 = Some("0".repeat(32));
            }
            imported(task)
        }))
        .collect();
    let stored: BTreeSet<String> = events
        .iter()
        .filter_map(|(_, event)| match &event.body {
            EventBody::ImageImported { file, .. } => Some(file.id.to_string()),
            _ => None,
        })
        .filter(|id| id != "sim-n1200-s256-f7")
        .collect();
    model.fold("read-model", 0, events, 1_100).await.unwrap();

    let second = fleet.import("sim-n1200-s256").await;
    fleet.settled().await;
    let queued = each_once(&fleet.take_tasks().await);
    assert_eq!(queued, all.difference(&stored).cloned().collect());
    let skipped: Vec<_> = listed(&fleet.events(&second).await)
        .into_iter()
        .flat_map(|(_, skipped)| skipped)
        .collect();
    assert!(
        skipped
            .iter()
            .all(|entry| entry.reason == SkipReason::Unchanged)
    );
    let skipped: BTreeSet<String> = skipped
        .into_iter()
        .map(|entry| entry.item_id.to_string())
        .collect();
    assert_eq!(skipped, stored);

    let everything = fleet
        .import_as(ImportRequest {
            skip_unchanged: false,
            ..ImportRequest::google_drive("sim-n1200-s256")
        })
        .await;
    fleet.settled().await;
    assert_whole(&fleet.events(&everything).await, &all);
    producer.stop().await;
}

/// An import neither fails nor downloads everything again because the database is broken, and the
/// page is not listed over and over.
#[tokio::test]
async fn a_broken_read_model_is_waited_for() {
    let fleet = Fleet::start().await;
    let path = fleet.database();
    std::fs::write(&path, "this is no database".repeat(1_000)).unwrap();
    let producer = fleet.producer();
    let import: ImportId = fleet.import("sim-n5-s256").await;
    let health = &producer.service.health;
    until("health says that SQL is waited for", DEADLINE, || async {
        let report = health.snapshot();
        report
            .dependencies
            .get("sql")
            .is_some_and(|sql| !sql.ready)
            .then_some(())
    })
    .await;
    std::fs::remove_file(&path).unwrap();
    fleet.settled().await;
    assert_whole(&fleet.events(&import).await, &images("sim-n5-s256", 5));
    assert_eq!(fleet.drive.stats().requests.list, 1);
    assert!(health.is_ready());
    producer.stop().await;
}
