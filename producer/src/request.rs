//! One import request, from delivery to settling.

use std::sync::Arc;

use contracts::kv::Control;
use contracts::{Cause, DecodeError, EventBody, ImportId, ImportRequest};
use jetstream::{Controls, Delivery};
use runtime::backoff::Reconnect;
use runtime::trace;

use crate::listing::Stopped;
use crate::{Producer, announce, checkpoint};

/// Every event of an import must fit into one message, and some repeat the request.
const MAX_REQUEST_BYTES: usize = 64 << 10;
/// What is said of a request that cannot be read may quote it.
const MAX_MESSAGE_CHARS: usize = 500;

/// What becomes of the delivery.
enum Outcome {
    /// Listed, or failed and recorded.
    Done,
    /// It can never be read, and that is recorded.
    Unreadable,
    /// Whoever took over holds a newer delivery of the same message, which settling this one would
    /// settle too.
    SomebodyElses,
    /// For another producer to go on with.
    HandedBack,
}

/// Work on one request until it is listed, has failed, or is somebody else's.
pub(crate) async fn handle(producer: Arc<Producer>, delivery: Delivery) {
    let derived = ImportId::of_stored_request(delivery.stored_ms(), delivery.stream_sequence());
    let (import, read) = read(delivery.payload(), derived);
    trace::note("import.id", import.as_str().to_owned());
    producer.metrics.listing.inc();
    let outcome = tokio::select! {
        outcome = async {
            match read {
                Ok(request) => work(&producer, &import, &request).await,
                Err(unreadable) => refuse(&producer, &import, unreadable).await,
            }
        } => outcome,
        // A drain does not wait for a folder of millions: the checkpoint holds all there is.
        () = producer.service.stop.cancelled() => Outcome::HandedBack,
    };
    producer.metrics.listing.dec();
    let settled = match outcome {
        Outcome::Done => delivery.ack().await,
        Outcome::Unreadable => delivery.term().await,
        Outcome::HandedBack => delivery.nak().await,
        Outcome::SomebodyElses => {
            tracing::warn!(import.id = %import, "another producer has taken this import over; standing down");
            return;
        }
    };
    if let Err(error) = settled {
        tracing::warn!(import.id = %import, error = %error, "settling failed; the request will be delivered again");
    }
}

/// Why a request cannot be read.
struct Unreadable {
    cause: Cause,
    message: String,
}

/// The request and its import's id: the one it names, if at least that can be read, else `derived`.
fn read(payload: &[u8], derived: ImportId) -> (ImportId, Result<ImportRequest, Unreadable>) {
    if payload.len() > MAX_REQUEST_BYTES {
        let message = format!("the request is larger than {MAX_REQUEST_BYTES} bytes");
        let cause = Cause::MalformedRequest;
        return (derived, Err(Unreadable { cause, message }));
    }
    let error = match contracts::decode::<ImportRequest>(payload) {
        Ok(request) => return (request.import_id.clone().unwrap_or(derived), Ok(request)),
        Err(error) => error,
    };
    let named = serde_json::from_slice::<serde_json::Value>(payload)
        .ok()
        .and_then(|value| value.get("import_id")?.as_str()?.parse().ok());
    let cause = match error {
        DecodeError::Malformed { .. } => Cause::MalformedRequest,
        DecodeError::UnknownVersion { .. } => Cause::UnknownVersion,
    };
    let message = error.to_string().chars().take(MAX_MESSAGE_CHARS).collect();
    (named.unwrap_or(derived), Err(Unreadable { cause, message }))
}

/// Held even while the import is paused: the lease keeps the request from being handed to others.
async fn work(producer: &Producer, import: &ImportId, request: &ImportRequest) -> Outcome {
    let controls = &producer.controls;
    let mut pause = Reconnect::default();
    loop {
        match controls.of(import) {
            Control::Running => {}
            Control::Paused => {
                tracing::info!(import.id = %import, "paused; listing waits");
                controls
                    .wait_for(import, |state| state != Control::Paused)
                    .await;
                continue;
            }
            // Whoever cancelled it says so, and sees to it that no batch of ours lands any more.
            Control::Cancelled => {
                tracing::info!(import.id = %import, "cancelled; listing ends");
                return Outcome::Done;
            }
        }
        let listed = tokio::select! {
            listed = producer.list_import(import, request) => listed,
            // Wherever it is: the checkpoint holds all there is.
            _ = controls.wait_for(import, |state| state != Control::Running) => continue,
        };
        match listed {
            Ok(()) => {
                tracing::info!(import.id = %import, "nothing is left to list");
                return Outcome::Done;
            }
            Err(Stopped::Fenced) => match Controls::read(&producer.nats, import).await {
                // It was the fence of a cancellation that we have not heard of yet.
                Ok(Some((record, _))) if record.state == Control::Cancelled => {
                    return Outcome::Done;
                }
                _ => return Outcome::SomebodyElses,
            },
            Err(Stopped::Failed {
                cause,
                message,
                pages,
                sequence,
            }) => {
                tracing::warn!(import.id = %import, cause = %cause, message, "import failed");
                trace::fail(cause.code());
                let failed = EventBody::ImportFailed {
                    cause,
                    message,
                    request: Some(request.clone()),
                };
                match checkpoint::finish(&producer.nats, import, failed, pages, sequence).await {
                    Ok(()) => return Outcome::Done,
                    Err(error) => {
                        tracing::warn!(import.id = %import, error = %format!("{error:#}"), "failure could not be recorded; trying again");
                    }
                }
            }
            Err(Stopped::Interrupted(error)) => {
                tracing::warn!(import.id = %import, error = %format!("{error:#}"), "listing interrupted; going on from the checkpoint");
            }
        }
        pause.wait().await;
    }
}

/// A request that cannot be read is recorded as a failed import.
async fn refuse(
    producer: &Producer,
    import: &ImportId,
    Unreadable { cause, message }: Unreadable,
) -> Outcome {
    tracing::warn!(import.id = %import, cause = %cause, error = message, "import request refused");
    trace::fail(cause.code());
    let message = format!("{message}. {}", cause.advice());
    let mut pause = Reconnect::default();
    loop {
        let failed = EventBody::ImportFailed {
            cause,
            message: message.clone(),
            request: None,
        };
        match announce::event(&producer.nats, import, 0, failed).await {
            Ok(()) => return Outcome::Unreadable,
            Err(error) => {
                tracing::warn!(import.id = %import, error = %format!("{error:#}"), "refusal could not be recorded; trying again");
            }
        }
        pause.wait().await;
    }
}
