//! Downloads, verifies, stores and reports one image per task.
//!
//! Slot, fetch, process, event, ack: in this order, and every step can be repeated. What went wrong
//! with an image costs an attempt; what went wrong with Drive, the store or NATS costs waiting.

mod config;
mod control;
mod delete;
mod download;
mod exif;
mod facts;
mod fetch;
mod handle;
mod held;
mod import;
mod key;
mod metrics;
mod outage;
mod report;
mod suspects;
mod sweep;
mod tickets;

use std::sync::Arc;
use std::time::Duration;

use contracts::{FileId, streams};
use drive::Drive;
use jetstream::consume::{self, Options};
use jetstream::presence::{self, Activity};
use jetstream::{Controls, Nats, topology};
use runtime::backoff::RetryPolicy;
use runtime::{Breaker, Health, Quota, Service};
use storage::Store;
use tokio_util::sync::CancellationToken;

pub use config::Config;
use held::Held;
use metrics::Metrics;
use suspects::Suspects;
use tickets::LastFetch;

const ROLE: &str = "worker";
/// How long the end may take beyond the grace period.
const LATEST: Duration = Duration::from_secs(5);

/// What every task of this process shares.
struct Worker {
    /// Names this process in events and presence.
    instance: String,
    nats: Nats,
    drive: Drive,
    /// A file that nobody has; asking for it tells whether Drive is there.
    nobody: FileId,
    store: Store,
    quota: Quota,
    held: Held,
    activity: Activity,
    last_fetch: LastFetch,
    controls: Controls,
    suspects: Suspects,
    drive_breaker: Breaker,
    store_breaker: Breaker,
    retry: RetryPolicy,
    metrics: Metrics,
    health: Health,
    stop: CancellationToken,
}

/// Run until `service.stop`, then finish what is held within the grace period.
///
/// # Errors
/// When the settings cannot work, or the NATS topology is not what the code relies on.
pub async fn run(config: Config, service: Service) -> anyhow::Result<()> {
    let metrics = Metrics::new(&service.registry)?;
    metrics
        .slots
        .set(i64::try_from(config.concurrency).unwrap_or(i64::MAX));
    let quota = Quota::new(config.quota);
    quota.register(ROLE, &service.registry)?;
    let expire = [config.nats.expire().await, config.store.expire()].concat();
    runtime::metrics::credentials(&service.registry, ROLE, &expire)?;
    let stop = service.stop.child_token();
    // Later than `stop`: health and quota shares are kept until the last held task is done.
    let drained = CancellationToken::new();
    let health = async {
        let served = runtime::health::serve(
            config.health_listen,
            service.health.clone(),
            service.registry.clone(),
            drained.clone(),
        )
        .await;
        // Only a port that is taken ends it early; that must show at once, not at the end.
        stop.cancel();
        served
    };
    let work = async {
        let shared = (&service.health, metrics, quota);
        let worked = Box::pin(work(&config, shared, &stop, &drained)).await;
        drained.cancel();
        worked
    };
    let (health, worked) = tokio::join!(health, work);
    health.and(worked)
}

async fn work(
    config: &Config,
    (health, metrics, quota): (&Health, Metrics, Quota),
    stop: &CancellationToken,
    drained: &CancellationToken,
) -> anyhow::Result<()> {
    let store = Store::open(config.store.clone()).await?;
    let drive = Drive::new(config.drive.clone())?;
    let Some(nats) = jetstream::connect_when_up(&config.nats, health, stop).await? else {
        return Ok(());
    };
    if !topology::verify_when_there(&nats, health, stop).await? {
        return Ok(());
    }
    let activity = Activity::default();
    let worker = Arc::new(Worker {
        instance: format!("worker-{}", uuid::Uuid::new_v4()),
        drive,
        nobody: drive::NOBODY.parse()?,
        store,
        quota,
        held: Held::new(activity.clone(), metrics.in_flight.clone()),
        activity,
        last_fetch: LastFetch::default(),
        controls: Controls::default(),
        suspects: Suspects::new(),
        drive_breaker: Breaker::new("drive", health.clone()),
        store_breaker: Breaker::new("store", health.clone()),
        retry: config.retry,
        metrics,
        health: health.clone(),
        stop: stop.clone(),
        nats,
    });
    let presence = presence::run(
        &worker.nats,
        (ROLE, &worker.instance),
        &worker.quota,
        &worker.activity,
        health,
        drained,
    );
    let controls = worker.controls.run(&worker.nats, drained);
    let consume = async {
        // Nothing of a paused or cancelled import is begun for want of knowing.
        tokio::select! {
            () = worker.controls.loaded() => {}
            () = stop.cancelled() => {}
        }
        // Boxed: the loop holds several requests to NATS, and `run` would carry them all.
        Box::pin(consume::run_with_tickets(
            &worker.nats,
            (streams::TASKS, streams::WORKERS),
            Options {
                concurrency: config.concurrency,
                grace: config.grace,
            },
            health,
            stop,
            |slots| worker.tickets(slots),
            |delivery, ticket, give_up| {
                worker.last_fetch.came();
                handle::handle(Arc::clone(&worker), delivery, ticket, give_up)
            },
        ))
        .await;
        // What was given up is aborted in the background; in an outage that has no end.
        let _ = tokio::time::timeout(LATEST, worker.store.settled()).await;
        drained.cancel();
    };
    // With NATS away, fetching, settling and leaving the fleet each wait for an answer.
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(config.grace + LATEST).await;
    };
    tokio::select! {
        ((), (), ()) = futures::future::join3(presence, controls, consume) => {}
        () = sweep::run(&worker.store) => {}
        () = overdue => tracing::warn!("ending without NATS; what is held will be delivered again"),
    }
    Ok(())
}
