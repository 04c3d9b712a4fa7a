//! One run, from the first process to the verdict.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::check::check;
use crate::evidence::{self, Evidence, Expected};
use crate::expect::{self, Outcome};
use crate::follow::{Followed, Follower};
use crate::journal::{Broken, Journal, Violation};
use crate::plan::{Plan, Size};
use crate::world::{BUCKET, QUOTA, World};

/// How long one fault may overrun: those of one target wait for each other.
const FAULTS_END: Duration = Duration::from_secs(120);

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Chooses what goes wrong, and when.
    pub seed: u64,
    /// How large the run is.
    pub size: Size,
    /// How long the imports may take to end once nothing fails any more.
    pub patience: Duration,
    /// The program under test.
    pub program: PathBuf,
    /// Where logs and the database go.
    pub folder: PathBuf,
}

/// What came of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What chose the faults.
    pub seed: u64,
    /// How long faults went on, in minutes.
    pub minutes: f64,
    /// Faults injected by the schedule.
    pub faults: u64,
    /// The same by kind.
    pub faults_by_kind: BTreeMap<String, u64>,
    /// Faults of single requests that the simulated Drive injected besides, by kind.
    pub drive_faults: BTreeMap<String, u64>,
    /// Imports, and how many were cancelled, paused or re-driven.
    pub imports: u64,
    /// Commands that were accepted.
    pub commands: u64,
    /// Images in the bucket.
    pub images: u64,
    /// Seconds from the last fault until everything had settled.
    pub settled_after_seconds: f64,
    /// Downloads per file that was downloaded.
    pub downloads_per_image: f64,
    /// The most downloads of one file.
    pub most_downloads: u64,
    /// The most quota used in a minute, as a share of what is allowed.
    pub quota_used: f64,
    /// Images listed and in no state, or without object or row.
    pub lost: usize,
    /// Objects, rows or entries that are there twice or belong to nothing.
    pub doubled: usize,
    /// Images whose bytes are not those in Drive.
    pub corrupt: usize,
    /// Every broken promise.
    pub violations: Vec<Violation>,
}

/// Run to the end. An error means that the run itself could not be made; broken promises are in the
/// report.
///
/// # Errors
/// When servers do not come up, or what is there cannot be read.
pub async fn run(options: &Options) -> anyhow::Result<Report> {
    let plan = Plan::new(options.seed, options.size);
    let journal = Arc::new(Journal::default());
    let world = World::start(
        &options.program,
        &plan,
        &options.folder,
        Arc::clone(&journal),
    )
    .await?;
    let world = Arc::new(world);
    journal.say(&format!(
        "seed {}: {} faults, {} imports, {} processes",
        plan.seed,
        plan.faults.len(),
        plan.imports.len(),
        plan.members.len()
    ));
    let watching = Arc::clone(&world);
    let watch = tokio::spawn(async move { watching.crew.watch().await });
    let stop = CancellationToken::new();
    let people = follow(&world, &journal, &plan, &stop);
    go_wrong(&world, &plan).await;
    let quiet = Instant::now();
    journal.say("nothing fails any more");
    let deadline = quiet + options.patience;
    let followed = come_home(people, deadline, &stop).await;
    let nats = world.nats.lock().await.connect().await?;
    let settled = evidence::settled(&nats, &world.database(), deadline).await;
    if let Err(error) = settled {
        journal.violated(Broken::Unfinished, format!("{error:#}"));
    }
    let settled_after = quiet.elapsed();
    let evidence = gather(&world, &nats, &followed, &journal, watch).await?;
    let mut violations = journal.violations();
    violations.extend(check(&evidence));
    violations.extend(panics(&world.logs)?);
    Ok(report(
        &plan,
        &world,
        &journal,
        &followed,
        &evidence,
        violations,
        settled_after,
    ))
}

fn follow(
    world: &Arc<World>,
    journal: &Arc<Journal>,
    plan: &Plan,
    stop: &CancellationToken,
) -> JoinSet<Followed> {
    let follower = Arc::new(Follower {
        world: Arc::clone(world),
        journal: Arc::clone(journal),
        begun: Instant::now(),
        stop: stop.clone(),
    });
    let mut people = JoinSet::new();
    for (number, import) in plan.imports.iter().cloned().enumerate() {
        let follower = Arc::clone(&follower);
        people.spawn(async move { follower.follow(number, import).await });
    }
    people
}

/// Every fault at its time, and to its end.
async fn go_wrong(world: &Arc<World>, plan: &Plan) {
    let begun = Instant::now();
    let mut under_way = JoinSet::new();
    for (at, fault) in &plan.faults {
        tokio::time::sleep_until((begun + *at).into()).await;
        let (world, fault) = (Arc::clone(world), *fault);
        under_way.spawn(async move { world.suffer(fault).await });
    }
    tokio::time::sleep_until((begun + plan.length).into()).await;
    let ended = async { while under_way.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(FAULTS_END, ended).await;
}

/// Wait for everybody who follows an import.
async fn come_home(
    mut people: JoinSet<Followed>,
    deadline: Instant,
    stop: &CancellationToken,
) -> Vec<Followed> {
    let mut all = Vec::new();
    let late = tokio::time::sleep_until(deadline.into());
    tokio::pin!(late);
    loop {
        tokio::select! {
            next = people.join_next() => match next {
                Some(Ok(followed)) => all.push(followed),
                Some(Err(_)) => {}
                None => return all,
            },
            () = &mut late, if !stop.is_cancelled() => stop.cancel(),
        }
    }
}

async fn gather(
    world: &World,
    nats: &jetstream::Nats,
    followed: &[Followed],
    journal: &Journal,
    watch: tokio::task::JoinHandle<()>,
) -> anyhow::Result<Evidence> {
    let mut evidence = Evidence {
        downloads: world.sim.stats().downloads,
        ..Evidence::default()
    };
    let oracle = drive_sim::serve(drive_sim::Options::default()).await?;
    for one in followed {
        let Some(job) = one.job.clone() else {
            journal.violated(
                Broken::Unfinished,
                format!("{:?} was never accepted", one.import),
            );
            continue;
        };
        evidence.imports.push(Expected {
            job,
            seen: one.last.clone(),
            commanded: one.commanded.clone(),
            entries: expect::entries(&oracle.url(), &one.import.folder).await?,
        });
    }
    let entries = evidence
        .imports
        .iter()
        .flat_map(|expected| expected.entries.values());
    let imported = entries.filter(|entry| entry.outcome == Outcome::Imported);
    evidence.contents = expect::contents(imported.map(|entry| entry.file.as_str()))?;
    // While everything runs, as an operator would.
    let check = ["rebuild", "--check", "--json"];
    if let Err(error) = world.command(&check, Duration::from_secs(120)).await {
        evidence.rebuilt = Some(format!("{error:#}"));
    }
    // Everybody drains; nothing may come of that but an orderly end.
    watch.abort();
    world.crew.stop().await;
    evidence.messages = evidence::messages(nats).await?;
    evidence.events = evidence::events(nats).await.context("reading the events")?;
    evidence.tables = crate::tables::Tables::read(&world.database())?;
    let bucket = format!("{}/{BUCKET}", world.weed.buckets());
    let found = evidence::bucket(&bucket).await;
    (evidence.objects, evidence.uploads) = found.context("reading the bucket")?;
    evidence.stray_files = evidence::stray_files(&world.data)?;
    Ok(evidence)
}

/// Panics in anybody's log.
fn panics(logs: &Path) -> anyhow::Result<Vec<Violation>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(logs)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        for line in text.lines().filter(|line| line.contains("panicked at")) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            found.push(Violation::new(Broken::Process, format!("{name}: {line}")));
        }
    }
    Ok(found)
}

fn report(
    plan: &Plan,
    world: &World,
    journal: &Journal,
    followed: &[Followed],
    evidence: &Evidence,
    violations: Vec<Violation>,
    settled_after: Duration,
) -> Report {
    let stats = world.sim.stats();
    let faults = journal.faults();
    let count = |broken| {
        violations
            .iter()
            .filter(|violation| violation.broken == broken)
            .count()
    };
    let downloads: u64 = evidence.downloads.values().sum();
    Report {
        seed: plan.seed,
        minutes: plan.length.as_secs_f64() / 60.0,
        faults: faults.values().sum(),
        faults_by_kind: faults
            .into_iter()
            .map(|(kind, count)| (kind.to_owned(), count))
            .collect(),
        drive_faults: stats.faults,
        imports: followed.len() as u64,
        commands: followed.iter().map(|one| one.commanded.len() as u64).sum(),
        images: evidence.objects.len() as u64,
        settled_after_seconds: settled_after.as_secs_f64(),
        downloads_per_image: downloads as f64 / evidence.downloads.len().max(1) as f64,
        most_downloads: evidence.downloads.values().copied().max().unwrap_or(0),
        quota_used: stats.max_quota_units_per_minute as f64 / QUOTA as f64,
        lost: count(Broken::Lost),
        doubled: count(Broken::Doubled),
        corrupt: count(Broken::Corrupt),
        violations,
    }
}
