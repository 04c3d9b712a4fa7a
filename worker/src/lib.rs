//! Downloads, verifies, stores and reports one image per task.
//!
//! Slot, fetch, process, event, ack: in this order, and every step can be repeated. What went wrong
//! with an image costs an attempt; what went wrong with Drive, the store or NATS costs waiting.

mod config;
mod delete;
mod download;
mod facts;
mod handle;
mod import;
mod key;
mod metrics;
mod report;

use std::sync::Arc;

use contracts::streams;
use drive::Drive;
use jetstream::consume::{self, Options};
use jetstream::presence::{self, Activity};
use jetstream::{Nats, topology};
use runtime::backoff::RetryPolicy;
use runtime::{Breaker, Quota, Service};
use storage::Store;

pub use config::Config;
use metrics::Metrics;

/// What every task of this process shares.
struct Worker {
    /// Names this process in events and presence.
    instance: String,
    nats: Nats,
    drive: Drive,
    store: Store,
    quota: Quota,
    activity: Activity,
    drive_breaker: Breaker,
    store_breaker: Breaker,
    retry: RetryPolicy,
    metrics: Metrics,
}

/// Run until `service.stop`, then finish what is held within the grace period.
///
/// # Errors
/// When the settings cannot work, or the NATS topology is not what the code relies on.
pub async fn run(config: Config, service: Service) -> anyhow::Result<()> {
    let metrics = Metrics::new(&service.registry)?;
    let Some(nats) =
        jetstream::connect_when_up(&config.nats, &service.health, &service.stop).await?
    else {
        return Ok(());
    };
    if !topology::verify_when_there(&nats, &service.health, &service.stop).await? {
        return Ok(());
    }
    let worker = Arc::new(Worker {
        instance: format!("worker-{}", uuid::Uuid::new_v4()),
        drive: Drive::new(config.drive)?,
        store: Store::open(config.store).await?,
        quota: Quota::new(config.quota),
        activity: Activity::default(),
        drive_breaker: Breaker::new("drive", service.health.clone()),
        store_breaker: Breaker::new("store", service.health.clone()),
        retry: config.retry,
        metrics,
        nats,
    });
    // Quota shares are kept until the last held task is done.
    let drained = tokio_util::sync::CancellationToken::new();
    let health = runtime::health::serve(
        config.health_listen,
        service.health.clone(),
        service.registry.clone(),
        drained.clone(),
    );
    let presence = presence::run(
        &worker.nats,
        "worker",
        &worker.instance,
        &worker.quota,
        &worker.activity,
        &drained,
    );
    let consume = async {
        consume::run(
            &worker.nats,
            (streams::TASKS, streams::WORKERS),
            Options {
                concurrency: config.concurrency,
                grace: config.grace,
            },
            &service.health,
            &service.stop,
            || async {
                worker.drive_breaker.closed().await;
                worker.store_breaker.closed().await;
            },
            |delivery, give_up| handle::handle(Arc::clone(&worker), delivery, give_up),
        )
        .await;
        drained.cancel();
    };
    let (health, (), ()) = tokio::join!(health, presence, consume);
    health
}
