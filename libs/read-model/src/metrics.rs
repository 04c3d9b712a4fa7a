//! How busy the connections to the database are.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts, IntGauge, IntGaugeVec, Registry, exponential_buckets};

use crate::ReadModel;

/// Connections of one process to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connections {
    /// Open, and nobody uses them.
    pub(crate) idle: usize,
    /// In use, or being opened for somebody.
    pub(crate) busy: usize,
    /// Both at most.
    pub(crate) limit: usize,
}

/// How long it takes to get a connection; noted once somebody wants to know.
#[derive(Debug, Default)]
pub(crate) struct Waits(OnceLock<Histogram>);

impl Waits {
    pub(crate) fn note(&self, waited: Duration) {
        if let Some(histogram) = self.0.get() {
            histogram.observe(waited.as_secs_f64());
        }
    }
}

impl ReadModel {
    /// Register the connections of `role`. Of `SQLite`, those that read: there is always one that writes
    /// in a projector. Call it once.
    ///
    /// # Errors
    /// When that role's are registered already.
    pub fn register(&self, role: &str, registry: &Registry) -> prometheus::Result<()> {
        let of = |name, help| prometheus::Opts::new(name, help).const_label("role", role);
        let limit = IntGauge::with_opts(of(
            "imagefleet_sql_connections_limit",
            "Connections to the database there may be",
        ))?;
        let connections = IntGaugeVec::new(
            of(
                "imagefleet_sql_connections",
                "Connections to the database, by state",
            ),
            &["state"],
        )?;
        let wait = HistogramOpts::new(
            "imagefleet_sql_wait_seconds",
            "Waiting for a connection to the database",
        );
        let wait = wait
            .const_label("role", role)
            .buckets(exponential_buckets(0.0001, 4.0, 10)?);
        let wait = Histogram::with_opts(wait)?;
        registry.register(Box::new(wait.clone()))?;
        registry.register(Box::new(Pool {
            model: self.clone(),
            descs: [limit.desc(), connections.desc()]
                .concat()
                .into_iter()
                .cloned()
                .collect(),
            families: Mutex::new((limit, connections)),
        }))?;
        // Somebody noted them before only if it was registered before, under another role.
        let _ = self.waits().0.set(wait);
        Ok(())
    }

    fn waits(&self) -> &Waits {
        match self {
            Self::Sqlite(store) => store.waits(),
            Self::SqlServer(store) => store.waits(),
        }
    }

    fn connections(&self) -> Connections {
        match self {
            Self::Sqlite(store) => store.connections(),
            Self::SqlServer(store) => store.connections(),
        }
    }
}

/// The connections as of the moment somebody asks.
struct Pool {
    model: ReadModel,
    /// Held from filling to reading: two may ask at once.
    families: Mutex<(IntGauge, IntGaugeVec)>,
    descs: Vec<Desc>,
}

impl Collector for Pool {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let (limit, connections) = &*families;
        let now = self.model.connections();
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        limit.set(number(now.limit));
        for (state, count) in [("idle", now.idle), ("busy", now.busy)] {
            connections.with_label_values(&[state]).set(number(count));
        }
        [limit.collect(), connections.collect()].concat()
    }
}
