//! Metrics.

use std::time::Duration;

use drive::outcome;
use prometheus::{
    Histogram, IntCounter, IntCounterVec, IntGauge, Registry, exponential_buckets, histogram_opts,
    register_histogram_vec_with_registry, register_int_counter_vec_with_registry,
    register_int_counter_with_registry, register_int_gauge_with_registry,
};

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
    /// Where the time of listing goes.
    pub(crate) phases: Phases,
}

/// Where the time goes.
pub(crate) struct Phases {
    /// Waiting for quota, before a call for a page.
    pub(crate) quota: Histogram,
    /// That call.
    pub(crate) list: Histogram,
    /// Waiting for room in the queue, before a batch.
    pub(crate) room: Histogram,
    /// That batch.
    pub(crate) publish: Histogram,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let phases = register_histogram_vec_with_registry!(
            histogram_opts!(
                "imagefleet_producer_phase_seconds",
                "Time per phase of listing a page",
                exponential_buckets(0.001, 2.0, 18)?
            ),
            &["phase"],
            registry
        )?;
        let phase = |name| phases.with_label_values(&[name]);
        let metrics = Self {
            batches: register_int_counter_with_registry!(
                "imagefleet_producer_batches_total",
                "Batches of tasks published",
                registry
            )?,
            entries: register_int_counter_vec_with_registry!(
                "imagefleet_producer_entries_total",
                "Entries listed or queued again, by outcome",
                &["outcome"],
                registry
            )?,
            drive_requests: register_int_counter_vec_with_registry!(
                "imagefleet_producer_drive_requests_total",
                "Calls to Google Drive",
                &["call", "outcome"],
                registry
            )?,
            commands: register_int_counter_vec_with_registry!(
                "imagefleet_producer_commands_total",
                "Commands carried out, by action",
                &["action"],
                registry
            )?,
            listing: register_int_gauge_with_registry!(
                "imagefleet_producer_listing",
                "Imports being listed",
                registry
            )?,
            phases: Phases {
                quota: phase("quota"),
                list: phase("list"),
                room: phase("room"),
                publish: phase("publish"),
            },
        };
        // There from the start, so that the first of each is an increase.
        for outcome in ["queued", "skipped", "redriven"] {
            metrics.entries.with_label_values(&[outcome]);
        }
        for action in ["cancel", "pause", "resume", "retry", "unreadable"] {
            metrics.commands.with_label_values(&[action]);
        }
        for call in ["list", "get"] {
            for outcome in outcome::ALL {
                metrics.drive_requests.with_label_values(&[call, outcome]);
            }
        }
        Ok(metrics)
    }
}

/// Note how long one phase took.
pub(crate) fn took(phase: &Histogram, time: Duration) {
    phase.observe(time.as_secs_f64());
}
