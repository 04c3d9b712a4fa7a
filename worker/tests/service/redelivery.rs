//! A task that comes again.

use std::time::Duration;

use contracts::{Cause, EventBody, ImportId};
use drive_sim::Faults;

use futures::StreamExt as _;
use jetstream::topology::{self, TopologyConfig};

use crate::support::{self, PATIENCE, Running};

#[tokio::test]
async fn what_is_stored_already_is_not_downloaded_again() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n1-s9m").await;
    it.publish_all(files.clone()).await;
    let worker = it.work();
    it.assert_imported(&files, 1).await;
    worker.stop().await;
    let first = it.events().await.remove(0);

    // As if that worker had died before it could report.
    it.publish_all(files.clone()).await;
    it.crash(1).await;
    let worker = it.work();
    it.assert_imported(&files, 1).await;
    assert_eq!(it.downloads(&files[0].id), 1);
    let objects = it.events().await.into_iter().map(|event| match event.body {
        EventBody::ImageImported { object, .. } => object,
        other => panic!("{other:?}"),
    });
    let objects: Vec<_> = objects.collect();
    let EventBody::ImageImported { object, .. } = first.body else {
        panic!("{first:?}");
    };
    assert!(!objects.is_empty() && objects.iter().all(|again| *again == object));
    assert_eq!(worker.metric("imagefleet_worker_redeliveries_total"), 1.0);
    assert_eq!(worker.metric("imagefleet_worker_bytes_total"), 0.0);
    worker.stop().await;
}

#[tokio::test]
async fn other_content_under_the_same_name_is_downloaded() {
    let it = support::start(Faults::default()).await;
    let file = it.listed("sim-n1-s4k").await.remove(0);
    // Somebody put other bytes where the object belongs.
    let worker = it.work();
    it.publish(it.task(file.clone())).await;
    let key = it
        .event("it is imported", |body| match body {
            EventBody::ImageImported { object, .. } => Some(object.key.clone()),
            _ => None,
        })
        .await;
    worker.stop().await;
    let key = key.parse().unwrap();
    it.store
        .put(&key, "other".into(), &storage::ObjectInfo::default())
        .await
        .unwrap();
    it.publish(it.task(file.clone())).await;
    it.crash(1).await;
    let worker = it.work();
    it.assert_imported(std::slice::from_ref(&file), 1).await;
    assert_eq!(it.downloads(&file.id), 2);
    worker.stop().await;
}

#[tokio::test]
async fn a_task_that_killed_five_workers_is_not_touched_again() {
    let it = support::start(Faults::default()).await;
    let file = it.listed("sim-n1-s4k").await.remove(0);
    it.publish(it.task(file.clone())).await;
    it.crash(5).await;
    let _worker = it.work();
    let (cause, task) = it
        .event("it fails", |body| match body {
            EventBody::ImageFailed { cause, task, .. } => Some((*cause, task.clone())),
            _ => None,
        })
        .await;
    assert_eq!((cause, &task.file), (Cause::WorkerCrashed, &file));
    it.all_done().await;
    assert_eq!(it.downloads(&file.id), 0);
}

/// Nothing is handed back here: each worker simply is no more.
#[tokio::test]
async fn five_workers_that_die_without_a_word_are_enough() {
    let it = support::start(Faults::default()).await;
    let config = TopologyConfig {
        ack_wait: Some(Duration::from_secs(1)),
        ..TopologyConfig::default()
    };
    topology::setup(&it.nats, config).await.unwrap();
    let file = it.listed("sim-n1-s4k").await.remove(0);
    it.publish(it.task(file.clone())).await;
    let consumer = it.tasks().await;
    for time in 1..=5 {
        let mut batch = consumer
            .batch()
            .max_messages(1)
            .expires(PATIENCE)
            .messages()
            .await
            .unwrap();
        let message = batch.next().await.unwrap().unwrap();
        assert_eq!(message.info().unwrap().delivered, time);
    }
    let _worker = it.work();
    let (cause, task) = it
        .event("it fails", |body| match body {
            EventBody::ImageFailed { cause, task, .. } => Some((*cause, task.clone())),
            _ => None,
        })
        .await;
    assert_eq!((cause, &task.file), (Cause::WorkerCrashed, &file));
    it.all_done().await;
    assert_eq!(it.downloads(&file.id), 0);
    assert_eq!(it.objects().await.len(), 0);
}

#[tokio::test]
async fn what_another_import_stored_is_stored_again_under_our_name() {
    let it = support::start(Faults::default()).await;
    let file = it.listed("sim-n1-s4k").await.remove(0);
    let mut other = it.task(file.clone());
    other.import_id = ImportId::generate();
    let worker = it.work();
    it.publish(other.clone()).await;
    it.all_done().await;
    worker.stop().await;
    let key = it.objects().await.into_keys().next().unwrap();
    let writer = || async {
        let head = it.store.head(&key.parse().unwrap()).await.unwrap();
        head.unwrap().import_id
    };
    assert_eq!(writer().await, other.import_id.as_str());

    it.publish(it.task(file.clone())).await;
    it.crash(1).await;
    let worker = it.work();
    it.all_done().await;
    assert_eq!(writer().await, it.import.as_str());
    assert_eq!(it.downloads(&file.id), 2, "it was not ours to rely on");
    worker.stop().await;
}

#[tokio::test]
async fn a_task_that_killed_four_workers_gets_another_chance() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n1-s4k").await;
    it.publish_all(files.clone()).await;
    it.crash(4).await;
    let _worker = it.work();
    it.assert_imported(&files, 1).await;
}

#[tokio::test]
async fn being_handed_back_again_and_again_is_no_crash() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n1-s4k").await;
    it.sim.set_faults(Faults {
        down: true,
        ..Faults::default()
    });
    it.publish_all(files.clone()).await;
    for _ in 0..7 {
        let worker = Running::start(it.config());
        worker.waits_for("drive").await;
        worker.stop().await;
    }
    assert_eq!(it.tasks_left().await, Some(1));
    it.sim.set_faults(Faults::default());
    let worker = it.work();
    it.assert_imported(&files, 1).await;
    it.assert_nothing_failed().await;
    worker.stop().await;
}

#[tokio::test]
async fn the_same_image_asked_for_twice_is_one_object() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n5-s4k").await;
    for _ in 0..2 {
        it.publish_all(files.clone()).await;
    }
    let _worker = it.work();
    it.assert_imported(&files, 1).await;
    assert_eq!(it.objects().await.len(), 5);
}
