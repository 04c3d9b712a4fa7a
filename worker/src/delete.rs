//! Removing one object.

use std::time::Duration;

use contracts::{DeleteObject, EventBody};
use storage::{ErrorKind, Key, StoreError};

use crate::Worker;
use crate::handle::Settle;
use crate::import::chain;

/// How long a deletion that the store refuses rests before it is tried again.
const REFUSED: Duration = Duration::from_secs(60);

/// What became of an object.
enum Removal {
    /// It is not there, or not where we could remove it.
    Gone,
    /// Another import stored it than the one whose object was to be removed.
    NotTheirs,
}

impl Worker {
    /// Remove the object and say so. Waits while the store is away. `sequence` tells two deletions of
    /// one object apart: between them it may have been imported again.
    pub(crate) async fn delete(&self, task: &DeleteObject, sequence: u64) -> Settle {
        // A key that is none of ours names no object, so there is nothing to remove.
        if let Ok(key) = Key::new(task.key.clone()) {
            match self.remove(&key, task).await {
                Ok(Removal::Gone) => {}
                Ok(Removal::NotTheirs) => {
                    tracing::info!(
                        import.id = %task.import_id,
                        key = task.key,
                        "another import has stored the object since; it stays"
                    );
                    return Settle::Done;
                }
                Err(error) => {
                    tracing::warn!(key = task.key, error = %chain(&error), "object cannot be removed; trying again later");
                    return Settle::Later(REFUSED);
                }
            }
        }
        // No row points to a replaced object. To say that it is gone could only do harm: its file may
        // have changed back since, and a row of the same key would be taken for the one that is meant.
        if task.written_by.is_some() {
            self.metrics.outcome("replaced", None);
            return Settle::Done;
        }
        let deleted = EventBody::ImageDeleted {
            file_id: task.file_id.clone(),
            key: task.key.clone(),
        };
        self.announce(&task.import_id, &sequence.to_string(), deleted)
            .await;
        self.metrics.outcome("deleted", None);
        Settle::Done
    }

    async fn remove(&self, key: &Key, task: &DeleteObject) -> Result<Removal, StoreError> {
        if task.bucket != self.store.bucket() {
            tracing::warn!(
                bucket = task.bucket,
                key = task.key,
                "object is in a bucket that is not configured; its row is removed, the object stays"
            );
            return Ok(Removal::Gone);
        }
        loop {
            let permit = self.store_breaker.admit().await;
            match self.remove_theirs(key, task).await {
                Ok(removal) => {
                    permit.answered();
                    return Ok(removal);
                }
                // May not delete is not away: imports, which only write, must not wait for it.
                Err(error @ StoreError::Denied { .. }) => return Err(error),
                Err(error) if error.kind() == ErrorKind::Outage => permit.away(&chain(&error)),
                Err(error) => return Err(error),
            }
        }
    }

    async fn remove_theirs(&self, key: &Key, task: &DeleteObject) -> Result<Removal, StoreError> {
        if let Some(import) = &task.written_by
            && let Some(head) = self.store.head(key).await?
            && head.import_id != import.as_str()
        {
            return Ok(Removal::NotTheirs);
        }
        self.store.delete(key).await.map(|()| Removal::Gone)
    }
}
