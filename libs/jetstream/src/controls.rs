//! Which imports are paused or cancelled, by the `CONTROL` bucket.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::kv::{Entry, Operation};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use contracts::kv::{Control, ControlRecord};
use contracts::{ImportId, streams};
use futures::StreamExt as _;
use runtime::backoff::Reconnect;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Nats;
use crate::lost::{connected, unless_lost};

/// How often it is made sure that the watch has not fallen silent.
const LOOK: Duration = Duration::from_secs(5);

/// The imports that do not simply go on. Clones share the list, which may lag by moments: where that
/// matters, [`Controls::read`] asks the server.
#[derive(Clone)]
pub struct Controls {
    known: watch::Sender<Known>,
}

#[derive(Default)]
struct Known {
    /// Everything that was there when the watch began is in `states`.
    complete: bool,
    states: HashMap<String, Control>,
    revision: u64,
}

impl Known {
    fn put(&mut self, key: String, state: Control, revision: u64) {
        self.revision = self.revision.max(revision);
        match state {
            Control::Running => self.states.remove(&key),
            state => self.states.insert(key, state),
        };
    }
}

impl Default for Controls {
    fn default() -> Self {
        Self {
            known: watch::Sender::new(Known::default()),
        }
    }
}

impl Controls {
    /// Keep the list current until `stop`.
    pub async fn run(&self, nats: &Nats, stop: &CancellationToken) {
        let mut reconnect = Reconnect::default();
        while !stop.is_cancelled() {
            let begun = Instant::now();
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = unless_lost(&nats.client, self.follow(nats)) => ended,
            };
            if let Ok(Err(error)) = ended {
                tracing::warn!(error = %error, "pauses and cancellations cannot be followed; trying again");
            }
            if begun.elapsed() > LOOK {
                reconnect.reset();
            }
            let again = async {
                reconnect.wait().await;
                connected(&nats.client).await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = again => {}
            }
        }
    }

    /// Wait until the list holds everything that was there when the watch began.
    pub async fn loaded(&self) {
        // An error means that the sender is gone, and `self` holds it.
        let _ = self
            .known
            .subscribe()
            .wait_for(|known| known.complete)
            .await;
    }

    /// Whether `import` goes on, as far as is known here.
    #[must_use]
    pub fn of(&self, import: &ImportId) -> Control {
        let known = self.known.borrow();
        known
            .states
            .get(import.as_str())
            .copied()
            .unwrap_or_default()
    }

    /// Wait until `import` is in a state that `wanted` accepts.
    pub async fn wait_for(&self, import: &ImportId, wanted: impl Fn(Control) -> bool) -> Control {
        let mut changes = self.known.subscribe();
        let state = |known: &Known| {
            known
                .states
                .get(import.as_str())
                .copied()
                .unwrap_or_default()
        };
        match changes.wait_for(|known| wanted(state(known))).await {
            Ok(known) => state(&known),
            Err(_) => Control::default(),
        }
    }

    /// The record of `import` and its revision, as the server has it now; from the stream's leader,
    /// because a replica may lag.
    ///
    /// # Errors
    /// When NATS does not answer, or the record cannot be read.
    pub async fn read(
        nats: &Nats,
        import: &ImportId,
    ) -> Result<Option<(ControlRecord, u64)>, async_nats::Error> {
        let stream = format!("KV_{}", streams::CONTROL);
        let subject = format!("$KV.{}.{import}", streams::CONTROL);
        let stream = nats.context.get_stream_no_info(stream).await?;
        match stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) if message.payload.is_empty() => Ok(None),
            Ok(message) => Ok(Some((
                serde_json::from_slice(&message.payload)?,
                message.sequence,
            ))),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn follow(&self, nats: &Nats) -> Result<(), async_nats::Error> {
        let bucket = nats.context.get_key_value(streams::CONTROL).await?;
        let mut there = bucket.stream.clone();
        let last = there.info().await?.state.last_sequence;
        let mut changes = bucket.watch_with_history(">").await?;
        // Until all of it is heard again, what was known before stands.
        let mut fresh = Known::default();
        if last == 0 {
            self.replace(&mut fresh);
        }
        let mut look = tokio::time::interval(LOOK);
        let mut missed = None;
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    Some(change) => self.take(change?, last, &mut fresh),
                    None => return Ok(()),
                },
                _ = look.tick() => {
                    // A watch whose consumer is gone may say nothing for ever.
                    let last = there.info().await?.state.last_sequence;
                    let heard = fresh.revision.max(self.known.borrow().revision);
                    if heard < last && missed == Some(last) {
                        return Err("the watch fell silent".into());
                    }
                    missed = (heard < last).then_some(last);
                }
            }
        }
    }

    fn replace(&self, fresh: &mut Known) {
        fresh.complete = true;
        self.known.send_replace(std::mem::take(fresh));
    }

    fn take(&self, change: Entry, last: u64, fresh: &mut Known) {
        let state = match change.operation {
            Operation::Put => serde_json::from_slice::<ControlRecord>(&change.value)
                .inspect_err(|error| {
                    tracing::error!(key = change.key, error = %error, "record in CONTROL cannot be read; passed over");
                })
                .map_or(Control::Running, |record| record.state),
            Operation::Delete | Operation::Purge => Control::Running,
        };
        if change.revision <= last {
            fresh.put(change.key, state, change.revision);
            if change.revision == last {
                self.replace(fresh);
            }
        } else {
            self.known
                .send_modify(|known| known.put(change.key, state, change.revision));
        }
    }
}
