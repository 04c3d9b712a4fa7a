//! The consume loop: take a slot, then fetch; on stop, finish what was taken.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::consumer::{Consumer, pull};
use futures::StreamExt as _;
use runtime::Health;
use runtime::backoff::Reconnect;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{Delivery, Nats};

/// How long an idle fetch waits at the server. On stop this is waited out, because a fetch that is
/// given up may have been handed a message that nobody would see until its ack wait is over.
const IDLE_WAIT: Duration = Duration::from_secs(1);
/// No answer to a fetch for this long means that the connection is gone.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a lost connection is looked at.
const RECONNECTED: Duration = Duration::from_millis(100);
/// Fetched at once, at most.
const MAX_FETCH: usize = 256;

/// How to consume.
pub struct Options {
    /// Deliveries held at once.
    pub concurrency: usize,
    /// After `stop`, how long held deliveries may take before they are told to give up.
    pub grace: Duration,
}

/// Consume `stream`'s durable `durable` until `stop`.
///
/// Before each fetch, `gate` is awaited: an open breaker holds the loop there. `handle` owns the
/// delivery; its token is cancelled when the grace period is over, and it must then nak promptly.
///
/// # Errors
/// When the consumer is gone for good. Outages are waited out and show in `health`.
pub async fn run<G, GF, H, HF>(
    nats: &Nats,
    (stream, durable): (&str, &str),
    options: Options,
    health: &Health,
    stop: &CancellationToken,
    gate: G,
    handle: H,
) where
    G: Fn() -> GF,
    GF: Future<Output = ()>,
    H: Fn(Delivery, CancellationToken) -> HF,
    HF: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(options.concurrency));
    let tasks = TaskTracker::new();
    let give_up = CancellationToken::new();
    let mut reconnect = Reconnect::default();
    let mut consumer: Option<Consumer<pull::Config>> = None;

    while !stop.is_cancelled() {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = gate() => {}
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = connected(nats, health) => {}
        }
        let mut permits = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            permits = take_slots(&slots, options.concurrency) => permits,
        };
        let fetched = match ensure(&mut consumer, nats, stream, durable).await {
            Ok(consumer) => {
                let ack_wait = consumer.cached_info().config.ack_wait;
                fetch(consumer, &mut permits, |message, permit| {
                    if let Some(delivery) = Delivery::new(nats.client.clone(), message, ack_wait) {
                        let work = handle(delivery, give_up.clone());
                        tasks.spawn(async move {
                            work.await;
                            drop(permit);
                        });
                    }
                })
                .await
            }
            Err(error) => Err(error),
        };
        match fetched {
            Ok(()) => {
                health.ready("nats");
                reconnect.reset();
            }
            Err(error) => {
                consumer = None;
                health.waiting("nats", format!("cannot fetch from {stream}: {error}"));
                tracing::warn!(stream, error = %error, "fetch failed; trying again");
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = reconnect.wait() => {}
                }
            }
        }
    }

    tasks.close();
    if tokio::time::timeout(options.grace, tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            held = tasks.len(),
            "grace period is over; handing back what is held"
        );
        give_up.cancel();
        // Bounded: a handler that ignores the token must not keep the process alive.
        let _ = tokio::time::timeout(Duration::from_secs(5), tasks.wait()).await;
    }
}

/// Wait for a connection. A fetch asked for without one would be sent when NATS is back and nobody
/// listens any more; what it is given would be lost until its ack wait is over, and count as
/// delivered.
async fn connected(nats: &Nats, health: &Health) {
    while nats.client.connection_state() != State::Connected {
        health.waiting("nats", "the connection is lost");
        tokio::time::sleep(RECONNECTED).await;
    }
}

/// One slot, waited for, and as many more as are free.
async fn take_slots(slots: &Arc<Semaphore>, concurrency: usize) -> Vec<OwnedSemaphorePermit> {
    let mut permits = Vec::new();
    if let Ok(first) = Arc::clone(slots).acquire_owned().await {
        permits.push(first);
    }
    while permits.len() < concurrency.min(MAX_FETCH) {
        match Arc::clone(slots).try_acquire_owned() {
            Ok(permit) => permits.push(permit),
            Err(_) => break,
        }
    }
    permits
}

async fn ensure<'a>(
    slot: &'a mut Option<Consumer<pull::Config>>,
    nats: &Nats,
    stream: &str,
    durable: &str,
) -> Result<&'a Consumer<pull::Config>, async_nats::Error> {
    let consumer = match slot.take() {
        Some(consumer) => consumer,
        None => {
            nats.context
                .get_consumer_from_stream(durable, stream)
                .await?
        }
    };
    Ok(slot.insert(consumer))
}

/// Fetch up to one message a permit: what is there at once, else the first that comes.
async fn fetch(
    consumer: &Consumer<pull::Config>,
    permits: &mut Vec<OwnedSemaphorePermit>,
    mut start: impl FnMut(async_nats::jetstream::Message, OwnedSemaphorePermit),
) -> Result<(), async_nats::Error> {
    let wanted = permits.len();
    let mut ready = consumer.fetch().max_messages(wanted).messages().await?;
    while let Some(message) = tokio::time::timeout(FETCH_TIMEOUT, ready.next()).await? {
        let message = message?;
        if let Some(permit) = permits.pop() {
            start(message, permit);
        }
    }
    if permits.len() < wanted {
        return Ok(());
    }
    let mut first = consumer
        .batch()
        .max_messages(1)
        .expires(IDLE_WAIT)
        .messages()
        .await?;
    while let Some(message) = tokio::time::timeout(FETCH_TIMEOUT, first.next()).await? {
        let message = message?;
        if let Some(permit) = permits.pop() {
            start(message, permit);
        }
    }
    Ok(())
}
