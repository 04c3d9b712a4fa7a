//! Imports that are paused or cancelled while their tasks are under way.

use std::time::Duration;

use contracts::kv::{Control, ControlRecord};
use contracts::{Cause, EventBody, ImportImage, SourceFile, Task, streams, subjects};
use drive_sim::Faults;
use futures::StreamExt as _;
use testkit::until;

use crate::images::assert_no_leftovers;
use crate::outages::imported;
use crate::support::{self, Fixture, PATIENCE, Running};

/// Drive answers, but not before the test has ended.
fn endless() -> Faults {
    Faults {
        latency_ms: 3_600_000,
        ..Faults::default()
    }
}

impl Fixture {
    /// Say whether the import goes on, as whoever carries out commands does.
    async fn control(&self, state: Control) {
        let bucket = self.nats.context.get_key_value(streams::CONTROL).await;
        let record = ControlRecord {
            v: 1,
            state,
            command: 1,
        };
        bucket
            .unwrap()
            .put(
                self.import.as_str(),
                serde_json::to_vec(&record).unwrap().into(),
            )
            .await
            .unwrap();
    }

    /// Parked tasks, with their sequences.
    async fn parked(&self) -> Vec<(u64, ImportImage)> {
        let stream = self.nats.context.get_stream(streams::TASKS).await.unwrap();
        let mut subjects = stream
            .info_with_subjects(subjects::parked_of(&self.import))
            .await
            .unwrap();
        let mut parked = Vec::new();
        while let Some(subject) = subjects.next().await {
            let (subject, count) = subject.unwrap();
            assert_eq!(count, 1, "{subject}");
            let message = stream
                .get_last_raw_message_by_subject(&subject)
                .await
                .unwrap();
            match contracts::decode(&message.payload).unwrap() {
                Task::ImportImage(task) => parked.push((message.sequence, task)),
                other => panic!("{other:?}"),
            }
        }
        parked
    }

    async fn gone(&self, file: &SourceFile) {
        until("it is asked for", PATIENCE, || async {
            (self.downloads(&file.id) > 0).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn tasks_of_a_paused_import_are_parked_and_those_of_others_are_not() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n6-s4k").await;
    it.control(Control::Paused).await;
    let worker = it.work();
    it.publish_all(files[1..].to_vec()).await;
    let mut other = it.task(files[0].clone());
    other.import_id = contracts::ImportId::generate();
    let subject = subjects::task(&other.import_id);
    let payload = contracts::encode(&Task::ImportImage(other)).unwrap();
    it.nats
        .publish(subject, "other", payload.into())
        .await
        .unwrap();
    until("five are parked and one is imported", PATIENCE, || async {
        (it.tasks_left().await == Some(5) && imported(&it).await == 1).then_some(())
    })
    .await;
    let parked = it.parked().await;
    assert_eq!(parked.len(), 5);
    assert_eq!(it.objects().await.len(), 1);

    // Resumed as it will be: first the record, then each task, and last its copy.
    it.control(Control::Running).await;
    let stream = it.nats.context.get_stream(streams::TASKS).await.unwrap();
    for (sequence, task) in parked {
        it.publish(task).await;
        stream.delete_message(sequence).await.unwrap();
    }
    it.assert_imported(&files, 1).await;
    worker.stop().await;
}

#[tokio::test]
async fn what_was_stored_before_the_pause_is_reported_and_not_parked() {
    let it = support::start(Faults::default()).await;
    let files = stored_but_not_told(&it).await;
    it.control(Control::Paused).await;
    let told = imported(&it).await;
    let worker = it.work();
    it.all_done().await;
    assert_eq!(imported(&it).await, told + 1);
    assert_eq!(it.downloads(&files[0].id), 1);
    worker.stop().await;
}

/// One image whose worker died after it was stored and before it was told.
async fn stored_but_not_told(it: &Fixture) -> Vec<SourceFile> {
    let files = it.listed("sim-n1-s4k").await;
    it.publish_all(files.clone()).await;
    let worker = it.work();
    it.assert_imported(&files, 1).await;
    worker.stop().await;
    // Another run, lest its event be taken for a repetition of the first one's.
    let mut again = it.task(files[0].clone());
    again.run = 2;
    it.publish(again).await;
    it.crash(1).await;
    files
}

#[tokio::test]
async fn tasks_of_a_cancelled_import_are_dropped_but_no_object_goes_untold() {
    let it = support::start(Faults::default()).await;
    let files = stored_but_not_told(&it).await;
    let told = imported(&it).await;
    it.control(Control::Cancelled).await;
    it.publish_all(it.listed("sim-n5-s4k").await).await;
    let worker = it.work();
    it.all_done().await;
    assert_eq!(imported(&it).await, told + 1, "the one in the store");
    assert_eq!(it.objects().await.len(), 1);
    assert_eq!(it.downloads(&files[0].id), 1);
    it.assert_nothing_failed().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_deletion_belongs_to_no_pause_and_no_cancellation() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n2-s4k").await;
    it.publish_all(files.clone()).await;
    let worker = it.work();
    it.assert_imported(&files, 1).await;
    for (state, key) in [Control::Paused, Control::Cancelled]
        .into_iter()
        .zip(it.objects().await.into_keys())
    {
        it.control(state).await;
        let task = Task::DeleteObject(contracts::DeleteObject {
            import_id: it.import.clone(),
            file_id: files[0].id.clone(),
            bucket: it.bucket().display().to_string(),
            key: key.clone(),
            written_by: Some(it.import.clone()),
        });
        it.publish_raw(&key, contracts::encode(&task).unwrap())
            .await;
        it.all_done().await;
        assert!(!it.objects().await.contains_key(&key));
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_download_ends_when_its_import_is_cancelled() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n3-s4k").await;
    it.sim.set_faults(endless());
    it.publish_all(files.clone()).await;
    let worker = it.work();
    until("the downloads are under way", PATIENCE, || async {
        (it.sim.stats().requests.download == 3).then_some(())
    })
    .await;
    it.control(Control::Cancelled).await;
    it.all_done().await;
    assert_eq!(it.events().await.len(), 0);
    assert_no_leftovers(&it);
    worker.stop().await;
}

#[tokio::test]
async fn a_large_upload_is_given_up_when_its_import_is_cancelled() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n1-s9m").await;
    // The body stops in the middle, where the upload has begun.
    it.sim.set_faults(Faults {
        stall: 1.0,
        ..Faults::default()
    });
    it.publish_all(files.clone()).await;
    let mut config = it.config();
    config.drive.idle_timeout = Duration::from_secs(3600);
    let worker = Running::start(config);
    it.gone(&files[0]).await;
    it.control(Control::Cancelled).await;
    it.all_done().await;
    assert_eq!(it.events().await.len(), 0);
    assert_eq!(it.objects().await.len(), 0);
    until("nothing is left of it", PATIENCE, || async {
        let left = std::fs::read_dir(it.bucket().join(".tmp")).unwrap().count();
        (left == 0).then_some(())
    })
    .await;
    worker.stop().await;
}

#[tokio::test]
async fn who_waits_for_drive_or_for_quota_hears_of_the_cancellation() {
    for starved in [false, true] {
        let it = support::start(Faults::default()).await;
        let files = it.listed("sim-n4-s4k").await;
        let mut config = it.config();
        if starved {
            // Five a minute.
            config.quota = Some(1_000);
        } else {
            it.sim.set_faults(Faults {
                down: true,
                ..Faults::default()
            });
        }
        it.publish_all(files).await;
        let worker = Running::start(config);
        if starved {
            until("one is held", PATIENCE, || async {
                (worker.metric("imagefleet_worker_in_flight") >= 1.0).then_some(())
            })
            .await;
        } else {
            worker.waits_for("drive").await;
        }
        it.control(Control::Cancelled).await;
        until("what was held is dropped", PATIENCE, || async {
            (worker.metric("imagefleet_worker_in_flight") == 0.0).then_some(())
        })
        .await;
        it.assert_nothing_failed().await;
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_cancelled_import_has_no_more_retries_and_failures() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n1-s4k").await;
    it.sim.set_faults(Faults {
        truncate: 1.0,
        latency_ms: 300,
        ..Faults::default()
    });
    it.publish_all(files.clone()).await;
    let mut config = it.config();
    config.retry.max_attempts = 1_000;
    let worker = Running::start(config);
    it.event("it is retried", |body| match body {
        EventBody::ImageRetrying { cause, .. } => (*cause == Cause::NetworkError).then_some(()),
        _ => None,
    })
    .await;
    it.control(Control::Cancelled).await;
    it.all_done().await;
    assert_eq!(imported(&it).await, 0);
    worker.stop().await;
}
