//! How large a part of the Drive quota listing takes: as little as it can do with.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What a producer weighs that hardly waits, in thousandths of a worker: listing a page of 999 images
/// costs half of what downloading one of them does.
const LEAST: u32 = 20;
/// What it weighs at most. In folders of one image listing costs half of what the downloads do,
/// whatever the number of workers; [`crate::share`] sees to it that it never gets more.
const MOST: u32 = 32_000;
/// Waiting for this part of the time, it wants more.
const HUNGRY: f64 = 0.8;
/// Waiting for no more than this part of the time, it can do with half: it then waits twice as long.
const SATED: f64 = 0.3;
/// Between two steps up: by then everybody has heard of the last one.
const RISE: Duration = Duration::from_secs(2);
/// Between two steps down: less often, because each change lies idle until everybody has heard.
const FALL: Duration = Duration::from_secs(10);

/// The weight of a process whose calls cost little, beside a worker's 1. It doubles while calls wait
/// for the quota, and halves while they do not. Clones share it.
///
/// A fixed weight is wrong either way: what suits folders of a thousand images makes the workers wait
/// for the listing of folders of three, and what suits those lies idle in front of the others.
#[derive(Clone)]
pub struct Appetite {
    inner: Arc<Mutex<State>>,
}

struct State {
    weight: u32,
    /// Time waited since then, by all calls together.
    waited: Duration,
    since: Instant,
}

impl Default for Appetite {
    fn default() -> Self {
        let state = State {
            weight: LEAST,
            waited: Duration::ZERO,
            since: Instant::now(),
        };
        Self {
            inner: Arc::new(Mutex::new(state)),
        }
    }
}

impl Appetite {
    /// A call has waited so long for the quota.
    pub fn waited(&self, long: Duration) {
        let mut state = self.state();
        state.waited += long;
        let elapsed = state.since.elapsed();
        let waiting = state.waited.as_secs_f64() / elapsed.as_secs_f64();
        let weight = if elapsed >= RISE && waiting >= HUNGRY {
            state.weight * 2
        } else if elapsed >= FALL && waiting <= SATED {
            state.weight / 2
        } else if elapsed >= FALL {
            state.weight
        } else {
            return;
        };
        *state = State {
            weight: weight.clamp(LEAST, MOST),
            waited: Duration::ZERO,
            since: Instant::now(),
        };
    }

    /// In thousandths of a worker.
    pub(crate) fn weight(&self) -> u32 {
        self.state().weight
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
