//! One image's trouble: it spends attempts, waits for its time, and in the end is a dead letter.

use std::time::Duration;

use contracts::{Cause, EventBody, Task, streams, subjects};
use drive_sim::Faults;
use testkit::until;

use crate::images::assert_no_leftovers;
use crate::support::{self, Fixture, PATIENCE, Running};

fn retrying(body: &EventBody) -> Option<(u32, Cause)> {
    match body {
        EventBody::ImageRetrying { attempt, cause, .. } => Some((*attempt, *cause)),
        _ => None,
    }
}

/// One image meets `faults` at its first execution, and none at its second.
async fn once(faults: Faults, cause: Cause) {
    let it = support::start(faults).await;
    let files = it.listed("sim-n1-s40k").await;
    it.publish_all(files.clone()).await;
    let _worker = start_impatient(&it);
    let first = it.event("it is retried", retrying).await;
    assert_eq!(first, (1, cause));
    assert_eq!(it.objects().await.len(), 0, "half an object is visible");
    it.sim.set_faults(Faults::default());
    // Until the fault was lifted further attempts may have met it.
    it.all_done().await;
    let attempts = it
        .events()
        .await
        .iter()
        .filter_map(|e| retrying(&e.body).map(|r| r.0))
        .max();
    it.assert_imported(&files, attempts.unwrap() + 1).await;
    assert_no_leftovers(&it);
}

/// A worker that soon gives a silent body up, and has attempts to spare.
fn start_impatient(it: &Fixture) -> Running {
    let mut config = it.config();
    config.drive.idle_timeout = Duration::from_millis(300);
    config.retry.max_attempts = 50;
    Running::start(config)
}

#[tokio::test]
async fn a_truncated_body_costs_an_attempt() {
    let truncate = Faults {
        truncate: 1.0,
        ..Faults::default()
    };
    once(truncate, Cause::NetworkError).await;
}

#[tokio::test]
async fn a_stalled_body_costs_an_attempt() {
    let stall = Faults {
        stall: 1.0,
        ..Faults::default()
    };
    once(stall, Cause::NetworkError).await;
}

#[tokio::test]
async fn bytes_damaged_twice_in_different_ways_cost_an_attempt() {
    let flip = Faults {
        flip: 1.0,
        ..Faults::default()
    };
    once(flip, Cause::CorruptTransfer).await;
}

#[tokio::test]
async fn bytes_damaged_once_cost_a_second_download_and_no_attempt() {
    let it = support::start(Faults {
        flip: 0.3,
        ..Faults::default()
    })
    .await;
    let files = it.listed("sim-n40-s4k").await;
    it.publish_all(files.clone()).await;
    let _worker = start_impatient(&it);
    it.all_done().await;
    let mut saved = 0;
    for event in it.events().await {
        match event.body {
            EventBody::ImageImported { attempt, file, .. } => {
                saved += u32::from(attempt == 1 && it.downloads(&file.id) == 2);
            }
            EventBody::ImageRetrying { cause, .. } => assert_eq!(cause, Cause::CorruptTransfer),
            other => panic!("{other:?}"),
        }
    }
    assert!(saved > 0, "no image was damaged exactly once");
    let objects = it.objects().await;
    for file in &files {
        let content = drive_sim::content(file.id.as_str()).unwrap();
        assert!(
            objects.values().any(|body| *body == content),
            "{}",
            file.name
        );
    }
    assert_eq!(objects.len(), files.len());
}

#[tokio::test]
async fn a_large_body_that_is_damaged_leaves_nothing_behind() {
    let it = support::start(Faults {
        flip: 1.0,
        ..Faults::default()
    })
    .await;
    let files = it.listed("sim-n1-s9m").await;
    it.publish_all(files.clone()).await;
    let mut config = it.config();
    config.retry.max_attempts = 1;
    let _worker = Running::start(config);
    let cause = it
        .event("it fails", |body| match body {
            EventBody::ImageFailed { cause, .. } => Some(*cause),
            _ => None,
        })
        .await;
    assert_eq!(cause, Cause::CorruptTransfer);
    it.all_done().await;
    assert_eq!(it.objects().await.len(), 0);
    assert_no_leftovers(&it);
}

#[tokio::test]
async fn when_attempts_are_used_up_the_event_holds_the_task() {
    let it = support::start(Faults {
        truncate: 1.0,
        ..Faults::default()
    })
    .await;
    let file = it.listed("sim-n1-s40k").await.remove(0);
    it.publish(it.task(file.clone())).await;
    let mut config = it.config();
    config.retry.max_attempts = 2;
    let _worker = Running::start(config);
    let (cause, attempts, task) = it
        .event("it fails", |body| match body {
            EventBody::ImageFailed {
                cause,
                attempts,
                task,
                ..
            } => Some((*cause, *attempts, task.clone())),
            _ => None,
        })
        .await;
    assert_eq!((cause, attempts), (Cause::NetworkError, 2));
    assert_eq!(task.file, file);
    it.all_done().await;

    // All that re-driving it needs is in the event.
    it.sim.set_faults(Faults::default());
    let mut again = *task;
    again.run += 1;
    again.attempt = 1;
    it.publish(again).await;
    it.assert_imported(&[file], 1).await;
}

#[tokio::test]
async fn a_retry_waits_at_the_server_for_its_time() {
    let it = support::start(Faults {
        truncate: 1.0,
        ..Faults::default()
    })
    .await;
    let file = it.listed("sim-n1-s40k").await.remove(0);
    it.publish(it.task(file.clone())).await;
    let mut config = it.config();
    // Full jitter picks any delay up to this: days, but for one time in many thousands.
    config.retry.base = Duration::from_secs(3600 * 24 * 365);
    config.retry.cap = config.retry.base;
    let _worker = Running::start(config);
    let due = it
        .event("it is retried", |body| match body {
            EventBody::ImageRetrying { due, .. } => Some(*due),
            _ => None,
        })
        .await;
    until("the original is settled", PATIENCE, || async {
        (it.tasks_left().await == Some(1)).then_some(())
    })
    .await;
    let stream = it.nats.context.get_stream(streams::TASKS).await.unwrap();
    let waiting = stream
        .direct_get_last_for_subject(subjects::retry(&it.import, &file.item_id))
        .await
        .unwrap();
    let header = |name: &str| waiting.headers.get(name).unwrap().to_string();
    assert_eq!(header("Nats-Schedule-Target"), subjects::task(&it.import));
    let at = header("Nats-Schedule");
    let at = at.strip_prefix("@at ").unwrap();
    let at = time::OffsetDateTime::parse(at, &time::format_description::well_known::Rfc3339);
    let early = at.unwrap() - due;
    assert!(
        early >= time::Duration::ZERO && early < time::Duration::SECOND,
        "the event and the schedule differ by {early}"
    );
    match contracts::decode::<Task>(&waiting.payload).unwrap() {
        Task::ImportImage(task) => assert_eq!((task.attempt, task.file), (2, file)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_file_downloaded_too_often_fails_at_once() {
    let it = support::start(Faults {
        download_quota: 1.0,
        ..Faults::default()
    })
    .await;
    it.publish_all(it.listed("sim-n1-s4k").await).await;
    let _worker = it.work();
    let cause = it
        .event("it fails", |body| match body {
            EventBody::ImageFailed { cause, .. } => Some(*cause),
            _ => None,
        })
        .await;
    assert_eq!(cause, Cause::DownloadQuotaExceeded);
}
