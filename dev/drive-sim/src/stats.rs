//! What was asked, answered and injected.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    error::ApiError,
    faults::Faults,
    quota::{Bucket, Window},
};

/// Files whose downloads are counted one by one; those of further files only add up.
const COUNTED_FILES: usize = 200_000;

/// What the server did since it started or was reset. Requests to `/admin` do not count.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Requests by kind.
    pub requests: Requests,
    /// Answers by HTTP status. A connection that was reset before its answer has none.
    pub statuses: BTreeMap<u16, u64>,
    /// Bytes of files sent.
    pub bytes: u64,
    /// Requests being answered now, bodies included.
    pub concurrent: u64,
    /// The most at one time.
    pub max_concurrent: u64,
    /// Quota units of the requests that were let through.
    pub quota_units: u64,
    /// The most quota units let through within any 60 seconds.
    pub max_quota_units_per_minute: u64,
    /// The most requests let through within any 60 seconds.
    pub max_requests_per_minute: u64,
    /// Downloads answered with bytes, by file id, up to 200,000 files.
    pub downloads: BTreeMap<String, u64>,
    /// Downloads of further files.
    pub other_downloads: u64,
    /// Faults injected, by their name in [`Faults`]; `quota` for requests over it.
    pub faults: BTreeMap<String, u64>,
}

/// Requests by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// `files.list`
    pub list: u64,
    /// `files.get`
    pub get: u64,
    /// `files.get` with `alt=media`
    pub download: u64,
    /// Anything else.
    pub other: u64,
    /// Requests for an access token; they count nowhere else.
    pub token: u64,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `files.list`
    List,
    /// `files.get`
    Get,
    /// `files.get` with `alt=media`
    Download,
    /// Anything else.
    Other,
}

impl Kind {
    /// Quota units, as Google counts them since May 2026.
    pub(crate) fn cost(self) -> u64 {
        match self {
            Self::List => 100,
            Self::Get => 5,
            Self::Download => 200,
            Self::Other => 0,
        }
    }
}

/// Collects [`Stats`] and guards the quota.
#[derive(Debug)]
pub(crate) struct Recorder(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    stats: Stats,
    units: Window,
    requests: Window,
    unit_bucket: Option<Bucket>,
    request_bucket: Option<Bucket>,
    refusals: u64,
}

impl Recorder {
    pub(crate) fn new(faults: &Faults) -> Self {
        let now = Instant::now();
        let recorder = Self(Mutex::new(Inner {
            stats: Stats::default(),
            units: Window::new(now),
            requests: Window::new(now),
            unit_bucket: None,
            request_bucket: None,
            refusals: 0,
        }));
        recorder.refill(faults);
        recorder
    }

    /// Starts with full buckets of the quota that `faults` set.
    pub(crate) fn refill(&self, faults: &Faults) {
        let now = Instant::now();
        let burst = Duration::from_millis(faults.quota_burst_ms.unwrap_or(6_000));
        let mut inner = self.lock();
        let units = faults.quota_units_per_minute;
        inner.unit_bucket = units.map(|units| Bucket::new(units, burst, now));
        let requests = faults.requests_per_minute;
        inner.request_bucket = requests.map(|rate| Bucket::of_requests(rate, burst, now));
    }

    pub(crate) fn stats(&self) -> Stats {
        let inner = self.lock();
        Stats {
            max_quota_units_per_minute: inner.units.max,
            max_requests_per_minute: inner.requests.max,
            ..inner.stats.clone()
        }
    }

    pub(crate) fn quota_units(&self) -> u64 {
        self.lock().stats.quota_units
    }

    /// Forgets everything except the requests being answered now.
    pub(crate) fn reset(&self) {
        let now = Instant::now();
        let mut inner = self.lock();
        let concurrent = inner.stats.concurrent;
        inner.stats = Stats {
            concurrent,
            max_concurrent: concurrent,
            ..Stats::default()
        };
        inner.units = Window::new(now);
        inner.requests = Window::new(now);
    }

    /// Counts a request until the ticket is dropped.
    pub(crate) fn begin(self: &Arc<Self>, kind: Kind) -> Ticket {
        let mut inner = self.lock();
        let requests = &mut inner.stats.requests;
        match kind {
            Kind::List => requests.list += 1,
            Kind::Get => requests.get += 1,
            Kind::Download => requests.download += 1,
            Kind::Other => requests.other += 1,
        }
        inner.stats.concurrent += 1;
        inner.stats.max_concurrent = inner.stats.max_concurrent.max(inner.stats.concurrent);
        drop(inner);
        Ticket(Arc::clone(self))
    }

    /// Spends quota, or says how Drive refuses.
    pub(crate) fn admit(&self, kind: Kind) -> Result<(), ApiError> {
        let now = Instant::now();
        let mut guard = self.lock();
        let inner = &mut *guard;
        let waits = [
            inner
                .unit_bucket
                .as_mut()
                .map(|bucket| bucket.wait(kind.cost(), now)),
            inner
                .request_bucket
                .as_mut()
                .map(|bucket| bucket.wait(1, now)),
        ];
        let wait = waits.into_iter().flatten().max().unwrap_or_default();
        if !wait.is_zero() {
            let turn = inner.refusals;
            inner.refusals += 1;
            *inner.stats.faults.entry("quota".to_owned()).or_default() += 1;
            return Err(ApiError::throttled(
                turn,
                (wait.as_secs_f64().ceil() as u32).max(1),
            ));
        }
        if let Some(bucket) = &mut inner.unit_bucket {
            bucket.spend(kind.cost());
        }
        if let Some(bucket) = &mut inner.request_bucket {
            bucket.spend(1);
        }
        inner.stats.quota_units += kind.cost();
        inner.units.add(kind.cost(), now);
        inner.requests.add(1, now);
        Ok(())
    }

    pub(crate) fn signed_in(&self) {
        self.lock().stats.requests.token += 1;
    }

    pub(crate) fn answered(&self, status: u16) {
        *self.lock().stats.statuses.entry(status).or_default() += 1;
    }

    pub(crate) fn downloaded(&self, file_id: &str) {
        let stats = &mut self.lock().stats;
        if let Some(count) = stats.downloads.get_mut(file_id) {
            *count += 1;
        } else if stats.downloads.len() < COUNTED_FILES {
            stats.downloads.insert(file_id.to_owned(), 1);
        } else {
            stats.other_downloads += 1;
        }
    }

    pub(crate) fn injected(&self, fault: &str) {
        *self
            .lock()
            .stats
            .faults
            .entry(fault.to_owned())
            .or_default() += 1;
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.lock().stats.bytes += bytes;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request being answered.
#[derive(Debug)]
pub(crate) struct Ticket(pub(crate) Arc<Recorder>);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.lock().stats.concurrent -= 1;
    }
}
