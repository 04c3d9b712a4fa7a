//! Metrics.

use std::time::Duration;

use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntGauge, Registry};

/// What the projector counts.
pub(crate) struct Metrics {
    events: IntCounter,
    lag: IntGauge,
    lag_seconds: Gauge,
    fold: Histogram,
    removals: IntCounter,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            events: IntCounter::new("imagefleet_projector_events_total", "Events folded")?,
            lag: IntGauge::new("imagefleet_projector_lag_events", "Events not folded yet")?,
            lag_seconds: Gauge::new(
                "imagefleet_projector_lag_seconds",
                "Age of the oldest event not folded yet; 0 when nothing is left",
            )?,
            fold: Histogram::with_opts(
                HistogramOpts::new(
                    "imagefleet_projector_fold_seconds",
                    "Time of one fold transaction",
                )
                .buckets(prometheus::exponential_buckets(0.001, 2.0, 14)?),
            )?,
            removals: IntCounter::new(
                "imagefleet_projector_removals_total",
                "Replaced objects whose removal was asked for",
            )?,
        };
        registry.register(Box::new(metrics.removals.clone()))?;
        registry.register(Box::new(metrics.events.clone()))?;
        registry.register(Box::new(metrics.lag.clone()))?;
        registry.register(Box::new(metrics.lag_seconds.clone()))?;
        registry.register(Box::new(metrics.fold.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn folded(&self, events: u64, took: Duration) {
        self.events.inc_by(events);
        self.fold.observe(took.as_secs_f64());
    }

    pub(crate) fn removals(&self, asked: u64) {
        self.removals.inc_by(asked);
    }

    pub(crate) fn behind(&self, events: u64, age: Duration) {
        self.lag.set(i64::try_from(events).unwrap_or(i64::MAX));
        self.lag_seconds.set(age.as_secs_f64());
    }
}
