//! Drive and NATS at their worst: listing waits, goes on and stays exact.

use drive_sim::Faults;
use testkit::until;

use crate::fleet::{DEADLINE, Fleet, assert_whole, each_once, images};

#[tokio::test]
async fn short_and_empty_pages_and_errors_lose_and_double_nothing() {
    let fleet = Fleet::start_with(Faults {
        seed: 7,
        short_page: 0.2,
        empty_page: 0.2,
        error_500: 0.2,
        reset: 0.1,
        ..Faults::default()
    })
    .await;
    let producer = fleet.producer();
    let import = fleet.import("sim-n6000-s256").await;
    fleet.settled().await;
    let expected = images("sim-n6000-s256", 6_000);
    assert_eq!(each_once(&fleet.take_tasks().await), expected);
    assert_whole(&fleet.events(&import).await, &expected);
    let met = fleet.drive.stats().faults;
    for fault in ["short_page", "empty_page", "error_500"] {
        assert!(met.contains_key(fault), "{fault} never struck: {met:?}");
    }
    producer.stop().await;
}

/// A folder is listed again from its first page when its token has expired: what was queued before
/// is queued again, and counted once because an item's id is what counts.
#[tokio::test]
async fn expired_page_tokens_lose_nothing() {
    let fleet = Fleet::start_with(Faults {
        seed: 4,
        short_page: 0.2,
        empty_page: 0.2,
        error_500: 0.2,
        expired_token: 0.2,
        ..Faults::default()
    })
    .await;
    let producer = fleet.producer();
    let import = fleet.import("sim-n4500-s256").await;
    fleet.settled().await;
    let mut tasks = fleet.take_tasks().await;
    tasks.sort_by(|a, b| a.file.item_id.cmp(&b.file.item_id));
    tasks.dedup();
    let expected = images("sim-n4500-s256", 4_500);
    assert_eq!(each_once(&tasks), expected);
    assert!(fleet.drive.stats().faults.contains_key("expired_token"));
    let events = fleet.events(&import).await;
    let announced: std::collections::BTreeSet<_> = crate::fleet::listed(&events)
        .into_iter()
        .flat_map(|(queued, _)| queued)
        .collect();
    assert_eq!(announced, expected);
    assert_eq!(
        events.last().map(contracts::EventBody::kind),
        Some("import.listing_completed")
    );
    producer.stop().await;
}

#[tokio::test]
async fn an_outage_of_drive_is_waited_out() {
    let fleet = Fleet::start().await;
    let producer = fleet.narrow_producer();
    let import = fleet.import("sim-n4000-s256").await;
    fleet.queued_are(&import, 1_000).await;
    // A third page may have been listed ahead by now; the fourth is asked for when there is room.
    fleet.drive.set_faults(Faults {
        down: true,
        ..Faults::default()
    });
    let mut tasks = fleet.take(1_000).await;
    until("Drive was asked in vain", DEADLINE, || async {
        let failed = producer.metric("imagefleet_producer_drive_requests_total", "retry");
        (failed >= 2.0).then_some(())
    })
    .await;
    // It accepts connections and breaks each of them.
    let health = &producer.service.health;
    until("health says that Drive is waited for", DEADLINE, || async {
        (!health.snapshot().dependencies["drive"].ready).then_some(())
    })
    .await;
    assert_eq!(fleet.requests().await, 1);
    fleet.drive.set_faults(Faults::default());
    tasks.extend(fleet.drain().await);
    assert!(health.is_ready());
    let expected = images("sim-n4000-s256", 4_000);
    assert_eq!(each_once(&tasks), expected);
    assert_whole(&fleet.events(&import).await, &expected);
    producer.stop().await;
}

#[tokio::test]
async fn an_outage_stays_one_whoever_begins_to_fail_in_it() {
    let fleet = Fleet::start_with(Faults {
        down: true,
        ..Faults::default()
    })
    .await;
    let producer = fleet.producer();
    fleet.import("sim-n10-s256").await;
    let health = &producer.service.health;
    until("health says that Drive is waited for", DEADLINE, || async {
        let dependencies = health.snapshot().dependencies;
        dependencies.get("drive").filter(|drive| !drive.ready)?;
        Some(())
    })
    .await;
    let failures = || producer.metric("imagefleet_producer_drive_requests_total", "retry");
    let before = failures();
    for _ in 0..8 {
        fleet.import("sim-n5-s256").await;
    }
    until("some of them were tried", DEADLINE, || async {
        let there = health.snapshot().dependencies["drive"].ready;
        assert!(!there, "the outage was called off within it");
        (failures() >= before + 12.0).then_some(())
    })
    .await;
    fleet.drive.set_faults(Faults::default());
    fleet.settled().await;
    assert_eq!(fleet.take_tasks().await.len(), 50);
    assert!(health.is_ready());
    producer.stop().await;
}

/// Once an import has begun, credentials that stop working are an operator's to mend.
#[tokio::test]
async fn credentials_that_stop_working_are_waited_for_and_show() {
    let fleet = Fleet::start().await;
    let producer = fleet.narrow_producer();
    let import = fleet.import("sim-n4000-s256").await;
    fleet.queued_are(&import, 1_000).await;
    fleet.drive.set_faults(Faults {
        unauthorized: true,
        ..Faults::default()
    });
    let mut tasks = fleet.take(1_000).await;
    let health = &producer.service.health;
    until("health says that Drive is waited for", DEADLINE, || async {
        (!health.snapshot().dependencies["drive"].ready).then_some(())
    })
    .await;
    fleet.drive.set_faults(Faults::default());
    tasks.extend(fleet.drain().await);
    assert_eq!(each_once(&tasks), images("sim-n4000-s256", 4_000));
    assert!(health.is_ready());
    producer.stop().await;
}

#[tokio::test]
async fn a_restart_of_nats_is_waited_out() {
    let mut fleet = Fleet::start_with(Faults {
        latency_ms: 50,
        ..Faults::default()
    })
    .await;
    let producer = fleet.producer();
    let import = fleet.import("sim-n9000-s256").await;
    until("listing is under way", DEADLINE, || async {
        (fleet.queued(&import).await > 0).then_some(())
    })
    .await;
    fleet.server.restart().await.unwrap();
    fleet.nats = fleet.server.connect().await.unwrap();
    fleet.settled().await;
    let expected = images("sim-n9000-s256", 9_000);
    assert_eq!(each_once(&fleet.take_tasks().await), expected);
    assert_whole(&fleet.events(&import).await, &expected);
    producer.stop().await;
}
