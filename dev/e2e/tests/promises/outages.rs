//! An outage is not a failure: whatever is away, work waits, spends nothing, and goes on by itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use drive_sim::Faults;
use e2e::{assert_every_byte, bucket, bucket_of, drive, outcomes};
use storage::Store;
use testkit::weed::Weed;
use testkit::{Fleet, Process, fleet, until};

use crate::{DEADLINE, ack_wait, status};

/// How long each dependency is away. Without care for outages every image would spend its two
/// attempts in less than two seconds.
const AWAY: Duration = Duration::from_secs(60);
/// How long credentials are refused.
const REFUSED: Duration = Duration::from_secs(10);
/// From the moment something is back until images arrive again, by themselves.
const RESUMES: Duration = Duration::from_secs(20);
const IMAGES: u64 = 300;

fn unhurried() -> Faults {
    Faults {
        latency_ms: 150,
        ..Faults::default()
    }
}

/// An import that takes its time, and gives up on an image soon.
struct Import {
    fleet: Fleet,
    job: String,
}

impl Import {
    async fn begin(workers: usize, env: &[(&'static str, String)]) -> Self {
        let own = [
            ("WORKER_CONCURRENCY", "4".to_owned()),
            ("WORKER_MAX_ATTEMPTS", "2".to_owned()),
            ("WORKER_RETRY_BASE", "100ms".to_owned()),
        ];
        let env = [env, &own, &ack_wait("3s")].concat();
        let fleet = Fleet::start(&fleet::program().unwrap(), workers, &env)
            .await
            .unwrap();
        let job = fleet.import("sim-n300-s5k").await.unwrap();
        Self { fleet, job }
    }

    async fn imported(&self) -> u64 {
        let status = status(&self.fleet, &self.job).await;
        status["imported_count"].as_u64().unwrap_or(0)
    }

    /// Wait until `more` images have been imported.
    async fn goes_on(&self, more: u64) {
        let before = self.imported().await;
        assert!(before + more < IMAGES, "the import is over too soon");
        until("the import goes on", DEADLINE, || async {
            (self.imported().await >= before + more).then_some(())
        })
        .await;
    }

    /// Wait until what stood still goes on, now that `back` is.
    async fn resumes(&self, back: &str, seen: u64) {
        let since = Instant::now();
        until("the import resumes", RESUMES, || async {
            (self.imported().await > seen).then_some(())
        })
        .await;
        let after = since.elapsed().as_secs_f64();
        println!("{back} is back: images arrive after {after:.1} s");
    }

    /// Wait until the status says what is waited for.
    async fn waits_for(&self, dependency: &str) -> String {
        until("the status says what is away", DEADLINE, || async {
            let status = status(&self.fleet, &self.job).await;
            assert_eq!(status["status"], "processing", "{status}");
            status["waiting_for"][dependency]
                .as_str()
                .map(str::to_owned)
        })
        .await
    }

    /// Wait until it is over: everything has arrived at its first attempt.
    async fn arrives_whole(self, store: &Store) {
        let Self { fleet, job } = self;
        let status = fleet.ended(&job, DEADLINE).await.unwrap();
        assert_eq!(
            (&status["status"], status["imported_count"].as_u64()),
            (&"completed".into(), Some(IMAGES)),
            "{status}"
        );
        let all = BTreeMap::from([(("image.imported", 1), IMAGES as usize)]);
        assert_eq!(outcomes(&fleet).await, all, "nothing was spent");
        assert_every_byte(&fleet.url, store, IMAGES as usize).await;
        fleet.stop().await.unwrap();
    }
}

/// Wait until `process` says that it is not ready, and why.
async fn not_ready(process: &Process, dependency: &str) -> String {
    until("a process says what it waits for", DEADLINE, || async {
        let missing = process.waits_for().await.unwrap();
        let found = missing.into_iter().find(|(name, _)| name == dependency);
        found.map(|(_, why)| why)
    })
    .await
}

async fn ready(process: &Process) {
    until("a process is ready again", DEADLINE, || async {
        process.waits_for().await.unwrap().is_empty().then_some(())
    })
    .await;
}

/// Each has a fleet of its own and they stand still side by side, so that four minutes take one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_away_for_a_minute() {
    tokio::join!(
        Box::pin(drive_is_away()),
        Box::pin(the_store_is_away()),
        Box::pin(nats_is_away()),
        Box::pin(sql_is_away()),
    );
}

async fn drive_is_away() {
    let (drive_env, sim) = drive(unhurried()).await;
    let (store_env, store) = bucket("drive-away").await;
    let import = Import::begin(1, &[drive_env, store_env].concat()).await;
    let worker = &import.fleet.workers[0];
    import.goes_on(20).await;
    sim.set_faults(Faults {
        down: true,
        ..unhurried()
    });
    let why = import.waits_for("drive").await;
    assert_eq!(not_ready(worker, "drive").await, why);
    tokio::time::sleep(AWAY).await;
    let seen = import.imported().await;
    sim.set_faults(unhurried());
    import.resumes("Drive", seen).await;
    ready(worker).await;
    import.arrives_whole(&store).await;
}

async fn the_store_is_away() {
    let (drive_env, _sim) = drive(unhurried()).await;
    let mut weed = Weed::start().await.unwrap();
    let (store_env, store) = bucket_of(&weed, "away").await;
    let import = Import::begin(1, &[drive_env, store_env].concat()).await;
    let worker = &import.fleet.workers[0];
    import.goes_on(20).await;
    weed.stop();
    import.waits_for("store").await;
    not_ready(worker, "store").await;
    tokio::time::sleep(AWAY).await;
    let seen = import.imported().await;
    weed.resume().await.unwrap();
    import.resumes("the store", seen).await;
    ready(worker).await;
    import.arrives_whole(&store).await;
}

async fn nats_is_away() {
    let (drive_env, _sim) = drive(unhurried()).await;
    let (store_env, store) = bucket("nats-away").await;
    let mut import = Import::begin(1, &[drive_env, store_env].concat()).await;
    import.goes_on(20).await;
    import.fleet.nats.stop().await;
    not_ready(&import.fleet.workers[0], "nats").await;
    import.waits_for("nats").await;
    // What can be served without NATS still is, and what cannot is refused at once.
    let folder = "https://drive.google.com/drive/folders/sim-n1-s5k";
    let submitted = reqwest::Client::new()
        .post(format!("{}/api/import/google-drive", import.fleet.url))
        .json(&serde_json::json!({ "folder_url": folder }))
        .send()
        .await
        .unwrap();
    assert_eq!(submitted.status(), 503);
    assert!(submitted.headers().contains_key("retry-after"));
    tokio::time::sleep(AWAY).await;
    let seen = import.imported().await;
    import.fleet.nats.restart().await.unwrap();
    import.resumes("NATS", seen).await;
    ready(&import.fleet.workers[0]).await;
    import.arrives_whole(&store).await;
}

/// Somebody holds SQLite's one write lock. Reading goes on, folding waits.
async fn sql_is_away() {
    let (drive_env, _sim) = drive(unhurried()).await;
    let (store_env, store) = bucket("sql-away").await;
    let import = Import::begin(1, &[drive_env, store_env].concat()).await;
    import.goes_on(20).await;
    let database = import.fleet.setting("DATABASE_PATH").unwrap();
    let lock = rusqlite::Connection::open(database).unwrap();
    lock.busy_timeout(DEADLINE).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let seen = import.imported().await;
    let why = import.waits_for("sql").await;
    assert_eq!(not_ready(&import.fleet.projector, "sql").await, why);
    tokio::time::sleep(AWAY).await;
    assert_eq!(import.imported().await, seen, "nobody folds now");
    lock.execute_batch("ROLLBACK").unwrap();
    drop(lock);
    import.resumes("SQL", seen).await;
    ready(&import.fleet.projector).await;
    import.arrives_whole(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_refused_and_accepted_again() {
    tokio::join!(
        Box::pin(drive_refuses_our_key()),
        Box::pin(the_store_refuses_our_secret()),
    );
}

async fn drive_refuses_our_key() {
    let (drive_env, sim) = drive(unhurried()).await;
    let (store_env, store) = bucket("drive-refuses").await;
    let import = Import::begin(1, &[drive_env, store_env].concat()).await;
    let worker = &import.fleet.workers[0];
    import.goes_on(20).await;
    sim.set_faults(Faults {
        unauthorized: true,
        ..unhurried()
    });
    let why = import.waits_for("drive").await;
    assert_eq!(not_ready(worker, "drive").await, why);
    assert!(why.contains("GOOGLE_API_KEY"), "{why}");
    assert!(!why.contains(drive_sim::DEFAULT_API_KEY), "{why}");
    tokio::time::sleep(REFUSED).await;
    let seen = import.imported().await;
    sim.set_faults(unhurried());
    import.resumes("the key", seen).await;
    ready(worker).await;
    import.arrives_whole(&store).await;
}

async fn the_store_refuses_our_secret() {
    let (drive_env, _sim) = drive(unhurried()).await;
    let mut weed = Weed::start().await.unwrap();
    let (store_env, store) = bucket_of(&weed, "refuses").await;
    let import = Import::begin(1, &[drive_env, store_env].concat()).await;
    let worker = &import.fleet.workers[0];
    let secret = weed.secret_key().to_owned();
    import.goes_on(20).await;
    weed.stop();
    weed.set_secret_key("another-secret");
    weed.resume().await.unwrap();
    let why = until("the store refuses", DEADLINE, || async {
        let why = import.waits_for("store").await;
        why.contains("AWS_SECRET_ACCESS_KEY").then_some(why)
    })
    .await;
    assert!(!why.contains(&secret), "{why}");
    tokio::time::sleep(REFUSED).await;
    let seen = import.imported().await;
    weed.stop();
    weed.set_secret_key(&secret);
    weed.resume().await.unwrap();
    import.resumes("the secret", seen).await;
    ready(worker).await;
    import.arrives_whole(&store).await;
}

/// One worker is killed with tasks in hand, one is told to end and drains.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_die_and_leave() {
    let (drive_env, sim) = drive(unhurried()).await;
    let (store_env, store) = bucket("workers-leave").await;
    let mut import = Import::begin(2, &[drive_env, store_env].concat()).await;
    import.goes_on(20).await;
    import.fleet.workers[0].kill().await.unwrap();
    import.fleet.workers.remove(0);
    import.fleet.add_worker().unwrap();
    import.goes_on(20).await;
    let leaving = import.fleet.workers.remove(0);
    assert!(leaving.stop().await.unwrap().success(), "it drains");
    let downloads = sim.stats().downloads;
    import.arrives_whole(&store).await;
    let twice = downloads.values().filter(|count| **count > 1).count();
    assert!(twice <= 4, "only what the killed one held is fetched again");
}
