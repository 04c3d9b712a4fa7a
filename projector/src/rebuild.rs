//! Folding every event anew beside the live tables, to compare them or to take their place.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use contracts::{Event, streams, subjects};
use jetstream::Nats;
use read_model::{Comparison, ReadModel, ReadModelError, Rebuild};
use runtime::backoff::Reconnect;
use tokio::time::{Instant, timeout};

use crate::events::Events;
use crate::{CHECKPOINT, Config};

/// Events that may be left to fold when the live tables are held still.
const CLOSE: u64 = 2_000;
/// How long the live tables are held still for those. A projector waits no longer for a lock.
const HOLD: Duration = Duration::from_secs(4);
/// How long nothing may move before it is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long an event may take to come before it is asked whether there is one.
const QUIET: Duration = Duration::from_secs(3);
/// Differences that are named.
const NAMED: usize = 20;

/// What to do with the fresh tables.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Only compare them with the live ones.
    pub check: bool,
    /// Go on although the first events have expired: what they told is missing in the fresh tables.
    pub allow_expired: bool,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The last event that live and fresh tables hold.
    pub checkpoint: u64,
    /// Events folded.
    pub events: u64,
    /// What a check found.
    pub comparison: Option<Comparison>,
}

/// Fold the events from the first to the live tables' checkpoint into fresh tables, then compare
/// both or replace the live rows, in one transaction and at the same checkpoint: readers see the one
/// or the other, and a projector at work goes on as if nothing had happened.
///
/// # Errors
/// When there are no tables, when events have expired, when tables and stream do not belong
/// together, or when NATS or the database stays away. The live tables are as they were then.
pub async fn rebuild(config: &Config, options: Options) -> anyhow::Result<Rebuilt> {
    let live = ReadModel::open_read_only(&config.read_model.primary());
    let to = checkpoint(&live)
        .await
        .with_context(|| format!("there is nothing to rebuild at {}", config.read_model))?;
    let nats = jetstream::connect(&config.nats).await?;
    check_stream(&nats, to, options.allow_expired).await?;

    let rebuild = Rebuild::begin(&config.read_model).await?;
    let mut folding = Folding::new(&nats, rebuild.fresh().clone());
    folding.follow(&live).await?;
    let comparison = if options.check {
        let look = rebuild.look(CHECKPOINT).await?;
        folding.up_to(look.checkpoint()).await?;
        Some(look.compare(NAMED).await?)
    } else {
        replace(&rebuild, &mut folding, &live).await?;
        None
    };
    Ok(Rebuilt {
        checkpoint: folding.at,
        events: folding.events,
        comparison,
    })
}

/// Hold the live tables still, fold the last events, and swap.
async fn replace(
    rebuild: &Rebuild,
    folding: &mut Folding<'_>,
    live: &ReadModel,
) -> anyhow::Result<()> {
    let mut pause = Reconnect::default();
    let begun = Instant::now();
    loop {
        match rebuild.hold(CHECKPOINT).await {
            Ok(held) => {
                if let Ok(folded) = timeout(HOLD, folding.up_to(held.checkpoint())).await {
                    folded?;
                    return Ok(held.replace().await?);
                }
                drop(held);
                folding.start_over().await?;
                folding.follow(live).await?;
            }
            Err(error) if error.is_outage() && begun.elapsed() < PATIENCE => {
                tracing::warn!(error = %error, "waiting for the live tables");
            }
            Err(error) => return Err(error.into()),
        }
        anyhow::ensure!(
            begun.elapsed() < PATIENCE,
            "the last events could not be folded in time; try again when less is going on"
        );
        pause.wait().await;
    }
}

async fn checkpoint(live: &ReadModel) -> Result<u64, ReadModelError> {
    live.checkpoint(CHECKPOINT).await
}

/// Refuse a stream that these tables cannot be folded from.
async fn check_stream(nats: &Nats, to: u64, allow_expired: bool) -> anyhow::Result<()> {
    let stream = nats
        .context
        .get_stream(streams::EVENTS)
        .await
        .context("the EVENTS stream cannot be read; run `imagefleet setup`")?;
    let state = &stream.cached_info().state;
    anyhow::ensure!(
        to <= state.last_sequence,
        "the tables hold events up to {to}, but the EVENTS stream ends at {}: they belong to \
         different deployments, or the stream was restored from an older backup",
        state.last_sequence
    );
    anyhow::ensure!(
        allow_expired || state.first_sequence <= 1 || to == 0,
        "the first {} events have expired, and what they told stands in the live tables only: \
         rebuilt ones would lack it. Restore the database from a backup instead, or accept the loss \
         with --allow-expired",
        state.first_sequence - 1
    );
    Ok(())
}

/// Folding into fresh tables, exactly as far as is asked for.
struct Folding<'n> {
    nats: &'n Nats,
    fresh: ReadModel,
    reader: Option<Events>,
    /// The last event folded.
    at: u64,
    /// The last event read.
    read: u64,
    /// Events between the two.
    ahead: Vec<(u64, Event)>,
    events: u64,
}

impl<'n> Folding<'n> {
    fn new(nats: &'n Nats, fresh: ReadModel) -> Self {
        Self {
            nats,
            fresh,
            reader: None,
            at: 0,
            read: 0,
            ahead: Vec::new(),
            events: 0,
        }
    }

    /// Fold until the live tables are close.
    async fn follow(&mut self, live: &ReadModel) -> anyhow::Result<()> {
        loop {
            let to = checkpoint(live).await?;
            if to.saturating_sub(self.at) < CLOSE {
                return Ok(());
            }
            self.up_to(to).await?;
        }
    }

    /// Fold up to and including `to`, waiting while NATS is away for a moment.
    async fn up_to(&mut self, to: u64) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.at <= to,
            "the live tables went back to event {to}, as if an older file had been put in their \
             place; try again"
        );
        let mut pause = Reconnect::default();
        let mut moved = Instant::now();
        while self.at < to {
            match self.step(to).await {
                Ok(()) => {
                    moved = Instant::now();
                    pause.reset();
                }
                Err(error) if error.is::<NewerRelease>() || moved.elapsed() > PATIENCE => {
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(error = %format!("{error:#}"), "reading events again");
                    self.start_over().await?;
                    pause.wait().await;
                }
            }
        }
        Ok(())
    }

    /// Fold what is read, or else read on.
    async fn step(&mut self, to: u64) -> anyhow::Result<()> {
        let next = self.read.min(to);
        if next > self.at {
            let ready = self.ahead.partition_point(|(sequence, _)| *sequence <= to);
            let ready: Vec<_> = self.ahead.drain(..ready).collect();
            let folded = self.fresh.fold(CHECKPOINT, self.at, ready, next).await?;
            self.events += folded.events;
            self.at = next;
            return Ok(());
        }
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => Events::from(self.nats, self.read + 1).await?,
        };
        match timeout(QUIET, reader.batch()).await {
            Ok(batch) => {
                let batch = batch?;
                if batch.last == 0
                    && let Some(unknown) = reader.unknown_version()
                {
                    return Err(NewerRelease(unknown).into());
                }
                self.ahead = batch.events;
                self.read = batch.last;
                self.reader = Some(reader);
            }
            Err(_) if !self.is_more(to).await? => self.read = to,
            Err(_) => {}
        }
        Ok(())
    }

    /// Whether the stream holds an event that is not read and not after `to`; its leader knows.
    async fn is_more(&self, to: u64) -> anyhow::Result<bool> {
        let stream = self
            .nats
            .context
            .get_stream_no_info(streams::EVENTS)
            .await?;
        let next = stream
            .get_first_raw_message_by_subject(subjects::EVENTS, self.read + 1)
            .await;
        match next {
            Ok(message) => Ok(message.sequence <= to),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Go on from what is certainly folded.
    async fn start_over(&mut self) -> anyhow::Result<()> {
        self.reader = None;
        self.ahead.clear();
        self.at = checkpoint(&self.fresh).await?;
        self.read = self.at;
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}; upgrade this release and rebuild then")]
struct NewerRelease(String);
