//! What goes wrong, how often, and for whom.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    hash::{hash, mix, unit},
    oauth::SignInRefusal,
};

/// Faults to inject. Rates are 0 to 1. Whether a request meets a fault follows from the seed, from
/// what it asks for and from how often that was asked before: runs repeat, and a retry has its own
/// luck.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Another seed, other victims.
    #[arg(long, default_value_t)]
    pub seed: u64,
    /// Refuse every request by resetting its connection.
    #[arg(long)]
    pub down: bool,
    /// Answer every request with 401 authError.
    #[arg(long)]
    pub unauthorized: bool,
    /// Answer every request with 403 accessNotConfigured: the project has the API switched off.
    #[arg(long)]
    pub api_disabled: bool,
    /// Milliseconds before every answer.
    #[arg(long, default_value_t)]
    pub latency_ms: u64,
    /// Up to so many milliseconds more.
    #[arg(long, default_value_t)]
    pub jitter_ms: u64,
    /// Quota units per minute: a list costs 100, a get 5, a download 200.
    #[arg(long)]
    pub quota_units_per_minute: Option<u64>,
    /// Requests per minute, as projects older than May 2026 have it.
    #[arg(long)]
    pub requests_per_minute: Option<u64>,
    /// How much of either quota may be spent at once, in milliseconds' worth of it; 6,000 if absent.
    #[arg(long)]
    pub quota_burst_ms: Option<u64>,
    /// Rate of 500 internalError or backendError.
    #[arg(long, default_value_t)]
    pub error_500: f64,
    /// Rate of 503, as JSON or as Google's HTML page.
    #[arg(long, default_value_t)]
    pub error_503: f64,
    /// Rate of connections reset before the answer, or amid a download.
    #[arg(long, default_value_t)]
    pub reset: f64,
    /// Rate of downloads that end in the middle.
    #[arg(long, default_value_t)]
    pub truncate: f64,
    /// Rate of downloads with one wrong byte.
    #[arg(long, default_value_t)]
    pub flip: f64,
    /// Rate of downloads that hang in the middle until the client leaves, for ten minutes at most.
    #[arg(long, default_value_t)]
    pub stall: f64,
    /// Break every body of a file off after so many bytes, by closing the connection.
    #[arg(long)]
    pub cut_after: Option<u64>,
    /// Rate of downloads that ignore the range asked for and send the whole file.
    #[arg(long, default_value_t)]
    pub ignore_range: f64,
    /// Rate of downloads refused with 403 downloadQuotaExceeded.
    #[arg(long, default_value_t)]
    pub download_quota: f64,
    /// Rate of page tokens refused as if they had expired.
    #[arg(long, default_value_t)]
    pub expired_token: f64,
    /// Rate of pages shorter than asked for.
    #[arg(long, default_value_t)]
    pub short_page: f64,
    /// Rate of pages without files, though more follow; at most three in a row.
    #[arg(long, default_value_t)]
    pub empty_page: f64,
    /// Seconds that access tokens are good for; 3,599 if absent.
    #[arg(long)]
    pub token_seconds: Option<u64>,
    /// Rate of good access tokens that Drive refuses as if they had expired.
    #[arg(long, default_value_t)]
    pub stale_token: f64,
    /// Rate of requests for an access token answered with 500.
    #[arg(long, default_value_t)]
    pub sign_in_500: f64,
    /// Milliseconds before every answer to a request for an access token.
    #[arg(long, default_value_t)]
    pub sign_in_latency_ms: u64,
    /// Refuse every request for an access token.
    #[arg(long, value_enum)]
    pub refuse_sign_in: Option<SignInRefusal>,
    /// How far the token endpoint's clock is ahead of this machine's, in seconds.
    #[arg(long, default_value_t, allow_hyphen_values = true)]
    pub clock_ahead_seconds: i64,
}

impl Faults {
    /// The first setting that makes no sense, if there is one.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let rates = [
            ("error_500", self.error_500),
            ("error_503", self.error_503),
            ("reset", self.reset),
            ("truncate", self.truncate),
            ("flip", self.flip),
            ("stall", self.stall),
            ("download_quota", self.download_quota),
            ("expired_token", self.expired_token),
            ("short_page", self.short_page),
            ("empty_page", self.empty_page),
            ("ignore_range", self.ignore_range),
            ("stale_token", self.stale_token),
            ("sign_in_500", self.sign_in_500),
        ];
        match rates
            .into_iter()
            .find(|(_, rate)| !(0.0..=1.0).contains(rate))
        {
            Some((name, _)) => Err(name),
            None => Ok(()),
        }
    }
}

/// Requests told apart when counting attempts; beyond it counting starts anew.
const IDENTITIES: usize = 1 << 20;

/// The current faults and how often each thing was asked for.
#[derive(Debug)]
pub(crate) struct FaultState {
    current: watch::Sender<Arc<Faults>>,
    attempts: Mutex<HashMap<u64, u32>>,
}

impl FaultState {
    pub(crate) fn new(faults: Faults) -> Self {
        Self {
            current: watch::Sender::new(Arc::new(faults)),
            attempts: Mutex::default(),
        }
    }

    pub(crate) fn current(&self) -> Arc<Faults> {
        Arc::clone(&self.current.borrow())
    }

    pub(crate) fn set(&self, faults: Faults) {
        self.current.send_replace(Arc::new(faults));
    }

    /// Waits until an outage begins.
    pub(crate) fn outage(&self) -> impl Future<Output = ()> + use<> {
        let mut current = self.current.subscribe();
        async move {
            // The other end lives as long as the server; without one, nothing is left to answer.
            let _ = current.wait_for(|faults| faults.down).await;
        }
    }

    /// Forgets how often things were asked for.
    pub(crate) fn reset(&self) {
        self.attempts().clear();
    }

    /// Draws this request's luck.
    pub(crate) fn draw(&self, identity: &[&str]) -> Luck {
        let faults = self.current();
        let identity = hash(identity);
        let mut attempts = self.attempts();
        if attempts.len() >= IDENTITIES {
            attempts.clear();
        }
        let count = attempts.entry(identity).or_default();
        *count += 1;
        let draw = mix(identity ^ mix(faults.seed ^ u64::from(*count) << 32));
        drop(attempts);
        Luck { faults, draw }
    }

    fn attempts(&self) -> MutexGuard<'_, HashMap<u64, u32>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request's luck.
#[derive(Debug)]
pub(crate) struct Luck {
    pub(crate) faults: Arc<Faults>,
    draw: u64,
}

impl Luck {
    /// Whether a fault of this rate strikes; faults of different names strike independently.
    pub(crate) fn strikes(&self, name: &str, rate: f64) -> bool {
        rate > 0.0 && self.fraction(name) < rate
    }

    /// A number from 0 to 1, fixed for this request and name.
    pub(crate) fn fraction(&self, name: &str) -> f64 {
        unit(self.number(name))
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        mix(self.draw ^ hash(&[name]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn struck(seed: u64, rate: f64) -> Vec<bool> {
        let state = FaultState::new(Faults {
            seed,
            ..Faults::default()
        });
        let ids = (0..2000).map(|index| format!("file-{index}"));
        ids.map(|id| state.draw(&["download", &id]).strikes("reset", rate))
            .collect()
    }

    #[test]
    fn luck_follows_the_rate_and_the_seed() {
        let first = struck(1, 0.1);
        let hits = first.iter().filter(|hit| **hit).count();
        assert!((140..260).contains(&hits), "{hits} of 2000");
        assert_eq!(first, struck(1, 0.1));
        assert_ne!(first, struck(2, 0.1));
        assert!(struck(1, 1.0).into_iter().all(|hit| hit));
        assert!(!struck(1, 0.0).into_iter().any(|hit| hit));
    }

    #[test]
    fn a_retry_has_its_own_luck() {
        let state = FaultState::new(Faults::default());
        for index in 0..200 {
            let id = format!("file-{index}");
            let succeeded = (0..40).any(|_| !state.draw(&[&id]).strikes("reset", 0.5));
            assert!(succeeded, "{id} never succeeds");
        }
    }
}
