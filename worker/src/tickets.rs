//! Paying for downloads before fetching them, so that tasks wait at NATS, in the order they came,
//! and not in workers.

use std::sync::atomic::{AtomicUsize, Ordering};

use drive::cost;
use jetstream::presence::Activity;
use runtime::{Quota, Ticket};

use crate::Worker;

/// What the last fetch told about how much work there is.
pub(crate) struct LastFetch {
    asked: AtomicUsize,
    came: AtomicUsize,
}

impl Default for LastFetch {
    fn default() -> Self {
        Self {
            asked: AtomicUsize::new(1),
            came: AtomicUsize::new(0),
        }
    }
}

impl LastFetch {
    /// A message came.
    pub(crate) fn came(&self) {
        self.came.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether all came that was asked for; begins the next.
    fn was_full(&self) -> bool {
        self.came.swap(0, Ordering::Relaxed) >= self.asked.load(Ordering::Relaxed)
    }
}

impl Worker {
    /// Leave to fetch so many tasks, `slots` at most. Waits while something is away.
    ///
    /// A worker with work pays first. One without takes a single task unpaid, so that its first finds
    /// it at once and however small the share of an idle worker is; it pays when it downloads.
    pub(crate) async fn tickets(&self, slots: usize) -> Vec<Ticket> {
        self.suspects.fetched();
        self.may_fetch().await;
        self.held.expect_more(self.last_fetch.was_full());
        let tickets = payable(&self.quota, &self.activity, slots).await;
        self.last_fetch
            .asked
            .store(tickets.len(), Ordering::Relaxed);
        self.suspects.may_fetch().await;
        tickets
    }
}

async fn payable(quota: &Quota, activity: &Activity, slots: usize) -> Vec<Ticket> {
    if !quota.is_limited() {
        return quota.reserve(cost::DOWNLOAD, slots).await;
    }
    tokio::select! {
        biased;
        // At once when idle; else when what was held is done and nothing followed.
        () = activity.rests() => vec![quota.unpaid(cost::DOWNLOAD)],
        tickets = quota.reserve(cost::DOWNLOAD, slots) => tickets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[tokio::test]
    async fn the_idle_pay_later_and_the_busy_pay_first() {
        let (quota, activity) = (Quota::new(Some(1_000_000)), Activity::default());
        quota.set_share(0.0);
        let idle = payable(&quota, &activity, 64).now_or_never();
        assert_eq!(idle.map(|tickets| tickets.len()), Some(1), "at once, one");

        activity.set_busy(true);
        assert!(payable(&quota, &activity, 64).now_or_never().is_none());
        quota.set_share(1.0);
        assert!(!payable(&quota, &activity, 64).await.is_empty());
        assert_eq!(quota.spent(), 0, "what is not used is given back");

        // Work ends while it waits for its part: the next task is found unpaid.
        quota.set_share(0.0);
        activity.set_busy(false);
        assert_eq!(payable(&quota, &activity, 64).await.len(), 1);
    }

    #[tokio::test]
    async fn without_a_limit_every_slot_is_filled() {
        let (quota, activity) = (Quota::new(None), Activity::default());
        assert_eq!(payable(&quota, &activity, 64).await.len(), 64);
    }

    #[test]
    fn a_fetch_is_full_when_all_came() {
        let last = LastFetch::default();
        assert!(!last.was_full(), "nothing has come yet");
        last.asked.store(2, Ordering::Relaxed);
        last.came();
        assert!(!last.was_full());
        last.came();
        last.came();
        assert!(last.was_full());
        assert!(!last.was_full(), "counted once");
    }
}
