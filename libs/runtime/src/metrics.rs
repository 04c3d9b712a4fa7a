//! Metrics that every process has, and those of what this crate provides.

use std::sync::{Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    Gauge, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
    register_int_gauge_vec_with_registry, register_int_gauge_with_registry,
};

use crate::{Health, Quota};

/// A process's build, what it waits for, and what it takes of the system where that tells.
pub(crate) fn process(health: &Health, registry: &Registry) -> prometheus::Result<()> {
    #[cfg(target_os = "linux")]
    registry.register(Box::new(
        prometheus::process_collector::ProcessCollector::for_self(),
    ))?;
    let build = of(
        health.role(),
        "imagefleet_build_info",
        "1; its labels say what runs",
    )
    .const_label("version", env!("CARGO_PKG_VERSION"));
    register_int_gauge_with_registry!(build, registry)?.set(1);
    registry.register(Box::new(Dependencies::new(health.clone())?))
}

/// When the credentials of `role` expire: the name of each, and Unix time.
///
/// # Errors
/// When they are registered already.
pub fn credentials(
    registry: &Registry,
    role: &'static str,
    expire: &[(&'static str, i64)],
) -> prometheus::Result<()> {
    let gauges = register_int_gauge_vec_with_registry!(
        of(
            role,
            "imagefleet_credential_expires_timestamp_seconds",
            "Unix time at which a credential expires"
        ),
        &["credential"],
        registry
    )?;
    for (credential, at) in expire {
        gauges.with_label_values(&[credential]).set(*at);
    }
    Ok(())
}

/// A metric that several roles of a process may have.
#[must_use]
pub fn of(role: &str, name: &str, help: &str) -> Opts {
    Opts::new(name, help).const_label("role", role)
}

/// What a process waits for, as of the moment somebody asks.
struct Dependencies {
    health: Health,
    /// Held from filling to reading: two may ask at once.
    families: Mutex<(IntGaugeVec, IntCounterVec)>,
    descs: Vec<Desc>,
}

impl Dependencies {
    fn new(health: Health) -> prometheus::Result<Self> {
        let up = of(
            health.role(),
            "imagefleet_dependency_up",
            "1 while a dependency answers, 0 while it is waited for",
        );
        let opened = of(
            health.role(),
            "imagefleet_breaker_opened_total",
            "Times the breaker of a dependency opened",
        );
        let up = IntGaugeVec::new(up, &["dependency"])?;
        let opened = IntCounterVec::new(opened, &["dependency"])?;
        Ok(Self {
            health,
            descs: [up.desc(), opened.desc()]
                .concat()
                .into_iter()
                .cloned()
                .collect(),
            families: Mutex::new((up, opened)),
        })
    }
}

impl Collector for Dependencies {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let (up, opened) = &*families;
        up.reset();
        opened.reset();
        for tally in self.health.tally() {
            let dependency = [&tally.dependency];
            up.with_label_values(&dependency)
                .set(i64::from(tally.ready));
            if let Some(times) = tally.opened {
                opened.with_label_values(&dependency).inc_by(times);
            }
        }
        [up.collect(), opened.collect()].concat()
    }
}

/// What a role may spend and has spent, as of the moment somebody asks.
struct Spending {
    quota: Quota,
    /// Held from filling to reading, as above.
    families: Mutex<(Gauge, Gauge, IntCounter)>,
    descs: Vec<Desc>,
}

impl Quota {
    /// Register what `role` may spend of the quota, and has spent.
    ///
    /// # Errors
    /// When that role's is registered already.
    pub fn register(&self, role: &str, registry: &Registry) -> prometheus::Result<()> {
        let whole = Gauge::with_opts(of(
            role,
            "imagefleet_quota_units_per_minute",
            "Drive quota of the whole fleet",
        ))?;
        let share = Gauge::with_opts(of(
            role,
            "imagefleet_quota_share_units_per_minute",
            "Drive quota that this process may spend now",
        ))?;
        let spent = IntCounter::with_opts(of(
            role,
            "imagefleet_quota_units_total",
            "Units of the Drive quota spent",
        ))?;
        registry.register(Box::new(Spending {
            quota: self.clone(),
            descs: [whole.desc(), share.desc(), spent.desc()]
                .concat()
                .into_iter()
                .cloned()
                .collect(),
            families: Mutex::new((whole, share, spent)),
        }))
    }
}

impl Collector for Spending {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let (whole, share, spent) = &*families;
        spent.reset();
        spent.inc_by(self.quota.spent());
        let mut told = spent.collect();
        // Without a limit there is no whole to have a share of.
        if let Some(limit) = self.quota.limit() {
            whole.set(f64::from(limit));
            share.set(self.quota.pace_per_minute());
            told.extend([whole.collect(), share.collect()].concat());
        }
        told
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use prometheus::{Encoder as _, TextEncoder};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{Breaker, Service};

    /// Every sample of `registry`: name and labels, and value.
    fn samples(registry: &Registry) -> BTreeMap<String, String> {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&registry.gather(), &mut text)
            .unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(sample, value)| (sample.to_owned(), value.to_owned()))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_breaker_counts_its_openings_and_not_its_probes() {
        let service = Service::new("worker", CancellationToken::new()).unwrap();
        let breaker = Breaker::new("drive", service.health.clone());
        service.health.ready("nats");
        let up = r#"imagefleet_dependency_up{dependency="drive",role="worker"}"#;
        let opened = r#"imagefleet_breaker_opened_total{dependency="drive",role="worker"}"#;
        let now = || samples(&service.registry);
        assert_eq!((&*now()[up], &*now()[opened]), ("1", "0"));
        for times in ["1", "2"] {
            breaker.admit().await.away("no answer");
            assert_eq!((&*now()[up], &*now()[opened]), ("0", times));
            breaker.admit().await.away("still no answer");
            assert_eq!((&*now()[up], &*now()[opened]), ("0", times));
            breaker.admit().await.answered();
            assert_eq!((&*now()[up], &*now()[opened]), ("1", times));
        }
        assert!(
            !now().contains_key(&opened.replace("drive", "nats")),
            "it has no breaker"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn two_roles_of_one_process_have_a_quota_each() {
        let registry = Registry::new();
        let (limited, unlimited) = (Quota::new(Some(60_000)), Quota::new(None));
        limited.register("worker", &registry).unwrap();
        unlimited.register("producer", &registry).unwrap();
        assert!(limited.register("worker", &registry).is_err(), "twice");
        limited.acquire(200).await;
        unlimited.acquire(100).await;
        limited.set_share(0.5);
        limited.throttled(None);
        let now = samples(&registry);
        let of = |name: &str, role: &str| {
            let sample = format!("imagefleet_quota_{name}{{role=\"{role}\"}}");
            now.get(&sample).map(String::as_str)
        };
        assert_eq!(of("units_per_minute", "worker"), Some("60000"));
        assert_eq!(of("share_units_per_minute", "worker"), Some("15000"));
        assert_eq!(of("units_total", "worker"), Some("200"));
        assert_eq!(of("units_per_minute", "producer"), None);
        assert_eq!(of("share_units_per_minute", "producer"), None);
        assert_eq!(of("units_total", "producer"), Some("100"));
        tokio::time::advance(Duration::from_secs(120)).await;
        limited.acquire(200).await;
        let spent = r#"imagefleet_quota_units_total{role="worker"}"#;
        assert_eq!(samples(&registry)[spent], "400", "more than a minute ago");
    }
}
