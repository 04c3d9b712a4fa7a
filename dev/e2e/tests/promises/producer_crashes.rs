//! A producer may be killed, paused or refused at any instant of a listing: the next one goes on,
//! and every entry is queued exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use drive_sim::{Faults, Kind, Server, Watch};
use e2e::{Drain, drive};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use testkit::{Fleet, Process, fleet, until};

use crate::{DEADLINE, ack_wait, status};

/// Two producers, each with a simulator of its own that serves the same folders: so it is known
/// which of them lists.
struct Pair {
    fleet: Fleet,
    drain: Drain,
    sims: [Server; 2],
    watches: [Watch; 2],
    second: Process,
    started: usize,
}

impl Pair {
    async fn start(faults: Faults, wait: &str) -> Self {
        let (one_env, one) = drive(faults.clone()).await;
        let (other_env, other) = drive(faults).await;
        let env = [one_env, ack_wait(wait)].concat();
        let fleet = Fleet::start(&fleet::program().unwrap(), 0, &env)
            .await
            .unwrap();
        let second = fleet.another("producer-1", "producer", &other_env).unwrap();
        Self {
            drain: Drain::start(&fleet).await,
            watches: [one.watch(), other.watch()],
            sims: [one, other],
            second,
            fleet,
            started: 2,
        }
    }

    /// The one whose next page Drive has just answered.
    async fn lists_a_page(&mut self) -> usize {
        let [one, other] = &mut self.watches;
        tokio::select! {
            () = page(one) => 0,
            () = page(other) => 1,
        }
    }

    fn producer(&mut self, which: usize) -> &mut Process {
        match which {
            0 => &mut self.fleet.producer,
            _ => &mut self.second,
        }
    }

    /// SIGKILL, and another in its place.
    async fn replace(&mut self, which: usize) {
        let endpoint = vec![("GOOGLE_DRIVE_ENDPOINT", self.sims[which].url())];
        let name = format!("producer-{}", self.started);
        self.started += 1;
        self.producer(which).kill().await.unwrap();
        self.watches[which].skip();
        *self.producer(which) = self.fleet.another(&name, "producer", &endpoint).unwrap();
    }

    /// Wait until the whole folder is listed and its tasks are taken.
    async fn listed(&self, job: &str, total: usize) {
        until("the folder is listed", DEADLINE, || async {
            let status = status(&self.fleet, job).await;
            assert!(status["total"].as_u64() <= Some(total as u64), "{status}");
            (status["listing"] == false && self.drain.len() >= total).then_some(())
        })
        .await;
        let status = status(&self.fleet, job).await;
        assert_eq!(status["total"].as_u64(), Some(total as u64), "{status}");
        assert_eq!(status["skipped"], 0, "{status}");
    }
}

async fn page(watch: &mut Watch) {
    while let Some(moment) = watch.next().await {
        if (moment.kind, moment.answered) == (Kind::List, Some(200)) {
            return;
        }
    }
}

/// Every file of the folder, by name, was queued; how many more than once.
fn assert_all(taken: &BTreeMap<String, BTreeSet<u64>>, folder: &str, files: usize) -> usize {
    assert_eq!(taken.len(), files);
    for index in 0..files {
        let id = format!("{folder}-f{index}");
        assert!(taken.contains_key(&id), "{id} was never queued");
    }
    taken.values().filter(|tasks| tasks.len() > 1).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_many_instants_of_a_listing() {
    const FILES: usize = 20_000;
    const KILLS: usize = 25;
    let mut pair = Pair::start(Faults::default(), "1s").await;
    let job = pair.fleet.import("sim-n20000-s256").await.unwrap();
    let mut random = StdRng::seed_from_u64(3);
    let mut kills = 0;
    while kills < KILLS && pair.drain.len() < FILES {
        let Ok(which) = tokio::time::timeout(DEADLINE, pair.lists_a_page()).await else {
            panic!("nobody took over after {kills} kills");
        };
        // By turns: before, during and after the page's batch; and at the instant the batch is
        // there, before it can be announced.
        let offset = if kills % 2 == 0 {
            random.random_range(0..150_000)
        } else {
            let queued = pair.drain.len();
            let grown = pair.drain.grows_beyond(queued);
            if tokio::time::timeout(DEADLINE / 60, grown).await.is_err() {
                continue;
            }
            random.random_range(0..4_000)
        };
        tokio::time::sleep(Duration::from_micros(offset)).await;
        pair.replace(which).await;
        kills += 1;
    }
    println!("{kills} kills");
    assert!(
        kills >= 10,
        "only {kills} kills before everything was listed"
    );
    pair.listed(&job, FILES).await;
    let doubled = assert_all(&pair.drain.taken(), "sim-n20000-s256", FILES);
    assert_eq!(doubled, 0, "entries were queued more than once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_only_paused_stands_down() {
    const FILES: usize = 6_000;
    let mut pair = Pair::start(Faults::default(), "1s").await;
    let job = pair.fleet.import("sim-n6000-s256").await.unwrap();
    pair.lists_a_page().await;
    let paused = pair.lists_a_page().await;
    pair.producer(paused).pause().unwrap();
    let before = pair.drain.len();
    until("another takes over and goes on", DEADLINE, || async {
        (pair.drain.len() > before + 1_000).then_some(())
    })
    .await;
    let log = {
        let producer = pair.producer(paused);
        producer.wake().unwrap();
        producer.log()
    };
    assert!(!log.contains("standing down"), "{log}");
    until("it stands down", DEADLINE, || {
        let log = pair.producer(paused).log();
        async move { log.contains("standing down").then_some(()) }
    })
    .await;
    pair.listed(&job, FILES).await;
    let doubled = assert_all(&pair.drain.taken(), "sim-n6000-s256", FILES);
    assert_eq!(doubled, 0, "entries were queued more than once");
    assert!(pair.producer(paused).is_running(), "it serves on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn page_tokens_that_expire_cost_nothing_but_listing() {
    const FILES: usize = 6_000;
    let faults = Faults {
        expired_token: 0.6,
        seed: 1,
        ..Faults::default()
    };
    let mut pair = Pair::start(faults, "1s").await;
    let job = pair.fleet.import("sim-n6000-s256").await.unwrap();
    // One of them does not live to see its token refused.
    let which = pair.lists_a_page().await;
    pair.replace(which).await;
    pair.listed(&job, FILES).await;
    assert_all(&pair.drain.taken(), "sim-n6000-s256", FILES);
    let refused: u64 = pair
        .sims
        .iter()
        .map(|sim| {
            sim.stats()
                .faults
                .get("expired_token")
                .copied()
                .unwrap_or(0)
        })
        .sum();
    assert!(refused > 0, "no token expired");
}
