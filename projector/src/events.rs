//! Reading events in order, in batches.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use contracts::{DecodeError, Event, streams};
use futures::StreamExt as _;
use jetstream::Nats;
use runtime::trace::TraceContext;

/// Events folded at once, at most.
const MAX_BATCH: usize = 500;
/// Bytes folded at once, give or take one event: a page of a listing names a thousand entries.
const MAX_BATCH_BYTES: usize = 4 << 20;
/// How long the server waits for the next event before it says that there is none.
const IDLE_WAIT: Duration = Duration::from_secs(2);
/// No answer for this long means that the connection or the consumer is gone.
const SILENCE: Duration = Duration::from_secs(5);

/// The events from some sequence on, in their order, none left out.
///
/// The consumer is our own and numbers what it delivers, so a lost event shows as a gap. The client
/// library's ordered consumer does the same, but sleeps on after a missed heartbeat.
pub(crate) struct Events {
    consumer: Consumer<pull::Config>,
    delivered: u64,
    /// What the server has sent of a pull and nobody has read yet.
    incoming: Option<pull::Batch>,
    unknown_version: Option<String>,
}

/// Some events in their order.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) events: Vec<(u64, Event)>,
    /// Sequence of the last message read, whether or not it could be folded; 0 if there is none,
    /// because the first one was of a newer release.
    pub(crate) last: u64,
    /// Where in which trace each event was published, of those that are recorded.
    pub(crate) traces: Vec<TraceContext>,
    bytes: usize,
}

impl Events {
    /// Read from `sequence` on.
    pub(crate) async fn from(nats: &Nats, sequence: u64) -> anyhow::Result<Self> {
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: sequence,
            },
            ack_policy: AckPolicy::None,
            inactive_threshold: Duration::from_secs(60),
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = nats
            .context
            .create_consumer_on_stream(config, streams::EVENTS)
            .await?;
        Ok(Self {
            consumer,
            delivered: 0,
            incoming: None,
            unknown_version: None,
        })
    }

    /// The next batch: waits for one message, and takes along what else is there. After an error
    /// read anew from the checkpoint.
    pub(crate) async fn batch(&mut self) -> anyhow::Result<Batch> {
        let mut batch = Batch::default();
        loop {
            self.take_what_is_there(&mut batch).await?;
            if batch.last > 0 || self.unknown_version.is_some() {
                return Ok(batch);
            }
            self.incoming = Some(
                self.consumer
                    .batch()
                    .max_messages(1)
                    .expires(IDLE_WAIT)
                    .messages()
                    .await?,
            );
        }
    }

    /// Set when an event of a newer release was met. It is not passed over: folding waits for an
    /// upgrade.
    pub(crate) fn unknown_version(&self) -> Option<String> {
        self.unknown_version.clone()
    }

    async fn take_what_is_there(&mut self, batch: &mut Batch) -> anyhow::Result<()> {
        let mut incoming = match self.incoming.take() {
            Some(incoming) => incoming,
            None => {
                self.consumer
                    .fetch()
                    .max_messages(MAX_BATCH)
                    .messages()
                    .await?
            }
        };
        while self.unknown_version.is_none() {
            if batch.bytes >= MAX_BATCH_BYTES {
                self.incoming = Some(incoming);
                break;
            }
            let next = tokio::time::timeout(IDLE_WAIT + SILENCE, incoming.next())
                .await
                .context("NATS does not answer")?;
            match next {
                Some(message) => {
                    let message = message.map_err(|error| anyhow::anyhow!(error))?;
                    self.take(&message, batch)?;
                }
                None => break,
            }
        }
        Ok(())
    }

    fn take(&mut self, message: &Message, batch: &mut Batch) -> anyhow::Result<()> {
        let info = message.info().map_err(|error| anyhow::anyhow!(error))?;
        self.delivered += 1;
        anyhow::ensure!(
            info.consumer_sequence == self.delivered,
            "events were lost on their way; reading again from the checkpoint"
        );
        match contracts::decode(&message.payload) {
            Ok(event) => {
                batch.events.push((info.stream_sequence, event));
                let trace = jetstream::trace::context(message.headers.as_ref());
                if trace.is_sampled() {
                    batch.traces.push(trace);
                }
            }
            Err(error @ DecodeError::UnknownVersion { .. }) => {
                self.unknown_version = Some(error.to_string());
                return Ok(());
            }
            // Only a stranger's message can be malformed. It changes no row, and it stays in the
            // stream for people to look at.
            Err(error) => tracing::error!(
                sequence = info.stream_sequence,
                subject = %message.subject,
                error = %error,
                "message in EVENTS is no event; passed over"
            ),
        }
        batch.last = info.stream_sequence;
        batch.bytes += message.payload.len();
        Ok(())
    }
}
