//! Metrics.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// What a producer counts.
pub(crate) struct Metrics {
    /// Drive pages listed.
    pub(crate) pages: IntCounter,
    /// Entries, by `outcome`: `queued` or `skipped`.
    pub(crate) entries: IntCounterVec,
    /// Calls to Drive, by `call` and `outcome`.
    pub(crate) drive_requests: IntCounterVec,
    /// Imports being listed.
    pub(crate) listing: IntGauge,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            pages: IntCounter::new("imagefleet_producer_pages_total", "Drive pages listed")?,
            entries: IntCounterVec::new(
                Opts::new(
                    "imagefleet_producer_entries_total",
                    "Entries listed, by outcome",
                ),
                &["outcome"],
            )?,
            drive_requests: IntCounterVec::new(
                Opts::new(
                    "imagefleet_producer_drive_requests_total",
                    "Calls to Google Drive",
                ),
                &["call", "outcome"],
            )?,
            listing: IntGauge::new("imagefleet_producer_listing", "Imports being listed")?,
        };
        registry.register(Box::new(metrics.pages.clone()))?;
        registry.register(Box::new(metrics.entries.clone()))?;
        registry.register(Box::new(metrics.drive_requests.clone()))?;
        registry.register(Box::new(metrics.listing.clone()))?;
        Ok(metrics)
    }
}
