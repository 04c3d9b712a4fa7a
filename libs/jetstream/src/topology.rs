//! The streams, consumers and buckets that must exist, and what of them must hold.

mod config;
mod drift;
mod wanted;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{
    ConsumerInfoError, ConsumerInfoErrorKind, GetStreamError, GetStreamErrorKind,
};
use async_nats::jetstream::{consumer, stream};
use contracts::streams;
use runtime::Health;
use runtime::backoff::Reconnect;
use tokio_util::sync::CancellationToken;

pub use config::{Chosen, TopologyConfig};
use drift::{consumer_drift, differs, stream_drift};

use crate::{Denied, Nats};

/// What setting up and verifying ask of the server.
const API: &str = "$JS.API.>";
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

/// Create what is missing and correct what differs; what `config` leaves open stays as it is. Safe to
/// run at any time, and by several at once. Answers what holds now.
///
/// # Errors
/// When the server refuses, for instance because a stream's retention cannot be changed.
pub async fn setup(nats: &Nats, config: TopologyConfig) -> Result<Chosen, TopologyError> {
    // Boxed: its caller would otherwise carry every request it makes.
    nats.unless_denied(&[API], Box::pin(create(nats, config)))
        .await?
}

async fn create(nats: &Nats, config: TopologyConfig) -> Result<Chosen, TopologyError> {
    let failed = |action: String| move |source| TopologyError::Server { action, source };
    let events = there(stream_config(nats, streams::EVENTS).await)?;
    let workers = there(consumer_config(nats, streams::TASKS, streams::WORKERS).await)?;
    let chosen = Chosen::by(config, events.as_ref(), workers.as_ref());
    for stream in wanted::streams(chosen) {
        let action = format!("creating stream {}", stream.name);
        nats.context
            .create_or_update_stream(stream)
            .await
            .map_err(|error| failed(action)(Box::new(error)))?;
    }
    for (stream, consumer) in wanted::consumers(chosen) {
        let action = format!("creating a consumer of {stream}");
        nats.context
            .create_consumer_on_stream(consumer, stream)
            .await
            .map_err(|error| failed(action)(Box::new(error)))?;
    }
    for bucket in wanted::buckets(chosen) {
        let action = format!("creating bucket {}", bucket.bucket);
        nats.context
            .create_or_update_key_value(bucket)
            .await
            .map_err(|error| failed(action)(Box::new(error)))?;
    }
    Ok(chosen)
}

/// `None` for what does not exist yet.
fn there<T>(found: Result<T, TopologyError>) -> Result<Option<T>, TopologyError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(TopologyError::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn stream_config(nats: &Nats, name: &str) -> Result<stream::Config, TopologyError> {
    let found = nats.context.get_stream(name).await;
    let found = found.map_err(|error| absent(&format!("stream {name}"), error))?;
    Ok(found.cached_info().config.clone())
}

async fn consumer_config(
    nats: &Nats,
    stream: &str,
    name: &str,
) -> Result<consumer::Config, TopologyError> {
    let found = nats.context.get_stream_no_info(stream).await;
    let found = found.map_err(|error| absent(&format!("stream {stream}"), error))?;
    let info = found.consumer_info(name).await;
    Ok(info
        .map_err(|error| no_consumer(stream, name, error))?
        .config)
}

/// Check that everything correctness rests on is there and as it must be.
///
/// # Errors
/// [`TopologyError::Missing`] or, with every difference spelled out, [`TopologyError::Drift`].
pub async fn verify(nats: &Nats) -> Result<(), TopologyError> {
    nats.unless_denied(&[API], compare(nats)).await?
}

async fn compare(nats: &Nats) -> Result<(), TopologyError> {
    // What an operator may choose is not compared.
    let chosen = Chosen::default();
    let mut drift = Vec::new();
    for wanted in wanted::streams(chosen) {
        let found = stream_config(nats, &wanted.name).await?;
        stream_drift(&wanted, &found, &mut drift);
    }
    for (stream, wanted) in wanted::consumers(chosen) {
        let name = wanted.durable_name.clone().unwrap_or_default();
        let found = consumer_config(nats, stream, &name).await?;
        consumer_drift(stream, &name, &wanted, &found, &mut drift);
    }
    for bucket in wanted::buckets(chosen) {
        let stream = format!("KV_{}", bucket.bucket);
        let found = stream_config(nats, &stream).await?;
        differs(
            &mut drift,
            &stream,
            "max_age",
            &bucket.max_age,
            &found.max_age,
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
            TopologyError::Missing(what.to_owned())
        }
        _ => TopologyError::Server {
            action: format!("reading {what}"),
            source: Box::new(error),
        },
    }
}

fn no_consumer(stream: &str, name: &str, error: ConsumerInfoError) -> TopologyError {
    match error.kind() {
        ConsumerInfoErrorKind::NotFound => {
            TopologyError::Missing(format!("consumer {name} of stream {stream}"))
        }
        ConsumerInfoErrorKind::StreamNotFound => TopologyError::Missing(format!("stream {stream}")),
        _ => TopologyError::Server {
            action: format!("reading consumer {name}"),
            source: Box::new(error),
        },
    }
}
