//! Whole fleets in simulated time: real quotas, with the shares that presence gives them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::Quota;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

mod listing;

use super::*;
use crate::members::EXPIRY;

const DOWNLOAD: u32 = 200;

/// What the bucket tells: when, who, and its entry; `None` when it was deleted.
type Change = (Instant, String, Option<Presence>);

/// The bucket: every watcher hears of every change, in order, after a delay of its own.
#[derive(Clone, Default)]
struct Bus {
    watchers: Arc<Mutex<Vec<mpsc::UnboundedSender<Change>>>>,
    entries: Arc<Mutex<BTreeMap<String, Presence>>>,
}

impl Bus {
    fn tell(&self, key: &str, presence: Option<Presence>) {
        let mut entries = self.entries.lock().unwrap();
        match &presence {
            Some(presence) => entries.insert(key.to_owned(), presence.clone()),
            None => entries.remove(key),
        };
        let change = (Instant::now(), key.to_owned(), presence);
        let mut watchers = self.watchers.lock().unwrap();
        watchers.retain(|watcher| watcher.send(change.clone()).is_ok());
    }

    fn watch(&self, delay: Duration, members: Members) {
        let (sender, mut changes) = mpsc::unbounded_channel::<Change>();
        for (key, presence) in self.entries.lock().unwrap().iter() {
            let _ = sender.send((Instant::now(), key.clone(), Some(presence.clone())));
        }
        self.watchers.lock().unwrap().push(sender);
        tokio::spawn(async move {
            while let Some((told, key, presence)) = changes.recv().await {
                tokio::time::sleep_until(told + delay).await;
                match presence {
                    Some(presence) => members.put(key, presence),
                    None => members.remove(&key),
                }
            }
        });
    }
}

#[derive(Default)]
struct Calls(Mutex<Vec<Instant>>);

impl Calls {
    fn between(&self, from: Instant, to: Instant) -> u32 {
        let calls = self.0.lock().unwrap();
        let within = calls.iter().filter(|at| (from..to).contains(*at)).count();
        u32::try_from(within).unwrap() * DOWNLOAD
    }

    /// The most units in any 60 s.
    fn most(&self) -> u32 {
        let mut calls = self.0.lock().unwrap().clone();
        calls.sort();
        let mut first = 0;
        let mut most = 0;
        for (last, at) in calls.iter().enumerate() {
            while *at - calls[first] >= Duration::from_secs(60) {
                first += 1;
            }
            most = most.max(last + 1 - first);
        }
        u32::try_from(most).unwrap() * DOWNLOAD
    }
}

struct Fleet {
    limit: u32,
    bus: Bus,
    calls: Arc<Calls>,
    /// Tasks, where it is said how many there are.
    queue: Option<Arc<Semaphore>>,
}

/// One worker; dies silently when dropped.
struct Member {
    name: String,
    quota: Quota,
    busy: Arc<std::sync::atomic::AtomicBool>,
    dies: CancellationToken,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.dies.cancel();
    }
}

impl Fleet {
    fn new(limit: u32) -> Self {
        Self {
            limit,
            bus: Bus::default(),
            calls: Arc::default(),
            queue: None,
        }
    }

    fn join(&self, number: u64) -> Member {
        let member = Member {
            name: format!("worker-{number}"),
            quota: Quota::new(Some(self.limit)),
            busy: Arc::new(true.into()),
            dies: CancellationToken::new(),
        };
        let members = Members::default();
        // Some hear fast, some slowly.
        let delay = Duration::from_millis(5 + (number * 173) % 350);
        self.bus.watch(delay, members.clone());
        let is_busy = {
            let busy = Arc::clone(&member.busy);
            move || busy.load(std::sync::atomic::Ordering::Relaxed)
        };
        let (bus, name, quota) = (self.bus.clone(), member.name.clone(), member.quota.clone());
        let announces = {
            let is_busy = is_busy.clone();
            let name = name.clone();
            async move {
                loop {
                    let mine = Presence {
                        v: 1,
                        role: "worker".into(),
                        busy: is_busy(),
                        weight: None,
                        holds: BTreeMap::new(),
                        waiting: BTreeMap::new(),
                        quota: None,
                    };
                    bus.tell(&name, Some(mine));
                    tokio::time::sleep(EXPIRY / 4).await;
                }
            }
        };
        let shares = {
            let quota = quota.clone();
            async move {
                quota.set_share(0.0);
                let mut share = Share::default();
                loop {
                    quota.set_share(share.of(&name, &members));
                    let _ =
                        tokio::time::timeout(Duration::from_millis(250), members.changed()).await;
                }
            }
        };
        let calls = Arc::clone(&self.calls);
        let queue = self.queue.clone();
        let works = async move {
            loop {
                if !is_busy() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
                for ticket in quota.reserve(DOWNLOAD, 64).await {
                    let calls = Arc::clone(&calls);
                    if let Some(queue) = &queue {
                        queue.acquire().await.unwrap().forget();
                    }
                    tokio::spawn(async move {
                        // Fetching.
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        ticket.redeem().await;
                        calls.0.lock().unwrap().push(Instant::now());
                    });
                }
            }
        };
        let dies = member.dies.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased; // The dead announce nothing.
                () = dies.cancelled() => {}
                () = announces => {}
                () = shares => {}
                () = works => {}
            }
        });
        member
    }

    fn leave(&self, member: Member) {
        self.bus.tell(&member.name, None);
    }

    /// What part of the quota was used in a minute's length since `from`.
    fn used(&self, from: Instant, seconds: u64) -> f64 {
        let to = from + Duration::from_secs(seconds);
        let allowed = f64::from(self.limit) * seconds as f64 / 60.0;
        f64::from(self.calls.between(from, to)) / allowed
    }

    fn assert_within(&self) {
        let most = self.calls.most();
        assert!(most <= self.limit, "{most} of {} in 60 s", self.limit);
    }
}

async fn minutes(count: u64) {
    tokio::time::sleep(Duration::from_secs(60 * count)).await;
}

async fn steady(limit: u32, size: u64) {
    let fleet = Fleet::new(limit);
    let _members: Vec<_> = (0..size).map(|number| fleet.join(number)).collect();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let begun = Instant::now();
    minutes(5).await;
    fleet.assert_within();
    let used = fleet.used(begun, 300);
    assert!(used >= 0.97, "{used} of {limit} used by {size}");
}

#[tokio::test(start_paused = true)]
async fn one_three_and_ten_use_nearly_all_and_never_more() {
    for limit in [60_000, 325_000, 1_000_000] {
        for size in [1, 3, 10] {
            steady(limit, size).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_joins() {
    for size in [1, 3, 9] {
        let fleet = Fleet::new(325_000);
        let _members: Vec<_> = (0..size).map(|number| fleet.join(number)).collect();
        minutes(3).await;
        let joins = Instant::now();
        let newcomer = fleet.join(size);
        tokio::time::sleep(Duration::from_secs(4)).await;
        let fair = 1.0 / (size + 1) as f64;
        assert!((newcomer.quota.share() - fair).abs() < 0.001, "in seconds");
        minutes(2).await;
        fleet.assert_within();
        let used = fleet.used(joins, 60);
        assert!(used >= 0.97, "{used} while one joins {size}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_says_goodbye() {
    for size in [2, 3, 10] {
        let fleet = Fleet::new(325_000);
        let mut members: Vec<_> = (0..size).map(|number| fleet.join(number)).collect();
        minutes(3).await;
        let leaves = Instant::now();
        fleet.leave(members.pop().unwrap());
        minutes(2).await;
        fleet.assert_within();
        let used = fleet.used(leaves, 60);
        assert!(used >= 0.97, "{used} while one of {size} leaves");
    }
}

#[tokio::test(start_paused = true)]
async fn one_dies_and_another_joins() {
    for size in [2, 3, 10] {
        let fleet = Fleet::new(325_000);
        let mut members: Vec<_> = (0..size).map(|number| fleet.join(number)).collect();
        minutes(3).await;
        let dies = Instant::now();
        drop(members.pop());
        minutes(1).await;
        // Its share is missed until its entry expires, and no longer.
        let missed = (EXPIRY + HEARD).as_secs_f64() / 60.0 / size as f64;
        let used = fleet.used(dies, 60);
        assert!(used >= 0.97 - missed, "{used} while one of {size} dies");
        let joins = Instant::now();
        members.push(fleet.join(size));
        minutes(2).await;
        fleet.assert_within();
        let used = fleet.used(joins, 120);
        assert!(used >= 0.97, "{used} while one joins");
    }
}

#[tokio::test(start_paused = true)]
async fn work_comes_and_goes() {
    use std::sync::atomic::Ordering;
    let fleet = Fleet::new(325_000);
    let members: Vec<_> = (0..10).map(|number| fleet.join(number)).collect();
    let begun = Instant::now();
    for round in 0..40 {
        for (number, member) in members.iter().enumerate() {
            // The first is always busy; the others for some rounds, together and apart.
            let busy = number == 0 || (round * 7 + number * round) % 5 < 2;
            member.busy.store(busy, Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_secs(13)).await;
    }
    fleet.assert_within();
    // What changes hands lies idle for as long as it takes everybody to hear of it, no longer.
    let used = fleet.used(begun, 40 * 13);
    assert!(used >= 0.75, "{used}");
}

#[tokio::test(start_paused = true)]
async fn who_cannot_renew_its_entry_stops_spending() {
    let members = Members::default();
    let presence = Presence {
        v: 1,
        role: "worker".into(),
        busy: true,
        weight: None,
        holds: BTreeMap::new(),
        waiting: BTreeMap::new(),
        quota: None,
    };
    let mut share = Share::default();
    assert!(share.of("me", &members) == 0.0, "not announced yet");
    members.put("me".into(), presence.clone());
    assert!((share.of("me", &members) - 1.0).abs() < 1e-9, "alone");
    members.put("you".into(), presence);
    assert!((share.of("me", &members) - 0.5).abs() < 1e-9, "at once");
    tokio::time::sleep(EXPIRY).await;
    assert!(share.of("me", &members) == 0.0, "others have it now");
}

#[tokio::test(start_paused = true)]
async fn a_projector_has_no_part_in_the_quota() {
    let presence = |role: &str, busy| Presence {
        v: 1,
        role: role.to_owned(),
        busy,
        weight: None,
        holds: BTreeMap::new(),
        waiting: BTreeMap::new(),
        quota: None,
    };
    let members = Members::default();
    members.put("projector-1".into(), presence("projector", true));
    members.put("worker-1".into(), presence("worker", false));
    let mut share = Share::default();
    // Alone among those who spend it: nobody is there to wait for.
    assert_eq!(share.of("worker-1", &members), 1.0);
    assert_eq!(Share::default().of("projector-1", &members), 0.0);
    members.put("worker-2".into(), presence("worker", false));
    assert_eq!(share.of("worker-1", &members), 0.5);
    // A process that is told to be here by nobody gets nothing.
    assert_eq!(share.of("worker-3", &members), 0.0);
}
