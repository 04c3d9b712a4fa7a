//! The streams, consumers and buckets that must exist, and what of them must hold.

use std::time::Duration;

use async_nats::jetstream::consumer::{self, AckPolicy, DeliverPolicy, ReplayPolicy, pull};
use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{ErrorCode, kv};
use contracts::{streams, subjects};
use runtime::backoff::Reconnect;
use runtime::{ConfigError, Env, Health};
use tokio_util::sync::CancellationToken;

use crate::{Denied, Nats};

/// What setting up and verifying ask of the server.
const API: &str = "$JS.API.>";
/// Heartbeats are sent three times as often as this.
const LEAST_ACK_WAIT: Duration = Duration::from_secs(1);

/// What an operator may choose. Everything else is fixed, because correctness rests on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopologyConfig {
    /// `NATS_REPLICAS`: copies of each stream, 1, 3 or 5; default 1.
    pub replicas: usize,
    /// `WORKERS_MAX_ACK_PENDING`: deliveries that the whole fleet may hold; default 20,000.
    pub max_ack_pending: i64,
    /// `NATS_ACK_WAIT`: how long a process that holds a message may be silent before the message is
    /// handed to another; default 30 s. Shorter takes over sooner, and mistakes a busy or briefly
    /// disconnected process for a dead one more often.
    pub ack_wait: Duration,
}

impl Default for TopologyConfig {
    fn default() -> Self {
        Self {
            replicas: 1,
            max_ack_pending: 20_000,
            ack_wait: streams::ACK_WAIT,
        }
    }
}

impl TopologyConfig {
    /// From the settings named at each field.
    ///
    /// # Errors
    /// When one makes no sense.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let default = Self::default();
        let config = Self {
            replicas: env.parse_or("NATS_REPLICAS", default.replicas)?,
            max_ack_pending: env.parse_or("WORKERS_MAX_ACK_PENDING", default.max_ack_pending)?,
            ack_wait: env.duration_or("NATS_ACK_WAIT", default.ack_wait)?,
        };
        if ![1, 3, 5].contains(&config.replicas) {
            return Err(ConfigError::new("NATS_REPLICAS", "must be 1, 3 or 5"));
        }
        if config.max_ack_pending < 1 {
            return Err(ConfigError::new(
                "WORKERS_MAX_ACK_PENDING",
                "must be at least 1",
            ));
        }
        if config.ack_wait < LEAST_ACK_WAIT {
            return Err(ConfigError::new("NATS_ACK_WAIT", "must be at least 1s"));
        }
        Ok(config)
    }
}

/// Why the topology is not as it must be.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// Something does not exist.
    #[error("{0} does not exist on the NATS server; run `imagefleet setup`")]
    Missing(String),
    /// Something differs from what the code relies on.
    #[error("the NATS topology differs from what this release relies on:\n  {}\nrun `imagefleet setup` to correct it", .0.join("\n  "))]
    Drift(Vec<String>),
    /// The login may not look, or not set up.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The server refuses or does not answer.
    #[error("{action} failed")]
    Server {
        /// What was tried.
        action: String,
        /// What the server said.
        #[source]
        source: async_nats::Error,
    },
}

fn streams_wanted(config: TopologyConfig) -> Vec<Config> {
    let base = || Config {
        storage: StorageType::File,
        num_replicas: config.replicas,
        duplicate_window: streams::DUPLICATE_WINDOW,
        discard: DiscardPolicy::Old,
        allow_direct: true,
        max_consumers: -1,
        max_messages: -1,
        max_bytes: -1,
        max_messages_per_subject: -1,
        ..Config::default()
    };
    vec![
        Config {
            name: streams::IMPORTS.into(),
            description: Some("Import requests and commands to imports".into()),
            subjects: vec![subjects::REQUESTS.into(), subjects::COMMANDS.into()],
            retention: RetentionPolicy::WorkQueue,
            ..base()
        },
        Config {
            name: streams::TASKS.into(),
            description: Some(
                "One message per image; scheduled retries; tasks of paused imports; listing checkpoints"
                    .into(),
            ),
            subjects: vec![
                subjects::TASKS.into(),
                subjects::RETRIES.into(),
                subjects::PARKED.into(),
                subjects::CHECKPOINTS.into(),
            ],
            retention: RetentionPolicy::WorkQueue,
            allow_atomic_publish: true,
            allow_message_schedules: true,
            allow_message_ttl: true,
            allow_rollup: true,
            ..base()
        },
        Config {
            name: streams::EVENTS.into(),
            description: Some("What happened; the source of truth for every projection".into()),
            subjects: vec![subjects::EVENTS.into()],
            retention: RetentionPolicy::Limits,
            max_age: streams::EVENT_RETENTION,
            ..base()
        },
    ]
}

fn consumers_wanted(config: TopologyConfig) -> Vec<(&'static str, pull::Config)> {
    let base = |name: &str, filter: &str, max_ack_pending| pull::Config {
        durable_name: Some(name.into()),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: config.ack_wait,
        max_deliver: -1,
        filter_subject: filter.into(),
        replay_policy: ReplayPolicy::Instant,
        max_ack_pending,
        ..pull::Config::default()
    };
    vec![
        (
            streams::IMPORTS,
            base(streams::PRODUCERS, subjects::REQUESTS, 10_000),
        ),
        (
            streams::IMPORTS,
            base(streams::CONTROLLERS, subjects::COMMANDS, 10_000),
        ),
        (
            streams::TASKS,
            base(streams::WORKERS, subjects::TASKS, config.max_ack_pending),
        ),
    ]
}

fn buckets_wanted(config: TopologyConfig) -> Vec<kv::Config> {
    let base = |bucket: &str, max_age| kv::Config {
        bucket: bucket.into(),
        history: 1,
        max_age,
        storage: StorageType::File,
        num_replicas: config.replicas,
        ..kv::Config::default()
    };
    vec![
        base(streams::FLEET, streams::PRESENCE_TTL),
        base(streams::CONTROL, Duration::ZERO),
        base(streams::SUBMISSIONS, streams::SUBMISSION_TTL),
    ]
}

/// Create what is missing and correct what differs. Safe to run at any time, and by several at once.
///
/// # Errors
/// When the server refuses, for instance because a stream's retention cannot be changed.
pub async fn setup(nats: &Nats, config: TopologyConfig) -> Result<(), TopologyError> {
    // Boxed: its caller would otherwise carry every request it makes.
    nats.unless_denied(&[API], Box::pin(create(nats, config)))
        .await?
}

async fn create(nats: &Nats, config: TopologyConfig) -> Result<(), TopologyError> {
    let failed = |action: String| move |source| TopologyError::Server { action, source };
    for stream in streams_wanted(config) {
        let action = format!("creating stream {}", stream.name);
        nats.context
            .create_or_update_stream(stream)
            .await
            .map_err(|error| failed(action)(Box::new(error)))?;
    }
    for (stream, consumer) in consumers_wanted(config) {
        let action = format!("creating a consumer of {stream}");
        nats.context
            .create_consumer_on_stream(consumer, stream)
            .await
            .map_err(|error| failed(action)(Box::new(error)))?;
    }
    for bucket in buckets_wanted(config) {
        let action = format!("creating bucket {}", bucket.bucket);
        nats.context
            .create_or_update_key_value(bucket)
            .await
            .map_err(|error| failed(action)(Box::new(error)))?;
    }
    Ok(())
}

/// Check that everything correctness rests on is there and as it must be.
///
/// # Errors
/// [`TopologyError::Missing`] or, with every difference spelled out, [`TopologyError::Drift`].
pub async fn verify(nats: &Nats) -> Result<(), TopologyError> {
    nats.unless_denied(&[API], compare(nats)).await?
}

async fn compare(nats: &Nats) -> Result<(), TopologyError> {
    let config = TopologyConfig::default();
    let mut drift = Vec::new();
    for wanted in streams_wanted(config) {
        let found = nats
            .context
            .get_stream(&wanted.name)
            .await
            .map_err(|error| absent(&wanted.name, error))?;
        stream_drift(&wanted, &found.cached_info().config, &mut drift);
    }
    for (stream, wanted) in consumers_wanted(config) {
        let name = wanted.durable_name.clone().unwrap_or_default();
        let found = nats
            .context
            .get_stream_no_info(stream)
            .await
            .map_err(|error| absent(stream, error))?
            .consumer_info(&name)
            .await
            .map_err(|error| match error.kind() {
                async_nats::jetstream::context::ConsumerInfoErrorKind::NotFound => {
                    TopologyError::Missing(format!("consumer {name} of stream {stream}"))
                }
                _ => TopologyError::Server {
                    action: format!("reading consumer {name}"),
                    source: Box::new(error),
                },
            })?;
        consumer_drift(stream, &name, &wanted, &found.config, &mut drift);
    }
    for bucket in buckets_wanted(config) {
        let stream = format!("KV_{}", bucket.bucket);
        let found = nats
            .context
            .get_stream(&stream)
            .await
            .map_err(|error| absent(&format!("KV bucket {}", bucket.bucket), error))?;
        differs(
            &mut drift,
            &stream,
            "max_age",
            &bucket.max_age,
            &found.cached_info().config.max_age,
        );
    }
    if drift.is_empty() {
        Ok(())
    } else {
        Err(TopologyError::Drift(drift))
    }
}

/// [`verify`], waiting while something is missing or the server is away; `false` when `stop` came
/// first.
///
/// # Errors
/// [`TopologyError::Drift`], which waiting does not cure.
pub async fn verify_when_there(
    nats: &Nats,
    health: &Health,
    stop: &CancellationToken,
) -> Result<bool, TopologyError> {
    let mut reconnect = Reconnect::default();
    loop {
        match verify(nats).await {
            Ok(()) => {
                health.ready("nats");
                return Ok(true);
            }
            Err(error @ TopologyError::Drift(_)) => return Err(error),
            Err(error) => {
                health.waiting("nats", error.to_string());
                tracing::warn!(error = %error, "waiting for the NATS topology");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(false),
            () = reconnect.wait() => {}
        }
    }
}

fn absent(what: &str, error: GetStreamError) -> TopologyError {
    match error.kind() {
        GetStreamErrorKind::JetStream(ref inner)
            if inner.error_code() == ErrorCode::STREAM_NOT_FOUND =>
        {
            TopologyError::Missing(format!("stream {what}"))
        }
        _ => TopologyError::Server {
            action: format!("reading stream {what}"),
            source: Box::new(error),
        },
    }
}

fn differs<T: PartialEq + std::fmt::Debug>(
    drift: &mut Vec<String>,
    what: &str,
    field: &str,
    wanted: &T,
    found: &T,
) {
    if wanted != found {
        drift.push(format!("{what}: {field} is {found:?}, must be {wanted:?}"));
    }
}

fn stream_drift(wanted: &Config, found: &Config, drift: &mut Vec<String>) {
    let what = format!("stream {}", wanted.name);
    let (mut subjects, mut found_subjects) = (wanted.subjects.clone(), found.subjects.clone());
    subjects.sort();
    found_subjects.sort();
    differs(drift, &what, "subjects", &subjects, &found_subjects);
    differs(
        drift,
        &what,
        "retention",
        &wanted.retention,
        &found.retention,
    );
    differs(drift, &what, "storage", &wanted.storage, &found.storage);
    differs(
        drift,
        &what,
        "duplicate_window",
        &wanted.duplicate_window,
        &found.duplicate_window,
    );
    differs(
        drift,
        &what,
        "allow_atomic",
        &wanted.allow_atomic_publish,
        &found.allow_atomic_publish,
    );
    differs(
        drift,
        &what,
        "allow_msg_schedules",
        &wanted.allow_message_schedules,
        &found.allow_message_schedules,
    );
    differs(
        drift,
        &what,
        "allow_msg_ttl",
        &wanted.allow_message_ttl,
        &found.allow_message_ttl,
    );
    differs(
        drift,
        &what,
        "allow_rollup_hdrs",
        &wanted.allow_rollup,
        &found.allow_rollup,
    );
    differs(
        drift,
        &what,
        "allow_direct",
        &wanted.allow_direct,
        &found.allow_direct,
    );
    // Limits that would drop messages instead of refusing them. Events may be kept for another
    // time than ours, but never by size or count.
    for (field, value) in [
        ("max_msgs", found.max_messages),
        ("max_bytes", found.max_bytes),
        ("max_msgs_per_subject", found.max_messages_per_subject),
    ] {
        if value > 0 {
            drift.push(format!(
                "{what}: {field} is {value}, must be unlimited (a limit drops messages)"
            ));
        }
    }
    if wanted.max_age.is_zero() {
        differs(drift, &what, "max_age", &wanted.max_age, &found.max_age);
    }
}

fn consumer_drift(
    stream: &str,
    name: &str,
    wanted: &pull::Config,
    found: &consumer::Config,
    drift: &mut Vec<String>,
) {
    let what = format!("consumer {name} of {stream}");
    differs(
        drift,
        &what,
        "filter_subject",
        &wanted.filter_subject,
        &found.filter_subject,
    );
    differs(
        drift,
        &what,
        "ack_policy",
        &wanted.ack_policy,
        &found.ack_policy,
    );
    if found.ack_wait < LEAST_ACK_WAIT {
        drift.push(format!(
            "{what}: ack_wait is {:?}, must be at least {LEAST_ACK_WAIT:?}",
            found.ack_wait
        ));
    }
    differs(
        drift,
        &what,
        "max_deliver",
        &wanted.max_deliver,
        &found.max_deliver,
    );
}
