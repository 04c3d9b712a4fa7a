//! Publishing one message and waiting until it is stored.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header;
use async_nats::jetstream::context;
use bytes::Bytes;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::lost::{connected, unless_lost};
use crate::{Denied, Nats, trace};

/// How long to wait for a connection before a message is sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// A message that is not known to be stored. Publishing it again is safe if it has an id.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The login may not publish it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The connection broke before the confirmation came, or there was none.
    #[error("no connection to NATS while a message for {subject} waited to be stored")]
    Lost {
        /// Its subject.
        subject: String,
    },
    /// The server refused it, or did not answer.
    #[error("a message for {subject} was not stored")]
    NotStored {
        /// Its subject.
        subject: String,
        /// What happened.
        #[source]
        source: context::PublishError,
    },
}

impl Nats {
    /// Publish and wait until the server has stored it. `id` makes a second publish of the same
    /// message within the duplicate window a no-op.
    ///
    /// # Errors
    /// When the server does not confirm it.
    pub async fn publish(
        &self,
        subject: String,
        id: &str,
        payload: Bytes,
    ) -> Result<u64, PublishError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::NATS_MESSAGE_ID, id);
        self.publish_with_headers(subject, headers, payload).await
    }

    /// [`Self::publish`] with headers of the caller's. It belongs to the trace under way.
    ///
    /// # Errors
    /// When the server does not confirm it.
    pub async fn publish_with_headers(
        &self,
        subject: String,
        mut headers: HeaderMap,
        payload: Bytes,
    ) -> Result<u64, PublishError> {
        let span = trace::publish(&subject, &headers, payload.len());
        trace::inject(span.context(), &mut headers);
        span.is(self.store(subject, headers, payload)).await
    }

    async fn store(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<u64, PublishError> {
        // What is sent without a connection would be kept and sent later, when its sender has long
        // begun to try again.
        let connected = tokio::time::timeout(PATIENCE, connected(&self.client));
        let publish = async {
            let sent = self
                .context
                .publish_with_headers(subject.clone(), headers, payload);
            sent.await?.await
        };
        let lost = || PublishError::Lost {
            subject: subject.clone(),
        };
        connected.await.map_err(|_| lost())?;
        let publish = unless_lost(&self.client, publish);
        let answered = self.denials.unless(|denied| denied == subject, publish);
        let ack =
            answered
                .await?
                .map_err(|_| lost())?
                .map_err(|source| PublishError::NotStored {
                    subject: subject.clone(),
                    source,
                })?;
        Ok(ack.sequence)
    }
}

/// Headers that make the server publish the message to `target` at `due` (ADR-51), once.
///
/// The message waits on the subject it is published to; a second one on that subject replaces it.
#[must_use]
pub fn at_schedule(due: OffsetDateTime, target: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // Whole seconds are all the server reads; rounded up, so that it never comes too early.
    let due = due + time::Duration::milliseconds(999);
    let due = due.replace_nanosecond(0).unwrap_or(due);
    let at = due.format(&Rfc3339).unwrap_or_default();
    headers.insert(header::NATS_SCHEDULE, format!("@at {at}"));
    headers.insert(header::NATS_SCHEDULE_TARGET, target);
    headers
}
