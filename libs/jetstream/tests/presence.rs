//! The quota is divided among those who share it, and again when they come, go and idle.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::time::Duration;

use jetstream::Nats;
use jetstream::presence::{self, Activity};
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
