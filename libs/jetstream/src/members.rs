//! Who is in the fleet right now, by the `FLEET` bucket.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::kv::{Entry, Operation};
use contracts::kv::Presence;
use contracts::streams;
use futures::StreamExt as _;

use crate::Nats;

/// The live processes. Clones share the list.
#[derive(Clone, Default)]
pub struct Members {
    seen: Arc<Mutex<HashMap<String, (Presence, Instant)>>>,
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

    pub(crate) fn take(&self, change: Entry) {
        let mut seen = self.lock();
        match change.operation {
            Operation::Put => {
                if let Ok(presence) = serde_json::from_slice(&change.value) {
                    seen.insert(change.key, (presence, Instant::now()));
                }
            }
            Operation::Delete | Operation::Purge => {
                seen.remove(&change.key);
            }
        }
    }

    /// Those that renewed their entry in time. Expiry itself sends no change, so it is seen to here.
    pub(crate) fn live(&self) -> MutexGuard<'_, HashMap<String, (Presence, Instant)>> {
        let grace = streams::PRESENCE_TTL + Duration::from_secs(1);
        let mut seen = self.lock();
        seen.retain(|_, (_, at)| at.elapsed() < grace);
        seen
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Presence, Instant)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
