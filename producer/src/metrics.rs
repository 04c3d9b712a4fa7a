//! Metrics.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// What a producer counts.
pub(crate) struct Metrics {
    /// Batches of tasks published: a page goes out in one or several.
    pub(crate) batches: IntCounter,
    /// Entries, by `outcome`: `queued`, `skipped` or `redriven`.
    pub(crate) entries: IntCounterVec,
    /// Calls to Drive, by `call` and `outcome`.
    pub(crate) drive_requests: IntCounterVec,
    /// Commands carried out, by `action`; `unreadable` for those that cannot be.
    pub(crate) commands: IntCounterVec,
    /// Imports being listed.
    pub(crate) listing: IntGauge,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            batches: IntCounter::new(
                "imagefleet_producer_batches_total",
                "Batches of tasks published",
            )?,
            entries: IntCounterVec::new(
                Opts::new(
                    "imagefleet_producer_entries_total",
                    "Entries listed or queued again, by outcome",
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
            commands: IntCounterVec::new(
                Opts::new(
                    "imagefleet_producer_commands_total",
                    "Commands carried out, by action",
                ),
                &["action"],
            )?,
            listing: IntGauge::new("imagefleet_producer_listing", "Imports being listed")?,
        };
        registry.register(Box::new(metrics.batches.clone()))?;
        registry.register(Box::new(metrics.entries.clone()))?;
        registry.register(Box::new(metrics.drive_requests.clone()))?;
        registry.register(Box::new(metrics.commands.clone()))?;
        registry.register(Box::new(metrics.listing.clone()))?;
        Ok(metrics)
    }
}
