//! One handing-over of a message, kept alive while it is worked on and settled exactly once.

use std::time::Duration;

use async_nats::jetstream::AckKind;
use bytes::Bytes;
use runtime::trace::Span;
use tokio::task::AbortHandle;

use crate::lost::{connected, unless_lost};
use crate::{Denied, Nats, trace};

/// A delivered message. While this value lives, the server is told that it is being worked on.
///
/// Settling takes it by value, so it cannot be settled twice. Dropped without settling, it is
/// delivered again after the consumer's ack wait.
pub struct Delivery {
    nats: Nats,
    message: async_nats::Message,
    info: Info,
    heartbeat: AbortHandle,
}

struct Info {
    delivered: i64,
    stream_sequence: u64,
    stored_ms: u64,
    ack_wait: Duration,
}

/// The server did not confirm the settling; the message may be delivered again.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// It did not answer.
    #[error("NATS did not confirm that a delivery is settled; it may be delivered again")]
    NoAnswer(#[source] async_nats::RequestError),
    /// The login may not settle it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// There was no connection for so long that the message has gone to somebody else.
    #[error("NATS was away for longer than the ack wait; what was held is delivered again")]
    Away,
}

impl Delivery {
    /// Take a message of a consumer with explicit acks. `None` if it carries no JetStream reply.
    pub(crate) fn new(
        nats: Nats,
        message: async_nats::jetstream::Message,
        ack_wait: Duration,
    ) -> Option<Self> {
        let info = message.info().ok()?;
        let info = Info {
            delivered: info.delivered,
            stream_sequence: info.stream_sequence,
            stored_ms: u64::try_from(info.published.unix_timestamp_nanos() / 1_000_000)
                .unwrap_or(0),
            ack_wait,
        };
        let message = message.message;
        let reply = message.reply.clone()?;
        let beat_client = nats.client.clone();
        let heartbeat = tokio::spawn(async move {
            let mut beats = tokio::time::interval(ack_wait / 3);
            beats.tick().await;
            loop {
                beats.tick().await;
                // A lost heartbeat is made good by the next one.
                let _ = beat_client
                    .publish(reply.clone(), AckKind::Progress.into())
                    .await;
            }
        });
        Some(Self {
            nats,
            message,
            info,
            heartbeat: heartbeat.abort_handle(),
        })
    }

    /// The message's bytes.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.message.payload
    }

    /// The subject it was published to.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.message.subject
    }

    /// The step of working on it, as a message of `consumer`.
    pub(crate) fn span(&self, consumer: &str) -> Span {
        let (sequence, delivered) = (self.stream_sequence(), self.delivered());
        trace::process(&self.message, consumer, sequence, delivered)
    }

    /// Its headers.
    #[must_use]
    pub fn headers(&self) -> Option<&async_nats::HeaderMap> {
        self.message.headers.as_ref()
    }

    /// How many times this message was handed out, this time included.
    #[must_use]
    pub fn delivered(&self) -> i64 {
        self.info.delivered
    }

    /// Its place in the stream.
    #[must_use]
    pub fn stream_sequence(&self) -> u64 {
        self.info.stream_sequence
    }

    /// When the server stored it, milliseconds since 1970.
    #[must_use]
    pub fn stored_ms(&self) -> u64 {
        self.info.stored_ms
    }

    /// Done: its effect is durable. Returns when the server has confirmed it.
    ///
    /// # Errors
    /// When the confirmation does not come.
    pub async fn ack(self) -> Result<(), SettleError> {
        self.settle(AckKind::Ack).await
    }

    /// Not now: deliver it again at once, to anybody.
    ///
    /// # Errors
    /// When the confirmation does not come.
    pub async fn nak(self) -> Result<(), SettleError> {
        self.settle(AckKind::Nak(None)).await
    }

    /// Not now: deliver it again after `delay`.
    ///
    /// # Errors
    /// When the confirmation does not come.
    pub async fn nak_after(self, delay: Duration) -> Result<(), SettleError> {
        self.settle(AckKind::Nak(Some(delay))).await
    }

    /// Never again. Record why before calling this.
    ///
    /// # Errors
    /// When the confirmation does not come.
    pub async fn term(self) -> Result<(), SettleError> {
        self.settle(AckKind::Term).await
    }

    async fn settle(self, kind: AckKind) -> Result<(), SettleError> {
        let Some(reply) = self.message.reply.clone() else {
            return Ok(());
        };
        let settling = async {
            loop {
                let client = &self.nats.client;
                connected(client).await;
                // As a request, so that the server's confirmation is seen; the client's own double
                // ack was observed to report success after the consumer was gone.
                let asked = client.request(reply.clone(), kind.into());
                let asked = unless_lost(client, asked);
                let uses = |subject: &str| subject == reply.as_str();
                // Asked again on the next connection: settling twice is settling once.
                if let Ok(answer) = self.nats.denials.unless(uses, asked).await? {
                    return answer.map(|_| ()).map_err(SettleError::NoAnswer);
                }
            }
        };
        tokio::time::timeout(self.info.ack_wait, settling)
            .await
            .unwrap_or(Err(SettleError::Away))
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}
