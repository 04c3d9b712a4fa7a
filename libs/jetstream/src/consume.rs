//! The consume loop: take a slot, then fetch; on stop, finish what was taken.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{Consumer, pull};
use futures::StreamExt as _;
use runtime::Health;
use runtime::backoff::Reconnect;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::lost::{connected, is_connected, unless_lost};
use crate::{Delivery, Nats};

/// How long an idle fetch waits at the server. On stop this is waited out, because a fetch that is
/// given up may have been handed a message that nobody would see until its ack wait is over.
const IDLE_WAIT: Duration = Duration::from_secs(1);
/// On stop, a server that answers answers within this time.
const LAST_FETCH: Duration = Duration::from_secs(2);
/// No answer to a fetch for this long means that the connection is gone.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
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
/// Outages are waited out and show in `health`.
pub async fn run<G, GF, H, HF>(
    nats: &Nats,
    names: (&str, &str),
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
    let free = |slots| {
        let opened = gate();
        async move {
            opened.await;
            vec![(); slots]
        }
    };
    let handle = |delivery, (), give_up| handle(delivery, give_up);
    run_with_tickets(nats, names, options, health, stop, free, handle).await;
}

/// [`run()`], with a ticket for each delivery: before each fetch, `tickets` is told how many slots
/// are free, and as many messages are fetched as it gives tickets, at least one. Those that find no
/// message are dropped. What `handle` does belongs to the trace that a delivery came with.
pub async fn run_with_tickets<T, P, PF, H, HF>(
    nats: &Nats,
    names @ (stream, durable): (&str, &str),
    options: Options,
    health: &Health,
    stop: &CancellationToken,
    tickets: P,
    handle: H,
) where
    P: Fn(usize) -> PF,
    PF: Future<Output = Vec<T>>,
    H: Fn(Delivery, T, CancellationToken) -> HF,
    HF: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(options.concurrency));
    let tasks = TaskTracker::new();
    let give_up = CancellationToken::new();
    let mut reconnect = Reconnect::default();
    let mut consumer: Option<Consumer<pull::Config>> = None;

    while !stop.is_cancelled() {
        let ready = async {
            let permits = take_slots(&slots, options.concurrency).await;
            let tickets = tickets(permits.len()).await;
            connection(nats, health).await;
            permits.into_iter().zip(tickets).collect::<Vec<_>>()
        };
        let mut places = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            places = ready => places,
        };
        let ensured = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            ensured = answered(nats, names, ensure(&mut consumer, nats, names)) => ensured,
        };
        let fetched = match ensured {
            Ok(consumer) => {
                let ack_wait = consumer.cached_info().config.ack_wait;
                let fetching = fetch(consumer, &mut places, |message, (permit, ticket)| {
                    if let Some(delivery) = Delivery::new(nats.clone(), message, ack_wait) {
                        let span = delivery.span(durable);
                        // Boxed: it is moved more than once, and it may be large.
                        let work = Box::pin(handle(delivery, ticket, give_up.clone()));
                        tasks.spawn(async move {
                            span.around(work).await;
                            drop(permit);
                        });
                    }
                });
                tokio::select! {
                    biased;
                    fetched = answered(nats, names, fetching) => fetched,
                    () = overdue(stop) => break,
                }
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
                drop(places);
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

/// `work`, unless the connection is lost or a call about the consumer is denied meanwhile.
async fn answered<T>(
    nats: &Nats,
    (stream, durable): (&str, &str),
    work: impl Future<Output = Result<T, async_nats::Error>>,
) -> Result<T, async_nats::Error> {
    let consumer = format!(".{stream}.{durable}");
    let uses = |subject: &str| {
        subject.starts_with("$JS.API.CONSUMER.") && subject.ends_with(consumer.as_str())
    };
    let work = unless_lost(&nats.client, work);
    nats.denials.unless(uses, work).await??
}

/// Wait for a connection. A fetch asked for without one would be sent when NATS is back and nobody
/// listens any more; what it is given would be lost until its ack wait is over, and count as
/// delivered.
async fn connection(nats: &Nats, health: &Health) {
    if !is_connected(&nats.client) {
        health.waiting("nats", "the connection is lost");
        connected(&nats.client).await;
    }
}

/// Returns when a fetch under way at the stop can have no answer any more.
async fn overdue(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LAST_FETCH).await;
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
    (stream, durable): (&str, &str),
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

/// Fetch up to one message a place: what is there at once, else the first that comes.
async fn fetch<P>(
    consumer: &Consumer<pull::Config>,
    places: &mut Vec<P>,
    mut start: impl FnMut(async_nats::jetstream::Message, P),
) -> Result<(), async_nats::Error> {
    let wanted = places.len();
    let mut ready = consumer.fetch().max_messages(wanted).messages().await?;
    while let Some(message) = tokio::time::timeout(FETCH_TIMEOUT, ready.next()).await? {
        let message = message?;
        if let Some(place) = places.pop() {
            start(message, place);
        }
    }
    if places.len() < wanted {
        return Ok(());
    }
    // Nothing is kept waiting for what may never come, but one place.
    places.truncate(1);
    let mut first = consumer
        .batch()
        .max_messages(1)
        .expires(IDLE_WAIT)
        .messages()
        .await?;
    while let Some(message) = tokio::time::timeout(FETCH_TIMEOUT, first.next()).await? {
        let message = message?;
        if let Some(place) = places.pop() {
            start(message, place);
        }
    }
    Ok(())
}
