//! The tables say what the events say.

use contracts::{Event, EventBody};
use testkit::until;

use crate::support::{self, PATIENCE, import};

#[tokio::test]
async fn the_tables_say_what_the_events_say() {
    let it = support::start().await;
    let projector = it.project();
    it.publish(&import("small", 30)).await;
    it.publish(&import("large", 1500)).await;
    it.assert_exact().await;
    let large = it.tables().import(&"large".parse().unwrap()).await.unwrap();
    let large = large.unwrap();
    assert_eq!((large.total, large.imported), (1515, 1350));
    assert_eq!((large.skipped, large.failed), (15, 150));
    assert_eq!(large.status, read_model::ImportStatus::Completed);
    assert_eq!(
        projector.metric("imagefleet_projector_events_total") as u64,
        it.last().await
    );
    projector.stop().await;
}

#[tokio::test]
async fn a_backlog_of_long_pages_is_folded_whole() {
    let it = support::start().await;
    // More than one fold may hold.
    let pages = 60;
    let events: Vec<Event> = (1..=pages)
        .map(|page| {
            let entry = |n| {
                format!(
                    "an-entry-with-a-long-id-as-drive-has-them-{page}-{n}-{:060}",
                    0
                )
            };
            let body = EventBody::ImportListed {
                page,
                queued: (0..999).map(|n| entry(n).parse().unwrap()).collect(),
                skipped: Vec::new(),
            };
            Event::now("backlog".parse().unwrap(), body)
        })
        .collect();
    it.publish(&events).await;
    let projector = it.project();
    it.folded_to(pages).await;
    let row = it.tables().import(&"backlog".parse().unwrap()).await;
    let row = row.unwrap().unwrap();
    assert_eq!((row.total, row.pages), (pages * 999, pages));
    projector.stop().await;
}

#[tokio::test]
async fn a_restart_goes_on_from_the_checkpoint() {
    let it = support::start().await;
    let events = import("restarted", 600);
    let (first, rest) = events.split_at(400);
    it.publish(first).await;
    let projector = it.project();
    it.assert_exact().await;
    projector.stop().await;

    it.publish(rest).await;
    let projector = it.project();
    it.assert_exact().await;
    assert_eq!(
        projector.metric("imagefleet_projector_events_total"),
        rest.len() as f64,
        "an event was folded again"
    );
    projector.stop().await;
}

#[tokio::test]
async fn what_is_no_event_is_passed_over() {
    let it = support::start().await;
    let projector = it.project();
    it.publish_raw(b"\xff no event").await;
    it.publish(&import("before", 20)).await;
    it.publish_raw(b"{}").await;
    it.publish_raw(br#"{"v":1,"import_id":"NOT AN ID","kind":"image.imported"}"#)
        .await;
    it.assert_exact().await;
    it.publish(&import("after", 20)).await;
    it.assert_exact().await;
    projector.stop().await;
}

#[tokio::test]
async fn a_newer_event_waits_and_loses_none_before_it() {
    let it = support::start().await;
    it.publish(&import("before", 50)).await;
    let before = it.last().await;
    it.publish_raw(br#"{"v":2,"kind":"image.admired"}"#).await;
    it.publish(&import("after", 20)).await;
    let projector = it.project();
    let why = projector.waits_for("release").await;
    assert!(why.contains("upgrade"), "{why}");
    it.folded_to(before).await;
    assert_eq!(
        it.tables().import(&"after".parse().unwrap()).await.unwrap(),
        None,
        "an event was passed over"
    );
    // What waits is seen from outside, although nothing is folded.
    let unfolded = (it.last().await - before) as f64;
    until("lag is told", PATIENCE, || async {
        let events = projector.metric("imagefleet_projector_lag_events");
        let seconds = projector.metric("imagefleet_projector_lag_seconds");
        (events == unfolded && seconds > 0.0).then_some(())
    })
    .await;
    projector.stop().await;
}

#[tokio::test]
async fn tables_of_another_deployment_are_refused() {
    let it = support::start().await;
    it.publish(&import("here", 20)).await;
    let projector = it.project();
    it.assert_exact().await;
    projector.stop().await;

    let elsewhere = support::start().await;
    elsewhere.publish(&import("elsewhere", 5)).await;
    let mut config = elsewhere.config();
    config.read_model = read_model::ReadModelConfig::sqlite(it.database());
    let error = support::Running::start(config).ended().await.unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.contains(&format!("up to {}", it.last().await))
            && text.contains(&format!("ends at {}", elsewhere.last().await))
            && text.contains("DATABASE_PATH"),
        "{text}"
    );
}
