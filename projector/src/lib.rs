//! Folds events into SQL.
//!
//! One ordered consumer from the checkpoint on, batches of events in one transaction each, and a
//! fence on the checkpoint: two projectors never corrupt, one of them stands by.

mod config;
mod events;
mod metrics;
mod standby;

use std::time::Duration;

use contracts::streams;
use jetstream::{Nats, topology};
use read_model::{ReadModel, ReadModelError};
use runtime::Service;
use runtime::backoff::Reconnect;

pub use config::Config;
use events::Batch;
use metrics::Metrics;

/// The projection's checkpoint: the last event folded into the tables.
pub const CHECKPOINT: &str = "read-model";

/// Run until `service.stop`.
///
/// # Errors
/// When the settings cannot work, the NATS topology is not what the code relies on, or the tables
/// and the stream do not belong together.
pub async fn run(config: Config, service: Service) -> anyhow::Result<()> {
    let metrics = Metrics::new(&service.registry)?;
    let health = runtime::health::serve(
        config.health_listen,
        service.health.clone(),
        service.registry.clone(),
        service.stop.clone(),
    );
    let (health, project) = tokio::join!(health, project(&config, &service, &metrics));
    health.and(project)
}

async fn project(config: &Config, service: &Service, metrics: &Metrics) -> anyhow::Result<()> {
    let result = async {
        let Some(read_model) = open(config, service).await? else {
            return Ok(());
        };
        let Some(nats) =
            jetstream::connect_when_up(&config.nats, &service.health, &service.stop).await?
        else {
            return Ok(());
        };
        if !topology::verify_when_there(&nats, &service.health, &service.stop).await? {
            return Ok(());
        }
        follow(&nats, &read_model, service, metrics).await
    }
    .await;
    if result.is_err() {
        // The health server must not keep a process alive that can do nothing.
        service.stop.cancel();
    }
    result
}

/// Open the tables, waiting while the database is away.
async fn open(config: &Config, service: &Service) -> anyhow::Result<Option<ReadModel>> {
    let mut pause = Reconnect::default();
    loop {
        match ReadModel::open_sqlite(&config.database_path).await {
            Ok(read_model) => {
                service.health.ready("sql");
                return Ok(Some(read_model));
            }
            Err(error) if error.is_outage() => {
                service.health.waiting("sql", error.to_string());
                tracing::warn!(error = %error, "waiting for the read model");
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = service.stop.cancelled() => return Ok(None),
            () = pause.wait() => {}
        }
    }
}

/// Fold until `stop`; after any outage go on from the checkpoint.
async fn follow(
    nats: &Nats,
    read_model: &ReadModel,
    service: &Service,
    metrics: &Metrics,
) -> anyhow::Result<()> {
    let mut pause = Reconnect::default();
    while !service.stop.is_cancelled() {
        match fold_on(nats, read_model, service, metrics, &mut pause).await {
            Ok(()) => {}
            Err(Stopped::Fenced) => {
                tracing::warn!("another projector is at work; standing by");
                standby::wait(read_model, service).await;
            }
            Err(Stopped::Mismatch(error)) => return Err(error),
            Err(Stopped::Away(dependency, error)) => {
                service.health.waiting(dependency, format!("{error:#}"));
                tracing::warn!(dependency, error = %format!("{error:#}"), "projection waits");
                tokio::select! {
                    () = service.stop.cancelled() => {}
                    () = pause.wait() => {}
                }
            }
        }
    }
    Ok(())
}

/// Why folding stopped.
enum Stopped {
    /// Another projector moved the checkpoint.
    Fenced,
    /// The tables and the stream do not belong together, or this release cannot go on.
    Mismatch(anyhow::Error),
    /// A dependency is away.
    Away(&'static str, anyhow::Error),
}

async fn fold_on(
    nats: &Nats,
    read_model: &ReadModel,
    service: &Service,
    metrics: &Metrics,
    pause: &mut Reconnect,
) -> Result<(), Stopped> {
    let mut at = read_model.checkpoint(CHECKPOINT).await.map_err(sql)?;
    check_stream(nats, at).await?;
    let mut events = events::Events::from(nats, at + 1)
        .await
        .map_err(|error| Stopped::Away("nats", error))?;
    service.health.ready("nats");
    service.health.ready("sql");
    loop {
        let batch = tokio::select! {
            () = service.stop.cancelled() => return Ok(()),
            batch = events.batch() => batch.map_err(|error| Stopped::Away("nats", error))?,
        };
        let Batch {
            events: folded,
            last,
            pending,
        } = batch;
        let oldest = folded.first().map(|(_, event)| event.at);
        let count = folded.len() as u64;
        let begun = std::time::Instant::now();
        // 0: the first message already was one that this release cannot read.
        if last > at {
            read_model
                .fold(CHECKPOINT, at, folded, last)
                .await
                .map_err(sql)?;
            at = last;
            pause.reset();
            service.health.ready("sql");
            metrics.folded(count, begun.elapsed(), pending, oldest);
        }
        if let Some(unknown) = events.unknown_version() {
            return Err(Stopped::Away("release", anyhow::anyhow!(unknown)));
        }
    }
}

fn sql(error: ReadModelError) -> Stopped {
    match error {
        ReadModelError::Fenced { .. } => Stopped::Fenced,
        error if error.is_outage() => Stopped::Away("sql", error.into()),
        error => Stopped::Mismatch(error.into()),
    }
}

/// Refuse to fold a stream that these tables were not folded from.
async fn check_stream(nats: &Nats, at: u64) -> Result<(), Stopped> {
    let stream = nats
        .context
        .get_stream(streams::EVENTS)
        .await
        .map_err(|error| Stopped::Away("nats", error.into()))?;
    let state = &stream.cached_info().state;
    if state.last_sequence < at {
        return Err(Stopped::Mismatch(anyhow::anyhow!(
            "the tables hold events up to {at}, but the EVENTS stream ends at {}: they belong to \
             different deployments, or the stream was restored from an older backup. Point \
             DATABASE_PATH at an empty database to fold the stream from its beginning",
            state.last_sequence
        )));
    }
    if at + 1 < state.first_sequence {
        tracing::warn!(
            checkpoint = at,
            first = state.first_sequence,
            "events between the checkpoint and the stream's first have expired unseen"
        );
    }
    Ok(())
}

/// How long a standing projector watches the checkpoint before it takes over.
const STANDBY: Duration = Duration::from_secs(5);
