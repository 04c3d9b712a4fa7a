//! Metrics.

use std::time::Duration;

use contracts::Cause;
use drive::outcome;
use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry, exponential_buckets,
    histogram_opts, register_histogram_vec_with_registry, register_int_counter_vec_with_registry,
    register_int_counter_with_registry, register_int_gauge_with_registry,
};

/// What a worker counts.
pub(crate) struct Metrics {
    /// Bytes stored.
    pub(crate) bytes: IntCounter,
    /// Bytes received from Drive.
    pub(crate) downloaded: IntCounter,
    /// Tasks held.
    pub(crate) in_flight: IntGauge,
    /// Tasks that may be held.
    pub(crate) slots: IntGauge,
    /// Deliveries of a task that was delivered before.
    pub(crate) redeliveries: IntCounter,
    /// Times of one image.
    pub(crate) phases: Phases,
    images: IntCounterVec,
    imported: (IntCounter, Histogram),
    failed: Histogram,
    drive_requests: IntCounterVec,
    download: IntCounter,
}

/// Where the time goes.
pub(crate) struct Phases {
    pub(crate) quota: Histogram,
    pub(crate) download: Histogram,
    pub(crate) verify: Histogram,
    pub(crate) upload: Histogram,
    pub(crate) report: Histogram,
    pub(crate) settle: Histogram,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let images = register_int_counter_vec_with_registry!(
            "imagefleet_worker_images_total",
            "Executions of tasks, by outcome and cause",
            &["outcome", "cause"],
            registry
        )?;
        let attempts = register_histogram_vec_with_registry!(
            histogram_opts!(
                "imagefleet_worker_attempts",
                "Attempts an image took",
                vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 20.0]
            ),
            &["outcome"],
            registry
        )?;
        let phases = register_histogram_vec_with_registry!(
            histogram_opts!(
                "imagefleet_worker_phase_seconds",
                "Time per phase of one image",
                exponential_buckets(0.001, 2.0, 18)?
            ),
            &["phase"],
            registry
        )?;
        let drive_requests = register_int_counter_vec_with_registry!(
            "imagefleet_worker_drive_requests_total",
            "Calls to Google Drive",
            &["call", "outcome"],
            registry
        )?;
        // There from the start, so that the first of each is an increase.
        for call in ["download", "resume", "get"] {
            for outcome in outcome::ALL {
                drive_requests.with_label_values(&[call, outcome]);
            }
        }
        for outcome in ["deleted", "replaced", "parked", "dropped"] {
            images.with_label_values(&[outcome, ""]);
        }
        for cause in Cause::ALL {
            for outcome in ["failed", "retrying"] {
                images.with_label_values(&[outcome, cause.code()]);
            }
        }
        for cause in [Cause::MalformedTask, Cause::UnknownVersion] {
            images.with_label_values(&["unreadable", cause.code()]);
        }
        Ok(Self {
            bytes: register_int_counter_with_registry!(
                "imagefleet_worker_bytes_total",
                "Bytes stored",
                registry
            )?,
            downloaded: register_int_counter_with_registry!(
                "imagefleet_worker_downloaded_bytes_total",
                "Bytes received from Google Drive",
                registry
            )?,
            in_flight: register_int_gauge_with_registry!(
                "imagefleet_worker_in_flight",
                "Tasks held",
                registry
            )?,
            slots: register_int_gauge_with_registry!(
                "imagefleet_worker_slots",
                "Tasks that may be held",
                registry
            )?,
            redeliveries: register_int_counter_with_registry!(
                "imagefleet_worker_redeliveries_total",
                "Deliveries of tasks that were delivered before",
                registry
            )?,
            phases: Phases::new(&phases),
            imported: (
                images.with_label_values(&["imported", ""]),
                attempts.with_label_values(&["imported"]),
            ),
            failed: attempts.with_label_values(&["failed"]),
            images,
            download: drive_requests.with_label_values(&["download", outcome::OK]),
            drive_requests,
        })
    }

    /// An image is whole in the store and reported.
    pub(crate) fn imported(&self, attempt: u32) {
        let (images, attempts) = &self.imported;
        images.inc();
        attempts.observe(f64::from(attempt));
    }

    /// An image was given up.
    pub(crate) fn failed(&self, cause: Cause, attempts: u32) {
        self.outcome("failed", Some(cause));
        self.failed.observe(f64::from(attempts));
    }

    /// An execution came to another end: `retrying`, `deleted`, `replaced`, `parked`, `dropped` or
    /// `unreadable`.
    pub(crate) fn outcome(&self, outcome: &'static str, cause: Option<Cause>) {
        let cause = cause.map_or("", Cause::code);
        self.images.with_label_values(&[outcome, cause]).inc();
    }

    /// A call to Drive: `download`, `resume` or `get`; its outcome is one of [`outcome::ALL`].
    pub(crate) fn asked_drive(&self, call: &'static str, outcome: &'static str) {
        if (call, outcome) == ("download", outcome::OK) {
            self.download.inc();
        } else {
            self.drive_requests
                .with_label_values(&[call, outcome])
                .inc();
        }
    }
}

impl Phases {
    fn new(all: &HistogramVec) -> Self {
        let of = |phase| all.with_label_values(&[phase]);
        Self {
            quota: of("quota"),
            download: of("download"),
            verify: of("verify"),
            upload: of("upload"),
            report: of("report"),
            settle: of("settle"),
        }
    }
}

/// Note how long one phase took.
pub(crate) fn took(phase: &Histogram, time: Duration) {
    phase.observe(time.as_secs_f64());
}
