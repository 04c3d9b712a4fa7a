//! Commands to imports: cancel, pause, resume, retry.
//!
//! Each is carried out in steps that may be repeated: an executor that dies leaves its command to
//! another, and two that carry out the same one come to the same end.

mod cancel;
mod pause;
mod queue;
mod record;
mod retry;

use std::sync::Arc;

use contracts::{Action, Cause, Command, DecodeError, Event, EventBody, ImportId, subjects};
use jetstream::Delivery;
use runtime::backoff::Reconnect;
use runtime::trace;

use crate::Producer;

/// Commands that one process carries out at once. Far more than will ever be asked for: retries that
/// wait for the database or for room on the queue must not keep a cancellation waiting.
pub(crate) const AT_ONCE: usize = 1_000;

/// What is kept of a command that cannot be read.
const KEPT_CHARS: usize = 4_096;

/// Carry out one command, and again until it is done.
pub(crate) async fn handle(producer: Arc<Producer>, delivery: Delivery) {
    let read = contracts::decode::<Command>(delivery.payload());
    let done = tokio::select! {
        () = async {
            match &read {
                Ok(command) => obey(&producer, command, delivery.stream_sequence()).await,
                Err(error) => keep(&producer, &delivery, error).await,
            }
        } => true,
        () = producer.service.stop.cancelled() => false,
    };
    let settled = match (done, read) {
        (true, Ok(_)) => delivery.ack().await,
        (true, Err(_)) => delivery.term().await,
        (false, _) => delivery.nak().await,
    };
    if let Err(error) = settled {
        tracing::warn!(error = %error, "settling failed; the command will be carried out again");
    }
}

async fn obey(producer: &Producer, command: &Command, sequence: u64) {
    let (import, action) = (&command.import_id, command.action.code());
    let by = command.requested_by.as_deref();
    trace::note("import.id", import.as_str().to_owned());
    trace::note("action", action);
    tracing::info!(import.id = %import, action, command = sequence, by, "carrying out a command");
    let mut pause = Reconnect::default();
    loop {
        let done = match &command.action {
            Action::Cancel => producer.cancel(import, sequence).await,
            Action::Pause => producer.pause(import, sequence).await,
            Action::Resume => producer.resume(import, sequence).await,
            Action::Retry { cause, item_id } => {
                producer.redrive(import, *cause, item_id.as_ref()).await
            }
        };
        match done {
            Ok(()) => break,
            Err(error) => {
                tracing::warn!(import.id = %import, action, error = %format!("{error:#}"), "command interrupted; beginning it again");
            }
        }
        pause.wait().await;
    }
    producer.metrics.commands.with_label_values(&[action]).inc();
}

/// A command that cannot be read changes nothing, but must not vanish either.
async fn keep(producer: &Producer, delivery: &Delivery, error: &DecodeError) {
    let cause = match error {
        DecodeError::Malformed { .. } => Cause::MalformedCommand,
        DecodeError::UnknownVersion { .. } => Cause::UnknownVersion,
    };
    let payload = delivery.payload();
    let sequence = delivery.stream_sequence();
    let import = named(payload)
        .unwrap_or_else(|| ImportId::of_stored_request(delivery.stored_ms(), sequence));
    tracing::error!(import.id = %import, cause = %cause, error = %error, "command cannot be read; kept as an event");
    let start = |text: &str| text.chars().take(KEPT_CHARS).collect();
    let body = EventBody::TaskUnreadable {
        cause,
        message: start(&format!("{error}. {}", cause.advice())),
        payload: start(&String::from_utf8_lossy(payload)),
    };
    let subject = subjects::event(&import, body.kind());
    let message_id = format!("{import}.command.{sequence}");
    let event = Event::now(import.clone(), body);
    let mut pause = Reconnect::default();
    loop {
        let published = async {
            let event = contracts::encode(&event)?;
            producer
                .nats
                .publish(subject.clone(), &message_id, event.into())
                .await?;
            anyhow::Ok(())
        };
        match published.await {
            Ok(()) => break,
            Err(error) => {
                tracing::warn!(import.id = %import, error = %format!("{error:#}"), "unreadable command could not be recorded; trying again");
            }
        }
        pause.wait().await;
    }
    producer
        .metrics
        .commands
        .with_label_values(&["unreadable"])
        .inc();
}

/// The import that a command means to name, if at least that can be read.
fn named(payload: &[u8]) -> Option<ImportId> {
    let value: serde_json::Value = serde_json::from_slice(payload).ok()?;
    value.get("import_id")?.as_str()?.parse().ok()
}
