//! What waits on NATS, for `/metrics`: asked on a clock of its own, so that an autoscaler finds it
//! whoever looks at the page, and whether or not the database answers.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::stream::DirectGetErrorKind;
use contracts::{streams, subjects};
use jetstream::{Denied, Nats};
use prometheus::{
    GaugeVec, IntGauge, IntGaugeVec, Registry, register_gauge_vec_with_registry,
    register_int_gauge_vec_with_registry, register_int_gauge_with_registry,
};
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;

use crate::broker::Broker;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);
/// Before another look after one that failed.
const RETRY: Duration = Duration::from_secs(1);
/// The same after a denial, which is logged each time.
const DENIED: Duration = Duration::from_secs(30);
/// For all that is asked at one look.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is asked.
const API: &[&str] = &["$JS.API.>"];

/// Nothing but `up` is there unless it was asked for just now: numbers that are old would have somebody
/// scale by them.
pub(crate) struct Metrics {
    up: IntGauge,
    pending: IntGaugeVec,
    unacked: IntGaugeVec,
    lag: IntGaugeVec,
    /// Without labels, as those below: a vector can be empty, a gauge cannot.
    outstanding: IntGaugeVec,
    scheduled: IntGaugeVec,
    parked: IntGaugeVec,
    oldest: GaugeVec,
    messages: IntGaugeVec,
    bytes: IntGaugeVec,
    storage: IntGaugeVec,
    storage_limit: IntGaugeVec,
}

/// One look.
#[derive(Debug, PartialEq)]
struct Queue {
    consumers: BTreeMap<&'static str, Consumer>,
    scheduled: u64,
    parked: u64,
    oldest: Duration,
    streams: BTreeMap<&'static str, Stream>,
    storage: u64,
    storage_limit: Option<i64>,
}

#[derive(Debug, PartialEq)]
struct Consumer {
    pending: u64,
    unacked: u64,
}

#[derive(Debug, PartialEq)]
struct Stream {
    messages: u64,
    bytes: u64,
}

/// Keep `metrics` current, for ever.
pub(crate) async fn watch(broker: &Broker, metrics: &Metrics) {
    loop {
        let looked = async {
            let nats = broker.nats().context("NATS is not connected")?;
            nats.unless_denied(API, look(&nats)).await?
        };
        let looked = tokio::time::timeout(PATIENCE, Box::pin(looked)).await;
        let pause = match looked.context("no answer in time").flatten() {
            Ok(queue) => {
                metrics.show(&queue);
                EVERY
            }
            Err(error) => {
                metrics.hide();
                tracing::debug!(error = %format!("{error:#}"), "it is not known what waits on NATS");
                if error.is::<Denied>() { DENIED } else { RETRY }
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn look(nats: &Nats) -> anyhow::Result<Queue> {
    let context = &nats.context;
    let mut consumers = BTreeMap::new();
    for (stream, consumer) in [
        (streams::TASKS, streams::WORKERS),
        (streams::IMPORTS, streams::PRODUCERS),
        (streams::IMPORTS, streams::CONTROLLERS),
    ] {
        let info = context
            .get_stream_no_info(stream)
            .await?
            .consumer_info(consumer)
            .await?;
        let found = Consumer {
            pending: info.num_pending,
            unacked: info.num_ack_pending as u64,
        };
        consumers.insert(consumer, found);
    }
    let mut held = BTreeMap::new();
    for name in [streams::IMPORTS, streams::TASKS, streams::EVENTS] {
        let info = context.get_stream_no_info(name).await?.get_info().await?;
        let found = Stream {
            messages: info.state.messages,
            bytes: info.state.bytes,
        };
        held.insert(name, found);
    }
    let account = context.query_account().await?;
    Ok(Queue {
        consumers,
        scheduled: count(nats, subjects::RETRIES).await?,
        parked: count(nats, subjects::PARKED).await?,
        oldest: oldest(nats).await?,
        streams: held,
        storage: account.storage,
        storage_limit: account.limits.max_storage.filter(|limit| *limit > 0),
    })
}

/// Messages of `TASKS` on subjects of `filter` that hold one message each. Told from what the server says
/// of the page of subjects behind the last one: how many there are, and not one of them.
async fn count(nats: &Nats, filter: &str) -> anyhow::Result<u64> {
    #[derive(Deserialize)]
    struct Page {
        total: u64,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Answer {
        Page(Page),
        Refused { error: serde_json::Value },
    }
    let call = format!("STREAM.INFO.{}", streams::TASKS);
    let behind = json!({"subjects_filter": filter, "offset": i64::MAX});
    match nats.context.request(call, &behind).await? {
        Answer::Page(page) => Ok(page.total),
        Answer::Refused { error } => anyhow::bail!("{error}"),
    }
}

/// The age of the first task that is there to be worked on. One that is settled is gone; one that waits
/// for its time, or is parked, is on another subject until it is due, and a new message then.
async fn oldest(nats: &Nats) -> anyhow::Result<Duration> {
    let tasks = nats.context.get_stream_no_info(streams::TASKS).await?;
    match tasks.direct_get_first_for_subject(subjects::TASKS).await {
        Ok(task) => Ok((OffsetDateTime::now_utc() - task.time)
            .try_into()
            .unwrap_or_default()),
        Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(Duration::ZERO),
        Err(error) => Err(error.into()),
    }
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let by = |label: &[&str], name, help| {
            register_int_gauge_vec_with_registry!(name, help, label, registry)
        };
        let (consumer, stream, none) = (&["consumer"][..], &["stream"][..], &[][..]);
        Ok(Self {
            up: register_int_gauge_with_registry!(
                "imagefleet_broker_up",
                "1 while the queue can be read",
                registry
            )?,
            pending: by(
                consumer,
                "imagefleet_consumer_pending",
                "Messages that nobody has taken",
            )?,
            unacked: by(
                consumer,
                "imagefleet_consumer_unacked",
                "Messages taken and not settled",
            )?,
            lag: by(
                consumer,
                "imagefleet_consumer_lag",
                "Messages not taken, or taken and not settled",
            )?,
            outstanding: by(
                none,
                "imagefleet_tasks_outstanding",
                "Tasks published and not settled, those that wait included",
            )?,
            scheduled: by(
                none,
                "imagefleet_tasks_scheduled",
                "Tasks that wait for another attempt",
            )?,
            parked: by(
                none,
                "imagefleet_tasks_parked",
                "Tasks put aside while their import is paused",
            )?,
            oldest: register_gauge_vec_with_registry!(
                "imagefleet_tasks_oldest_seconds",
                "Age of the oldest task that is due and not settled; 0 without one",
                none,
                registry
            )?,
            messages: by(stream, "imagefleet_stream_messages", "Messages stored")?,
            bytes: by(stream, "imagefleet_stream_bytes", "Bytes stored")?,
            storage: by(
                none,
                "imagefleet_broker_storage_bytes",
                "Bytes that the account's streams take on disk",
            )?,
            storage_limit: by(
                none,
                "imagefleet_broker_storage_limit_bytes",
                "Bytes that the account's streams may take on disk",
            )?,
        })
    }

    fn show(&self, queue: &Queue) {
        let waiting = |name: &str| {
            let consumer = queue.consumers.get(name);
            consumer.map_or(0, |consumer| consumer.pending + consumer.unacked)
        };
        for (name, consumer) in &queue.consumers {
            set(&self.pending, &[name], consumer.pending);
            set(&self.unacked, &[name], consumer.unacked);
            set(&self.lag, &[name], waiting(name));
        }
        for (name, stream) in &queue.streams {
            set(&self.messages, &[name], stream.messages);
            set(&self.bytes, &[name], stream.bytes);
        }
        let apart = queue.scheduled + queue.parked;
        set(&self.outstanding, &[], waiting(streams::WORKERS) + apart);
        set(&self.scheduled, &[], queue.scheduled);
        set(&self.parked, &[], queue.parked);
        self.oldest
            .with_label_values::<&str>(&[])
            .set(queue.oldest.as_secs_f64());
        set(&self.storage, &[], queue.storage);
        match queue.storage_limit {
            Some(limit) => set(&self.storage_limit, &[], limit.unsigned_abs()),
            None => self.storage_limit.reset(),
        }
        self.up.set(1);
    }

    fn hide(&self) {
        self.up.set(0);
        for gauges in [
            &self.pending,
            &self.unacked,
            &self.lag,
            &self.outstanding,
            &self.scheduled,
            &self.parked,
            &self.messages,
            &self.bytes,
            &self.storage,
            &self.storage_limit,
        ] {
            gauges.reset();
        }
        self.oldest.reset();
    }
}

fn set(gauges: &IntGaugeVec, labels: &[&str], value: u64) {
    gauges
        .with_label_values(labels)
        .set(i64::try_from(value).unwrap_or(i64::MAX));
}
