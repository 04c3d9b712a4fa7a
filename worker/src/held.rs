//! Which tasks this process holds.

use std::collections::HashSet;

use jetstream::presence::Activity;
use prometheus::IntGauge;
use tokio::sync::watch;

/// The tasks held, by their sequence in the stream.
pub(crate) struct Held {
    sequences: watch::Sender<HashSet<u64>>,
    activity: Activity,
    gauge: IntGauge,
}

/// One task held, until this is dropped.
pub(crate) struct Hold<'a> {
    held: &'a Held,
    sequence: u64,
}

impl Held {
    pub(crate) fn new(activity: Activity, gauge: IntGauge) -> Self {
        Self {
            sequences: watch::Sender::new(HashSet::new()),
            activity,
            gauge,
        }
    }

    /// Hold the task with this sequence; `None` if it is held already.
    pub(crate) fn hold(&self, sequence: u64) -> Option<Hold<'_>> {
        self.change(|sequences| sequences.insert(sequence))
            .then(|| Hold {
                held: self,
                sequence,
            })
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
            self.activity.set_busy(!sequences.is_empty());
            changed
        })
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.held
            .change(|sequences| sequences.remove(&self.sequence));
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
        let first = held.hold(7).unwrap();
        assert!(held.hold(7).is_none());
        let other = held.hold(8).unwrap();
        assert_eq!(gauge.get(), 2);
        drop(first);
        let again = held.hold(7).unwrap();
        drop((again, other));
        held.none().await;
        assert_eq!(gauge.get(), 0);
    }
}
