//! Two projectors never corrupt: one works, the other stands by and takes over.

use std::process::Stdio;

use jetstream::User;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use projector::Config;
use runtime::Env;
use rusqlite::Connection;
use testkit::until;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use crate::support::{self, Fixture, PATIENCE, Running, import};

/// Set for a process that is a projector.
const CHILD: &str = "PROJECTOR_TEST_CHILD";

#[tokio::test]
async fn two_at_once_stay_exact_and_one_takes_over() {
    let it = support::start().await;
    let first = it.project();
    let second = it.project();
    it.publish(&import("shared", 900)).await;
    it.assert_exact().await;
    let events = |running: &Running| running.metric("imagefleet_projector_events_total") as u64;
    assert_eq!(
        events(&first) + events(&second),
        it.last().await,
        "an event was folded twice"
    );
    let active = |running: &Running| running.metric("imagefleet_projector_active") as u64;
    until("one of them stands by", PATIENCE, || async {
        (active(&first) + active(&second) == 1).then_some(())
    })
    .await;

    first.stop().await;
    it.publish(&import("alone", 100)).await;
    it.assert_exact().await;
    assert_eq!(active(&second), 1);
    second.stop().await;
}

/// Also the process that the next tests kill and stop: a projector until its standard input ends.
#[tokio::test]
async fn a_projector_folds_with_what_its_own_user_may_do() {
    if std::env::var_os(CHILD).is_some() {
        let config = Config::from_env(&Env::from_process()).unwrap();
        let projector = Running::start(config);
        let health = projector.health.clone();
        tokio::spawn(async move {
            let why = support::waits_for(&health, "sql").await;
            println!("waits for sql: {why}");
        });
        let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
        return projector.stop().await;
    }
    let it = support::start().await;
    let config = Config {
        nats: it.server.config_of(User::Projector),
        ..it.config()
    };
    let projector = Running::start(config);
    it.publish(&import("first", 50)).await;
    it.publish(&support::changed("second", 20, 1)).await;
    it.publish(&support::changed("third", 20, 2)).await;
    it.assert_exact().await;
    until("removals are asked for", PATIENCE, || async {
        let asked = projector.metric("imagefleet_projector_removals_total") as u64;
        (asked == 20).then_some(())
    })
    .await;
    projector.stop().await;
}

/// A projector in a process of its own, killed on drop, whose files may have `kilobytes` at most.
fn spawn_limited(it: &Fixture, kilobytes: u32) -> Child {
    // The unit is 512 bytes in some shells and 1024 in others.
    let limit = format!("trap '' XFSZ; ulimit -f {kilobytes}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command
        .args(["-c", &limit])
        .arg(std::env::current_exe().unwrap());
    start(it, command)
}

/// A projector in a process of its own; killed on drop.
fn spawn(it: &Fixture) -> Child {
    start(it, Command::new(std::env::current_exe().unwrap()))
}

fn start(it: &Fixture, mut command: Command) -> Child {
    command
        .args([
            "--exact",
            "--nocapture",
            "standby::a_projector_folds_with_what_its_own_user_may_do",
        ])
        .envs(it.server.env_of(User::Projector))
        .env("DATABASE_PATH", it.database())
        .env("PROJECTOR_HEALTH_ADDR", "127.0.0.1:0")
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn folded_beyond(it: &Fixture, sequence: u64) {
    let tables = it.tables();
    until("folding is under way", PATIENCE, || async {
        let at = tables.checkpoint(projector::CHECKPOINT).await.ok()?;
        (at > sequence).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_that_is_killed_at_work_is_replaced() {
    let it = support::start().await;
    it.publish(&import("before", 1500)).await;
    let mut child = spawn(&it);
    folded_beyond(&it, 0).await;
    child.kill().await.unwrap();
    let projector = it.project();
    it.publish(&import("after", 300)).await;
    it.assert_exact().await;
    projector.stop().await;
}

#[tokio::test]
async fn one_that_was_stopped_wakes_up_to_a_fence() {
    let it = support::start().await;
    it.publish(&import("before", 1500)).await;
    let child = spawn(&it);
    let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap());
    folded_beyond(&it, 0).await;
    // Stopped in the middle of a transaction it would keep the lock, and others would wait for it.
    until("it is stopped without the lock", PATIENCE, || async {
        kill(pid, Signal::SIGSTOP).unwrap();
        let sql = Connection::open(it.database()).unwrap();
        sql.busy_timeout(std::time::Duration::ZERO).unwrap();
        let free = sql.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok();
        if !free {
            kill(pid, Signal::SIGCONT).unwrap();
        }
        free.then_some(())
    })
    .await;

    let projector = it.project();
    it.publish(&import("meanwhile", 300)).await;
    it.assert_exact().await;
    kill(pid, Signal::SIGCONT).unwrap();
    for round in 0..5 {
        it.publish(&import(&format!("awake-{round}"), 100)).await;
        it.assert_exact().await;
    }
    // Whichever of the two went on is replaced by the other.
    projector.stop().await;
    it.publish(&import("alone", 100)).await;
    it.assert_exact().await;
}

#[tokio::test]
async fn a_full_disk_is_waited_for_and_loses_nothing() {
    let it = support::start().await;
    it.publish(&import("large", 3000)).await;
    let mut child = spawn_limited(&it, 400);
    let mut said = String::new();
    let mut stdout = child.stdout.take().unwrap();
    while !said.contains("waits for sql: ") {
        let mut some = [0; 256];
        let read = tokio::time::timeout(PATIENCE, stdout.read(&mut some)).await;
        let read = read.expect("it does not say that it waits").unwrap();
        assert!(read > 0, "it ended: {said}");
        said += &String::from_utf8_lossy(&some[..read]);
    }
    let at = it.tables().checkpoint(projector::CHECKPOINT).await.unwrap();
    assert!(at < it.last().await, "everything had room");
    assert!(child.try_wait().unwrap().is_none(), "it gave up");
    child.kill().await.unwrap();

    let projector = it.project();
    it.assert_exact().await;
    projector.stop().await;
}
