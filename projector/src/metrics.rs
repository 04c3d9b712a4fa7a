//! Metrics.

use std::time::Duration;

use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntGauge, Registry};
use time::OffsetDateTime;

/// What the projector counts.
pub(crate) struct Metrics {
    events: IntCounter,
    lag: IntGauge,
    lag_seconds: Gauge,
    fold: Histogram,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            events: IntCounter::new("imagefleet_projector_events_total", "Events folded")?,
            lag: IntGauge::new("imagefleet_projector_lag_events", "Events not folded yet")?,
            lag_seconds: Gauge::new(
                "imagefleet_projector_lag_seconds",
                "Age of the oldest event of the last batch when it was folded; 0 when nothing is left",
            )?,
            fold: Histogram::with_opts(
                HistogramOpts::new(
                    "imagefleet_projector_fold_seconds",
                    "Time of one fold transaction",
                )
                .buckets(prometheus::exponential_buckets(0.001, 2.0, 14)?),
            )?,
        };
        registry.register(Box::new(metrics.events.clone()))?;
        registry.register(Box::new(metrics.lag.clone()))?;
        registry.register(Box::new(metrics.lag_seconds.clone()))?;
        registry.register(Box::new(metrics.fold.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn folded(
        &self,
        events: u64,
        took: Duration,
        pending: u64,
        oldest: Option<OffsetDateTime>,
    ) {
        self.events.inc_by(events);
        self.lag.set(i64::try_from(pending).unwrap_or(i64::MAX));
        let age = oldest.map_or(0.0, |at| {
            (OffsetDateTime::now_utc() - at).as_seconds_f64().max(0.0)
        });
        self.lag_seconds.set(if pending == 0 { 0.0 } else { age });
        self.fold.observe(took.as_secs_f64());
    }
}
