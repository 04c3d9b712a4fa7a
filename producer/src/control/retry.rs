//! Retry: failed entries are queued again, as a new run of each.

use std::time::Duration;

use contracts::event::RedrivenItem;
use contracts::kv::Control;
use contracts::{Cause, EventBody, FileId, ImportId, ImportImage, Task, streams, subjects};
use futures::{StreamExt as _, TryStreamExt as _};
use runtime::trace::TraceContext;

use super::record;
use crate::{Producer, announce};

/// Entries asked for at once.
const CHUNK: u32 = 200;
/// Publications under way at once.
const AT_ONCE: usize = 64;
/// How often the projector is looked at.
const LAG: Duration = Duration::from_millis(100);

impl Producer {
    /// Queue failed entries again: all, those of one cause, or one.
    pub(super) async fn redrive(
        &self,
        import: &ImportId,
        cause: Option<Cause>,
        item: Option<&FileId>,
    ) -> anyhow::Result<()> {
        if record::state(&self.nats, import).await? == Control::Cancelled {
            tracing::info!(import.id = %import, "a cancelled import is not retried");
            return Ok(());
        }
        tokio::select! {
            redriven = self.redrive_failed(import, cause, item) => {
                let redriven = redriven?;
                tracing::info!(import.id = %import, redriven, "failed entries are queued again");
                Ok(())
            }
            _ = self.controls.wait_for(import, |state| state == Control::Cancelled) => Ok(()),
        }
    }

    async fn redrive_failed(
        &self,
        import: &ImportId,
        cause: Option<Cause>,
        item: Option<&FileId>,
    ) -> anyhow::Result<u64> {
        self.caught_up().await?;
        let mut after = item.and_then(before);
        let mut redriven = 0;
        let mut queued = 0;
        loop {
            let failed = self
                .ask(|| {
                    self.read_model
                        .failed_items(import, cause, after.as_ref(), CHUNK)
                })
                .await;
            let Some(last) = failed.last() else {
                return Ok(redriven);
            };
            let last = last.item_id.clone();
            let tasks: Vec<ImportImage> = failed
                .into_iter()
                .filter(|failed| item.is_none_or(|item| *item == failed.item_id))
                .map(|failed| next_run(failed.task))
                .collect();
            redriven += tasks.len() as u64;
            let mut tasks = tasks.as_slice();
            while !tasks.is_empty() {
                let room = self.window.wait_for_room(&self.nats, import).await?;
                let (now, later) = tasks.split_at(room.min(tasks.len()));
                let queue = self.queue_again(import, now, queued);
                let trace = TraceContext::current().batch(queued, now.len());
                trace.around(queue).await?;
                queued += now.len() as u64;
                tasks = later;
            }
            if item.is_some_and(|item| *item <= last) {
                return Ok(redriven);
            }
            after = Some(last);
        }
    }

    /// The tasks, and then the event. Dying in between repeats both: a task is the same message
    /// again, and within a run the first outcome counts.
    async fn queue_again(
        &self,
        import: &ImportId,
        tasks: &[ImportImage],
        first: u64,
    ) -> anyhow::Result<()> {
        let items: Vec<RedrivenItem> = tasks
            .iter()
            .map(|task| RedrivenItem {
                item_id: task.file.item_id.clone(),
                run: task.run,
            })
            .collect();
        let subject = subjects::task(import);
        let subject = &subject;
        futures::stream::iter(tasks.iter().cloned().zip(first..))
            .map(Ok)
            .try_for_each_concurrent(AT_ONCE, |(task, n)| async move {
                let message_id = task.message_id();
                let payload = contracts::encode(&Task::ImportImage(task))?;
                let publish = self
                    .nats
                    .publish(subject.clone(), &message_id, payload.into());
                let trace = TraceContext::current().nth(n);
                trace.around(publish).await?;
                anyhow::Ok(())
            })
            .await?;
        self.metrics
            .entries
            .with_label_values(&["redriven"])
            .inc_by(items.len() as u64);
        // Without a message id: of two retries that overlap, neither repeats the other.
        announce::state(&self.nats, import, EventBody::ImportRedriven { items }).await
    }

    /// Wait until the read model knows what has happened up to now: the failures that whoever
    /// retries has seen, and what an executor of this command did before it died.
    async fn caught_up(&self) -> anyhow::Result<()> {
        let events = self.nats.context.get_stream(streams::EVENTS).await?;
        let last = events.cached_info().state.last_sequence;
        self.ask(|| async {
            // A projector that works is behind by moments, which is not worth a word.
            let mut folded = 0;
            for _ in 0..20 {
                folded = self.read_model.checkpoint(read_model::CHECKPOINT).await?;
                if folded >= last {
                    return Ok(());
                }
                tokio::time::sleep(LAG).await;
            }
            anyhow::bail!("a retry needs event {last}; the projector has got to {folded}")
        })
        .await;
        Ok(())
    }
}

fn next_run(task: ImportImage) -> ImportImage {
    ImportImage {
        run: task.run.saturating_add(1),
        attempt: 1,
        ..task
    }
}

/// An id that is ordered shortly before `item`: the queries answer with what comes after one.
fn before(item: &FileId) -> Option<FileId> {
    let item = item.as_str();
    item[..item.len().saturating_sub(1)].parse().ok()
}
