//! Who is in the fleet right now, by the `FLEET` bucket.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::jetstream::kv::{Entry, Operation};
use contracts::kv::Presence;
use contracts::streams;
use futures::StreamExt as _;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Nats;

/// The live processes. Clones share the list.
#[derive(Clone, Default)]
pub struct Members {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    seen: Mutex<HashMap<String, (Presence, Instant)>>,
    changed: Notify,
}

impl Members {
    /// Keep the list current until the watch breaks.
    ///
    /// # Errors
    /// When the bucket is missing or NATS goes away; follow again then.
    pub async fn follow(&self, nats: &Nats) -> Result<(), async_nats::Error> {
        let bucket = nats.context.get_key_value(streams::FLEET).await?;
        let mut changes = bucket.watch_with_history(">").await?;
        while let Some(change) = changes.next().await {
            self.take(change?);
        }
        Ok(())
    }

    /// What anybody waits for: dependency and reason.
    #[must_use]
    pub fn waiting(&self) -> BTreeMap<String, String> {
        let seen = self.live();
        seen.values()
            .flat_map(|(presence, _)| presence.waiting.clone())
            .collect()
    }

    /// Every live process with its name, by role and name.
    #[must_use]
    pub fn all(&self) -> Vec<(String, Presence)> {
        let live = self.live();
        let mut all: Vec<_> = live
            .iter()
            .map(|(name, (presence, _))| (name.clone(), presence.clone()))
            .collect();
        drop(live);
        all.sort_by(|a, b| (&a.1.role, &a.0).cmp(&(&b.1.role, &b.0)));
        all
    }

    pub(crate) fn take(&self, change: Entry) {
        match change.operation {
            Operation::Put => {
                if let Ok(presence) = serde_json::from_slice(&change.value) {
                    self.put(change.key, presence);
                }
            }
            Operation::Delete | Operation::Purge => self.remove(&change.key),
        }
    }

    pub(crate) fn put(&self, key: String, presence: Presence) {
        self.lock().insert(key, (presence, Instant::now()));
        self.inner.changed.notify_one();
    }

    pub(crate) fn remove(&self, key: &str) {
        self.lock().remove(key);
        self.inner.changed.notify_one();
    }

    /// Wait for a change since the last call; for one caller. Expiry is none.
    pub(crate) async fn changed(&self) {
        self.inner.changed.notified().await;
    }

    /// Those that renewed their entry in time. Expiry itself sends no change, so it is seen to here.
    pub(crate) fn live(&self) -> MutexGuard<'_, HashMap<String, (Presence, Instant)>> {
        let mut seen = self.lock();
        seen.retain(|_, (_, at)| at.elapsed() < streams::PRESENCE_TTL);
        seen
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Presence, Instant)>> {
        self.inner
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
