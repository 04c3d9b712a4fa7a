//! While NATS or the database is away, folding waits and then goes on where it was.

use std::net::TcpListener;

use rusqlite::Connection;
use testkit::until;

use crate::support::{self, PATIENCE, Running, import};

#[tokio::test]
async fn nats_goes_away_and_returns() {
    let mut it = support::start().await;
    let projector = it.project();
    it.publish(&import("before", 100)).await;
    it.assert_exact().await;
    it.server.stop().await;
    projector.waits_for("nats").await;
    it.server.restart().await.unwrap();
    it.publish(&import("after", 100)).await;
    it.assert_exact().await;
    projector.is_ready().await;
    projector.stop().await;
}

#[tokio::test]
async fn a_stop_without_nats_ends_too() {
    let mut it = support::start().await;
    let projector = it.project();
    it.publish(&import("before", 20)).await;
    it.assert_exact().await;
    it.server.stop().await;
    projector.waits_for("nats").await;
    projector.stop().await;
}

#[tokio::test]
async fn a_short_absence_of_nats_is_bridged() {
    let mut it = support::start().await;
    let projector = it.project();
    for round in 0..3 {
        it.publish(&import(&format!("round-{round}"), 100)).await;
        it.server.restart().await.unwrap();
    }
    it.assert_exact().await;
    projector.stop().await;
}

#[tokio::test]
async fn the_database_is_locked_for_a_while() {
    let it = support::start().await;
    let projector = it.project();
    it.publish(&import("before", 20)).await;
    it.assert_exact().await;
    let lock = Connection::open(it.database()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    it.publish(&import("after", 20)).await;
    let why = projector.waits_for("sql").await;
    it.fleet_hears(Some(&why)).await;
    until("lag is told", PATIENCE, || async {
        (projector.metric("imagefleet_projector_lag_events") > 0.0).then_some(())
    })
    .await;
    lock.execute_batch("ROLLBACK").unwrap();
    it.assert_exact().await;
    projector.is_ready().await;
    it.fleet_hears(None).await;
    until("nothing is behind", PATIENCE, || async {
        (projector.metric("imagefleet_projector_lag_events") == 0.0).then_some(())
    })
    .await;
    projector.stop().await;
}

#[tokio::test]
async fn the_database_is_removed_and_an_older_one_put_back() {
    let it = support::start().await;
    let projector = it.project();
    it.publish(&import("before", 20)).await;
    it.assert_exact().await;
    let backup = it.folder.path().join("backup.db");
    let copy = format!("VACUUM INTO '{}'", backup.display());
    Connection::open(it.database())
        .unwrap()
        .execute_batch(&copy)
        .unwrap();
    it.publish(&import("after-the-backup", 20)).await;
    it.assert_exact().await;

    for companion in ["", "-wal", "-shm"] {
        std::fs::remove_file(format!("{}{companion}", it.database().display())).unwrap();
    }
    it.publish(&import("while-it-is-gone", 20)).await;
    let why = projector.waits_for("sql").await;
    assert!(why.contains("is gone; put it back"), "{why}");
    assert!(!it.database().exists(), "nothing is made in its place");
    std::fs::rename(&backup, it.database()).unwrap();
    it.assert_exact().await;
    projector.is_ready().await;
    projector.stop().await;
}

#[tokio::test]
async fn the_database_cannot_be_opened_at_first() {
    let it = support::start().await;
    it.publish(&import("early", 20)).await;
    let folder = it.database().parent().unwrap().to_path_buf();
    std::fs::write(&folder, "in the way").unwrap();
    let projector = it.project();
    let why = projector.waits_for("sql").await;
    it.fleet_hears(Some(&why)).await;
    std::fs::remove_file(&folder).unwrap();
    it.assert_exact().await;
    projector.is_ready().await;
    projector.stop().await;
}

#[tokio::test]
async fn nothing_is_there_at_the_start() {
    let mut it = support::start().await;
    it.server.stop().await;
    let projector = it.project();
    projector.waits_for("nats").await;
    projector.stop().await;

    let projector = it.project();
    projector.waits_for("nats").await;
    it.server.restart().await.unwrap();
    it.publish(&import("late", 20)).await;
    it.assert_exact().await;
    projector.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_shows_at_once() {
    let it = support::start().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = it.config();
    config.health_listen = Some(taken.local_addr().unwrap());
    let error = Running::start(config).ended().await.unwrap_err();
    assert!(format!("{error:#}").contains("cannot listen"), "{error:#}");
}
