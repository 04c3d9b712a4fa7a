//! Publishing one message and waiting until it is stored.

use async_nats::HeaderMap;
use async_nats::header;
use async_nats::jetstream::context;
use bytes::Bytes;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Nats;

/// A message that is not known to be stored.
#[derive(Debug, thiserror::Error)]
#[error("a message for {subject} was not stored")]
pub struct PublishError {
    subject: String,
    #[source]
    source: context::PublishError,
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

    /// [`Self::publish`] with headers of the caller's.
    ///
    /// # Errors
    /// When the server does not confirm it.
    pub async fn publish_with_headers(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<u64, PublishError> {
        let failed = |source| PublishError {
            subject: subject.clone(),
            source,
        };
        let ack = self
            .context
            .publish_with_headers(subject.clone(), headers, payload)
            .await
            .map_err(failed)?
            .await
            .map_err(failed)?;
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
