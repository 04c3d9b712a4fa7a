//! How much memory each role needs for very many images, and for one very large one.

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use drive_sim::{LOCAL_FOLDER, Options};
use serde::Serialize;
use testkit::Fleet;
use testkit::weed::Weed;

use crate::measure::{Usage, usage};
use crate::ours;

const DEADLINE: Duration = Duration::from_secs(3600);
/// What each role may have resident; nats-server is not ours.
const LIMIT: u64 = 64 << 20;

#[derive(Args)]
pub(crate) struct Memory {
    /// Tiny images in the first import.
    #[arg(long, default_value_t = 200_000)]
    images: u64,
    /// Bytes of the one image in the second import.
    #[arg(long, default_value_t = 300_000_000)]
    bytes: u64,
    /// Workers of the fleet.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// One import.
#[derive(Debug, Serialize)]
struct Peaks {
    what: String,
    seconds: f64,
    processes: Vec<Usage>,
}

pub(crate) async fn run(args: Memory) -> anyhow::Result<()> {
    let weed = Weed::start().await?;
    let folder = tempfile::tempdir()?;
    // A picture followed by nothing but zeros, which take no place on disk.
    let picture = drive_sim::content("sim-n1-s5k-f0").context("no picture")?;
    let mut file = File::create(folder.path().join("huge.jpg"))?;
    file.write_all(&picture)?;
    file.set_len(args.bytes)?;
    let many = (
        format!("{} images of 256 bytes", args.images),
        format!("sim-n{}-s256", args.images),
        args.images,
    );
    let huge = (
        format!("one image of {} bytes", args.bytes),
        LOCAL_FOLDER.to_owned(),
        1,
    );
    let mut results = Vec::new();
    for (number, (what, id, images)) in [many, huge].into_iter().enumerate() {
        eprintln!("{what}");
        let sim = drive_sim::serve(Options {
            folder: Some(folder.path().to_owned()),
            ..Options::default()
        })
        .await?;
        let bucket = format!("memory-{number}");
        weed.create_bucket(&bucket).await?;
        let env = [
            ("GOOGLE_DRIVE_ENDPOINT", sim.url()),
            ("GOOGLE_API_KEY", drive_sim::DEFAULT_API_KEY.to_owned()),
            ("STORAGE_PROVIDER", "aws".to_owned()),
            ("AWS_BUCKET_NAME", bucket),
            ("AWS_ENDPOINT_URL", weed.endpoint()),
            ("AWS_ACCESS_KEY_ID", weed.access_key().to_owned()),
            ("AWS_SECRET_ACCESS_KEY", weed.secret_key().to_owned()),
        ];
        results.push(measure(what, &id, images, &env, args.workers).await?);
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&results)?);
    } else {
        table(&results);
    }
    let above: Vec<String> = results
        .iter()
        .flat_map(|peaks| &peaks.processes)
        .filter(|process| process.name != "nats-server" && process.peak_rss > LIMIT)
        .map(|process| format!("{} ({} MiB)", process.name, process.peak_rss >> 20))
        .collect();
    anyhow::ensure!(
        above.is_empty(),
        "above {} MiB: {}",
        LIMIT >> 20,
        above.join(", ")
    );
    Ok(())
}

async fn measure(
    what: String,
    folder: &str,
    images: u64,
    env: &[(&'static str, String)],
    workers: usize,
) -> anyhow::Result<Peaks> {
    let fleet = Fleet::start(&ours("imagefleet")?, workers, env).await?;
    let begun = Instant::now();
    let job = fleet.import(folder).await?;
    let status = fleet.ended(&job, DEADLINE).await?;
    anyhow::ensure!(
        status["imported_count"].as_u64() == Some(images),
        "not everything arrived: {status}"
    );
    // Reading everything is part of the promise, too.
    let mut all = reqwest::get(format!("{}/api/images/all", fleet.url)).await?;
    while all.chunk().await?.is_some() {}
    let seconds = begun.elapsed().as_secs_f64();
    let pid = |pid: Option<u32>| pid.context("a process is gone");
    let nats = fleet.nats.pid().and_then(|pid| u32::try_from(pid).ok());
    let mut processes = vec![
        usage("producer", pid(fleet.producer.pid())?)?,
        usage("projector", pid(fleet.projector.pid())?)?,
        usage("gateway", pid(fleet.gateway.pid())?)?,
        usage("nats-server", pid(nats)?)?,
    ];
    for (number, worker) in fleet.workers.iter().enumerate() {
        processes.push(usage(&format!("worker-{number}"), pid(worker.pid())?)?);
    }
    fleet.stop().await?;
    Ok(Peaks {
        what,
        seconds,
        processes,
    })
}

fn table(results: &[Peaks]) {
    for peaks in results {
        println!("{} ({:.0} s)\n", peaks.what, peaks.seconds);
        println!("| | peak RSS MiB | CPU-s |\n| --- | ---: | ---: |");
        for process in &peaks.processes {
            println!(
                "| {} | {:.1} | {:.1} |",
                process.name,
                process.peak_rss as f64 / 1_048_576.0,
                process.cpu_seconds
            );
        }
        println!();
    }
}
