//! `bin/just chaos`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use chaos::plan::Size;
use chaos::{Options, Report};
use clap::Parser;

/// Kill everything while images are imported, then count them.
#[derive(Debug, Parser)]
struct Args {
    /// Chooses what goes wrong, and when: the same seed makes the same schedule
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long things go wrong
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
    /// Print the report as one line of JSON on stdout
    #[arg(long)]
    json: bool,
    /// Worker processes
    #[arg(long, default_value_t = 3)]
    workers: usize,
    /// Images to import per second of the run
    #[arg(long, default_value_t = 15)]
    rate: u64,
    /// Milliseconds between two faults, on average
    #[arg(long, default_value_t = 1_500)]
    gap_ms: u64,
    /// Keep logs and database even if no promise was broken
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    runtime::install_tls_provider();
    let args = Args::parse();
    anyhow::ensure!(
        args.minutes > 0.0 && args.minutes < 10_000.0,
        "--minutes must be above 0"
    );
    anyhow::ensure!(
        (1..=100).contains(&args.workers),
        "--workers must be 1 to 100"
    );
    let folder = tempfile::Builder::new().prefix("chaos-").tempdir()?;
    let options = Options {
        seed: args.seed,
        size: Size {
            length: Duration::from_secs_f64(args.minutes * 60.0),
            workers: args.workers,
            images_per_second: args.rate.max(1),
            gap: Duration::from_millis(args.gap_ms.max(100)),
        },
        patience: Duration::from_secs(180) + Duration::from_secs_f64(args.minutes * 30.0),
        program: ours("imagefleet")?,
        folder: folder.path().to_path_buf(),
    };
    let report = chaos::run(&options).await.inspect_err(|_| {
        eprintln!("logs are in {}", options.folder.display());
    });
    let broken = report
        .as_ref()
        .map_or(true, |report| !report.violations.is_empty());
    if broken || args.keep {
        eprintln!("logs and database are kept in {}", folder.keep().display());
    }
    let report = report?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        tell(&report);
    }
    Ok(if broken {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn tell(report: &Report) {
    println!(
        "{} faults in {:.1} minutes (seed {}):",
        report.faults, report.minutes, report.seed
    );
    for (kind, count) in &report.faults_by_kind {
        println!("  {count:5} {kind}");
    }
    println!(
        "{} imports, {} images; {:.2} downloads per image, {} at most; {:.0}% of the quota; all settled {:.0} s after the last fault",
        report.imports,
        report.images,
        report.downloads_per_image,
        report.most_downloads,
        100.0 * report.quota_used,
        report.settled_after_seconds,
    );
    println!(
        "lost {}, doubled {}, corrupt {}, broken promises in all {}",
        report.lost,
        report.doubled,
        report.corrupt,
        report.violations.len()
    );
    for violation in report.violations.iter().take(50) {
        println!("  {:?}: {}", violation.broken, violation.what);
    }
}

/// A program built beside this one.
fn ours(name: &str) -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(name);
    anyhow::ensure!(
        program.is_file(),
        "{} is not built; run `bin/just chaos`",
        program.display()
    );
    Ok(program)
}
