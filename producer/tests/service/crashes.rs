//! Producers that stop, die or fall behind: another one goes on from the checkpoint.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use contracts::{streams, subjects};
use drive_sim::Faults;
use jetstream::batch::{self, Checkpoint};
use jetstream::topology::{self, TopologyConfig};
use testkit::until;

use crate::fleet::{DEADLINE, Fleet, Running, assert_whole, each_once, images, listed, service};
use producer::Config;

#[tokio::test]
async fn a_killed_producer_is_replaced_when_its_lease_is_over() {
    let fleet = Fleet::start().await;
    let short = TopologyConfig {
        ack_wait: Some(Duration::from_secs(3)),
        ..TopologyConfig::default()
    };
    topology::setup(&fleet.nats, short).await.unwrap();
    let import = fleet.import("sim-n2500-s256").await;
    let config = producer::Config {
        window: 1_000,
        ..fleet.config()
    };
    let machine = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    machine.spawn(Box::pin(producer::run(config, service())));
    fleet.queued_are(&import, 1_000).await;
    // Nothing of it runs on: no goodbye to anybody.
    machine.shutdown_background();

    let next = fleet.producer();
    fleet.settled().await;
    let expected = images("sim-n2500-s256", 2_500);
    assert_eq!(each_once(&fleet.take_tasks().await), expected);
    assert_whole(&fleet.events(&import).await, &expected);
    let lists = fleet.drive.stats().requests.list;
    assert!(
        (4..=5).contains(&lists),
        "no page was listed again but the one that was half published, and the one asked for ahead: {lists}"
    );
    next.stop().await;
}

#[tokio::test]
async fn a_stopped_producer_hands_over_at_once() {
    let fleet = Fleet::start().await;
    let import = fleet.import("sim-n2500-s256").await;
    let first = fleet.narrow_producer();
    fleet.queued_are(&import, 1_000).await;
    first.stop().await;
    assert_eq!(
        fleet.requests().await,
        1,
        "the request is handed back, not lost"
    );

    let second = fleet.producer();
    fleet.settled().await;
    let expected = images("sim-n2500-s256", 2_500);
    assert_eq!(each_once(&fleet.take_tasks().await), expected);
    assert_whole(&fleet.events(&import).await, &expected);
    let lists = fleet.drive.stats().requests.list;
    assert!(
        (4..=5).contains(&lists),
        "no page was listed again but the one that was half published, and the one asked for ahead: {lists}"
    );
    second.stop().await;
}

/// A stop drops the work wherever it is: in a call to Drive, amid a batch, before an announcement.
#[tokio::test]
async fn stops_at_any_instant_lose_and_double_nothing() {
    let fleet = Fleet::start_with(Faults {
        latency_ms: 15,
        ..Faults::default()
    })
    .await;
    let import = fleet.import("sim-n6000-s256").await;
    let mut rounds = 0;
    loop {
        let producer = fleet.producer();
        let patience = Duration::from_millis(40 + 40 * rounds);
        let settled = tokio::time::timeout(patience, fleet.settled()).await;
        producer.stop().await;
        rounds += 1;
        if settled.is_ok() {
            break;
        }
    }
    assert!(rounds > 2, "it was never interrupted");
    let expected = images("sim-n6000-s256", 6_000);
    assert_eq!(each_once(&fleet.take_tasks().await), expected);
    assert_whole(&fleet.events(&import).await, &expected);
}

#[tokio::test]
async fn a_page_that_was_published_and_not_announced_is_announced_by_the_next() {
    let fleet = Fleet::start().await;
    let import = fleet.import("sim-n2500-s256").await;
    let first = fleet.narrow_producer();
    until(
        "a page and the part of another are announced",
        DEADLINE,
        || async { (listed(&fleet.events(&import).await).len() == 2).then_some(()) },
    )
    .await;
    fleet
        .nats
        .context
        .delete_stream(streams::EVENTS)
        .await
        .unwrap();
    let mut tasks = fleet.take(1_000).await;
    until("what there is room for is published", DEADLINE, || async {
        (fleet.queued(&import).await > 0).then_some(())
    })
    .await;
    first.stop().await;
    assert_eq!(
        fleet.requests().await,
        1,
        "what is not announced is not settled"
    );
    topology::setup(&fleet.nats, TopologyConfig::default())
        .await
        .unwrap();

    let second = fleet.producer();
    fleet.settled().await;
    tasks.extend(fleet.take_tasks().await);
    assert_eq!(each_once(&tasks), images("sim-n2500-s256", 2_500));
    let events = fleet.events(&import).await;
    let pages = listed(&events);
    let announced: Vec<&String> = pages.iter().flat_map(|page| &page.0).collect();
    assert_eq!(
        announced.len(),
        1_500,
        "what came before was in the lost stream"
    );
    assert_eq!(announced.iter().collect::<BTreeSet<_>>().len(), 1_500);
    assert_eq!(
        events.last().map(contracts::EventBody::kind),
        Some("import.listing_completed")
    );
    second.stop().await;
}

#[tokio::test]
async fn a_producer_that_was_overtaken_publishes_nothing_more() {
    let fleet = Fleet::start().await;
    let import = fleet.import("sim-n2500-s256").await;
    let stale = fleet.narrow_producer();
    fleet.queued_are(&import, 1_000).await;
    // As if another producer had gone on from the same checkpoint.
    let stream = fleet.nats.context.get_stream(streams::TASKS).await.unwrap();
    let last = stream
        .get_last_raw_message_by_subject(&subjects::checkpoint(&import))
        .await
        .unwrap();
    let overtaking = Checkpoint {
        subject: subjects::checkpoint(&import),
        payload: last.payload,
        expected: last.sequence,
    };
    let nobody: Vec<(String, Bytes)> = Vec::new();
    batch::publish(&fleet.nats, nobody, overtaking)
        .await
        .unwrap();

    assert_eq!(fleet.take(1_000).await.len(), 1_000);
    until("it has stood down", DEADLINE, || async {
        (stale.metric("imagefleet_producer_listing", "") < 1.0).then_some(())
    })
    .await;
    assert_eq!(fleet.queued(&import).await, 0);
    assert_eq!(listed(&fleet.events(&import).await).len(), 2);
    assert_eq!(
        fleet.requests().await,
        1,
        "whoever overtook it settles the request"
    );
    stale.stop().await;
}

/// As above, with pages that go out in parts, and a part interrupted as well.
#[tokio::test]
async fn stops_amid_a_page_lose_and_double_nothing() {
    let fleet = Fleet::start_with(Faults {
        latency_ms: 10,
        ..Faults::default()
    })
    .await;
    let import = fleet.import("sim-n2500-s256").await;
    let (mut tasks, mut rounds) = (Vec::new(), 0);
    while fleet.requests().await > 0 {
        let producer = Running::start(Config {
            window: 150,
            ..fleet.config()
        });
        // What it has the time for differs from round to round.
        let most = 100 + 37 * rounds;
        let enough = tasks.len() + most;
        until("it has queued some", DEADLINE, || async {
            let settled = fleet.requests().await == 0;
            (settled || fleet.queued(&import).await >= 100.min(most)).then_some(())
        })
        .await;
        while tasks.len() < enough && fleet.requests().await > 0 {
            tasks.extend(fleet.take(enough - tasks.len()).await);
        }
        producer.stop().await;
        rounds += 1;
        assert!(rounds < 100, "it does not get on");
    }
    assert!(rounds > 3, "it was hardly ever interrupted");
    tasks.extend(fleet.take_tasks().await);
    let expected = images("sim-n2500-s256", 2_500);
    assert_eq!(each_once(&tasks), expected);
    assert_whole(&fleet.events(&import).await, &expected);
}
