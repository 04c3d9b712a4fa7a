//! How long to wait before trying again. The only module that touches the `backoff` crate.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// Waiting times for a loop that re-establishes something (a connection, a stream): from 100 ms to
/// 5 s, jittered, for ever.
pub struct Reconnect(ExponentialBackoff);

impl Default for Reconnect {
    fn default() -> Self {
        Self(ExponentialBackoff {
            current_interval: Duration::from_millis(100),
            initial_interval: Duration::from_millis(100),
            max_interval: Duration::from_secs(5),
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        })
    }
}

impl Reconnect {
    /// How long to wait before the next try.
    pub fn next_delay(&mut self) -> Duration {
        self.0.next_backoff().unwrap_or(Duration::from_secs(5))
    }

    /// Wait before the next try.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_delay()).await;
    }

    /// It worked: start small again.
    pub fn reset(&mut self) {
        self.0.reset();
    }
}

/// When to execute a failed task again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Executions in all, the first included.
    pub max_attempts: u32,
    /// The ceiling of the first delay; each further ceiling is three times the last.
    pub base: Duration,
    /// No ceiling is above this.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    /// 8 attempts. The ceilings are 3 s, 9 s, 27 s, 81 s, 243 s, 600 s, 600 s: at most 26 minutes.
    fn default() -> Self {
        Self {
            max_attempts: 8,
            base: Duration::from_secs(3),
            cap: Duration::from_secs(600),
        }
    }
}

impl RetryPolicy {
    /// The delay before the execution that follows number `attempt` (from 1): exponential with full
    /// jitter (uniform between zero and the ceiling), and never before `retry_after`, which the
    /// other side asked for. `None` when attempts are used up.
    #[must_use]
    pub fn delay_after(&self, attempt: u32, retry_after: Option<Duration>) -> Option<Duration> {
        if attempt >= self.max_attempts {
            return None;
        }
        let factor = 3u32.saturating_pow(attempt.saturating_sub(1));
        let ceiling = self.base.saturating_mul(factor).min(self.cap);
        let jittered = ceiling.mul_f64(rand::random::<f64>());
        Some(jittered.max(retry_after.unwrap_or(Duration::ZERO)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn delays_stay_under_their_ceiling(attempt in 1u32..200, max in 1u32..200) {
            let policy = RetryPolicy { max_attempts: max, ..RetryPolicy::default() };
            match policy.delay_after(attempt, None) {
                None => prop_assert!(attempt >= max),
                Some(delay) => prop_assert!(attempt < max && delay <= policy.cap),
            }
        }

        #[test]
        fn the_other_side_is_obeyed(secs in 0u64..10_000) {
            let asked = Duration::from_secs(secs);
            let delay = RetryPolicy::default().delay_after(1, Some(asked));
            prop_assert!(delay.is_some_and(|delay| delay >= asked));
        }
    }
}
