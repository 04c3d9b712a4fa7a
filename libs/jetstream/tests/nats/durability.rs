//! What a crash and what a power cut can cost, as `nats.conf` and the README state it.
//!
//! A process cannot cut the power. It can leave of the server's files what the server had put into
//! them at the moment that counts, and start another server on that: what was written later is gone,
//! as in a power cut that comes at the worst time. That a server with `sync_interval: always` has
//! also asked the disk to keep what it has written by then is its documented promise, and not shown
//! here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use contracts::streams;
use futures::stream::{FuturesUnordered, StreamExt as _};
use jetstream::Nats;
use jetstream::topology::{self, TopologyConfig};
use testkit::{NatsServer, until};

const DEADLINE: Duration = Duration::from_secs(60);
const SUBJECT: &str = "events.i.image.imported";

/// A server that syncs this often.
async fn start(interval: &str) -> NatsServer {
    let shipped = "sync_interval: always";
    let changed = format!("sync_interval: \"{interval}\"");
    NatsServer::start_with(&|conf| conf.replace(shipped, &changed))
        .await
        .unwrap()
}

async fn publish(nats: &Nats, n: u64) -> Result<u64, jetstream::PublishError> {
    let payload = format!("{n:->200}");
    nats.publish(SUBJECT.into(), &n.to_string(), payload.into())
        .await
}

/// The messages that are there, by their ids.
async fn stored(nats: &Nats) -> Vec<u64> {
    let stream = nats.context.get_stream(streams::EVENTS).await.unwrap();
    let last = stream.cached_info().state.last_sequence;
    let mut found = Vec::new();
    for sequence in 1..=last {
        let message = stream.get_raw_message(sequence).await.unwrap();
        found.push(
            message
                .headers
                .get("Nats-Msg-Id")
                .unwrap()
                .as_str()
                .parse()
                .unwrap(),
        );
    }
    found
}

async fn healthy(server: &NatsServer) -> Nats {
    let nats = server.connect().await.unwrap();
    until("the streams are there again", DEADLINE, || async {
        topology::verify(&nats).await.ok()
    })
    .await;
    nats
}

/// The files of a stream's messages, and how much is in each.
fn sizes(folder: &Path, stream: &str) -> BTreeMap<PathBuf, u64> {
    let messages = folder
        .join("jetstream/$G/streams")
        .join(stream)
        .join("msgs");
    std::fs::read_dir(messages)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "blk"))
        .map(|path| (path.clone(), path.metadata().unwrap().len()))
        .collect()
}

/// Leave of a stream's messages what was there then; the index, which only saves reading them, may be
/// older still.
fn cut(folder: &Path, stream: &str, then: &BTreeMap<PathBuf, u64>) -> u64 {
    let mut lost = 0;
    for (path, size) in sizes(folder, stream) {
        let kept = then.get(&path).copied().unwrap_or(0);
        lost += size.saturating_sub(kept);
        match kept {
            0 => std::fs::remove_file(&path).unwrap(),
            kept => std::fs::OpenOptions::new()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(kept)
                .unwrap(),
        }
        let _ = std::fs::remove_file(path.with_file_name("index.db"));
    }
    lost
}

/// A crash of the process loses nothing that was acknowledged, whatever `sync_interval` is.
#[tokio::test]
async fn killed_amid_publishing_it_keeps_what_it_acknowledged() {
    for interval in ["always", "2m"] {
        let mut server = start(interval).await;
        let nats = server.connect().await.unwrap();
        topology::setup(&nats, TopologyConfig::default())
            .await
            .unwrap();
        let mut acknowledged = Vec::new();
        let mut next = 1;
        let mut publishing = FuturesUnordered::new();
        let publish = async |n| (n, publish(&nats, n).await);
        // 32 at a time, and the server dies in the middle.
        while acknowledged.len() < 500 {
            while publishing.len() < 32 {
                publishing.push(publish(next));
                next += 1;
            }
            let (n, answer) = publishing.next().await.unwrap();
            answer.unwrap();
            acknowledged.push(n);
        }
        server.kill().await.unwrap();
        while let Some((n, answer)) = publishing.next().await {
            if answer.is_ok() {
                acknowledged.push(n);
            }
        }
        server.restart().await.unwrap();
        let there = stored(&healthy(&server).await).await;
        for n in &acknowledged {
            assert!(
                there.contains(n),
                "{interval}: {n} was acknowledged and is gone"
            );
        }
        let mut once = there.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(
            once.len(),
            there.len(),
            "{interval}: something is there twice"
        );
    }
}

/// With an interval, a power cut takes what was acknowledged since the last sync; nothing else, and
/// the server goes on with what is left.
#[tokio::test]
async fn a_power_cut_takes_what_was_not_synced() {
    let mut server = start("1h").await;
    let nats = server.connect().await.unwrap();
    topology::setup(&nats, TopologyConfig::default())
        .await
        .unwrap();
    for n in 1..=100 {
        publish(&nats, n).await.unwrap();
    }
    // A server that ends in order syncs everything.
    server.stop().await;
    let synced = sizes(server.folder(), streams::EVENTS);
    server.restart().await.unwrap();
    let nats = healthy(&server).await;
    for n in 101..=200 {
        publish(&nats, n).await.unwrap();
    }
    server.kill().await.unwrap();
    let lost = cut(server.folder(), streams::EVENTS, &synced);
    assert!(lost > 100 * 200, "there was nothing to lose: {lost}");
    server.restart().await.unwrap();

    let nats = healthy(&server).await;
    let expected: Vec<u64> = (1..=100).collect();
    assert_eq!(stored(&nats).await, expected);
    publish(&nats, 301).await.unwrap();
    assert_eq!(stored(&nats).await.last(), Some(&301));
}

/// With `always`, the file holds a message before it is acknowledged, and a power cut at any later
/// moment takes nothing but what was not acknowledged.
#[tokio::test]
async fn with_always_a_power_cut_takes_nothing_that_was_acknowledged() {
    let mut server = NatsServer::start().await.unwrap();
    let nats = server.connect().await.unwrap();
    topology::setup(&nats, TopologyConfig::default())
        .await
        .unwrap();
    for round in 0..5 {
        let nats = healthy(&server).await;
        let first = round * 50 + 1;
        let mut at_ack = BTreeMap::new();
        for n in first..first + 50 {
            publish(&nats, n).await.unwrap();
            at_ack = sizes(server.folder(), streams::EVENTS);
        }
        // Sent, and nobody waits for the acknowledgement.
        for n in 0..50 {
            let payload = format!("{n:->200}");
            nats.client.publish(SUBJECT, payload.into()).await.unwrap();
        }
        nats.client.flush().await.unwrap();
        server.kill().await.unwrap();
        cut(server.folder(), streams::EVENTS, &at_ack);
        server.restart().await.unwrap();
    }
    let expected: Vec<u64> = (1..=250).collect();
    assert_eq!(stored(&healthy(&server).await).await, expected);
}
