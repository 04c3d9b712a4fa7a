//! Metrics.

use std::time::Duration;

use prometheus::{
    Gauge, Histogram, IntCounter, IntGauge, Registry, exponential_buckets, histogram_opts,
    register_gauge_with_registry, register_histogram_with_registry,
    register_int_counter_with_registry, register_int_gauge_with_registry,
};

/// What the projector counts.
pub(crate) struct Metrics {
    active: IntGauge,
    events: IntCounter,
    lag: IntGauge,
    lag_seconds: Gauge,
    fold: Histogram,
    removals: IntCounter,
}

/// It folds what comes, until this is dropped.
pub(crate) struct Active<'a>(&'a IntGauge);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.set(0);
    }
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            active: register_int_gauge_with_registry!(
                "imagefleet_projector_active",
                "1 in the projector that folds, 0 in one that stands by or waits",
                registry
            )?,
            events: register_int_counter_with_registry!(
                "imagefleet_projector_events_total",
                "Events folded",
                registry
            )?,
            lag: register_int_gauge_with_registry!(
                "imagefleet_projector_lag_events",
                "Events not folded yet",
                registry
            )?,
            lag_seconds: register_gauge_with_registry!(
                "imagefleet_projector_lag_seconds",
                "Age of the oldest event not folded yet; 0 when nothing is left",
                registry
            )?,
            fold: register_histogram_with_registry!(
                histogram_opts!(
                    "imagefleet_projector_fold_seconds",
                    "Time of one fold transaction",
                    exponential_buckets(0.001, 2.0, 14)?
                ),
                registry
            )?,
            removals: register_int_counter_with_registry!(
                "imagefleet_projector_removals_total",
                "Replaced objects whose removal was asked for",
                registry
            )?,
        })
    }

    pub(crate) fn active(&self) -> Active<'_> {
        self.active.set(1);
        Active(&self.active)
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
