//! Lists Drive folders and publishes one task per image; carries out commands to imports.
//!
//! A held delivery of the `IMPORTS` stream is the lease on an import: it is heartbeaten while the
//! folder is listed, and a dead producer's import is delivered to another one, which goes on from
//! the last checkpoint.

mod announce;
mod ask;
mod calls;
mod checkpoint;
mod config;
mod control;
mod entries;
mod listing;
mod metrics;
mod request;
mod sort;
mod window;

use std::sync::{Arc, Mutex};

use contracts::{FileId, streams};
use drive::Drive;
use jetstream::consume::{self, Options};
use jetstream::presence::{self, Activity};
use jetstream::{Appetite, Controls, Nats, topology};
use read_model::ReadModel;
use runtime::{Breaker, Quota, Service};

pub use config::Config;
use metrics::Metrics;
use window::Window;

const ROLE: &str = "producer";

/// What every import of this process shares.
struct Producer {
    nats: Nats,
    controls: Controls,
    drive: Drive,
    /// Read only, for `skip_unchanged` and for retries.
    read_model: ReadModel,
    quota: Quota,
    activity: Activity,
    /// How much of the quota listing takes.
    appetite: Appetite,
    /// Calls to Drive under way, or waiting for their part of the quota.
    calls: Mutex<usize>,
    breaker: Breaker,
    /// A file that nobody has; asking for it tells whether Drive is there.
    nobody: FileId,
    service: Service,
    metrics: Metrics,
    window: Window,
}

/// Run until `service.stop`.
///
/// # Errors
/// When the settings cannot work, or the NATS topology is not what the code relies on.
pub async fn run(config: Config, service: Service) -> anyhow::Result<()> {
    let service = Service {
        stop: service.stop.child_token(),
        ..service
    };
    let stop = service.stop.clone();
    let health = async {
        let served = runtime::health::serve(
            config.health_listen,
            service.health.clone(),
            service.registry.clone(),
            stop.clone(),
        )
        .await;
        // Only a port that is taken ends it early; that must show at once, not at the end.
        stop.cancel();
        served
    };
    let work = async {
        let worked = Box::pin(work(config.clone(), service.clone())).await;
        stop.cancel();
        worked
    };
    let (health, worked) = tokio::join!(health, work);
    health.and(worked)
}

async fn work(config: Config, service: Service) -> anyhow::Result<()> {
    let metrics = Metrics::new(&service.registry)?;
    let quota = Quota::new(config.quota);
    quota.register(ROLE, &service.registry)?;
    let expire = config.nats.expire().await;
    runtime::metrics::credentials(&service.registry, ROLE, &expire)?;
    let read_model = ReadModel::open_read_only(&config.read_model);
    read_model.register(ROLE, &service.registry)?;
    let Some(nats) =
        jetstream::connect_when_up(&config.nats, &service.health, &service.stop).await?
    else {
        return Ok(());
    };
    if !topology::verify_when_there(&nats, &service.health, &service.stop).await? {
        return Ok(());
    }
    let appetite = Appetite::default();
    let producer = Arc::new(Producer {
        drive: Drive::new(config.drive)?,
        read_model,
        quota,
        activity: Activity::with(appetite.clone()),
        appetite,
        calls: Mutex::default(),
        breaker: Breaker::new("drive", service.health.clone()),
        nobody: drive::NOBODY.parse()?,
        metrics,
        window: Window::new(config.window, config.queue),
        controls: Controls::default(),
        service: Service {
            stop: service.stop.child_token(),
            ..service.clone()
        },
        nats,
    });
    let instance = format!("producer-{}", uuid::Uuid::new_v4());
    let stop = &producer.service.stop;
    let presence = presence::run(
        &producer.nats,
        (ROLE, &instance),
        &producer.quota,
        &producer.activity,
        &service.health,
        stop,
    );
    let options = Options {
        concurrency: config.concurrency,
        grace: config.grace,
    };
    let consume = consume::run(
        &producer.nats,
        (streams::IMPORTS, streams::PRODUCERS),
        options,
        &service.health,
        stop,
        || std::future::ready(()),
        // A request is handed back as soon as `stop` comes, so nothing is left to give up later.
        |delivery, _| request::handle(Arc::clone(&producer), delivery),
    );
    let options = Options {
        concurrency: control::AT_ONCE,
        grace: config.grace,
    };
    let control = consume::run(
        &producer.nats,
        (streams::IMPORTS, streams::CONTROLLERS),
        options,
        &service.health,
        stop,
        || std::future::ready(()),
        |delivery, _| control::handle(Arc::clone(&producer), delivery),
    );
    let work = async {
        tokio::select! {
            () = stop.cancelled() => return,
            () = producer.controls.loaded() => {}
        }
        tokio::join!(consume, control);
    };
    let follow = producer.controls.run(&producer.nats, stop);
    tokio::join!(presence, follow, work);
    Ok(())
}
