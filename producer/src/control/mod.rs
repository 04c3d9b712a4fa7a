//! Carrying out commands: cancel, pause, resume, retry.
//!
//! Each step can be repeated, and a command is acknowledged only when all of its steps are durable:
//! should this process die over one, another one begins it again and comes to the same end.

mod cancel;
mod record;
mod retry;

use std::sync::Arc;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use contracts::kv::Control;
use contracts::{Action, Cause, Command, DecodeError, EventBody, ImportId, streams, subjects};
use jetstream::Delivery;
use runtime::backoff::Reconnect;

use crate::{Producer, announce};

/// Of a command that cannot be read, as much is kept as helps to find its sender.
const KEPT_CHARS: usize = 4096;

/// Work on one command until its effect is durable; handed back when the process stops.
pub(crate) async fn handle(producer: Arc<Producer>, delivery: Delivery) {
    let carried_out = async {
        match contracts::decode::<Command>(delivery.payload()) {
            Ok(command) => {
                patiently(&producer, &command, delivery.stream_sequence()).await;
                true
            }
            Err(error) => {
                refuse(&producer, &delivery, &error).await;
                false
            }
        }
    };
    let settled = tokio::select! {
        readable = carried_out => match readable {
            true => delivery.ack().await,
            false => delivery.term().await,
        },
        () = producer.service.stop.cancelled() => delivery.nak().await,
    };
    if let Err(error) = settled {
        tracing::warn!(error = %error, "settling failed; the command will be carried out again");
    }
}

/// Carry out a command, again and again while something it needs is away.
async fn patiently(producer: &Producer, command: &Command, sequence: u64) {
    let Command {
        import_id: import,
        action,
        requested_by,
    } = command;
    let mut pause = Reconnect::default();
    loop {
        match producer.carry_out(import, action, sequence).await {
            Ok(()) => {
                tracing::info!(import.id = %import, action = action.code(), requested_by, "command carried out");
                return;
            }
            Err(error) => {
                tracing::warn!(import.id = %import, action = action.code(), error = %format!("{error:#}"), "command cannot be carried out yet; trying again");
            }
        }
        pause.wait().await;
    }
}

impl Producer {
    async fn carry_out(
        &self,
        import: &ImportId,
        action: &Action,
        sequence: u64,
    ) -> anyhow::Result<()> {
        match action {
            Action::Cancel => {
                record::write(&self.nats, import, Control::Cancelled, sequence).await?;
                self.cancel(import).await
            }
            Action::Pause => {
                record::write(&self.nats, import, Control::Paused, sequence).await?;
                self.announce_state(import).await?;
                Ok(())
            }
            Action::Resume => {
                record::write(&self.nats, import, Control::Running, sequence).await?;
                if self.announce_state(import).await? == Control::Running {
                    self.unpark(import).await?;
                }
                Ok(())
            }
            Action::Retry { cause, item_id } => self.retry(import, *cause, item_id.as_ref()).await,
        }
    }

    /// Say what the record says, until it still says so afterwards: of several who are at it, the
    /// last to publish has seen the last state.
    async fn announce_state(&self, import: &ImportId) -> anyhow::Result<Control> {
        let mut said = None;
        loop {
            let state = record::state(&self.nats, import).await?;
            if said == Some(state) {
                return Ok(state);
            }
            let body = match state {
                Control::Running => EventBody::ImportResumed {},
                Control::Paused => EventBody::ImportPaused {},
                // Whoever cancels says so.
                Control::Cancelled => return Ok(state),
            };
            announce::state(&self.nats, import, body).await?;
            said = Some(state);
        }
    }

    /// Queue again what workers parked. Published first: a task may come twice, but is never lost.
    async fn unpark(&self, import: &ImportId) -> anyhow::Result<()> {
        let stream = self.nats.context.get_stream_no_info(streams::TASKS).await?;
        let (parked, target) = (subjects::parked_of(import), subjects::task(import));
        let mut next = 1;
        while let Some(message) = next_message(&stream, &parked, next).await? {
            let id = format!("unparked.{}", message.sequence);
            self.nats
                .publish(target.clone(), &id, message.payload)
                .await?;
            stream.delete_message(message.sequence).await?;
            next = message.sequence + 1;
        }
        Ok(())
    }
}

/// The first message under `filter` from `sequence` on, as the stream's leader has it.
async fn next_message(
    stream: &Stream<()>,
    filter: &str,
    sequence: u64,
) -> anyhow::Result<Option<StreamMessage>> {
    match stream
        .get_first_raw_message_by_subject(filter, sequence)
        .await
    {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Nothing can be done for it, but people must be able to find it.
async fn refuse(producer: &Producer, delivery: &Delivery, error: &DecodeError) {
    let cause = match error {
        DecodeError::Malformed { .. } => Cause::MalformedRequest,
        DecodeError::UnknownVersion { .. } => Cause::UnknownVersion,
    };
    let import = serde_json::from_slice::<serde_json::Value>(delivery.payload())
        .ok()
        .and_then(|value| value.get("import_id")?.as_str()?.parse().ok())
        .unwrap_or_else(|| {
            ImportId::of_stored_request(delivery.stored_ms(), delivery.stream_sequence())
        });
    tracing::error!(import.id = %import, cause = %cause, error = %error, "command cannot be read; kept as an event");
    let payload = String::from_utf8_lossy(delivery.payload());
    let body = EventBody::TaskUnreadable {
        cause,
        message: error.to_string(),
        payload: payload.chars().take(KEPT_CHARS).collect(),
    };
    let mut pause = Reconnect::default();
    while let Err(error) = announce::state(&producer.nats, &import, body.clone()).await {
        tracing::warn!(import.id = %import, error = %format!("{error:#}"), "refusal could not be recorded; trying again");
        pause.wait().await;
    }
}
