//! Stopping: what is held is finished within the grace period, the rest is handed back.

use std::net::TcpListener;
use std::time::Duration;

use contracts::EventBody;
use drive_sim::Faults;
use testkit::until;

use crate::support::{self, Fixture, PATIENCE, Running};

/// Four tasks held by a worker whose Drive takes `latency`, and four more that wait.
async fn holding(latency: Duration, grace: Duration) -> (Fixture, Running) {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n8-s4k").await;
    it.sim.set_faults(Faults {
        latency_ms: u64::try_from(latency.as_millis()).unwrap(),
        ..Faults::default()
    });
    it.publish_all(files).await;
    let mut config = it.config();
    config.concurrency = 4;
    config.grace = grace;
    let worker = Running::start(config);
    until("four downloads are under way", PATIENCE, || async {
        (it.sim.stats().requests.download == 4).then_some(())
    })
    .await;
    (it, worker)
}

#[tokio::test]
async fn what_is_held_is_finished() {
    let (it, worker) = holding(Duration::from_secs(1), PATIENCE).await;
    worker.stop().await;
    assert_eq!(it.events().await.len(), 4);
    assert_eq!(it.tasks_left().await, Some(4));
    let worker = it.work();
    let files = it.listed("sim-n8-s4k").await;
    it.assert_imported(&files, 1).await;
    worker.stop().await;
}

#[tokio::test]
async fn what_overstays_is_handed_back_at_once() {
    let (it, worker) = holding(Duration::from_secs(3600), Duration::from_millis(100)).await;
    worker.stop().await;
    assert_eq!(it.events().await.len(), 0);
    assert_eq!(it.tasks_ready().await, 8, "nobody waits for the ack wait");
    it.sim.set_faults(Faults::default());
    let worker = it.work();
    let files = it.listed("sim-n8-s4k").await;
    it.assert_imported(&files, 1).await;
    it.assert_nothing_failed().await;
    assert!(
        it.events().await.iter().any(|event| matches!(
            &event.body,
            EventBody::ImageImported { timings, .. } if timings.quota_ms == 0
        )),
        "without a limit nothing waits for quota"
    );
    worker.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_shows_at_once() {
    let it = support::start(Faults::default()).await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = it.config();
    config.health_listen = Some(taken.local_addr().unwrap());
    let error = Running::start(config).ended().await.unwrap_err();
    assert!(format!("{error:#}").contains("cannot listen"), "{error:#}");
}

#[tokio::test]
async fn a_stop_before_nats_is_there_ends_it() {
    let mut it = support::start(Faults::default()).await;
    it.server.stop().await;
    let worker = it.work();
    worker.waits_for("nats").await;
    worker.cancel();
    worker.ended().await.unwrap();
}
