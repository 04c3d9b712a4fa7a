//! This process's share of the Drive quota, so that all shares together never exceed the whole.

use std::collections::VecDeque;
use std::time::Duration;

use contracts::kv::Presence;
use tokio::time::Instant;

use crate::Members;

/// What a busy producer weighs beside a worker that does not say.
const PRODUCER: f64 = 0.02;
/// What the idle weigh. Nobody is ever without a share: the first call after idling must not wait for
/// the fleet. It need not: the dearest call is saved up for, however small the share.
const IDLE: f64 = 0.001;
/// What producers weigh together at most, of what busy workers do: listing folders of one image
/// costs half of what downloading it does.
const LISTING: f64 = 0.5;
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
            let (mut listing, mut others, mut downloading) = (0.0, 0.0, 0.0);
            for (presence, _) in live.values() {
                match (is_listing(presence), presence.busy) {
                    (true, _) => listing += weight(presence),
                    (false, busy) => {
                        others += weight(presence);
                        downloading += if busy { weight(presence) } else { 0.0 };
                    }
                }
            }
            // With no worker busy there is nobody to leave anything to.
            let most = if downloading > 0.0 {
                downloading * LISTING
            } else {
                f64::INFINITY
            };
            let bounded = if listing > most { most / listing } else { 1.0 };
            let total = others + listing * bounded;
            let mine = live.get(instance).map_or(0.0, |(presence, _)| {
                weight(presence) * if is_listing(presence) { bounded } else { 1.0 }
            });
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
        ("producer", true) => presence.weight.map_or(PRODUCER, |thousandths| {
            f64::from(thousandths.max(1)) / 1000.0
        }),
        (_, true) => 1.0,
        (_, false) => IDLE,
    }
}

fn is_listing(presence: &Presence) -> bool {
    presence.role == "producer" && presence.busy
}

#[cfg(test)]
mod tests;
