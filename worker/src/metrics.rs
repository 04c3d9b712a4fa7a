//! Metrics.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

/// What a worker counts.
pub(crate) struct Metrics {
    /// Executions, by `outcome` (`imported`, `failed`, `retrying`, `deleted`, `unreadable`) and
    /// `cause` (empty when all is well).
    pub(crate) images: IntCounterVec,
    /// Bytes stored.
    pub(crate) bytes: IntCounter,
    /// Tasks held.
    pub(crate) in_flight: IntGauge,
    /// Deliveries of a task that was delivered before.
    pub(crate) redeliveries: IntCounter,
    /// Calls to Drive, by `call` and `outcome`.
    pub(crate) drive_requests: IntCounterVec,
    phases: HistogramVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let buckets = prometheus::exponential_buckets(0.005, 2.0, 15)?;
        let metrics = Self {
            images: IntCounterVec::new(
                Opts::new(
                    "imagefleet_worker_images_total",
                    "Executions of tasks, by outcome and cause",
                ),
                &["outcome", "cause"],
            )?,
            bytes: IntCounter::new("imagefleet_worker_bytes_total", "Bytes stored")?,
            in_flight: IntGauge::new("imagefleet_worker_in_flight", "Tasks held")?,
            redeliveries: IntCounter::new(
                "imagefleet_worker_redeliveries_total",
                "Deliveries of tasks that were delivered before",
            )?,
            drive_requests: IntCounterVec::new(
                Opts::new(
                    "imagefleet_worker_drive_requests_total",
                    "Calls to Google Drive",
                ),
                &["call", "outcome"],
            )?,
            phases: HistogramVec::new(
                HistogramOpts::new(
                    "imagefleet_worker_phase_seconds",
                    "Time per phase of one image",
                )
                .buckets(buckets),
                &["phase"],
            )?,
        };
        registry.register(Box::new(metrics.images.clone()))?;
        registry.register(Box::new(metrics.bytes.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.redeliveries.clone()))?;
        registry.register(Box::new(metrics.drive_requests.clone()))?;
        registry.register(Box::new(metrics.phases.clone()))?;
        Ok(metrics)
    }

    /// One of `quota`, `download`, `upload`, `report`, `settle`.
    pub(crate) fn phase(&self, phase: &str, took: Duration) {
        let histogram: Histogram = self.phases.with_label_values(&[phase]);
        histogram.observe(took.as_secs_f64());
    }
}
