//! Pacing to a share of the Drive quota.
//!
//! Paced, a fleet uses nearly all of a quota; hitting the limit and retrying wastes a part of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How much may be spent ahead of the pace. The pace is lowered by as much, so that no window of
/// 60 s ever holds more than the quota.
const BURST: f64 = 0.5;
const WINDOW: f64 = 60.0;
/// The pace is never adapted below this part of the share.
const FLOOR: f64 = 0.05;

/// This process's part of the quota. Clones share it.
#[derive(Clone)]
pub struct Quota {
    inner: Arc<Inner>,
}

struct Inner {
    /// Units per minute of the whole fleet; `None` is unlimited.
    units_per_minute: Option<u32>,
    pace: Mutex<Pace>,
    /// Fair (first come, first served): its holder is the next to spend.
    turn: tokio::sync::Mutex<Turn>,
    changed: Notify,
}

struct Pace {
    /// This process's part of the whole, 0 to 1.
    share: f64,
    /// Lowered when the other side complains, recovers in small steps.
    adapted: f64,
    lowered_at: Option<Instant>,
    /// Nothing is spent before this: the other side asked for a pause.
    not_before: Option<Instant>,
    spent: u64,
}

struct Turn {
    /// When everything spent so far is paid for.
    paid_at: Instant,
}

impl Quota {
    /// `units_per_minute` for the whole fleet; this process starts with all of it.
    #[must_use]
    pub fn new(units_per_minute: Option<u32>) -> Self {
        Self {
            inner: Arc::new(Inner {
                units_per_minute,
                pace: Mutex::new(Pace {
                    share: 1.0,
                    adapted: 1.0,
                    lowered_at: None,
                    not_before: None,
                    spent: 0,
                }),
                turn: tokio::sync::Mutex::new(Turn {
                    paid_at: Instant::now(),
                }),
                changed: Notify::new(),
            }),
        }
    }

    /// Whether there is a limit at all.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.inner.units_per_minute.is_some()
    }

    /// Units spent so far.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.pace().spent
    }

    /// This process's part of the fleet's quota from now on, 0 to 1.
    pub fn set_share(&self, share: f64) {
        self.pace().share = share.clamp(0.0, 1.0);
        self.inner.changed.notify_one();
    }

    /// The part in force.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.pace().share
    }

    /// The other side said it was too much: halve the pace, once for all complaints about the same
    /// second, and pause for `retry_after` if it asked for that.
    pub fn throttled(&self, retry_after: Option<Duration>) {
        let now = Instant::now();
        let mut pace = self.pace();
        if pace
            .lowered_at
            .is_none_or(|at| now.duration_since(at) > Duration::from_secs(1))
        {
            pace.adapted = (pace.adapted * 0.5).max(FLOOR);
            pace.lowered_at = Some(now);
        }
        if let Some(pause) = retry_after {
            // Never for longer than a quota window: a pause for one image's sake is that image's.
            let until = now + pause.min(Duration::from_secs(60));
            pace.not_before = Some(pace.not_before.map_or(until, |at| at.max(until)));
        }
        drop(pace);
        self.inner.changed.notify_one();
    }

    /// A call went through: recover a little, to the full pace after some 200 of them.
    pub fn accepted(&self) {
        let mut pace = self.pace();
        if pace.adapted < 1.0 {
            pace.adapted = (pace.adapted + 0.005).min(1.0);
        }
    }

    /// Wait until `units` may be spent, and spend them. First come, first served.
    pub async fn acquire(&self, units: u32) {
        let Some(limit) = self.inner.units_per_minute else {
            self.pace().spent += u64::from(units);
            return;
        };
        let mut turn = self.inner.turn.lock().await;
        loop {
            let changed = self.inner.changed.notified();
            let now = Instant::now();
            let (per_second, not_before) = {
                let pace = self.pace();
                let full = f64::from(limit) / (WINDOW + BURST);
                (full * pace.share * pace.adapted, pace.not_before)
            };
            if per_second <= 0.0 {
                changed.await;
                continue;
            }
            let price = Duration::from_secs_f64(f64::from(units) / per_second);
            // Ahead of the pace by at most BURST; time in which nothing was asked for is lost.
            let burst = Duration::from_secs_f64(BURST);
            let paid_at = turn.paid_at.max(now.checked_sub(burst).unwrap_or(now));
            let due = paid_at.max(not_before.unwrap_or(paid_at));
            if due <= now {
                turn.paid_at = paid_at.max(due) + price;
                self.pace().spent += u64::from(units);
                return;
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(due) => {}
            }
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.inner
            .pace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Spend for `minutes` with `callers` at once; the most units in any 60 s, and the total.
    async fn spend(quota: &Quota, minutes: u64, callers: usize) -> (u64, u64) {
        let log = Arc::new(Mutex::new(VecDeque::new()));
        let end = Instant::now() + Duration::from_secs(60 * minutes);
        let tasks: Vec<_> = (0..callers)
            .map(|_| {
                let (quota, log) = (quota.clone(), Arc::clone(&log));
                tokio::spawn(async move {
                    while Instant::now() < end {
                        quota.acquire(200).await;
                        log.lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push_back(Instant::now());
                    }
                })
            })
            .collect();
        for task in tasks {
            let _ = task.await;
        }
        let log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let mut window = VecDeque::new();
        let mut most = 0;
        for at in log.iter() {
            window.push_back(*at);
            while window
                .front()
                .is_some_and(|first| *at - *first >= Duration::from_secs(60))
            {
                window.pop_front();
            }
            most = most.max(window.len() as u64 * 200);
        }
        let total = log.iter().filter(|at| **at < end).count() as u64 * 200;
        (most, total)
    }

    #[tokio::test(start_paused = true)]
    async fn no_minute_exceeds_the_quota_and_97_percent_is_used() {
        for callers in [1, 8, 64] {
            let (most, total) = spend(&Quota::new(Some(60_000)), 5, callers).await;
            assert!(
                most <= 60_000,
                "{most} units in 60 s with {callers} callers"
            );
            assert!(
                total as f64 >= 0.97 * 300_000.0,
                "only {total} of 300000 with {callers} callers"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_binds_at_once_even_for_those_who_wait() {
        let quota = Quota::new(Some(60_000));
        quota.set_share(0.25);
        let (most, total) = spend(&quota, 4, 16).await;
        assert!(most <= 15_000, "{most}");
        assert!(total as f64 >= 0.97 * 60_000.0, "{total}");
    }

    #[tokio::test(start_paused = true)]
    async fn complaints_lower_the_pace_and_success_restores_it() {
        let quota = Quota::new(Some(60_000));
        for _ in 0..50 {
            quota.throttled(None);
        }
        assert!(
            (quota.pace().adapted - 0.5).abs() < 1e-9,
            "many complaints of one moment count once"
        );
        for _ in 0..100 {
            quota.accepted();
        }
        assert!((quota.pace().adapted - 1.0).abs() < 1e-9);
        let asked = Instant::now();
        quota.throttled(Some(Duration::from_secs(7)));
        quota.acquire(1).await;
        assert!(asked.elapsed() >= Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nothing_waits() {
        let quota = Quota::new(None);
        let before = Instant::now();
        for _ in 0..10_000 {
            quota.acquire(200).await;
        }
        assert_eq!(before.elapsed(), Duration::ZERO);
        assert_eq!(quota.spent(), 2_000_000);
    }
}
