//! The servers around a fleet, and how each of them fails.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use drive_sim::{Faults, Server};
use rusqlite::Connection;
use testkit::dice::Dice;
use testkit::proxy::{Proxy, Trouble};
use testkit::weed::Weed;
use testkit::{NatsServer, Process};
use tokio::sync::{Mutex, RwLock};

use crate::crew::{Crew, Settings};
use crate::journal::{Broken, Journal};
use crate::plan::{Fault, Link, Plan, Role};

/// The bucket that images go to.
pub const BUCKET: &str = "chaos";
/// Images per second that the fleet may take from Drive: keeps work going on while things fail, and
/// the machine usable. A download costs 200 units.
const IMAGES_PER_SECOND: u64 = 60;

/// Quota of the whole fleet, in units per minute.
pub const QUOTA: u64 = IMAGES_PER_SECOND * 60 * 200;

/// How often Drive misbehaves all along.
fn everyday_faults(seed: u64) -> Faults {
    Faults {
        seed,
        error_500: 0.02,
        error_503: 0.02,
        reset: 0.02,
        truncate: 0.02,
        flip: 0.02,
        stall: 0.002,
        expired_token: 0.03,
        short_page: 0.1,
        empty_page: 0.05,
        latency_ms: 5,
        jitter_ms: 40,
        ..Faults::default()
    }
}

/// A proxied connection; one trouble at a time.
struct Wire {
    proxy: Proxy,
    turn: Mutex<()>,
}

/// Everything that a run needs. All of it ends with it.
pub struct World {
    /// The fleet.
    pub crew: Crew,
    /// nats-server.
    pub nats: Mutex<NatsServer>,
    /// The object store.
    pub weed: Weed,
    /// Drive.
    pub sim: Server,
    /// Where SQLite's file lies, and nothing else.
    pub data: PathBuf,
    /// Where every process writes its log.
    pub logs: PathBuf,
    /// Settings of a process that is spared every fault.
    pub calm: Settings,
    /// Held to read while an import begins. Credentials that do not work then are its own fault,
    /// so they stop working only while nobody holds this.
    pub beginnings: RwLock<()>,
    program: PathBuf,
    journal: Arc<Journal>,
    store: Wire,
    broker: Wire,
    drive: Wire,
    sim_turn: Mutex<()>,
    everyday: Faults,
}

impl World {
    /// Start the servers and the whole crew. Files go to `folder`.
    ///
    /// # Errors
    /// When something does not come up.
    pub async fn start(
        program: &Path,
        plan: &Plan,
        folder: &Path,
        journal: Arc<Journal>,
    ) -> anyhow::Result<Self> {
        let mut dice = Dice::new(plan.seed ^ 0x70_72_6f_78_79);
        let (data, logs) = (folder.join("data"), folder.join("logs"));
        std::fs::create_dir_all(&data)?;
        std::fs::create_dir_all(&logs)?;
        let everyday = everyday_faults(plan.seed);
        let sim = drive_sim::serve(drive_sim::Options {
            faults: everyday.clone(),
            ..drive_sim::Options::default()
        })
        .await?;
        let weed = Weed::start().await?;
        weed.create_bucket(BUCKET).await?;
        let nats = NatsServer::start().await?;
        let mut wire = |url: &str| -> anyhow::Result<Wire> {
            Ok(Wire {
                proxy: Proxy::start(address(url)?, dice.number())?,
                turn: Mutex::default(),
            })
        };
        let (store, broker, drive) = (
            wire(&weed.endpoint())?,
            wire(nats.url())?,
            wire(&sim.url())?,
        );
        let database = data.join("imagefleet.db");
        let settings = |store: String, broker: String, drive: String| -> Settings {
            [
                ("NATS_URL", broker),
                ("GOOGLE_DRIVE_ENDPOINT", drive),
                ("GOOGLE_API_KEY", drive_sim::DEFAULT_API_KEY.to_owned()),
                ("DRIVE_QUOTA_UNITS_PER_MINUTE", QUOTA.to_string()),
                ("STORAGE_PROVIDER", "aws".to_owned()),
                ("AWS_BUCKET_NAME", BUCKET.to_owned()),
                ("AWS_ENDPOINT_URL", store),
                ("AWS_ACCESS_KEY_ID", weed.access_key().to_owned()),
                ("AWS_SECRET_ACCESS_KEY", weed.secret_key().to_owned()),
                ("DATABASE_PATH", database.display().to_string()),
                // Short, so that what died is taken over while the run lasts.
                ("NATS_ACK_WAIT", "3s".to_owned()),
                ("WORKER_RETRY_BASE", "500ms".to_owned()),
                ("WORKER_CONCURRENCY", "16".to_owned()),
                ("SHUTDOWN_GRACE", "5s".to_owned()),
                ("PRODUCER_WINDOW", "500".to_owned()),
                ("GATEWAY_PORT", "0".to_owned()),
                ("PRODUCER_HEALTH_ADDR", "127.0.0.1:0".to_owned()),
                ("PROJECTOR_HEALTH_ADDR", "127.0.0.1:0".to_owned()),
                ("WORKER_HEALTH_ADDR", "127.0.0.1:0".to_owned()),
                ("LOG_FORMAT", "json".to_owned()),
                ("RUST_LOG", "info".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
        };
        let calm = settings(weed.endpoint(), nats.url().to_owned(), sim.url());
        let calm = [nats.env_of_role("setup"), calm].concat();
        // Each role logs in as itself, and passes the proxy rather than going straight.
        let spoiled = |role: Role| -> Settings {
            let through = settings(
                format!("http://{}", store.proxy.address()),
                format!("nats://{}", broker.proxy.address()),
                format!("http://{}", drive.proxy.address()),
            );
            [nats.env_of_role(role.command()), through].concat()
        };
        run(program, &["setup"], &calm, &logs, Duration::from_secs(60)).await?;
        let crew = Crew::start(program, &plan.members, spoiled, &logs, Arc::clone(&journal))?;
        Ok(Self {
            crew,
            nats: Mutex::new(nats),
            weed,
            sim,
            data,
            logs,
            calm,
            beginnings: RwLock::default(),
            program: program.to_path_buf(),
            journal,
            store,
            broker,
            drive,
            sim_turn: Mutex::default(),
            everyday,
        })
    }

    /// Where the tables are.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.data.join("imagefleet.db")
    }

    /// Let one fault happen, from its beginning to its end.
    pub async fn suffer(&self, fault: Fault) {
        let kind = fault.kind();
        self.journal.say(&format!("{kind}: {fault:?}"));
        let result = match fault {
            Fault::Kill(member, down) => self.crew.kill(member, down).await,
            Fault::Terminate(member, down) => self.crew.terminate(member, down).await,
            Fault::Freeze(member, length) => self.crew.freeze(member, length).await,
            Fault::BrokerKill(down) => self.kill_broker(down).await,
            Fault::BrokerRestart => self.nats.lock().await.restart().await,
            Fault::Link(link, trouble, length) => {
                self.spoil(link, trouble, length).await;
                Ok(())
            }
            Fault::DriveDown(length) => {
                let down = Faults {
                    down: true,
                    ..self.everyday.clone()
                };
                self.upset(down, length).await;
                Ok(())
            }
            Fault::DriveUnauthorized(length) => {
                return self.revoke(length, kind).await;
            }
            Fault::DriveBroken(length) => {
                let broken = Faults {
                    error_500: 0.3,
                    ..self.everyday.clone()
                };
                self.upset(broken, length).await;
                Ok(())
            }
            Fault::DriveThrottled(length) => {
                let throttled = Faults {
                    quota_units_per_minute: Some(QUOTA / 10),
                    quota_burst_ms: Some(500),
                    ..self.everyday.clone()
                };
                self.upset(throttled, length).await;
                Ok(())
            }
            Fault::DatabaseLocked(length) => self.lock_database(length).await,
        };
        match result {
            Ok(()) => self.journal.injected(kind),
            Err(error) => self
                .journal
                .violated(Broken::Process, format!("{kind} went wrong: {error:#}")),
        }
    }

    /// Run the binary to its end, spared every fault; what it wrote to stdout.
    ///
    /// # Errors
    /// When it does not succeed, with its log.
    pub async fn command(&self, args: &[&str], deadline: Duration) -> anyhow::Result<String> {
        run(&self.program, args, &self.calm, &self.logs, deadline).await
    }

    async fn spoil(&self, link: Link, trouble: Trouble, length: Duration) {
        let wire = match link {
            Link::Store => &self.store,
            Link::Broker => &self.broker,
            Link::Drive => &self.drive,
        };
        let _turn = wire.turn.lock().await;
        wire.proxy.set(trouble);
        tokio::time::sleep(length).await;
        wire.proxy.set(Trouble::None);
    }

    async fn upset(&self, faults: Faults, length: Duration) {
        let _turn = self.sim_turn.lock().await;
        self.sim.set_faults(faults);
        tokio::time::sleep(length).await;
        self.sim.set_faults(self.everyday.clone());
    }

    async fn revoke(&self, length: Duration, kind: &'static str) {
        let patience = Duration::from_secs(5);
        let Ok(_nobody_begins) = tokio::time::timeout(patience, self.beginnings.write()).await
        else {
            self.journal
                .say("drive_unauthorized is left out: an import is beginning");
            return;
        };
        let unauthorized = Faults {
            unauthorized: true,
            ..self.everyday.clone()
        };
        self.upset(unauthorized, length).await;
        self.journal.injected(kind);
    }

    async fn kill_broker(&self, down: Duration) -> anyhow::Result<()> {
        let mut nats = self.nats.lock().await;
        nats.kill().await?;
        tokio::time::sleep(down).await;
        nats.restart().await
    }

    async fn lock_database(&self, length: Duration) -> anyhow::Result<()> {
        let path = self.database();
        let lock = move || -> rusqlite::Result<Connection> {
            let connection = Connection::open(path)?;
            connection.busy_timeout(Duration::from_secs(20))?;
            connection.execute_batch("BEGIN EXCLUSIVE")?;
            Ok(connection)
        };
        let locked = tokio::task::spawn_blocking(lock).await??;
        tokio::time::sleep(length).await;
        tokio::task::spawn_blocking(move || locked.execute_batch("ROLLBACK")).await??;
        Ok(())
    }
}

async fn run(
    program: &Path,
    args: &[&str],
    settings: &Settings,
    logs: &Path,
    deadline: Duration,
) -> anyhow::Result<String> {
    let name = args.first().copied().unwrap_or("command");
    let mut process = Process::start(name, program, args, settings, logs)?;
    let begun = Instant::now();
    while process.is_running() {
        anyhow::ensure!(
            begun.elapsed() < deadline,
            "{args:?} does not end:\n{}",
            process.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (out, log) = (process.out(), process.log());
    let status = process.stop().await?;
    anyhow::ensure!(
        status.success(),
        "{args:?} ended with {status}:\n{out}\n{log}"
    );
    Ok(out)
}

fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let (_, address) = url.split_once("://").context("no scheme")?;
    address
        .parse()
        .with_context(|| format!("{url} names no address"))
}
