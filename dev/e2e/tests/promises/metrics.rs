//! docs/metrics.md tells of everything that is exported, and of nothing else.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use drive_sim::{Faults, MUSEUM};
use e2e::metrics::{assert_lint_free, documented, exported, undocumented};
use e2e::{bucket, drive};
use testkit::{Fleet, fleet};

use crate::DEADLINE;

/// On the page, and not in this fleet: nothing it logs in with expires, and its broker has no limit.
const ABSENT: [&str; 2] = [
    "imagefleet_broker_storage_limit_bytes",
    "imagefleet_credential_expires_timestamp_seconds",
];

/// What each process answers to `/metrics`, by role.
async fn scrape(fleet: &Fleet) -> Vec<(&'static str, String)> {
    let worker = &fleet.workers[0];
    let mut all = Vec::new();
    for (role, url) in [
        ("producer", fleet.producer.health_url().unwrap()),
        ("worker", worker.health_url().unwrap()),
        ("projector", fleet.projector.health_url().unwrap()),
        ("gateway", fleet.url.clone()),
    ] {
        let answer = reqwest::get(format!("{url}/metrics")).await.unwrap();
        assert_eq!(answer.status(), 200, "{role}");
        all.push((role, answer.text().await.unwrap()));
    }
    all
}

/// The value of one sample, which is there.
fn value(scraped: &[(&str, String)], sample: &str) -> f64 {
    let lines = scraped.iter().flat_map(|(_, text)| text.lines());
    let mut values = lines.filter_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    let value = values.next().unwrap_or_else(|| panic!("no {sample}"));
    value.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_metrics_is_true() {
    let faults = Faults {
        seed: 3,
        error_500: 0.1,
        ..Faults::default()
    };
    let (drive_env, sim) = drive(faults).await;
    let (store_env, _store) = bucket("metrics").await;
    let own = vec![
        ("DRIVE_QUOTA_UNITS_PER_MINUTE", "1000000".to_owned()),
        ("WORKER_RETRY_BASE", "100ms".to_owned()),
    ];
    let env = [drive_env, store_env, own].concat();
    let fleet = Fleet::start(&fleet::program().unwrap(), 1, &env)
        .await
        .unwrap();
    // Some of one are imported, some fail for good; of the other, some are retried.
    let (mut imported, mut failed) = (0, 0);
    for folder in [MUSEUM, "sim-n200-s10k"] {
        let job = fleet.import(folder).await.unwrap();
        let status = fleet.ended(&job, DEADLINE).await.unwrap();
        imported += status["imported_count"].as_u64().unwrap();
        failed += status["failed"].as_u64().unwrap();
    }
    assert!(imported > 200 && failed > 0, "{imported} {failed}");

    let page = documented();
    assert!(page.len() > 50, "the page cannot be read");
    // Those that are read on a clock of their own come with the next look.
    let begun = Instant::now();
    let scraped = loop {
        let scraped = scrape(&fleet).await;
        let found: BTreeSet<String> = scraped
            .iter()
            .flat_map(|(_, text)| exported(text).into_keys())
            .collect();
        let missing: Vec<_> = page.keys().filter(|name| !found.contains(*name)).collect();
        let looked = || {
            value(&scraped, "imagefleet_images_stored") == imported as f64
                && value(&scraped, "imagefleet_tasks_outstanding") == 0.0
        };
        if missing == ABSENT && looked() {
            break scraped;
        }
        assert!(
            begun.elapsed() < DEADLINE,
            "not exported, or not current: {missing:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    for (role, text) in &scraped {
        let wrong = undocumented(&exported(text), &page);
        assert!(wrong.is_empty(), "{role}: {wrong:#?}");
        let build = format!("imagefleet_build_info{{role=\"{role}\",version=\"");
        assert!(text.contains(&build), "{role}");
        assert_lint_free(text).await;
    }

    let value = |sample: &str| value(&scraped, sample);
    let outcome = |outcome: &str| {
        let sample = format!("imagefleet_worker_images_total{{cause=\"\",outcome=\"{outcome}\"}}");
        value(&sample)
    };
    assert_eq!(outcome("imported"), imported as f64);
    let attempts = |part: &str, outcome: &str| {
        value(&format!(
            "imagefleet_worker_attempts_{part}{{outcome=\"{outcome}\"}}"
        ))
    };
    assert_eq!(attempts("count", "imported"), imported as f64);
    assert!(
        attempts("sum", "imported") > imported as f64,
        "some took several"
    );
    assert!(attempts("count", "failed") > 0.0);
    for phase in ["quota", "download", "verify", "upload", "report", "settle"] {
        let sample = format!("imagefleet_worker_phase_seconds_count{{phase=\"{phase}\"}}");
        assert!(value(&sample) >= imported as f64, "{phase}");
    }
    for phase in ["quota", "list", "publish", "room"] {
        let sample = format!("imagefleet_producer_phase_seconds_count{{phase=\"{phase}\"}}");
        assert!(value(&sample) >= 2.0, "{phase}");
    }
    let stored = value("imagefleet_worker_bytes_total");
    let downloaded = value("imagefleet_worker_downloaded_bytes_total");
    assert!(downloaded >= stored && stored > 200.0 * 10_240.0);
    let spent = ["worker", "producer"]
        .map(|role| value(&format!("imagefleet_quota_units_total{{role=\"{role}\"}}")));
    // Those that a fault met are paid, too, whether or not Drive counts them.
    assert!(spent.iter().sum::<f64>() >= sim.quota_units() as f64);
    assert_eq!(value("imagefleet_projector_active"), 1.0);
    fleet.stop().await.unwrap();
}
