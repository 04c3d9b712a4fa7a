//! NATS itself goes away: work waits, and nothing is lost.

use std::time::Duration;

use drive_sim::Faults;
use testkit::until;

use crate::outages::{all_imported, imported, in_the_middle, slow};
use crate::support::{self, PATIENCE, Running};

#[tokio::test]
async fn nats_goes_away_and_returns() {
    let (mut it, files, worker) = in_the_middle().await;
    it.server.stop().await;
    worker.waits_for("nats").await;
    it.server.restart().await.unwrap();
    all_imported(&it, &files, worker).await;
}

#[tokio::test]
async fn nats_is_killed_and_returns() {
    let (mut it, files, worker) = in_the_middle().await;
    support::kill(it.server.pid().unwrap());
    worker.waits_for("nats").await;
    it.server.restart().await.unwrap();
    all_imported(&it, &files, worker).await;
}

#[tokio::test]
async fn nats_is_not_there_at_the_start() {
    let mut it = support::start(Faults::default()).await;
    let files = it.listed("sim-n2-s4k").await;
    it.publish_all(files.clone()).await;
    it.server.stop().await;
    let worker = it.work();
    let why = worker.waits_for("nats").await;
    assert!(why.contains("NATS_URL"), "{why}");
    it.server.restart().await.unwrap();
    all_imported(&it, &files, worker).await;
}

#[tokio::test]
async fn a_stop_without_nats_ends_too() {
    let mut it = support::start(slow()).await;
    let files = it.listed("sim-n40-s4k").await;
    it.publish_all(files.clone()).await;
    let mut config = it.config();
    config.grace = Duration::from_secs(1);
    // A limit, so that the fleet must be left.
    config.quota = Some(10_000_000);
    let worker = Running::start(config.clone());
    until("some are imported", PATIENCE, || async {
        (imported(&it).await >= 5).then_some(())
    })
    .await;
    it.server.stop().await;
    worker.stop().await;
    it.server.restart().await.unwrap();
    let worker = Running::start(config);
    all_imported(&it, &files, worker).await;
}
