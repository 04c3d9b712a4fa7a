//! Objects that were replaced are asked to be removed.

use std::collections::BTreeSet;

use async_nats::jetstream::stream::LastRawMessageErrorKind;
use contracts::{Event, Task, streams, subjects};
use rusqlite::Connection;
use testkit::until;

use crate::support::{self, Fixture, PATIENCE, changed};

/// Every deletion on the queue: import, key, and whose object is meant.
async fn asked(it: &Fixture) -> Vec<(String, String, String)> {
    let stream = it.nats.context.get_stream(streams::TASKS).await.unwrap();
    let (mut found, mut next) = (Vec::new(), 1);
    loop {
        let message = match stream
            .get_first_raw_message_by_subject(subjects::TASKS, next)
            .await
        {
            Ok(message) => message,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return found,
            Err(error) => panic!("{error}"),
        };
        next = message.sequence + 1;
        let Task::DeleteObject(task) = contracts::decode(&message.payload).unwrap() else {
            panic!("no deletion")
        };
        assert_eq!(
            message.subject.as_str(),
            subjects::task(&task.import_id).as_str()
        );
        found.push((
            task.import_id.to_string(),
            task.key,
            task.written_by.unwrap().to_string(),
        ));
    }
}

async fn none_are_noted(it: &Fixture) {
    let tables = it.tables();
    until("every removal was asked for", PATIENCE, || async {
        tables.removals(1).await.ok()?.is_empty().then_some(())
    })
    .await;
}

fn of_first(events: usize) -> BTreeSet<(String, String, String)> {
    (0..events)
        .map(|n| {
            let key = format!("file-{n}-v1.jpg");
            ("first".to_owned(), key, "first".to_owned())
        })
        .collect()
}

#[tokio::test]
async fn each_replaced_object_is_asked_for_once() {
    let it = support::start().await;
    let projector = it.project();
    it.publish(&changed("first", 600, 1)).await;
    it.publish(&changed("second", 600, 2)).await;
    it.folded_to(it.last().await).await;
    none_are_noted(&it).await;
    let asked = asked(&it).await;
    assert_eq!(asked.len(), 600);
    assert_eq!(asked.into_iter().collect::<BTreeSet<_>>(), of_first(600));
    assert_eq!(
        projector.metric("imagefleet_projector_removals_total") as u64,
        600
    );
    projector.stop().await;
}

#[tokio::test]
async fn what_was_noted_before_a_crash_is_asked_for_after_it() {
    let it = support::start().await;
    let projector = it.project();
    it.publish(&changed("first", 20, 1)).await;
    it.publish(&changed("second", 20, 2)).await;
    it.folded_to(it.last().await).await;
    none_are_noted(&it).await;
    projector.stop().await;

    // As if it had died between asking and forgetting.
    let sql = Connection::open(it.database()).unwrap();
    sql.execute_batch(
        "INSERT INTO removals (sequence, import_id, file_id, bucket, object_key)
         VALUES (21, 'first', 'file-0', 'bucket', 'file-0-v1.jpg'),
                (9999, 'first', 'file-x', 'bucket', 'file-x-v1.jpg')",
    )
    .unwrap();
    let projector = it.project();
    none_are_noted(&it).await;
    let asked = asked(&it).await;
    assert_eq!(asked.len(), 21, "the same message is stored once");
    assert!(asked.iter().any(|(_, key, _)| key == "file-x-v1.jpg"));
    projector.stop().await;
}

#[tokio::test]
async fn while_nats_is_away_they_wait() {
    let mut it = support::start().await;
    let projector = it.project();
    it.publish(&changed("first", 20, 1)).await;
    it.folded_to(it.last().await).await;
    it.server.stop().await;
    projector.waits_for("nats").await;
    let sql = Connection::open(it.database()).unwrap();
    sql.execute_batch(
        "INSERT INTO removals (sequence, import_id, file_id, bucket, object_key)
         VALUES (9999, 'first', 'file-x', 'bucket', 'file-x-v1.jpg')",
    )
    .unwrap();
    it.server.restart().await.unwrap();
    none_are_noted(&it).await;
    assert_eq!(asked(&it).await.len(), 1);
    projector.stop().await;
}

#[tokio::test]
async fn a_deletion_that_comes_late_leaves_the_new_row() {
    let it = support::start().await;
    let projector = it.project();
    it.publish(&changed("first", 5, 1)).await;
    it.publish(&changed("second", 5, 2)).await;
    let deleted = (0..5).map(|n| {
        let body = contracts::EventBody::ImageDeleted {
            file_id: format!("file-{n}").parse().unwrap(),
            key: format!("file-{n}-v1.jpg"),
        };
        Event::now("first".parse().unwrap(), body)
    });
    it.publish(&deleted.collect::<Vec<_>>()).await;
    it.assert_exact().await;
    let images = it.tables().images(Default::default()).await.unwrap();
    assert_eq!(images.total, 5);
    assert!(
        images
            .items
            .iter()
            .all(|row| row.image.object_key.ends_with("-v2.jpg"))
    );
    projector.stop().await;
}
