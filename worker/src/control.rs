//! Tasks of imports that were paused or cancelled.

use std::sync::atomic::{AtomicBool, Ordering};

use async_nats::HeaderMap;
use async_nats::header;
use async_nats::jetstream::stream::DeleteMessageErrorKind;
use contracts::kv::Control;
use contracts::{ImportImage, streams, subjects};
use jetstream::{Controls, Delivery};
use runtime::backoff::Reconnect;
use tokio::sync::watch;

use crate::Worker;
use crate::import::chain;

/// Whether an execution writes to the store: from there on it is finished and reported, because an
/// object that may be whole must not be left without an event.
pub(crate) struct Writing {
    now: watch::Sender<bool>,
    ever: AtomicBool,
}

impl Default for Writing {
    fn default() -> Self {
        Self {
            now: watch::Sender::new(false),
            ever: AtomicBool::new(false),
        }
    }
}

impl Writing {
    /// From now on the object may become visible.
    pub(crate) fn begin(&self) {
        self.ever.store(true, Ordering::Relaxed);
        self.now.send_replace(true);
    }

    /// It came to nothing, as far as is known.
    pub(crate) fn failed(&self) {
        self.now.send_replace(false);
    }

    /// Whether the object may be there.
    pub(crate) fn may_have_stored(&self) -> bool {
        self.ever.load(Ordering::Relaxed)
    }
}

impl Worker {
    /// Returns when the import of `task` is cancelled and nothing is being written.
    pub(crate) async fn cancelled(&self, task: &ImportImage, writing: &Writing) {
        self.controls
            .wait_for(&task.import_id, |state| state == Control::Cancelled)
            .await;
        // An error means that the sender is gone, and `writing` holds it.
        let _ = writing.now.subscribe().wait_for(|now| !now).await;
    }

    pub(crate) fn is_cancelled(&self, task: &ImportImage) -> bool {
        self.controls.of(&task.import_id) == Control::Cancelled
    }

    /// Put a task of a paused import aside, to be queued again when that is resumed. Returns whether
    /// the import goes on, by the server's word: only if it is paused has the task been parked.
    ///
    /// The copy comes first, the question second. Whoever resumes answers it first and collects the
    /// copies second; so either they find the copy, or the question finds the import resumed.
    pub(crate) async fn park(&self, delivery: &Delivery, task: &ImportImage) -> Control {
        let subject = subjects::parked(&task.import_id, &task.file.item_id);
        let copy = self
            .until_stored(|| {
                let mut headers = HeaderMap::new();
                headers.insert(header::NATS_ROLLUP, "sub");
                self.nats
                    .publish_with_headers(subject.clone(), headers, delivery.payload().clone())
            })
            .await;
        let mut pause = Reconnect::default();
        let control = loop {
            match Controls::read(&self.nats, &task.import_id).await {
                Ok(record) => break record.map(|(record, _)| record.state).unwrap_or_default(),
                Err(error) => tracing::warn!(
                    error = %chain(&*error),
                    "NATS does not say whether an import is paused; asking until it does"
                ),
            }
            pause.wait().await;
        };
        if control != Control::Paused {
            self.remove_copy(copy).await;
        }
        control
    }

    async fn remove_copy(&self, sequence: u64) {
        let mut pause = Reconnect::default();
        loop {
            let removed = match self.nats.context.get_stream_no_info(streams::TASKS).await {
                Ok(stream) => stream.delete_message(sequence).await,
                Err(error) => {
                    tracing::warn!(error = %error, "a parked task cannot be removed; trying again");
                    pause.wait().await;
                    continue;
                }
            };
            match removed {
                Ok(_) => return,
                Err(error) => match error.kind() {
                    // Collected already: it is executed once more, which changes nothing.
                    DeleteMessageErrorKind::JetStream(_) => return,
                    _ => {
                        tracing::warn!(error = %error, "a parked task cannot be removed; trying again");
                    }
                },
            }
            pause.wait().await;
        }
    }
}
