//! The fleet: every role as its own process.

use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::Fleet;

use crate::measure::usage;
use crate::report::{Quota, Run};
use crate::{Bed, ours};

const DEADLINE: Duration = Duration::from_secs(900);

/// Import `folder` once and read everybody's books.
pub(crate) async fn measure(
    bed: &Bed,
    env: &[(&'static str, String)],
    folder: &str,
    images: u64,
    workers: usize,
) -> anyhow::Result<Run> {
    let fleet = Fleet::start(&ours("imagefleet")?, workers, env).await?;
    let before = bed.shared()?;
    let begun = Instant::now();
    let job = fleet.import(folder).await?;
    let status = fleet.ended(&job, DEADLINE).await?;
    let seconds = begun.elapsed().as_secs_f64();
    anyhow::ensure!(
        status["imported_count"].as_u64() == Some(images),
        "not everything arrived: {status}"
    );
    let mut own = vec![
        usage("producer", fleet.producer.pid().unwrap_or(0))?,
        usage("projector", fleet.projector.pid().unwrap_or(0))?,
        usage("gateway", fleet.gateway.pid().unwrap_or(0))?,
        usage(
            "nats-server",
            fleet
                .nats
                .pid()
                .and_then(|pid| u32::try_from(pid).ok())
                .unwrap_or(0),
        )?,
    ];
    for (n, worker) in fleet.workers.iter().enumerate() {
        own.push(usage(&format!("worker-{n}"), worker.pid().unwrap_or(0))?);
    }
    let others = bed.shared_since(before)?;
    let phases = phases(&fleet).await.unwrap_or_default();
    fleet.stop().await?;
    Ok(Run {
        phases,
        ..Run::new(images, seconds, own, others)
    })
}

/// Mean milliseconds per phase, by the first worker's own metrics.
async fn phases(fleet: &Fleet) -> anyhow::Result<Vec<(String, f64)>> {
    let mut phases = Vec::new();
    let Some(address) = fleet.workers.first().and_then(|worker| {
        worker.log().lines().find_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"] == "health server listens")
                .then(|| line["address"].as_str().map(str::to_owned))?
        })
    }) else {
        return Ok(phases);
    };
    let text = reqwest::get(format!("http://{address}/metrics"))
        .await?
        .text()
        .await?;
    let value = |name: &str| -> Option<f64> {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    };
    for phase in ["quota", "download", "upload", "report", "settle"] {
        let metric = |part: &str| {
            value(&format!(
                "imagefleet_worker_phase_seconds_{part}{{phase=\"{phase}\"}}"
            ))
        };
        if let (Some(sum), Some(count)) = (metric("sum"), metric("count")) {
            phases.push((phase.to_owned(), 1000.0 * sum / count.max(1.0)));
        }
    }
    Ok(phases)
}

/// How much of a quota is used while there is work: 100 images a second allowed, three workers.
pub(crate) async fn under_quota() -> anyhow::Result<Quota> {
    const UNITS: u64 = 1_200_000;
    const IMAGES: u64 = 7_500;
    let quota = UNITS.to_string();
    let bed = Bed::lay(&["--latency-ms", "150", "--quota-units-per-minute", &quota]).await?;
    let mut env = bed.env("quota").await?;
    env.push(("DRIVE_QUOTA_UNITS_PER_MINUTE", quota));
    let fleet = Fleet::start(&ours("imagefleet")?, 3, &env).await?;
    let begun = Instant::now();
    let job = fleet.import(&format!("sim-n{IMAGES}-s10k")).await?;
    fleet.ended(&job, DEADLINE).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let stats: Value = reqwest::get(format!("{}/admin/stats", bed.sim_url))
        .await?
        .json()
        .await?;
    let count = |pointer: &str| stats.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    fleet.stop().await?;
    let most = count("/max_quota_units_per_minute");
    Ok(Quota {
        units_per_minute: UNITS,
        latency_ms: 150,
        workers: 3,
        images: IMAGES,
        seconds,
        used_in_busiest_minute: most as f64 / UNITS as f64,
        refused: count("/statuses/403") + count("/statuses/429"),
    })
}
