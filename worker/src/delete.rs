//! Removing one object.

use contracts::{DeleteObject, EventBody};
use storage::{ErrorKind, Key};

use crate::Worker;

impl Worker {
    /// Remove the object and say so. Waits while the store is away.
    pub(crate) async fn delete(&self, task: &DeleteObject) {
        // A key that is none of ours names no object, so there is nothing to remove.
        if let Ok(key) = Key::new(task.key.clone()) {
            self.remove(&key, task).await;
        }
        let deleted = EventBody::ImageDeleted {
            file_id: task.file_id.clone(),
            key: task.key.clone(),
        };
        let id = format!("{}.{}", task.file_id, task.key);
        self.announce(&task.import_id, &id, deleted).await;
        self.metrics
            .images
            .with_label_values(&["deleted", ""])
            .inc();
    }

    async fn remove(&self, key: &Key, task: &DeleteObject) {
        if task.bucket != self.store().bucket() {
            tracing::warn!(
                bucket = task.bucket,
                key = task.key,
                "object is in a bucket that is not configured; its row is removed, the object stays"
            );
            return;
        }
        loop {
            let permit = self.store_breaker.admit().await;
            match self.store().delete(key).await {
                Ok(()) => return permit.answered(),
                Err(error) if error.kind() == ErrorKind::Outage => permit.away(&error.to_string()),
                Err(error) => {
                    permit.answered();
                    tracing::warn!(key = task.key, error = %error, "object cannot be removed; trying again");
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    }
}
