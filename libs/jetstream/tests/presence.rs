//! The quota is divided among those who share it, and again when they come, go and idle.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::time::Duration;

use jetstream::presence::{self, Activity};
use jetstream::{Members, Nats};
use runtime::{Health, Quota};
use testkit::{NatsServer, until};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(60);

struct Member {
    quota: Quota,
    activity: Activity,
    stop: CancellationToken,
    run: JoinHandle<()>,
}

impl Member {
    fn join(nats: &Nats, role: &'static str, instance: &'static str) -> Self {
        let quota = Quota::new(Some(60_000));
        let activity = Activity::default();
        activity.set_busy(true);
        let stop = CancellationToken::new();
        let run = tokio::spawn({
            let (nats, quota, activity, stop) =
                (nats.clone(), quota.clone(), activity.clone(), stop.clone());
            async move {
                presence::run(
                    &nats,
                    (role, instance),
                    &quota,
                    &activity,
                    &Health::new(role),
                    &stop,
                )
                .await
            }
        });
        Self {
            quota,
            activity,
            stop,
            run,
        }
    }

    async fn has(&self, share: f64) {
        until(&format!("a share is {share}"), DEADLINE, || async {
            ((self.quota.share() - share).abs() < 0.001).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn shares_follow_who_is_there_and_who_is_busy() {
    let (_server, nats) = NatsServer::start_with_topology().await.unwrap();
    let first = Member::join(&nats, "worker", "first");
    first.has(1.0).await;
    let second = Member::join(&nats, "worker", "second");
    tokio::join!(first.has(0.5), second.has(0.5));

    // Listing costs little beside downloading; who idles keeps a little, to begin with.
    let lister = Member::join(&nats, "producer", "lister");
    tokio::join!(
        first.has(1.0 / 2.02),
        second.has(1.0 / 2.02),
        lister.has(0.02 / 2.02)
    );
    second.activity.set_busy(false);
    tokio::join!(first.has(1.0 / 1.025), second.has(0.005 / 1.025));

    // Whoever says goodbye is gone at once, whoever dies is gone when its entry expires.
    second.stop.cancel();
    second.run.await.unwrap();
    lister.run.abort();
    first.has(1.0).await;
}

#[tokio::test]
async fn what_is_waited_for_is_told_and_taken_back() {
    let (_server, nats) = NatsServer::start_with_topology().await.unwrap();
    let health = Health::new("projector");
    health.waiting("sql", "locked");
    let stop = CancellationToken::new();
    let telling = tokio::spawn({
        let (nats, health, stop) = (nats.clone(), health.clone(), stop.clone());
        async move { presence::tell(&nats, ("projector", "p"), &health, &stop).await }
    });
    let members = Members::default();
    tokio::spawn({
        let members = members.clone();
        let nats = nats.clone();
        async move { members.follow(&nats).await }
    });
    let told = async |why: Option<&str>| {
        until(&format!("it is told: {why:?}"), DEADLINE, || async {
            (members.waiting().get("sql").map(String::as_str) == why).then_some(())
        })
        .await;
    };
    told(Some("locked")).await;
    let worker = Member::join(&nats, "worker", "worker");
    worker.has(1.0).await;
    health.ready("sql");
    told(None).await;
    // Who leaves waits for nothing any more.
    health.waiting("sql", "locked again");
    told(Some("locked again")).await;
    stop.cancel();
    telling.await.unwrap();
    told(None).await;
}

#[tokio::test]
async fn what_each_spends_of_the_quota_is_told() {
    let (_server, nats) = NatsServer::start_with_topology().await.unwrap();
    let worker = Member::join(&nats, "worker", "w");
    worker.has(1.0).await;
    worker.quota.acquire(200).await;
    worker.quota.acquire(5).await;
    let stop = CancellationToken::new();
    tokio::spawn({
        let (nats, stop) = (nats.clone(), stop.clone());
        let health = Health::new("projector");
        async move { presence::tell(&nats, ("projector", "p"), &health, &stop).await }
    });
    let members = Members::default();
    tokio::spawn({
        let members = members.clone();
        async move { members.follow(&nats).await }
    });
    until("both are heard of", DEADLINE, || async {
        let all = members.all();
        let [(p, projector), (w, worker)] = all.as_slice() else {
            return None;
        };
        assert_eq!((p.as_str(), w.as_str()), ("p", "w"), "by role");
        assert_eq!(projector.quota, None);
        let quota = worker.quota?;
        assert_eq!(quota.units_per_minute, 60_000);
        (quota.used == 205).then_some(())
    })
    .await;
    stop.cancel();
}
