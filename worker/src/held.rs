//! Which tasks this process holds.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use contracts::ImportId;
use jetstream::presence::Activity;
use prometheus::IntGauge;
use tokio::sync::watch;

/// The tasks held, by their sequence in the stream.
pub(crate) struct Held {
    sequences: watch::Sender<HashSet<u64>>,
    /// There is more where the last ones came from.
    more: AtomicBool,
    activity: Activity,
    gauge: IntGauge,
}

/// One task held, until this is dropped.
pub(crate) struct Hold<'a> {
    held: &'a Held,
    sequence: u64,
    import: Option<ImportId>,
}

impl Held {
    pub(crate) fn new(activity: Activity, gauge: IntGauge) -> Self {
        Self {
            sequences: watch::Sender::new(HashSet::new()),
            more: AtomicBool::new(false),
            activity,
            gauge,
        }
    }

    /// Hold the task with this sequence, of `import` as far as its subject tells; `None` if it is held
    /// already.
    pub(crate) fn hold(&self, sequence: u64, import: Option<ImportId>) -> Option<Hold<'_>> {
        if !self.change(|sequences| sequences.insert(sequence)) {
            return None;
        }
        if let Some(import) = &import {
            self.activity.hold(import.clone());
        }
        Some(Hold {
            held: self,
            sequence,
            import,
        })
    }

    /// Whether there is more to come, as far as is known: then the process is busy with paying for it
    /// even while it holds nothing.
    pub(crate) fn expect_more(&self, more: bool) {
        self.more.store(more, Ordering::Relaxed);
        self.change(|_| false);
    }

    /// Wait until nothing is held.
    pub(crate) async fn none(&self) {
        // An error means that the sender is gone, and `self` holds it.
        let _ = self.sequences.subscribe().wait_for(HashSet::is_empty).await;
    }

    /// Change what is held and say so, all under one lock: the last word must be the true one.
    fn change(&self, change: impl FnOnce(&mut HashSet<u64>) -> bool) -> bool {
        self.sequences.send_if_modified(|sequences| {
            let changed = change(sequences);
            self.gauge
                .set(i64::try_from(sequences.len()).unwrap_or(i64::MAX));
            // With work in hand, the process takes its part of the quota.
            let more = self.more.load(Ordering::Relaxed);
            self.activity.set_busy(more || !sequences.is_empty());
            changed
        })
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.held
            .change(|sequences| sequences.remove(&self.sequence));
        if let Some(import) = &self.import {
            self.held.activity.release(import);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_is_held_once_and_let_go_when_dropped() {
        let gauge = IntGauge::new("held", "held").unwrap();
        let held = Held::new(Activity::default(), gauge.clone());
        let first = held.hold(7, None).unwrap();
        assert!(held.hold(7, None).is_none());
        let other = held.hold(8, None).unwrap();
        assert_eq!(gauge.get(), 2);
        drop(first);
        let again = held.hold(7, None).unwrap();
        drop((again, other));
        held.none().await;
        assert_eq!(gauge.get(), 0);
    }

    #[test]
    fn what_is_held_is_told_by_import() {
        let activity = Activity::default();
        let held = Held::new(activity.clone(), IntGauge::new("held", "held").unwrap());
        let import = |id: &str| id.parse::<ImportId>().ok();
        let [first, second] = [1, 2].map(|n| held.hold(n, import("one")));
        let third = held.hold(3, import("two"));
        assert!(held.hold(3, import("two")).is_none());
        let told = |id: &str| activity.holds().get(&id.parse().unwrap()).copied();
        assert_eq!((told("one"), told("two")), (Some(2), Some(1)));
        drop((first, third));
        assert_eq!((told("one"), told("two")), (Some(1), None));
        drop(second);
        assert!(activity.holds().is_empty());
    }

    #[tokio::test]
    async fn whoever_expects_more_stays_busy_with_nothing_held() {
        let activity = Activity::default();
        let held = Held::new(activity.clone(), IntGauge::new("held", "held").unwrap());
        assert!(!activity.is_busy());
        held.expect_more(true);
        drop(held.hold(1, None).unwrap());
        assert!(activity.is_busy());
        held.expect_more(false);
        assert!(activity.is_busy(), "for a moment more may come");
        activity.rests().await;
        assert!(!activity.is_busy());
    }
}
