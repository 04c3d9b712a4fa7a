//! Whether fleets of different sizes share one quota: never more than all of it in any minute, and
//! nearly all of it while there is work, though a worker joins and one is killed.

use std::time::{Duration, Instant};

use clap::Args;
use drive_sim::{Faults, Options, Server};
use serde::Serialize;
use testkit::Fleet;
use testkit::weed::Weed;

use crate::ours;

/// What a download costs.
const DOWNLOAD: u64 = 200;
const MINUTE: Duration = Duration::from_secs(60);
/// Before this the fleet is still starting; shares are known within seconds.
const WARM: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(900);

#[derive(Args)]
pub(crate) struct Quota {
    /// Units per minute that Drive allows and the fleet is told.
    #[arg(long, default_value_t = 1_200_000)]
    units: u64,
    /// How long each fleet is observed, about.
    #[arg(long, default_value_t = 180)]
    seconds: u64,
    /// Sizes of fleets to measure.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 3, 10])]
    fleets: Vec<usize>,
    /// Milliseconds before each of Drive's answers.
    #[arg(long, default_value_t = 100)]
    latency_ms: u64,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// One fleet.
#[derive(Debug, Serialize)]
struct Shared {
    workers: usize,
    units_per_minute: u64,
    images: u64,
    seconds: f64,
    /// The most spent in any 60 s, as Drive saw it; 1.0 is all of the quota.
    highest_minute: f64,
    /// Spent while there was work, of what was allowed in that time.
    used: f64,
    /// The least of any 60 s while there was work.
    lowest_minute: f64,
    /// Requests that Drive refused for the quota's sake.
    refused: u64,
}

/// Units spent so far, at some moments.
type Curve = Vec<(Duration, u64)>;

pub(crate) async fn run(args: Quota) -> anyhow::Result<()> {
    let weed = Weed::start().await?;
    let mut results = Vec::new();
    for workers in &args.fleets {
        eprintln!("{workers} worker(s)");
        results.push(measure(&args, &weed, *workers).await?);
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&results)?);
    } else {
        table(&results);
    }
    Ok(())
}

async fn measure(args: &Quota, weed: &Weed, workers: usize) -> anyhow::Result<Shared> {
    let sim = drive_sim::serve(Options {
        faults: Faults {
            quota_units_per_minute: Some(args.units),
            latency_ms: args.latency_ms,
            ..Faults::default()
        },
        ..Options::default()
    })
    .await?;
    let bucket = format!("quota-{workers}");
    weed.create_bucket(&bucket).await?;
    let env = [
        ("GOOGLE_DRIVE_ENDPOINT", sim.url()),
        ("GOOGLE_API_KEY", drive_sim::DEFAULT_API_KEY.to_owned()),
        ("STORAGE_PROVIDER", "aws".to_owned()),
        ("AWS_BUCKET_NAME", bucket),
        ("AWS_ENDPOINT_URL", weed.endpoint()),
        ("AWS_ACCESS_KEY_ID", weed.access_key().to_owned()),
        ("AWS_SECRET_ACCESS_KEY", weed.secret_key().to_owned()),
        ("DRIVE_QUOTA_UNITS_PER_MINUTE", args.units.to_string()),
        ("NATS_ACK_WAIT", "5s".to_owned()),
    ];
    let mut fleet = Fleet::start(&ours("imagefleet")?, workers, &env).await?;
    let images = args.units * args.seconds / 60 / DOWNLOAD;
    let begun = Instant::now();
    let job = fleet.import(&format!("sim-n{images}-s5k")).await?;
    let third = Duration::from_secs(args.seconds / 3);
    let curve = {
        let mut curve = watch(&sim, begun, third, images).await?;
        fleet.add_worker()?;
        curve.extend(watch(&sim, begun, 2 * third, images).await?);
        fleet.workers[0].kill().await?;
        fleet.workers.remove(0);
        curve.extend(watch(&sim, begun, DEADLINE, images).await?);
        curve
    };
    let status = fleet.ended(&job, DEADLINE).await?;
    anyhow::ensure!(
        status["imported_count"].as_u64() == Some(images),
        "not everything arrived: {status}"
    );
    let stats = sim.stats();
    fleet.stop().await?;
    let per_minute = args.units as f64;
    let (used, lowest_minute) = shares(&curve, per_minute);
    Ok(Shared {
        workers,
        units_per_minute: args.units,
        images,
        seconds: begun.elapsed().as_secs_f64(),
        highest_minute: stats.max_quota_units_per_minute as f64 / per_minute,
        used,
        lowest_minute,
        refused: stats.faults.get("quota").copied().unwrap_or(0),
    })
}

/// What was spent so far, ten times a second, until `until` or while there is work: as long as there
/// are more images left than the fleet may hold at once.
async fn watch(
    sim: &Server,
    begun: Instant,
    until: Duration,
    images: u64,
) -> anyhow::Result<Curve> {
    let mut curve = Curve::new();
    loop {
        let spent = sim.quota_units();
        let at = begun.elapsed();
        if at >= until || spent + 64 * DOWNLOAD >= images * DOWNLOAD {
            return Ok(curve);
        }
        anyhow::ensure!(at < DEADLINE, "the import does not end");
        curve.push((at, spent));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Of what was allowed while there was work: the part that was used, and the least of any minute.
fn shares(curve: &Curve, per_minute: f64) -> (f64, f64) {
    let busy: Vec<_> = curve.iter().filter(|(at, _)| *at >= WARM).collect();
    let (Some((from, before)), Some((to, after))) = (busy.first(), busy.last()) else {
        return (0.0, 0.0);
    };
    let share =
        |units: u64, time: Duration| units as f64 / (per_minute * time.as_secs_f64() / 60.0);
    let used = share(after - before, (*to).saturating_sub(*from));
    let mut lowest = f64::INFINITY;
    for (at, spent) in &busy {
        let end = busy.iter().find(|(other, _)| *other >= *at + MINUTE);
        if let Some((end, after)) = end {
            lowest = lowest.min(share(after - spent, end.saturating_sub(*at)));
        }
    }
    (used, if lowest.is_finite() { lowest } else { used })
}

fn table(results: &[Shared]) {
    println!(
        "| workers | images | s | most in any 60 s | used while there was work | least in any 60 s | refused |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for shared in results {
        println!(
            "| {} | {} | {:.0} | {:.1}% | {:.1}% | {:.1}% | {} |",
            shared.workers,
            shared.images,
            shared.seconds,
            100.0 * shared.highest_minute,
            100.0 * shared.used,
            100.0 * shared.lowest_minute,
            shared.refused
        );
    }
}
