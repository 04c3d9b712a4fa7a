//! Atomic batch publish (ADR-50): all messages become visible, or none.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::header;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use bytes::Bytes;
use runtime::backoff::Reconnect;
use runtime::trace::TraceContext;

use crate::lost::unless_lost;
use crate::{Denied, Nats, trace};

/// Messages in one batch at most: a limit of the server.
pub const MAX_MESSAGES: usize = 1000;

/// A stream has 50 places for batches. The server keeps the place of a batch whose publisher died for
/// 10 s; after this time all that were taken by such are free again.
const PLACES_FREED: Duration = Duration::from_secs(20);

/// One message of a batch.
pub struct Message {
    /// Its subject.
    pub subject: String,
    /// Its bytes.
    pub payload: Bytes,
    /// Whether traces record what becomes of it, if they record the batch.
    pub recorded: bool,
}

impl From<(String, Bytes)> for Message {
    fn from((subject, payload): (String, Bytes)) -> Self {
        let recorded = true;
        Self {
            subject,
            payload,
            recorded,
        }
    }
}

/// The message whose success commits the batch: written only if its subject still ends where its
/// writer last left it, and replacing what was there.
pub struct Checkpoint {
    /// Its subject.
    pub subject: String,
    /// Its bytes.
    pub payload: Bytes,
    /// Stream sequence of the subject's last message; 0 if there must be none.
    pub expected: u64,
}

/// What became of a batch that was not stored.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// Somebody else wrote the checkpoint meanwhile: this writer has been replaced.
    #[error("another producer has taken over (the checkpoint moved)")]
    Fenced,
    /// The answer did not come, so it is not known whether the batch was stored. Read the
    /// checkpoint before doing anything else.
    #[error("no answer from NATS to a batch")]
    Unknown(#[source] async_nats::Error),
    /// The login may not publish it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The connection could not take it.
    #[error("the batch could not be sent")]
    Send(#[source] async_nats::PublishError),
    /// The server refused it.
    #[error("NATS refused the batch: {description} (error {code})")]
    Refused {
        /// JetStream's error code.
        code: u64,
        /// Its text.
        description: String,
    },
    /// The answer makes no sense.
    #[error("NATS answered a batch with something else")]
    Answer(#[source] serde_json::Error),
    /// More than [`MAX_MESSAGES`].
    #[error("a batch of {0} messages exceeds the server's limit of {MAX_MESSAGES}")]
    TooLarge(usize),
}

/// Publish `messages` and then `checkpoint`, atomically. The stream sequence of the checkpoint is the
/// next batch's `expected`.
///
/// # Errors
/// After any error but [`BatchError::Unknown`] and [`BatchError::Send`], nothing was stored.
pub async fn publish(
    nats: &Nats,
    messages: impl IntoIterator<Item: Into<Message>>,
    checkpoint: Checkpoint,
) -> Result<u64, BatchError> {
    let messages: Vec<Message> = messages.into_iter().map(Into::into).collect();
    // A page without images is a checkpoint alone.
    let first = messages.first().map(|first| first.subject.as_str());
    let subject = first.unwrap_or(&checkpoint.subject);
    let bytes = messages.iter().map(|message| message.payload.len()).sum();
    let span = trace::publish_batch(subject, messages.len(), bytes);
    span.is(publish_now(nats, messages, checkpoint)).await
}

async fn publish_now(
    nats: &Nats,
    messages: Vec<Message>,
    checkpoint: Checkpoint,
) -> Result<u64, BatchError> {
    let total = messages.len() + 1;
    if total > MAX_MESSAGES {
        return Err(BatchError::TooLarge(total));
    }
    let subjects: BTreeSet<String> = messages
        .iter()
        .map(|message| message.subject.clone())
        .chain([checkpoint.subject.clone()])
        .collect();
    let sending = unless_lost(&nats.client, send(nats, messages, checkpoint));
    nats.denials
        .unless(|denied| subjects.contains(denied), sending)
        .await?
        .unwrap_or_else(|lost| Err(BatchError::Unknown(Box::new(lost))))
}

async fn send(
    nats: &Nats,
    messages: Vec<Message>,
    checkpoint: Checkpoint,
) -> Result<u64, BatchError> {
    let total = messages.len() + 1;
    let id = nats
        .client
        .new_inbox()
        .rsplit('.')
        .next()
        .unwrap_or_default()
        .to_owned();
    let recorded = TraceContext::current();
    let unrecorded = recorded.unsampled();
    for (index, message) in messages.into_iter().enumerate() {
        let Message {
            subject, payload, ..
        } = message;
        let mut headers = batch_headers(&id, index + 1);
        let context = if message.recorded {
            &recorded
        } else {
            &unrecorded
        };
        trace::inject(context, &mut headers);
        if index == 0 {
            open(nats, subject, headers, payload).await?;
        } else {
            nats.client
                .publish_with_headers(subject, headers, payload)
                .await
                .map_err(BatchError::Send)?;
        }
    }
    let mut headers = batch_headers(&id, total);
    headers.insert(header::NATS_BATCH_COMMIT, header::NATS_BATCH_COMMIT_FINAL);
    headers.insert(
        header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
        checkpoint.expected.to_string(),
    );
    headers.insert(header::NATS_ROLLUP, "sub");
    let committed = nats
        .client
        .request_with_headers(checkpoint.subject, headers, checkpoint.payload)
        .await
        .map_err(|error| BatchError::Unknown(Box::new(error)))?;
    Ok(answer(&committed.payload)?.sequence)
}

/// Send the first message. The server answers it when it opens the batch, so that a refusal is known
/// before everything else is sent. The answer is empty when all is well.
async fn open(
    nats: &Nats,
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
) -> Result<(), BatchError> {
    let begun = Instant::now();
    let mut pause = Reconnect::default();
    loop {
        let opened = nats
            .client
            .request_with_headers(subject.clone(), headers.clone(), payload.clone())
            .await
            .map_err(|error| BatchError::Unknown(Box::new(error)))?;
        if opened.payload.is_empty() {
            return Ok(());
        }
        match answer(&opened.payload) {
            Err(BatchError::Refused { code, .. })
                if code == ErrorCode::ATOMIC_PUBLISH_TOO_MANY_INFLIGHT.0
                    && begun.elapsed() < PLACES_FREED =>
            {
                tracing::warn!("the server has no place for another batch; waiting for one");
                pause.wait().await;
            }
            answer => return answer.map(|_| ()),
        }
    }
}

fn batch_headers(id: &str, sequence: usize) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::NATS_BATCH_ID, id);
    headers.insert(header::NATS_BATCH_SEQUENCE, sequence.to_string());
    headers
}

fn answer(payload: &[u8]) -> Result<PublishAck, BatchError> {
    match serde_json::from_slice(payload).map_err(BatchError::Answer)? {
        Response::Ok(ack) => Ok(ack),
        Response::Err { error } => Err(match error.error_code() {
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE
            | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => BatchError::Fenced,
            code => BatchError::Refused {
                code: code.0,
                description: error.to_string(),
            },
        }),
    }
}
