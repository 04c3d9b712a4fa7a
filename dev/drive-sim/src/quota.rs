//! Google's quota: a token bucket, and a record of how much was spent within any minute.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

const MINUTE: Duration = Duration::from_secs(60);
/// A minute is measured to this precision.
const SLOT: Duration = Duration::from_millis(10);

/// Admits requests at a rate.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_minute: u64,
    burst: f64,
    level: f64,
    filled: Instant,
}

impl Bucket {
    /// A full bucket that holds `burst` worth of a quota.
    pub(crate) fn new(per_minute: u64, burst: Duration, now: Instant) -> Self {
        // A bucket that cannot hold the dearest request would refuse it for good.
        let burst = (per_minute as f64 * burst.as_secs_f64() / 60.0).max(200.0);
        Self {
            per_minute,
            burst,
            level: burst,
            filled: now,
        }
    }

    /// A bucket whose burst counts requests rather than units.
    pub(crate) fn of_requests(per_minute: u64, burst: Duration, now: Instant) -> Self {
        let burst = (per_minute as f64 * burst.as_secs_f64() / 60.0).max(1.0);
        Self {
            per_minute,
            burst,
            level: burst,
            filled: now,
        }
    }

    /// How long to wait until `cost` can be spent; zero if it can be now.
    pub(crate) fn wait(&mut self, cost: u64, now: Instant) -> Duration {
        let per_second = self.per_minute as f64 / 60.0;
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.level = (self.level + elapsed * per_second).min(self.burst);
        self.filled = self.filled.max(now);
        let missing = cost as f64 - self.level;
        if missing <= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(missing / per_second)
            .unwrap_or(MINUTE)
            .min(MINUTE)
    }

    pub(crate) fn spend(&mut self, cost: u64) {
        self.level -= cost as f64;
    }
}

/// The largest sum within any 60 seconds so far.
#[derive(Debug)]
pub(crate) struct Window {
    start: Instant,
    slots: VecDeque<(u64, u64)>,
    sum: u64,
    pub(crate) max: u64,
}

impl Window {
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            start,
            slots: VecDeque::new(),
            sum: 0,
            max: 0,
        }
    }

    pub(crate) fn add(&mut self, amount: u64, now: Instant) {
        let slot = |duration: Duration| (duration.as_millis() / SLOT.as_millis()) as u64;
        let current = slot(now.saturating_duration_since(self.start));
        while let Some((first, spent)) = self.slots.front()
            && first + slot(MINUTE) <= current
        {
            self.sum -= spent;
            self.slots.pop_front();
        }
        match self.slots.back_mut() {
            Some((last, spent)) if *last == current => *spent += amount,
            _ => self.slots.push_back((current, amount)),
        }
        self.sum += amount;
        self.max = self.max.max(self.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_admits_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(60_000, Duration::from_secs(1), start);
        let mut admitted = 0;
        for millis in 0..10_000 {
            let now = start + Duration::from_millis(millis);
            while bucket.wait(200, now).is_zero() {
                bucket.spend(200);
                admitted += 200;
            }
        }
        assert!(
            (10_800..=11_000).contains(&admitted),
            "{admitted} units in ten seconds"
        );
        let now = start + Duration::from_secs(60);
        assert_eq!(bucket.wait(1000, now), Duration::ZERO);
        bucket.spend(1000);
        assert_eq!(bucket.wait(500, now), Duration::from_millis(500));
    }

    #[test]
    fn a_window_slides() {
        let start = Instant::now();
        let mut window = Window::new(start);
        for (seconds, amount) in [(0, 5), (30, 5), (59, 5), (61, 5), (95, 20), (300, 1)] {
            window.add(amount, start + Duration::from_secs(seconds));
        }
        // From 59 to 95: 5 + 5 + 20.
        assert_eq!((window.max, window.sum, window.slots.len()), (30, 1, 1));
    }
}
