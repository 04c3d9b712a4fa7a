//! A batch is stored whole or not at all, and a stale writer is refused.

use bytes::Bytes;
use contracts::{FileId, ImportId, streams, subjects};
use jetstream::batch::{self, BatchError, Checkpoint};
use jetstream::{Nats, PublishError, at_schedule};
use std::time::Duration;
use testkit::{NatsServer, until};
use time::OffsetDateTime;

fn tasks(import: &ImportId, count: usize) -> Vec<(String, Bytes)> {
    (0..count)
        .map(|n| (subjects::task(import), Bytes::from(format!("task {n}"))))
        .collect()
}

fn checkpoint(import: &ImportId, payload: &str, expected: u64) -> Checkpoint {
    Checkpoint {
        subject: subjects::checkpoint(import),
        payload: Bytes::from(payload.to_owned()),
        expected,
    }
}

async fn count(nats: &Nats, filter: &str) -> u64 {
    let stream = nats.context.get_stream(streams::TASKS).await.unwrap();
    let mut info = stream.info_with_subjects(filter).await.unwrap();
    let mut total = 0;
    while let Some(Ok((_, n))) = futures_next(&mut info).await {
        total += n as u64;
    }
    total
}

async fn futures_next<S: futures::Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    futures::StreamExt::next(stream).await
}

#[tokio::test]
async fn a_batch_and_its_checkpoint_appear_together() {
    let (_server, nats) = NatsServer::start_with_topology().await.unwrap();
    let import = ImportId::generate();
    let first = batch::publish(&nats, tasks(&import, 999), checkpoint(&import, "one", 0))
        .await
        .unwrap();
    assert_eq!(first, 1000);
    let second = batch::publish(&nats, tasks(&import, 1), checkpoint(&import, "two", first))
        .await
        .unwrap();
    // A page without images still moves the checkpoint.
    let third = batch::publish(
        &nats,
        tasks(&import, 0),
        checkpoint(&import, "three", second),
    )
    .await
    .unwrap();
    assert!(third > second);
    assert_eq!(count(&nats, &subjects::task(&import)).await, 1000);
    assert_eq!(
        count(&nats, &subjects::checkpoint(&import)).await,
        1,
        "rollup keeps the last only"
    );
    let stream = nats.context.get_stream(streams::TASKS).await.unwrap();
    let last = stream
        .get_last_raw_message_by_subject(&subjects::checkpoint(&import))
        .await
        .unwrap();
    assert_eq!(
        (last.payload.as_ref(), last.sequence),
        (b"three".as_ref(), third)
    );
}

#[tokio::test]
async fn a_stale_writer_is_fenced_and_leaves_nothing() {
    let (_server, nats) = NatsServer::start_with_topology().await.unwrap();
    let import = ImportId::generate();
    batch::publish(&nats, tasks(&import, 5), checkpoint(&import, "winner", 0))
        .await
        .unwrap();
    let stale = batch::publish(&nats, tasks(&import, 5), checkpoint(&import, "stale", 0)).await;
    assert!(matches!(stale, Err(BatchError::Fenced)), "{stale:?}");
    assert_eq!(count(&nats, &subjects::task(&import)).await, 5);
}

#[tokio::test]
async fn too_large_a_batch_is_refused_before_it_is_sent() {
    let (_server, nats) = NatsServer::start_with_topology().await.unwrap();
    let import = ImportId::generate();
    let refused = batch::publish(&nats, tasks(&import, 1000), checkpoint(&import, "c", 0)).await;
    assert!(
        matches!(refused, Err(BatchError::TooLarge(1001))),
        "{refused:?}"
    );
    assert_eq!(count(&nats, &subjects::task(&import)).await, 0);
}

#[tokio::test]
async fn a_scheduled_copy_arrives_once_on_the_tasks_subject() {
    let (_server, nats) = NatsServer::start_with_topology().await.unwrap();
    let import = ImportId::generate();
    let file: FileId = "f1".parse().unwrap();
    let due = OffsetDateTime::now_utc() + Duration::from_millis(100);
    let headers = at_schedule(due, &subjects::task(&import));
    nats.publish_with_headers(
        subjects::retry(&import, &file),
        headers,
        Bytes::from("again"),
    )
    .await
    .unwrap();
    until(
        "the scheduled copy is due",
        Duration::from_secs(20),
        || async { (count(&nats, &subjects::task(&import)).await == 1).then_some(()) },
    )
    .await;
    until("the schedule is spent", Duration::from_secs(20), || async {
        (count(&nats, &subjects::retries_of(&import)).await == 0).then_some(())
    })
    .await;
    assert_eq!(count(&nats, &subjects::task(&import)).await, 1);
}

#[tokio::test]
async fn a_checkpoint_of_several_megabytes_is_stored_and_read_back() {
    let (_server, nats) = NatsServer::start_with_topology().await.unwrap();
    let import = ImportId::generate();
    let large = "folder".repeat(1 << 20);
    let sequence = batch::publish(&nats, tasks(&import, 999), checkpoint(&import, &large, 0))
        .await
        .unwrap();
    let stream = nats.context.get_stream(streams::TASKS).await.unwrap();
    let last = stream
        .get_last_raw_message_by_subject(&subjects::checkpoint(&import))
        .await
        .unwrap();
    assert_eq!((last.payload, last.sequence), (large.into(), sequence));
}

#[tokio::test]
async fn a_batch_that_is_never_committed_leaves_nothing_and_blocks_nobody() {
    let (_server, nats) = NatsServer::start_with_topology().await.unwrap();
    let import = ImportId::generate();
    // The server keeps 50 batches open per stream; a crashing producer must not use them up.
    for n in 0..60 {
        let publish = batch::publish(
            &nats,
            tasks(&import, 3),
            checkpoint(&import, &n.to_string(), 0),
        );
        // Dropped amid its messages.
        let _ = tokio::time::timeout(Duration::from_micros(300), publish).await;
    }
    let stored = count(&nats, &subjects::task(&import)).await;
    assert!(stored == 0 || stored == 3, "{stored} tasks of a batch of 3");
    let other = ImportId::generate();
    until("a batch is stored", Duration::from_secs(30), || async {
        batch::publish(&nats, tasks(&other, 3), checkpoint(&other, "c", 0))
            .await
            .ok()
    })
    .await;
    assert_eq!(count(&nats, &subjects::task(&other)).await, 3);
}

#[tokio::test]
async fn places_held_by_dead_publishers_are_waited_for() {
    let (_server, nats) = NatsServer::start_with_topology().await.unwrap();
    let import = ImportId::generate();
    let open = |n: usize| {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Batch-Id", format!("abandoned-{n}"));
        headers.insert("Nats-Batch-Sequence", "1");
        let subject = subjects::task(&import);
        nats.client
            .request_with_headers(subject, headers, "task".into())
    };
    // All places a stream has, and one refusal to prove it.
    for n in 0..50 {
        assert!(open(n).await.unwrap().payload.is_empty());
    }
    let refused = open(50).await.unwrap();
    let refused = String::from_utf8_lossy(&refused.payload);
    assert!(refused.contains("10210"), "{refused}");

    let stored = batch::publish(&nats, tasks(&import, 3), checkpoint(&import, "one", 0)).await;
    assert_eq!(stored.unwrap(), 4);
    assert_eq!(count(&nats, &subjects::task(&import)).await, 3);
}

#[tokio::test]
async fn what_is_under_way_is_given_up_when_the_connection_breaks() {
    let (mut server, nats) = NatsServer::start_with_topology().await.unwrap();
    let import = ImportId::generate();
    server.freeze().unwrap();
    let mut batch = Box::pin(batch::publish(
        &nats,
        tasks(&import, 3),
        checkpoint(&import, "one", 0),
    ));
    let mut single = Box::pin(nats.publish("imports.requests".into(), "1", "{}".into()));
    assert!(futures::poll!(&mut batch).is_pending());
    assert!(futures::poll!(&mut single).is_pending());
    server.kill().await.unwrap();
    // Not a time-out: that would have another name.
    let (batch, single) = tokio::join!(batch, single);
    match batch {
        Err(BatchError::Unknown(why)) => assert!(why.to_string().contains("lost"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(
        matches!(single, Err(PublishError::Lost { .. })),
        "{single:?}"
    );

    server.restart().await.unwrap();
    let again = until("it works again", Duration::from_secs(60), || async {
        let batch = batch::publish(&nats, tasks(&import, 3), checkpoint(&import, "one", 0));
        batch.await.ok()
    })
    .await;
    assert_eq!(again, 4, "nothing of the first came through later");
    nats.publish("imports.requests".into(), "1", "{}".into())
        .await
        .unwrap();
}
