//! This process's share of the Drive quota, so that all shares together never exceed the whole.

use std::collections::VecDeque;
use std::time::Duration;

use contracts::kv::Presence;
use tokio::time::Instant;

use crate::Members;

/// What a producer weighs beside a worker: listing a page of 999 images costs half of what
/// downloading one of them does.
const PRODUCER_WEIGHT: f64 = 0.02;
/// Within this time everybody has heard of a change. Who gains by it waits as long for those who
/// lose.
const HEARD: Duration = Duration::from_secs(1);

/// What was right lately; the least of it counts: less at once, more when it has been more for
/// [`HEARD`].
#[derive(Default)]
pub(crate) struct Share {
    /// Since when what was right, in order.
    recent: VecDeque<(Instant, f64)>,
}

impl Share {
    /// The share of `instance` by who is there now. Nothing before its own entry is heard of, and
    /// nothing once that has expired, because to the others it has, too.
    pub(crate) fn of(&mut self, instance: &str, members: &Members) -> f64 {
        let now = Instant::now();
        let (right, alone) = {
            let live = members.live();
            let total: f64 = live.values().map(|(presence, _)| weight(presence)).sum();
            let mine = live
                .get(instance)
                .map_or(0.0, |(presence, _)| weight(presence));
            let right = if mine > 0.0 { mine / total } else { 0.0 };
            (right, total <= mine)
        };
        if alone && right > 0.0 {
            // Nobody is there to lose anything. Whoever comes later hears of us first, and waits.
            self.recent.clear();
        } else if self.recent.is_empty() {
            self.recent.push_back((now, 0.0));
        }
        if self.recent.back().is_none_or(|(_, last)| *last != right) {
            self.recent.push_back((now, right));
        }
        // Of what was right before HEARD, only the last still was then.
        while self
            .recent
            .get(1)
            .is_some_and(|(since, _)| now.duration_since(*since) >= HEARD)
        {
            self.recent.pop_front();
        }
        self.recent
            .iter()
            .fold(right, |least, (_, right)| least.min(*right))
    }
}

fn weight(presence: &Presence) -> f64 {
    match (presence.role.as_str(), presence.busy) {
        ("projector", _) => 0.0,
        ("producer", true) => PRODUCER_WEIGHT,
        (_, true) => 1.0,
        // Nobody is ever without a share: the first call after idling must not wait for the fleet.
        (_, false) => PRODUCER_WEIGHT / 4.0,
    }
}

#[cfg(test)]
mod tests;
