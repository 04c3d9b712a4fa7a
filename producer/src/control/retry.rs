//! Re-driving failed entries: each gets a new run.

use contracts::event::RedrivenItem;
use contracts::kv::Control;
use contracts::{Cause, EventBody, FileId, ImportId, ImportImage, Task, subjects};
use futures::{StreamExt as _, TryStreamExt as _};
use read_model::FailedItem;

use super::record;
use crate::{Producer, announce};

/// Entries queued between two looks at whether there is room.
const CHUNK: u32 = 200;
/// Publishes under way at once.
const AT_ONCE: usize = 32;

impl Producer {
    /// Queue what failed: all of it, what failed for `cause`, or `only` one entry.
    pub(super) async fn retry(
        &self,
        import: &ImportId,
        cause: Option<Cause>,
        only: Option<&FileId>,
    ) -> anyhow::Result<()> {
        let mut after = None;
        loop {
            if record::state(&self.nats, import).await? == Control::Cancelled {
                tracing::info!(import.id = %import, "a cancelled import is not retried");
                return Ok(());
            }
            let found = self.failed(import, cause, after.as_ref()).await?;
            let Some(last) = found.last().map(|item| item.item_id.clone()) else {
                return Ok(());
            };
            let past = only.is_some_and(|only| *only <= last);
            let wanted: Vec<_> = found
                .into_iter()
                .filter(|item| only.is_none_or(|only| *only == item.item_id))
                .map(next_run)
                .collect();
            if !wanted.is_empty() {
                self.window.wait_for_room(&self.nats, import).await?;
                self.redrive(import, wanted).await?;
            }
            if past {
                return Ok(());
            }
            after = Some(last);
        }
    }

    async fn failed(
        &self,
        import: &ImportId,
        cause: Option<Cause>,
        after: Option<&FileId>,
    ) -> anyhow::Result<Vec<FailedItem>> {
        let found = self
            .read_model
            .failed_items(import, cause, after, CHUNK)
            .await;
        match &found {
            Ok(_) => self.service.health.ready("sql"),
            Err(error) => self.service.health.waiting("sql", error.to_string()),
        }
        Ok(found?)
    }

    /// The tasks first, then the event. Who dies in between repeats both: the tasks are the same
    /// messages, and within a run the first outcome counts.
    async fn redrive(&self, import: &ImportId, tasks: Vec<ImportImage>) -> anyhow::Result<()> {
        let items = tasks
            .iter()
            .map(|task| RedrivenItem {
                item_id: task.file.item_id.clone(),
                run: task.run,
            })
            .collect();
        let subject = subjects::task(import);
        futures::stream::iter(tasks)
            .map(Ok)
            .try_for_each_concurrent(AT_ONCE, |task| {
                let subject = subject.clone();
                async move {
                    let id = task.message_id();
                    let payload = contracts::encode(&Task::ImportImage(task))?;
                    self.nats.publish(subject, &id, payload.into()).await?;
                    anyhow::Ok(())
                }
            })
            .await?;
        announce::state(&self.nats, import, EventBody::ImportRedriven { items }).await
    }
}

fn next_run(item: FailedItem) -> ImportImage {
    ImportImage {
        run: item.task.run.saturating_add(1),
        attempt: 1,
        ..item.task
    }
}
