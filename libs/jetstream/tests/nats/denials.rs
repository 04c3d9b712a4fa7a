//! What the server denies is said at once, by the call that was denied and in health.

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use contracts::{ImportId, streams, subjects};
use jetstream::batch::{self, BatchError, Checkpoint};
use jetstream::consume::{self, Options};
use jetstream::topology::{self, TopologyConfig, TopologyError};
use jetstream::{Nats, PublishError, SettleError, User};
use runtime::Health;
use testkit::{NatsServer, until};
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(60);
/// A call that is not told of its denial ends after this time.
const TIME_OUT: Duration = Duration::from_secs(10);

struct Fixture {
    server: NatsServer,
    admin: Nats,
}

impl Fixture {
    async fn start() -> Self {
        let (server, admin) = NatsServer::start_with_topology().await.unwrap();
        Self { server, admin }
    }

    async fn connect(&self, user: User) -> Nats {
        jetstream::connect(&self.server.config_of(user))
            .await
            .unwrap()
    }
}

/// `call` fails with a denial that names user and subject, before it could time out.
async fn denied<T, E: Error>(
    user: &str,
    subject: &str,
    call: impl Future<Output = Result<T, E>>,
) -> E {
    let begun = Instant::now();
    let error = call.await.err().expect("it is denied");
    assert!(
        begun.elapsed() < TIME_OUT,
        "{error} after {:?}",
        begun.elapsed()
    );
    let text = error.to_string();
    let expected = format!(
        "NATS denies user {user} to publish to {subject}; check the permissions in nats.conf"
    );
    assert_eq!(text, expected);
    error
}

#[tokio::test]
async fn a_publish() {
    let it = Fixture::start().await;
    let worker = it.connect(User::Worker).await;
    let publish = worker.publish("imports.requests".into(), "1", "{}".into());
    let error = denied("worker", "imports.requests", publish).await;
    assert!(matches!(error, PublishError::Denied(_)));
    // What is allowed goes on beside it.
    let (refused, stored) = tokio::join!(
        worker.publish("events.i.import.listed".into(), "2", "{}".into()),
        worker.publish("events.i.image.imported".into(), "3", "{}".into()),
    );
    assert!(matches!(refused, Err(PublishError::Denied(_))));
    assert_eq!(stored.unwrap(), 1);
}

#[tokio::test]
async fn a_batch() {
    let it = Fixture::start().await;
    let import = ImportId::generate();
    let messages = || -> Vec<(String, Bytes)> {
        (0..3)
            .map(|n| (subjects::task(&import), Bytes::from(n.to_string())))
            .collect()
    };
    let checkpoint = || Checkpoint {
        subject: subjects::checkpoint(&import),
        payload: "checkpoint".into(),
        expected: 0,
    };
    // Nothing of it is allowed; all but the checkpoint; all but one in the middle.
    let requester = it.connect(User::Requester).await;
    let worker = it.connect(User::Worker).await;
    let producer = it.connect(User::Producer).await;
    let publish = batch::publish(&requester, messages(), checkpoint());
    let task = subjects::task(&import);
    denied("requester", &task, publish).await;
    let publish = batch::publish(&worker, messages(), checkpoint());
    denied("worker", &subjects::checkpoint(&import), publish).await;
    let mut mixed = messages();
    mixed[1].0 = "images.parked.i.f".into();
    let publish = batch::publish(&producer, mixed, checkpoint());
    let error = denied("producer", "images.parked.i.f", publish).await;
    assert!(matches!(error, BatchError::Denied(_)));
    // Nothing of any was stored, and nothing is in the way of the right one.
    let stored = batch::publish(&producer, messages(), checkpoint())
        .await
        .unwrap();
    assert_eq!(stored, 4);
}

#[tokio::test]
async fn setting_up_and_verifying() {
    let it = Fixture::start().await;
    let worker = it.connect(User::Worker).await;
    let setup = topology::setup(&worker, TopologyConfig::default());
    let error = setup.await.err().unwrap();
    assert!(matches!(error, TopologyError::Denied(_)), "{error}");
    let requester = it.connect(User::Requester).await;
    let subject = "$JS.API.STREAM.INFO.IMPORTS";
    denied("requester", subject, Box::pin(topology::verify(&requester))).await;

    // A role that starts with such a login says so, and waits for the operator.
    let (health, stop) = (Health::new("test"), CancellationToken::new());
    let waiting = topology::verify_when_there(&requester, &health, &stop);
    tokio::select! {
        _ = waiting => panic!("it cannot go on"),
        () = says(&health, "user requester to publish to $JS.API.STREAM.INFO.IMPORTS") => {}
    }
}

/// Wait until `health` waits for something for a reason that contains `what`.
async fn says(health: &Health, what: &str) {
    until(what, DEADLINE, || async {
        let missing = health.missing();
        missing.values().any(|why| why.contains(what)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn fetching() {
    let it = Fixture::start().await;
    let gateway = it.connect(User::Gateway).await;
    let (health, stop) = (Health::new("test"), CancellationToken::new());
    let consuming = consume::run(
        &gateway,
        (streams::TASKS, streams::WORKERS),
        Options {
            concurrency: 1,
            grace: Duration::ZERO,
        },
        &health,
        &stop,
        || async {},
        |_, _| async {},
    );
    tokio::select! {
        () = consuming => panic!("it goes on trying"),
        () = says(&health, "NATS denies user gateway to publish to $JS.API.CONSUMER.MSG.NEXT.TASKS.workers") => {}
    }
}

/// What a worker was given while it might have it, and may not settle any more.
#[tokio::test]
async fn settling() {
    let server = NatsServer::start_with(&|conf| {
        conf.replace(r#""$JS.ACK.TASKS.workers.>""#, r#""$JS.ACK.else.>""#)
    });
    let server = server.await.unwrap();
    let admin = server.connect().await.unwrap();
    topology::setup(&admin, TopologyConfig::default())
        .await
        .unwrap();
    let import = ImportId::generate();
    admin
        .publish(subjects::task(&import), "1", "task".into())
        .await
        .unwrap();

    let config = server.config_of(User::Worker);
    let worker = jetstream::connect(&config).await.unwrap();
    let (health, stop) = (Health::new("test"), CancellationToken::new());
    let (settled, mut outcome) = tokio::sync::mpsc::unbounded_channel();
    let consuming = consume::run(
        &worker,
        (streams::TASKS, streams::WORKERS),
        Options {
            concurrency: 1,
            grace: Duration::ZERO,
        },
        &health,
        &stop,
        || async {},
        move |delivery, _| {
            let settled = settled.clone();
            async move {
                let _ = settled.send(delivery.ack().await);
            }
        },
    );
    let outcome = tokio::select! {
        () = consuming => panic!("it goes on"),
        outcome = outcome.recv() => outcome.unwrap(),
    };
    let error = outcome.unwrap_err();
    assert!(matches!(error, SettleError::Denied(_)), "{error}");
    assert!(
        error
            .to_string()
            .contains("user worker to publish to $JS.ACK.TASKS.workers."),
        "{error}"
    );
}

#[tokio::test]
async fn other_calls_when_they_are_wrapped() {
    let it = Fixture::start().await;
    it.admin
        .publish("imports.requests".into(), "1", "{}".into())
        .await
        .unwrap();
    let worker = it.connect(User::Worker).await;

    let bucket = worker.context.get_key_value("SUBMISSIONS").await.unwrap();
    let filters = [
        "$KV.SUBMISSIONS.>",
        "$JS.API.*.*.KV_SUBMISSIONS.>",
        "$JS.API.*.*.*.KV_SUBMISSIONS",
    ];
    let put = worker.unless_denied(&filters, bucket.put("i", "{}".into()));
    denied("worker", "$KV.SUBMISSIONS.i", put).await;
    let get = worker.unless_denied(&["$JS.API.>"], bucket.get("i"));
    denied(
        "worker",
        "$JS.API.DIRECT.GET.KV_SUBMISSIONS.$KV.SUBMISSIONS.i",
        get,
    )
    .await;
    let watch = worker.unless_denied(&["$JS.API.>"], bucket.watch_all());
    denied(
        "worker",
        "$JS.API.CONSUMER.CREATE.KV_SUBMISSIONS",
        Box::pin(watch),
    )
    .await;

    // Of many at once each is told.
    let calls = (0..50).map(|n| {
        let subject = format!("events.{n}.import.listed");
        let worker = &worker;
        async move {
            let publish = worker.publish(subject.clone(), &subject, "{}".into());
            denied("worker", &subject, publish).await;
        }
    });
    futures::future::join_all(calls).await;
}

#[tokio::test]
async fn health_says_what_nobody_waits_for() {
    let it = Fixture::start().await;
    let (health, stop) = (Health::new("test"), CancellationToken::new());
    let config = it.server.config_of(User::Gateway);
    let nats = jetstream::connect_when_up(&config, &health, &stop)
        .await
        .unwrap()
        .unwrap();
    assert!(health.is_ready());
    // Without an answer, like a heartbeat.
    nats.client
        .publish("$JS.ACK.TASKS.workers.1.1.1.1.1", "+WPI".into())
        .await
        .unwrap();
    says(
        &health,
        "NATS denies user gateway to publish to $JS.ACK.TASKS.workers",
    )
    .await;
}
