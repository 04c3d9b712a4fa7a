//! Cancel.

use async_nats::jetstream::message::StreamMessage;
use contracts::kv::Control;
use contracts::{EventBody, ImportId, Task, streams, subjects};
use futures::{StreamExt as _, TryStreamExt as _};

use super::{queue, record};
use crate::{Producer, announce, checkpoint};

impl Producer {
    /// Give up what is left of the import, for good.
    pub(super) async fn cancel(&self, import: &ImportId, command: u64) -> anyhow::Result<()> {
        record::set(&self.nats, import, Control::Cancelled, command).await?;
        self.close(import).await?;
        self.empty(import).await
    }

    /// End the listing: whoever still lists is refused from now on, as a stale producer is.
    async fn close(&self, import: &ImportId) -> anyhow::Result<()> {
        loop {
            let (at, expected) = match checkpoint::load(&self.nats, import).await? {
                Some((at, sequence)) => (Some(at), sequence),
                None => (None, 0),
            };
            let pages = at.as_ref().map_or(0, |at| at.pages);
            if at.is_some_and(|at| at.done) {
                return announce::event(&self.nats, import, pages, EventBody::ImportCancelled {})
                    .await;
            }
            let cancelled = EventBody::ImportCancelled {};
            match checkpoint::finish(&self.nats, import, cancelled, pages, expected).await {
                // A batch was faster.
                Err(error) if checkpoint::is_fenced(&error) => {}
                closed => return closed,
            }
        }
    }

    /// Take the import's tasks off the queue, save those that a worker was handed: an object may be
    /// stored for one already, so its worker (or the next one, should that die) sees to it.
    async fn empty(&self, import: &ImportId) -> anyhow::Result<()> {
        let stream = queue::stream(&self.nats).await?;
        let tasks = subjects::task(import);
        loop {
            let mut removed = 0;
            for filter in [subjects::retries_of(import), subjects::parked_of(import)] {
                removed += stream.purge().filter(filter).await?.purged;
            }
            let mut from = 0;
            loop {
                let handed_out = stream.consumer_info(streams::WORKERS).await?;
                let handed_out = handed_out.delivered.stream_sequence;
                let waiting = queue::some(&stream, &tasks, from.max(handed_out + 1)).await?;
                let Some(last) = waiting.last() else {
                    break;
                };
                from = last.sequence + 1;
                let images: Vec<_> = waiting.into_iter().filter(imports_an_image).collect();
                removed += images.len() as u64;
                futures::stream::iter(images)
                    .map(Ok)
                    .try_for_each_concurrent(queue::AT_ONCE, |task| {
                        queue::delete(&stream, task.sequence)
                    })
                    .await?;
            }
            // A retry may have come due between the two.
            if removed == 0 {
                return Ok(());
            }
        }
    }
}

/// A deletion that somebody asked for goes ahead, whatever becomes of the import.
fn imports_an_image(message: &StreamMessage) -> bool {
    !matches!(
        contracts::decode(&message.payload),
        Ok(Task::DeleteObject(_))
    )
}
