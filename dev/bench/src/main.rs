//! Benchmarks: what the fleet costs over the least that any import must cost.
//!
//! The *floor* lists, downloads and puts with the same client libraries, without a queue, without
//! SQL, without verification. The *fleet* is every role as its own process with nats-server and
//! SQLite. Both run in turn on the same simulator and store, so their ratio holds when the machine's
//! speed drifts; absolute figures mean little.

mod fleet;
mod floor;
mod fold;
mod measure;
mod memory;
mod quota;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use measure::{Usage, cpu_by_name, usage};
use testkit::weed::Weed;
use testkit::{Collector, Process};

#[derive(Parser)]
#[command(about = "Measure the fleet against the floor")]
struct Args {
    #[command(subcommand)]
    part: Option<Part>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Rounds of floor and fleet, in turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Images per import.
    #[arg(long, default_value_t = 3_000)]
    images: u64,
    /// Bytes per image.
    #[arg(long, default_value_t = 100_000)]
    bytes: u64,
    /// Workers of the fleet.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Let the fleet record traces, and send them to a collector of ours.
    #[arg(long)]
    traces: bool,
    /// Leave out the run under a quota (it takes more than a minute).
    #[arg(long)]
    no_quota: bool,
}

#[derive(Subcommand)]
enum Part {
    /// Whether fleets of 1, 3 and 10 workers share a quota: stay within it, and use it.
    Quota(quota::Quota),
    /// How much memory each role needs for 200,000 images, and for one of 300 MB.
    Memory(memory::Memory),
    /// How many events a second are folded into SQLite, and into the SQL Server that
    /// TEST_SQLSERVER_URL names.
    Fold(fold::Fold),
    /// The floor alone, as a process of its own (used by the benchmark itself).
    #[command(hide = true)]
    Floor {
        /// The folder to import.
        folder: String,
    },
}

/// The machine's parts that both measured systems share.
struct Bed {
    weed: Weed,
    sim: Process,
    sim_url: String,
    folder: tempfile::TempDir,
}

impl Bed {
    async fn lay(sim_args: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut args = vec!["--listen", "127.0.0.1:0"];
        args.extend(sim_args);
        let sim = Process::start("drive-sim", &ours("drive-sim")?, &args, &[], folder.path())?;
        let sim_url = testkit::until(
            "drive-sim prints its address",
            Duration::from_secs(20),
            || async {
                sim.out()
                    .lines()
                    .find(|line| line.starts_with("http://"))
                    .map(str::to_owned)
            },
        )
        .await;
        Ok(Self {
            weed: Weed::start().await?,
            sim,
            sim_url,
            folder,
        })
    }

    /// Settings that lead to this bed, with a bucket of the caller's.
    async fn env(&self, bucket: &str) -> anyhow::Result<Vec<(&'static str, String)>> {
        self.weed.create_bucket(bucket).await?;
        Ok(vec![
            ("GOOGLE_DRIVE_ENDPOINT", self.sim_url.clone()),
            ("GOOGLE_API_KEY", drive_sim::DEFAULT_API_KEY.to_owned()),
            ("STORAGE_PROVIDER", "aws".to_owned()),
            ("AWS_BUCKET_NAME", bucket.to_owned()),
            ("AWS_ENDPOINT_URL", self.weed.endpoint()),
            ("AWS_ACCESS_KEY_ID", self.weed.access_key().to_owned()),
            ("AWS_SECRET_ACCESS_KEY", self.weed.secret_key().to_owned()),
        ])
    }
}

impl Bed {
    /// CPU time so far of what both measured systems share: the simulator and the store.
    fn shared(&self) -> anyhow::Result<[f64; 2]> {
        let sim = usage("drive-sim", self.sim.pid().unwrap_or(0))?;
        Ok([sim.cpu_seconds, cpu_by_name("weed")])
    }

    /// What they have cost since `before`.
    fn shared_since(&self, before: [f64; 2]) -> anyhow::Result<Vec<Usage>> {
        let now = self.shared()?;
        let cost = |name: &str, n: usize| Usage {
            name: name.to_owned(),
            cpu_seconds: now[n] - before[n],
            peak_rss: 0,
        };
        Ok(vec![cost("drive-sim", 0), cost("weed", 1)])
    }
}

/// A program built beside this one.
fn ours(name: &str) -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(name);
    anyhow::ensure!(
        program.is_file(),
        "{} is not built; run `bin/just bench`",
        program.display()
    );
    Ok(program)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    runtime::install_tls_provider();
    let args = Args::parse();
    match args.part {
        Some(Part::Floor { folder }) => return floor::run(&folder).await,
        Some(Part::Quota(args)) => return quota::run(args).await,
        Some(Part::Memory(args)) => return memory::run(args).await,
        Some(Part::Fold(args)) => return fold::run(args).await,
        None => {}
    }
    let mut results = report::Results::new(args.images, args.bytes, args.workers);
    let folder = format!("sim-n{}-s{}", args.images, args.bytes);
    let bed = Bed::lay(&[]).await?;
    // Not counted: the first to come would wait for the simulator to make its pages and the store
    // its volumes, and that is always the floor.
    let env = bed.env("warm-up").await?;
    floor::measure(&bed, &env, &folder, args.images)
        .await
        .context("warm-up")?;
    let collector = match args.traces {
        true => Some(Collector::start().await?),
        false => None,
    };
    for round in 0..args.rounds {
        eprintln!("round {} of {}", round + 1, args.rounds);
        let env = bed.env(&format!("floor-{round}")).await?;
        results.floor.push(
            floor::measure(&bed, &env, &folder, args.images)
                .await
                .context("floor")?,
        );
        let mut env = bed.env(&format!("fleet-{round}")).await?;
        if let Some(collector) = &collector {
            env.push(("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url().to_owned()));
        }
        results.fleet.push(
            fleet::measure(&bed, &env, &folder, args.images, args.workers)
                .await
                .context("fleet")?,
        );
    }
    drop(bed);
    if let Some(collector) = collector {
        eprintln!("{} spans arrived", collector.spans().len());
    }
    if !args.no_quota {
        eprintln!("under a quota, with 150 ms latency");
        results.quota = Some(fleet::under_quota().await.context("quota")?);
    }
    results.print(args.json)
}
