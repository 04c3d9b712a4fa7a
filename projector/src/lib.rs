//! Folds events into SQL.
//!
//! Events are read in order from the checkpoint on and folded in batches of one transaction each,
//! with a fence on the checkpoint: two projectors never corrupt, one of them stands by.

mod config;
mod events;
mod lag;
mod metrics;
mod rebuild;
mod removals;
mod standby;

use std::time::{Instant, SystemTime};

use contracts::streams;
use jetstream::{Nats, presence, topology};
use prometheus::Registry;
use read_model::{ReadModel, ReadModelError};
use runtime::backoff::Reconnect;
use runtime::{Health, Service};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

pub use config::Config;
use events::Batch;
use metrics::Metrics;
pub use rebuild::{Options, Rebuilt, rebuild};

const ROLE: &str = "projector";

/// The projection's checkpoint: the last event folded into the tables.
pub const CHECKPOINT: &str = read_model::CHECKPOINT;

/// Run until `service.stop`.
///
/// # Errors
/// When the settings cannot work, the NATS topology is not what the code relies on, or the tables
/// and the stream do not belong together.
pub async fn run(config: Config, service: Service) -> anyhow::Result<()> {
    let projector = Projector {
        metrics: Metrics::new(&service.registry)?,
        registry: service.registry.clone(),
        health: service.health.clone(),
        stop: service.stop.child_token(),
    };
    let expire = config.nats.expire().await;
    runtime::metrics::credentials(&service.registry, ROLE, &expire)?;
    let stop = &projector.stop;
    // Whichever ends, the other must not go on alone: neither without its health being seen, nor
    // answering for work that nobody does.
    let health = async {
        let served = runtime::health::serve(
            config.health_listen,
            service.health,
            service.registry,
            stop.clone(),
        )
        .await;
        stop.cancel();
        served
    };
    let project = async {
        let projected = Box::pin(projector.project(&config)).await;
        stop.cancel();
        projected
    };
    let (health, projected) = tokio::join!(health, project);
    health.and(projected)
}

struct Projector {
    metrics: Metrics,
    registry: Registry,
    health: Health,
    stop: CancellationToken,
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

impl Projector {
    async fn project(&self, config: &Config) -> anyhow::Result<()> {
        // Either may be away while the other is there.
        let (give, opened) = oneshot::channel();
        let open = async {
            if let Some(read_model) = self.open(config).await? {
                let _ = give.send(read_model);
            }
            Ok(())
        };
        let work = async {
            let connecting = jetstream::connect_when_up(&config.nats, &self.health, &self.stop);
            let Some(nats) = connecting.await? else {
                return Ok(());
            };
            if !topology::verify_when_there(&nats, &self.health, &self.stop).await? {
                return Ok(());
            }
            let ended = CancellationToken::new();
            let fold = async {
                let _ends = ended.clone().drop_guard();
                let Ok(read_model) = opened.await else {
                    return Ok(());
                };
                tokio::select! {
                    followed = self.follow(&nats, &read_model) => followed,
                    () = lag::watch(&nats, &read_model, &self.metrics) => Ok(()),
                }
            };
            // Who asks for a status should hear why nothing is folded, as long as anybody can say.
            let instance = format!("projector-{}", uuid::Uuid::new_v4());
            let entry = (ROLE, instance.as_str());
            let tell = presence::tell(&nats, entry, &self.health, &ended);
            let (folded, ()) = tokio::join!(fold, tell);
            folded
        };
        tokio::try_join!(open, work).map(drop)
    }

    /// Open the tables, waiting while the database is away.
    async fn open(&self, config: &Config) -> anyhow::Result<Option<ReadModel>> {
        let mut pause = Reconnect::default();
        loop {
            match ReadModel::open(&config.read_model).await {
                Ok(read_model) => {
                    self.health.ready("sql");
                    read_model.register(ROLE, &self.registry)?;
                    return Ok(Some(read_model));
                }
                Err(error) if error.is_outage() => {
                    self.health.waiting("sql", error.to_string());
                    tracing::warn!(error = %error, "waiting for the read model");
                }
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                () = self.stop.cancelled() => return Ok(None),
                () = pause.wait() => {}
            }
        }
    }

    /// Fold until `stop`; after any outage go on from the checkpoint.
    async fn follow(&self, nats: &Nats, read_model: &ReadModel) -> anyhow::Result<()> {
        let mut pause = Reconnect::default();
        let mut unfolded = None;
        while !self.stop.is_cancelled() {
            let folding = self.fold_on(nats, read_model, &mut pause, &mut unfolded);
            match folding.await {
                Ok(()) => {}
                Err(Stopped::Fenced) => {
                    tracing::warn!("another projector is at work; standing by");
                    standby::wait(read_model, &self.stop).await;
                }
                Err(Stopped::Mismatch(error)) => return Err(error),
                Err(Stopped::Away(dependency, error)) => {
                    self.health.waiting(dependency, format!("{error:#}"));
                    tracing::warn!(dependency, error = %format!("{error:#}"), "projection waits");
                    tokio::select! {
                        () = self.stop.cancelled() => {}
                        () = pause.wait() => {}
                    }
                }
            }
        }
        Ok(())
    }

    async fn fold_on(
        &self,
        nats: &Nats,
        read_model: &ReadModel,
        pause: &mut Reconnect,
        unfolded: &mut Option<u64>,
    ) -> Result<(), Stopped> {
        let opened = async {
            let at = read_model.checkpoint(CHECKPOINT).await.map_err(sql)?;
            // A database that is locked or full can be read all the same.
            if unfolded.is_none_or(|failed| at > failed) {
                self.health.ready("sql");
            }
            check_stream(nats, at).await?;
            let events = events::Events::from(nats, at + 1)
                .await
                .map_err(|error| Stopped::Away("nats", error))?;
            self.health.ready("nats");
            Ok((at, events))
        };
        // Folding is finished before an end; asking NATS for something, which may be away, is not.
        let (at, events) = tokio::select! {
            () = self.stop.cancelled() => return Ok(()),
            opened = opened => opened?,
        };
        let _active = self.metrics.active();
        let noted = Notify::new();
        // A projector that stands by is not here.
        tokio::select! {
            folded = self.fold_from(at, events, read_model, &noted, pause, unfolded) => folded,
            () = removals::ask_for(nats, read_model, &noted, &self.metrics) => Ok(()),
        }
    }

    async fn fold_from(
        &self,
        mut at: u64,
        mut events: events::Events,
        read_model: &ReadModel,
        noted: &Notify,
        pause: &mut Reconnect,
        unfolded: &mut Option<u64>,
    ) -> Result<(), Stopped> {
        loop {
            let batch = tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                batch = events.batch() => batch.map_err(|error| Stopped::Away("nats", error))?,
            };
            let Batch {
                events: folded,
                last,
                traces,
                ..
            } = batch;
            if last > at {
                let count = folded.len() as u64;
                let (begun, since) = (Instant::now(), SystemTime::now());
                *unfolded = Some(at);
                let folded = read_model
                    .fold(CHECKPOINT, at, folded, last)
                    .await
                    .map_err(sql)?;
                *unfolded = None;
                self.health.ready("sql");
                if folded.removals > 0 {
                    noted.notify_one();
                }
                self.metrics.folded(count, begun.elapsed());
                jetstream::trace::folded(since, &traces);
                at = last;
                pause.reset();
            }
            if let Some(unknown) = events.unknown_version() {
                return Err(Stopped::Away("release", anyhow::anyhow!(unknown)));
            }
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
             different deployments, or the stream was restored from an older backup. Name an empty \
             database (DATABASE_PATH, or DB_NAME or DB_SCHEMA) to fold the stream from its beginning",
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
