//! Reading events in order, in batches.

use std::time::Duration;

use async_nats::jetstream::consumer::pull::{self, OrderedConfig};
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy};
use contracts::{DecodeError, Event, streams};
use futures::StreamExt as _;
use jetstream::Nats;

/// Events folded at once, at most.
const MAX_BATCH: usize = 500;
/// How long a batch waits for more events after its first.
const LINGER: Duration = Duration::from_millis(100);

/// The events from some sequence on.
pub(crate) struct Events {
    messages: pull::Ordered,
    unknown_version: Option<String>,
}

/// Some events in their order.
pub(crate) struct Batch {
    pub(crate) events: Vec<(u64, Event)>,
    /// Sequence of the last message read, whether or not it could be folded.
    pub(crate) last: u64,
    /// Events behind it.
    pub(crate) pending: u64,
}

impl Events {
    /// Read from `sequence` on.
    pub(crate) async fn from(nats: &Nats, sequence: u64) -> anyhow::Result<Self> {
        let stream = nats.context.get_stream_no_info(streams::EVENTS).await?;
        let consumer = stream
            .create_consumer(OrderedConfig {
                deliver_policy: DeliverPolicy::ByStartSequence {
                    start_sequence: sequence,
                },
                replay_policy: ReplayPolicy::Instant,
                ..OrderedConfig::default()
            })
            .await?;
        Ok(Self {
            messages: consumer.messages().await?,
            unknown_version: None,
        })
    }

    /// The next batch: at least one message, and what else comes within a short while.
    pub(crate) async fn batch(&mut self) -> anyhow::Result<Batch> {
        let mut batch = Batch {
            events: Vec::new(),
            last: 0,
            pending: 0,
        };
        let first = self.messages.next().await;
        self.take(first, &mut batch)?;
        let linger = tokio::time::sleep(LINGER);
        tokio::pin!(linger);
        while batch.events.len() < MAX_BATCH && batch.pending > 0 && self.unknown_version.is_none()
        {
            tokio::select! {
                biased;
                message = self.messages.next() => self.take(message, &mut batch)?,
                () = &mut linger => break,
            }
        }
        Ok(batch)
    }

    /// Set when an event of a newer release was met. It is not passed over: folding waits for an
    /// upgrade.
    pub(crate) fn unknown_version(&self) -> Option<String> {
        self.unknown_version.clone()
    }

    fn take(
        &mut self,
        message: Option<Result<async_nats::jetstream::Message, pull::OrderedError>>,
        batch: &mut Batch,
    ) -> anyhow::Result<()> {
        let message = message.ok_or_else(|| anyhow::anyhow!("the event stream ended"))??;
        let info = message.info().map_err(|error| anyhow::anyhow!(error))?;
        match contracts::decode(&message.payload) {
            Ok(event) => batch.events.push((info.stream_sequence, event)),
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
        batch.pending = info.pending;
        Ok(())
    }
}
