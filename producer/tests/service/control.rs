//! Cancel, pause and resume.

use std::collections::BTreeSet;

use async_nats::HeaderMap;
use contracts::kv::{Control, ControlRecord};
use contracts::{
    Action, Cause, DeleteObject, EventBody, ImportId, ImportImage, ImportRequest, Task, streams,
    subjects,
};
use drive_sim::Faults;
use jetstream::{Controls, at_schedule};
use testkit::until;

use crate::fleet::{DEADLINE, Fleet, each_once, images, listed};

async fn state(fleet: &Fleet, import: &ImportId) -> ControlRecord {
    let record = Controls::read(&fleet.nats, import).await.unwrap();
    record.expect("the import has a record").0
}

fn kinds(events: &[EventBody]) -> Vec<&'static str> {
    events.iter().map(EventBody::kind).collect()
}

/// Park `tasks`, as workers do with those of a paused import.
async fn park(fleet: &Fleet, tasks: Vec<ImportImage>) {
    for task in tasks {
        let subject = subjects::parked(&task.import_id, &task.file.item_id);
        let mut headers = HeaderMap::new();
        headers.insert(async_nats::header::NATS_ROLLUP, "sub");
        let payload = contracts::encode(&Task::ImportImage(task)).unwrap();
        fleet
            .nats
            .publish_with_headers(subject, headers, payload.into())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn cancelling_amid_the_listing_leaves_no_task_and_lets_no_batch_land() {
    let fleet = Fleet::start_with(Faults {
        latency_ms: 20,
        ..Faults::default()
    })
    .await;
    let producer = fleet.producer();
    let import = fleet.import("sim-n20000-s256").await;
    until("listing is under way", DEADLINE, || async {
        (fleet.queued(&import).await > 0).then_some(())
    })
    .await;
    let held = fleet.hand_out(3).await;
    fleet.command(&import, Action::Cancel).await;
    fleet.obeyed().await;
    fleet.settled().await;

    // What workers hold is theirs to drop.
    assert_eq!(fleet.queued(&import).await, held.len());
    assert_eq!(state(&fleet, &import).await.state, Control::Cancelled);
    let events = fleet.events(&import).await;
    assert!(
        kinds(&events).contains(&"import.cancelled"),
        "{:?}",
        kinds(&events)
    );
    assert!(!kinds(&events).contains(&"import.listing_completed"));
    assert!(listed(&events).len() < 21, "it was listed to the end");
    assert!(producer.metric("imagefleet_producer_listing", "") < 1.0);

    // The same request again, and the same command.
    let asked = fleet.drive.stats().requests;
    let request = ImportRequest {
        import_id: Some(import.clone()),
        ..ImportRequest::google_drive("sim-n20000-s256")
    };
    fleet.publish(contracts::encode(&request).unwrap()).await;
    fleet.command(&import, Action::Cancel).await;
    fleet.settled().await;
    assert_eq!(
        fleet.drive.stats().requests,
        asked,
        "Drive is not even asked"
    );
    assert_eq!(fleet.queued(&import).await, held.len());
    producer.stop().await;
}

#[tokio::test]
async fn an_import_cancelled_before_it_was_requested_is_never_listed() {
    let fleet = Fleet::start().await;
    let import = ImportId::generate();
    fleet.command(&import, Action::Cancel).await;
    let producer = fleet.producer();
    fleet.obeyed().await;
    let request = ImportRequest {
        import_id: Some(import.clone()),
        ..ImportRequest::google_drive("sim-n5-s256")
    };
    fleet.publish(contracts::encode(&request).unwrap()).await;
    fleet.settled().await;
    assert_eq!(fleet.drive.stats().requests.get, 0);
    assert_eq!(kinds(&fleet.events(&import).await), ["import.cancelled"]);
    producer.stop().await;
}

/// Two producers are given the same command, and a third time when it is done.
#[tokio::test]
async fn cancelling_twice_is_cancelling_once() {
    let fleet = Fleet::start().await;
    let import = fleet.import("sim-n2500-s256").await;
    let lister = fleet.narrow_producer();
    fleet.queued_are(&import, 1_000).await;
    let second = fleet.narrow_producer();
    fleet.command(&import, Action::Cancel).await;
    fleet.command(&import, Action::Cancel).await;
    fleet.settled().await;
    let cancelled = state(&fleet, &import).await;
    fleet.command(&import, Action::Cancel).await;
    fleet.command(&import, Action::Resume).await;
    fleet.command(&import, Action::Pause).await;
    fleet.settled().await;
    assert_eq!(
        state(&fleet, &import).await,
        cancelled,
        "cancelled is for good"
    );
    assert_eq!(fleet.queued(&import).await, 0);
    let events = fleet.events(&import).await;
    assert_eq!(events.last(), Some(&EventBody::ImportCancelled {}));
    assert!(
        !kinds(&events)
            .iter()
            .any(|kind| ["import.paused", "import.resumed"].contains(kind))
    );
    lister.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn cancelling_leaves_the_deletions_of_objects_on_the_queue() {
    let fleet = Fleet::start().await;
    let producer = fleet.producer();
    let import = fleet.import("sim-n5-s256").await;
    fleet.queued_are(&import, 5).await;
    for n in 0..3 {
        let task = Task::DeleteObject(DeleteObject {
            import_id: import.clone(),
            file_id: format!("file-{n}").parse().unwrap(),
            bucket: "bucket".into(),
            key: format!("key-{n}"),
            written_by: Some(import.clone()),
        });
        let payload = contracts::encode(&task).unwrap();
        let id = format!("removal.{n}");
        let subject = subjects::task(&import);
        fleet
            .nats
            .publish(subject, &id, payload.into())
            .await
            .unwrap();
    }
    fleet.command(&import, Action::Cancel).await;
    fleet.obeyed().await;
    assert_eq!(fleet.queued(&import).await, 3);
    producer.stop().await;
}

#[tokio::test]
async fn cancelling_forgets_what_is_parked_and_what_would_come_due() {
    let fleet = Fleet::start().await;
    let producer = fleet.producer();
    let (import, other) = (
        fleet.import("sim-n5-s256").await,
        fleet.import("sim-n4-s256").await,
    );
    fleet.settled().await;
    let mut kept = 0;
    for (n, task) in fleet.take_tasks().await.into_iter().enumerate() {
        let (owner, item) = (task.import_id.clone(), task.file.item_id.clone());
        let payload = contracts::encode(&Task::ImportImage(task)).unwrap();
        let (subject, headers) = if n % 2 == 0 {
            (subjects::parked(&owner, &item), HeaderMap::new())
        } else {
            let due = std::time::SystemTime::now() + std::time::Duration::from_secs(3_600);
            let headers = at_schedule(due.into(), &subjects::task(&owner));
            (subjects::retry(&owner, &item), headers)
        };
        fleet
            .nats
            .publish_with_headers(subject, headers, payload.into())
            .await
            .unwrap();
        kept += usize::from(owner == other);
    }
    fleet.command(&import, Action::Cancel).await;
    fleet.obeyed().await;
    for filter in [subjects::parked_of(&import), subjects::retries_of(&import)] {
        assert_eq!(fleet.stored(streams::TASKS, &filter).await, 0, "{filter}");
    }
    let others = fleet
        .stored(streams::TASKS, &subjects::parked_of(&other))
        .await
        + fleet
            .stored(streams::TASKS, &subjects::retries_of(&other))
            .await;
    assert_eq!(
        (others, kept),
        (4, 4),
        "another import is none of its business"
    );
    producer.stop().await;
}

#[tokio::test]
async fn a_pause_stops_the_listing_and_a_resume_goes_on_exactly() {
    let fleet = Fleet::start_with(Faults {
        latency_ms: 20,
        ..Faults::default()
    })
    .await;
    let producer = fleet.producer();
    let import = fleet.import("sim-n20000-s256").await;
    until("listing is under way", DEADLINE, || async {
        (fleet.queued(&import).await > 0).then_some(())
    })
    .await;
    fleet.command(&import, Action::Pause).await;
    fleet.obeyed().await;
    // It holds the lease and does nothing; another import proves that the producer works.
    let other = fleet.import("sim-n2500-s256").await;
    fleet.queued_are(&other, 2_500).await;
    let asked = fleet.drive.stats().requests.list;
    let third = fleet.import("sim-n5-s256").await;
    fleet.queued_are(&third, 5).await;
    assert_eq!(fleet.drive.stats().requests.list, asked + 1);
    until("only the paused import is left", DEADLINE, || async {
        (fleet.requests().await == 1).then_some(())
    })
    .await;
    let events = fleet.events(&import).await;
    assert_eq!(events.last(), Some(&EventBody::ImportPaused {}));

    // Meanwhile its listing may change hands.
    let second = fleet.producer();
    producer.stop().await;
    let mut tasks = fleet.take_tasks().await;
    tasks.retain(|task| task.import_id == import);
    assert!(tasks.len() < 20_000, "nothing was left to list");
    fleet.command(&import, Action::Resume).await;
    fleet.settled().await;
    tasks.extend(fleet.take_tasks().await);
    assert_eq!(each_once(&tasks), images("sim-n20000-s256", 20_000));
    let events = fleet.events(&import).await;
    let all: BTreeSet<String> = listed(&events)
        .into_iter()
        .flat_map(|page| page.0)
        .collect();
    assert_eq!(all, images("sim-n20000-s256", 20_000));
    let changes: Vec<_> = kinds(&events)
        .into_iter()
        .filter(|kind| !kind.starts_with("import.listed"))
        .collect();
    assert_eq!(
        changes,
        [
            "import.accepted",
            "import.paused",
            "import.resumed",
            "import.listing_completed"
        ]
    );
    second.stop().await;
}

#[tokio::test]
async fn a_producer_that_waits_for_room_or_for_drive_hears_a_cancellation() {
    let fleet = Fleet::start().await;
    let producer = fleet.narrow_producer();
    let full = fleet.import("sim-n2500-s256").await;
    fleet.queued_are(&full, 1_000).await;
    fleet.drive.set_faults(Faults {
        down: true,
        ..Faults::default()
    });
    let waiting = fleet.import("sim-n5-s256").await;
    until("Drive was asked in vain", DEADLINE, || async {
        let failed = producer.metric("imagefleet_producer_drive_requests_total", "retry");
        (failed >= 2.0).then_some(())
    })
    .await;
    for import in [&full, &waiting] {
        fleet.command(import, Action::Cancel).await;
    }
    fleet.settled().await;
    assert_eq!(fleet.queued(&full).await, 0);
    assert_eq!(kinds(&fleet.events(&waiting).await), ["import.cancelled"]);
    producer.stop().await;
}

#[tokio::test]
async fn parked_tasks_return_once_when_the_import_is_resumed() {
    let fleet = Fleet::start().await;
    let producer = fleet.producer();
    let import = fleet.import("sim-n300-s256").await;
    fleet.settled().await;
    let other = fleet.producer();
    let mut tasks = fleet.take_tasks().await;
    // The second time within the time for which the server remembers the ids of messages.
    for _ in 0..2 {
        fleet.command(&import, Action::Pause).await;
        fleet.obeyed().await;
        assert_eq!(state(&fleet, &import).await.state, Control::Paused);
        park(&fleet, tasks).await;
        // Carried out twice, and by two.
        fleet.command(&import, Action::Resume).await;
        fleet.command(&import, Action::Resume).await;
        fleet.obeyed().await;
        tasks = fleet.take_tasks().await;
        assert_eq!(each_once(&tasks), images("sim-n300-s256", 300));
        let filter = subjects::parked_of(&import);
        assert_eq!(fleet.stored(streams::TASKS, &filter).await, 0);
    }
    producer.stop().await;
    other.stop().await;
}

/// The executor of a pause is replaced after the resume that came later was carried out.
#[tokio::test]
async fn an_older_command_that_comes_late_changes_nothing() {
    let fleet = Fleet::start().await;
    let import = ImportId::generate();
    let pause = fleet.command(&import, Action::Pause).await;
    // Somebody takes the pause and dies with it.
    let consumer: async_nats::jetstream::consumer::PullConsumer = fleet
        .nats
        .context
        .get_consumer_from_stream(streams::CONTROLLERS, streams::IMPORTS)
        .await
        .unwrap();
    let held = until("the pause is handed out", DEADLINE, || async {
        use futures::StreamExt as _;
        let mut fetched = consumer.fetch().max_messages(1).messages().await.unwrap();
        fetched.next().await
    })
    .await
    .unwrap();
    let resume = fleet.command(&import, Action::Resume).await;
    let producer = fleet.producer();
    until("the resume is carried out", DEADLINE, || async {
        let record = Controls::read(&fleet.nats, &import).await.unwrap();
        record
            .is_some_and(|(record, _)| record.command == resume)
            .then_some(())
    })
    .await;
    assert!(pause < resume);
    held.ack_with(async_nats::jetstream::AckKind::Nak(None))
        .await
        .unwrap();
    fleet.obeyed().await;
    let record = state(&fleet, &import).await;
    assert_eq!((record.state, record.command), (Control::Running, resume));
    let events = fleet.events(&import).await;
    assert!(
        events
            .iter()
            .all(|event| *event == EventBody::ImportResumed {}),
        "{events:?}"
    );
    producer.stop().await;
}

#[tokio::test]
async fn commands_that_cannot_be_read_are_kept_and_change_nothing() {
    let fleet = Fleet::start().await;
    let producer = fleet.producer();
    let import = ImportId::generate();
    fleet.publish_command("no command at all").await;
    fleet
        .publish_command(format!(
            r#"{{"v":1,"import_id":"{import}","action":"explode"}}"#
        ))
        .await;
    fleet
        .publish_command(format!(
            r#"{{"v":9,"import_id":"{import}","action":"cancel"}}"#
        ))
        .await;
    fleet.obeyed().await;
    let mut kept = Vec::new();
    for (_, event) in fleet.all_events().await {
        let EventBody::TaskUnreadable { cause, payload, .. } = event.body else {
            panic!("{:?}", event.body);
        };
        kept.push((cause, event.import_id == import, payload));
    }
    kept.sort_by_key(|kept| kept.2.len());
    let kept: Vec<_> = kept
        .iter()
        .map(|kept| (kept.0, kept.1, &kept.2[..8]))
        .collect();
    assert_eq!(
        kept,
        [
            (Cause::MalformedCommand, false, "no comma"),
            (Cause::UnknownVersion, true, "{\"v\":9,\""),
            (Cause::MalformedCommand, true, "{\"v\":1,\""),
        ]
    );
    assert!(
        Controls::read(&fleet.nats, &import)
            .await
            .unwrap()
            .is_none()
    );
    producer.stop().await;
}
