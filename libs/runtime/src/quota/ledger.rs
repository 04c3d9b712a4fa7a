//! What was allowed and what was spent in the last minute, so that no minute holds more than the
//! quota, whatever happened to the share meanwhile.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The minute of the quota, and what calls may be late by on their way: of two that are a minute
/// apart, the other side may see the first one late and the second one not.
pub(super) const WINDOW: f64 = 60.8;
/// How fine it is.
pub(super) const STEP: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(super) struct Ledger {
    steps: VecDeque<Step>,
}

struct Step {
    begun: Instant,
    allowed: f64,
    spent: u32,
}

impl Ledger {
    /// From `from` until `now`, `per_second` was allowed.
    pub(super) fn allow(&mut self, from: Instant, now: Instant, per_second: f64) {
        let window = Duration::from_secs_f64(WINDOW);
        // Older than the window, it would be forgotten below.
        let mut from = now
            .checked_sub(window)
            .map_or(from, |oldest| from.max(oldest));
        loop {
            let begun = match self.steps.back() {
                Some(last) if from.duration_since(last.begun) < STEP => last.begun,
                _ => {
                    self.steps.push_back(Step {
                        begun: from,
                        allowed: 0.0,
                        spent: 0,
                    });
                    from
                }
            };
            let until = now.min(begun + STEP);
            if let Some(last) = self.steps.back_mut() {
                last.allowed += until.duration_since(from).as_secs_f64() * per_second;
            }
            from = until;
            if from >= now {
                break;
            }
        }
        while self
            .steps
            .front()
            .is_some_and(|step| now.duration_since(step.begun) >= window + STEP)
        {
            self.steps.pop_front();
        }
    }

    /// Now.
    pub(super) fn spend(&mut self, units: u32) {
        // None before anything was allowed, as without a limit.
        if let Some(last) = self.steps.back_mut() {
            last.spent += units;
        }
    }

    /// Units allowed in the window and not spent.
    pub(super) fn room(&self, now: Instant) -> f64 {
        let all: f64 = self
            .steps
            .iter()
            .map(|step| step.allowed - f64::from(step.spent))
            .sum();
        // The oldest step leaves bit by bit. What was spent in it counts until all of it has left.
        let left = self.steps.front().map_or(0.0, |step| {
            let age = now.duration_since(step.begun).as_secs_f64();
            step.allowed * ((age - WINDOW) / STEP.as_secs_f64()).clamp(0.0, 1.0)
        });
        all - left
    }

    /// Units spent in the last minute.
    pub(super) fn spent(&self, now: Instant) -> u64 {
        let minute = Duration::from_secs(60);
        let recent = self
            .steps
            .iter()
            .rev()
            .take_while(|step| now.duration_since(step.begun) < minute);
        recent.map(|step| u64::from(step.spent)).sum()
    }

    pub(super) fn is_unspent(&self) -> bool {
        self.steps.iter().all(|step| step.spent == 0)
    }
}
