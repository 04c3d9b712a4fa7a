//! What an operator may choose of the topology.

use std::time::Duration;

use async_nats::jetstream::consumer;
use async_nats::jetstream::stream;
use contracts::streams;
use runtime::{ConfigError, Env};

/// Heartbeats are sent three times as often as this.
pub(super) const LEAST_ACK_WAIT: Duration = Duration::from_secs(1);
/// Events must be there for whoever folds them after a long weekend.
const LEAST_RETENTION: Duration = Duration::from_secs(24 * 3600);

/// What an operator may choose. Everything else is fixed, because correctness rests on it. What is not
/// said stays as it is; where nothing is yet, it gets its default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TopologyConfig {
    /// `NATS_REPLICAS`: copies of each stream, 1, 3 or 5; default 1.
    pub replicas: Option<usize>,
    /// `EVENTS_RETENTION`: how long events are kept; default 30 days. `0s` keeps them for good. A
    /// shorter time than before drops older events at once.
    pub events_retention: Option<Duration>,
    /// `WORKERS_MAX_ACK_PENDING`: deliveries that the whole fleet may hold; default 20,000.
    pub max_ack_pending: Option<i64>,
    /// `NATS_ACK_WAIT`: how long a process that holds a message may be silent before the message is
    /// handed to another; default 30 s. Shorter takes over sooner, and mistakes a busy or briefly
    /// disconnected process for a dead one more often.
    pub ack_wait: Option<Duration>,
}

impl TopologyConfig {
    /// From the settings named at each field.
    ///
    /// # Errors
    /// When one makes no sense.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let config = Self {
            replicas: env.parse("NATS_REPLICAS")?,
            events_retention: env.duration("EVENTS_RETENTION")?,
            max_ack_pending: env.parse("WORKERS_MAX_ACK_PENDING")?,
            ack_wait: env.duration("NATS_ACK_WAIT")?,
        };
        let refuse = |wrong: bool, name: &str, rule: &str| match wrong {
            true => Err(ConfigError::new(name, rule)),
            false => Ok(()),
        };
        refuse(
            config.replicas.is_some_and(|n| ![1, 3, 5].contains(&n)),
            "NATS_REPLICAS",
            "must be 1, 3 or 5",
        )?;
        refuse(
            config
                .events_retention
                .is_some_and(|time| !time.is_zero() && time < LEAST_RETENTION),
            "EVENTS_RETENTION",
            "must be at least 24h, or 0s to keep events for good",
        )?;
        refuse(
            config.max_ack_pending.is_some_and(|n| n < 1),
            "WORKERS_MAX_ACK_PENDING",
            "must be at least 1",
        )?;
        refuse(
            config.ack_wait.is_some_and(|wait| wait < LEAST_ACK_WAIT),
            "NATS_ACK_WAIT",
            "must be at least 1s",
        )?;
        Ok(config)
    }
}

/// What is chosen, by whomever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// Copies of each stream.
    pub replicas: usize,
    /// How long events are kept; zero is for good.
    pub events_retention: Duration,
    pub(super) max_ack_pending: i64,
    pub(super) ack_wait: Duration,
}

impl Default for Chosen {
    fn default() -> Self {
        Self {
            replicas: 1,
            events_retention: streams::EVENT_RETENTION,
            max_ack_pending: 20_000,
            ack_wait: streams::ACK_WAIT,
        }
    }
}

impl Chosen {
    /// What `config` says; else what holds of the stream of events and of the workers' consumer; else
    /// the defaults.
    pub(super) fn by(
        config: TopologyConfig,
        events: Option<&stream::Config>,
        workers: Option<&consumer::Config>,
    ) -> Self {
        let default = Self::default();
        Self {
            replicas: config
                .replicas
                .or(events.map(|events| events.num_replicas))
                .unwrap_or(default.replicas),
            events_retention: config
                .events_retention
                .or(events.map(|events| events.max_age))
                .unwrap_or(default.events_retention),
            max_ack_pending: config
                .max_ack_pending
                .or(workers.map(|workers| workers.max_ack_pending))
                .unwrap_or(default.max_ack_pending),
            ack_wait: config
                .ack_wait
                .or(workers.map(|workers| workers.ack_wait))
                .unwrap_or(default.ack_wait),
        }
    }
}
