//! Pause and resume.

use contracts::kv::Control;
use contracts::{EventBody, ImportId, subjects};
use futures::{StreamExt as _, TryStreamExt as _};

use super::{queue, record};
use crate::{Producer, announce};

impl Producer {
    /// Nothing more of the import is started; workers park its tasks from now on.
    pub(super) async fn pause(&self, import: &ImportId, command: u64) -> anyhow::Result<()> {
        record::set(&self.nats, import, Control::Paused, command).await?;
        // Even if a later command holds: an executor of this one may have died between a stale
        // announcement and its correction.
        self.announce_state(import).await?;
        Ok(())
    }

    /// It goes on, with the tasks that were parked.
    pub(super) async fn resume(&self, import: &ImportId, command: u64) -> anyhow::Result<()> {
        record::set(&self.nats, import, Control::Running, command).await?;
        if self.announce_state(import).await? == Control::Running {
            self.unpark(import).await?;
        }
        Ok(())
    }

    /// Announce what the record says, and again if it changed meanwhile: whoever announces last has
    /// then seen the last state.
    async fn announce_state(&self, import: &ImportId) -> anyhow::Result<Control> {
        let mut state = record::state(&self.nats, import).await?;
        loop {
            let body = match state {
                Control::Running => EventBody::ImportResumed {},
                Control::Paused => EventBody::ImportPaused {},
                // Whoever cancels announces it.
                Control::Cancelled => return Ok(state),
            };
            announce::state(&self.nats, import, body).await?;
            let now = record::state(&self.nats, import).await?;
            if now == state {
                return Ok(state);
            }
            state = now;
        }
    }

    /// Move every parked task back to the queue. A worker parks before it looks at the record, which
    /// says *running* already: so nothing stays behind when the last one is moved.
    async fn unpark(&self, import: &ImportId) -> anyhow::Result<()> {
        let stream = queue::stream(&self.nats).await?;
        let filter = subjects::parked_of(import);
        let subject = subjects::task(import);
        loop {
            let mut parked = queue::some(&stream, &filter, 0).await?;
            if parked.is_empty() {
                return Ok(());
            }
            tokio::select! {
                room = self.window.wait_for_room(&self.nats, import) => parked.truncate(room?),
                // Another command will see to what is parked.
                _ = self.controls.wait_for(import, |state| state != Control::Running) => {
                    return Ok(());
                }
            }
            // Stored on the queue first, then removed. The message id tells a repetition of this
            // move from the task's first publication, which the server may remember.
            let (stream, subject) = (&stream, &subject);
            futures::stream::iter(parked)
                .map(Ok)
                .try_for_each_concurrent(queue::AT_ONCE, |parked| async move {
                    let message_id = format!("{import}.parked.{}", parked.sequence);
                    let publish = self
                        .nats
                        .publish(subject.clone(), &message_id, parked.payload);
                    // It goes on where it was parked, in its import's trace.
                    let trace = jetstream::trace::context(Some(&parked.headers));
                    trace.around(publish).await?;
                    queue::delete(stream, parked.sequence).await
                })
                .await?;
        }
    }
}
