//! What was done, and what came out wrong.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// What kind of promise was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Broken {
    /// Something listed is in no state, or something imported has no object or no row.
    Lost,
    /// Something is there twice, or an object that no row names.
    Doubled,
    /// The bytes are not those in Drive.
    Corrupt,
    /// Something failed, or was skipped, that should not have been.
    Outcome,
    /// An import did not come to its end.
    Unfinished,
    /// Counters went back, exceeded the total, or changed after the end.
    Progress,
    /// Counters are not what the rows say.
    Counters,
    /// The tables are not what the events say.
    Projection,
    /// Something is left over: messages, uploads, files.
    Leftover,
    /// A process ended by itself, or did not end when told to.
    Process,
    /// An answer that the API must not give.
    Answer,
    /// More of Drive's quota was used than allowed, or a file downloaded too often.
    Quota,
}

/// One broken promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which.
    pub broken: Broken,
    /// What was seen, for people.
    pub what: String,
}

impl Violation {
    /// `what` was seen.
    pub fn new(broken: Broken, what: impl Into<String>) -> Self {
        Self {
            broken,
            what: what.into(),
        }
    }
}

/// Collects what happens during a run, and tells it on stderr.
#[derive(Debug)]
pub struct Journal {
    begun: Instant,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    faults: BTreeMap<&'static str, u64>,
    violations: Vec<Violation>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            seen: Mutex::default(),
        }
    }
}

impl Journal {
    /// Time since the beginning.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Tell people.
    pub fn say(&self, text: &str) {
        eprintln!("{:7.1}s  {text}", self.elapsed().as_secs_f64());
    }

    /// A fault was injected.
    pub fn injected(&self, kind: &'static str) {
        *self.lock().faults.entry(kind).or_default() += 1;
    }

    /// A promise was broken.
    pub fn violated(&self, broken: Broken, what: impl Into<String>) {
        let violation = Violation::new(broken, what);
        self.say(&format!("VIOLATION {:?}: {}", broken, violation.what));
        self.lock().violations.push(violation);
    }

    /// Faults injected so far, by kind.
    #[must_use]
    pub fn faults(&self) -> BTreeMap<&'static str, u64> {
        self.lock().faults.clone()
    }

    /// Every broken promise so far.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.lock().violations.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
