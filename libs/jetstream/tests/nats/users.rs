//! Each user of `nats.conf` may do what its role does, and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::{Client, Event};
use futures::StreamExt as _;
use jetstream::{Nats, NatsConfig, User};
use secrecy::ExposeSecret as _;
use testkit::NatsServer;
use tokio::sync::mpsc;

const DEADLINE: Duration = Duration::from_secs(60);

/// Every subject that anything of ours is published to, and every call of JetStream's interface
/// that could change or reveal something, with who may publish there. The admin may always.
const PUBLISH: &[(&str, &[User])] = &[
    ("imports.requests", &[User::Gateway, User::Requester]),
    ("imports.commands", &[User::Gateway, User::Requester]),
    ("imports.else", &[]),
    (
        "images.tasks.i",
        &[User::Producer, User::Worker, User::Projector, User::Gateway],
    ),
    ("images.retries.i.f", &[User::Worker]),
    ("images.parked.i.f", &[User::Worker]),
    ("images.checkpoints.i", &[User::Producer]),
    ("events.i.import.listed", &[User::Producer]),
    ("events.i.import.cancelled", &[User::Producer]),
    ("events.i.image.imported", &[User::Worker]),
    ("events.i.image.deleted", &[User::Worker]),
    ("events.i.task.unreadable", &[User::Producer, User::Worker]),
    ("events.i.task.else", &[]),
    ("events.i.else", &[]),
    ("$KV.CONTROL.i", &[User::Producer]),
    (
        "$KV.FLEET.process",
        &[User::Producer, User::Worker, User::Projector],
    ),
    ("$KV.SUBMISSIONS.i", &[User::Gateway]),
    ("anything.else", &[]),
    // Other users' inboxes.
    ("_INBOX.x", &[]),
    ("_INBOX_producer.x", &[]),
    ("_INBOX_worker.x", &[]),
    ("_INBOX_gateway.x", &[]),
    ("_INBOX_admin.x", &[]),
    // Taking and settling.
    (
        "$JS.API.CONSUMER.MSG.NEXT.IMPORTS.producers",
        &[User::Producer],
    ),
    (
        "$JS.API.CONSUMER.MSG.NEXT.IMPORTS.controllers",
        &[User::Producer],
    ),
    ("$JS.API.CONSUMER.MSG.NEXT.TASKS.workers", &[User::Worker]),
    (
        "$JS.API.CONSUMER.MSG.NEXT.EVENTS.some",
        &[User::Projector, User::Gateway],
    ),
    ("$JS.API.CONSUMER.MSG.NEXT.KV_CONTROL.some", &[]),
    ("$JS.ACK.IMPORTS.producers.1.1.1.1.1", &[User::Producer]),
    ("$JS.ACK.IMPORTS.controllers.1.1.1.1.1", &[User::Producer]),
    ("$JS.ACK.TASKS.workers.1.1.1.1.1", &[User::Worker]),
    ("$JS.ACK.TASKS.else.1.1.1.1.1", &[]),
    ("$JS.ACK.EVENTS.some.1.1.1.1.1", &[]),
    // Looking at single messages.
    ("$JS.API.STREAM.MSG.GET.TASKS", &[User::Producer]),
    ("$JS.API.DIRECT.GET.TASKS", &[User::Producer, User::Gateway]),
    ("$JS.API.DIRECT.GET.TASKS.images.tasks.i", &[User::Producer]),
    ("$JS.API.STREAM.MSG.GET.IMPORTS", &[]),
    ("$JS.API.DIRECT.GET.IMPORTS", &[]),
    ("$JS.API.STREAM.MSG.GET.EVENTS", &[User::Projector]),
    ("$JS.API.DIRECT.GET.EVENTS", &[User::Projector]),
    (
        "$JS.API.STREAM.MSG.GET.KV_CONTROL",
        &[User::Producer, User::Worker],
    ),
    ("$JS.API.STREAM.MSG.GET.KV_FLEET", &[]),
    ("$JS.API.STREAM.MSG.GET.KV_SUBMISSIONS", &[User::Gateway]),
    (
        "$JS.API.DIRECT.GET.KV_SUBMISSIONS.$KV.SUBMISSIONS.i",
        &[User::Gateway],
    ),
    // Removing.
    (
        "$JS.API.STREAM.MSG.DELETE.TASKS",
        &[User::Producer, User::Worker],
    ),
    ("$JS.API.STREAM.MSG.DELETE.IMPORTS", &[]),
    ("$JS.API.STREAM.MSG.DELETE.EVENTS", &[]),
    ("$JS.API.STREAM.MSG.DELETE.KV_CONTROL", &[]),
    ("$JS.API.STREAM.PURGE.TASKS", &[User::Producer]),
    ("$JS.API.STREAM.PURGE.IMPORTS", &[]),
    ("$JS.API.STREAM.PURGE.EVENTS", &[]),
    ("$JS.API.STREAM.PURGE.KV_CONTROL", &[]),
    ("$JS.API.STREAM.PURGE.KV_FLEET", &[]),
    ("$JS.API.STREAM.PURGE.KV_SUBMISSIONS", &[]),
    // Following.
    ("$JS.API.CONSUMER.CREATE.IMPORTS", &[]),
    ("$JS.API.CONSUMER.CREATE.TASKS", &[]),
    ("$JS.API.CONSUMER.CREATE.TASKS.x.images.tasks.i", &[]),
    ("$JS.API.CONSUMER.DURABLE.CREATE.TASKS.x", &[]),
    ("$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.x", &[]),
    (
        "$JS.API.CONSUMER.CREATE.EVENTS.x.events.i.>",
        &[User::Projector, User::Gateway],
    ),
    (
        "$JS.API.CONSUMER.CREATE.KV_CONTROL.x.$KV.CONTROL.>",
        &[User::Producer, User::Worker],
    ),
    (
        "$JS.API.CONSUMER.CREATE.KV_FLEET.x.$KV.FLEET.>",
        &[User::Producer, User::Worker, User::Gateway],
    ),
    ("$JS.API.CONSUMER.CREATE.KV_SUBMISSIONS", &[]),
    ("$JS.API.CONSUMER.DELETE.TASKS.workers", &[]),
    ("$JS.API.CONSUMER.DELETE.IMPORTS.producers", &[]),
    ("$JS.API.CONSUMER.DELETE.IMPORTS.controllers", &[]),
    ("$JS.API.CONSUMER.PAUSE.TASKS.workers", &[]),
    ("$JS.API.CONSUMER.RESET.TASKS.workers", &[]),
    // Streams and the server itself.
    ("$JS.API.STREAM.CREATE.X", &[]),
    ("$JS.API.STREAM.UPDATE.TASKS", &[]),
    ("$JS.API.STREAM.DELETE.TASKS", &[]),
    ("$JS.API.STREAM.DELETE.EVENTS", &[]),
    ("$JS.API.STREAM.DELETE.KV_CONTROL", &[]),
    ("$JS.API.STREAM.SNAPSHOT.EVENTS", &[]),
    ("$JS.API.STREAM.RESTORE.EVENTS", &[]),
    ("$JS.API.STREAM.LIST", &[]),
    ("$JS.API.STREAM.NAMES", &[]),
    ("$JS.API.STREAM.LEADER.STEPDOWN.TASKS", &[]),
    (
        "$JS.API.STREAM.INFO.TASKS",
        &[User::Producer, User::Worker, User::Projector, User::Gateway],
    ),
    (
        "$JS.API.CONSUMER.INFO.TASKS.workers",
        &[User::Producer, User::Worker, User::Projector, User::Gateway],
    ),
    ("$JS.API.INFO", &[User::Gateway]),
    ("$SYS.REQ.SERVER.PING", &[]),
];

/// What a user might listen to. Only the admin may listen to any of it, beside its own inbox.
const SUBSCRIBE: &[&str] = &[
    ">",
    "*.>",
    "_INBOX.>",
    "imports.>",
    "images.tasks.*",
    "events.>",
    "$KV.>",
    "$KV.SUBMISSIONS.*",
    "$JS.>",
    "$JS.ACK.>",
    "$SYS.>",
];

/// A raw connection of `user`, and what the server denies it.
async fn raw(config: &NatsConfig) -> (Client, mpsc::UnboundedReceiver<String>) {
    let (sender, denied) = mpsc::unbounded_channel();
    let password = config.password.as_ref().unwrap().expose_secret();
    let client = async_nats::ConnectOptions::new()
        .user_and_password(config.user.clone().unwrap(), password.to_owned())
        .event_callback(move |event| {
            let sender = sender.clone();
            async move {
                if let Event::ServerError(error) = event {
                    let _ = sender.send(error.to_string());
                }
            }
        })
        .connect(&config.url)
        .await
        .unwrap();
    (client, denied)
}

/// The subject that the server names in a denial.
fn subject_in(denial: &str) -> String {
    denial.split('"').nth(1).unwrap().to_lowercase()
}

#[tokio::test]
async fn each_user_may_publish_what_its_role_publishes_and_nothing_else() {
    // Without streams, so that nothing that is allowed does anything.
    let server = NatsServer::start().await.unwrap();
    for user in User::ALL {
        let (client, mut denied) = raw(&server.config_of(user)).await;
        let mut refused = BTreeSet::new();
        let mut expected = BTreeSet::new();
        // In portions, because the client drops what the server says when it says too much at once.
        for some in PUBLISH.chunks(50) {
            for (subject, allowed) in some {
                client.publish(*subject, "{}".into()).await.unwrap();
                if user != User::Admin && !allowed.contains(&user) {
                    expected.insert(subject.to_lowercase());
                }
            }
            // What the server says comes in order: when it has denied the last, or sent it back, it
            // has said all.
            if user == User::Admin {
                let mut heard = client.subscribe("end").await.unwrap();
                client.publish("end", "".into()).await.unwrap();
                heard.next().await.unwrap();
                continue;
            }
            client.publish("$SYS.END", "".into()).await.unwrap();
            loop {
                let denial = tokio::time::timeout(DEADLINE, denied.recv()).await;
                let denial = denial.expect("the server denies the last").unwrap();
                assert!(denial.to_lowercase().contains("publish"), "{denial}");
                match subject_in(&denial).as_str() {
                    "$sys.end" => break,
                    subject => refused.insert(subject.to_owned()),
                };
            }
        }
        assert_eq!(refused, expected, "{user:?}");
        assert!(denied.try_recv().is_err(), "the admin is denied something");
    }
}

#[tokio::test]
async fn each_user_hears_its_own_inbox_and_nothing_else() {
    let server = NatsServer::start().await.unwrap();
    let (admin, _) = raw(&server.config()).await;
    for user in User::ALL {
        let (client, mut denied) = raw(&server.config_of(user)).await;
        if user != User::Admin {
            let others = User::ALL.map(|other| format!("_INBOX_{}.>", other.name()));
            let own = format!("_INBOX_{}.>", user.name());
            let all = SUBSCRIBE.iter().map(ToString::to_string).chain(others);
            for subject in all.filter(|subject| *subject != own) {
                // Kept, or it would be ended before the server has seen it.
                let _kept = client.subscribe(subject.clone()).await.unwrap();
                let denial = tokio::time::timeout(DEADLINE, denied.recv()).await;
                let denial = denial.unwrap_or_else(|_| panic!("{user:?} may hear {subject}"));
                assert_eq!(subject_in(&denial.unwrap()), subject.to_lowercase());
            }
        }
        let inbox = format!("_INBOX_{}.a.b", user.name());
        let mut heard = client.subscribe(inbox.clone()).await.unwrap();
        // Again and again, because nothing says when the subscription holds.
        let answers = async {
            let mut often = tokio::time::interval(Duration::from_millis(50));
            loop {
                often.tick().await;
                admin.publish(inbox.clone(), "answer".into()).await.unwrap();
            }
        };
        tokio::select! {
            message = heard.next() => assert_eq!(message.unwrap().payload, "answer"),
            () = answers => {}
            () = tokio::time::sleep(DEADLINE) => panic!("{user:?} hears nothing"),
        }
        assert!(denied.try_recv().is_err(), "{user:?}");
    }
}

#[tokio::test]
async fn nobody_comes_in_without_a_login_or_with_anothers() {
    let server = NatsServer::start().await.unwrap();
    let nobody = NatsConfig::new(server.url(), "nobody");
    let mut wrong = server.config_of(User::Worker);
    wrong.password = server.config_of(User::Producer).password;
    let mut unknown = server.config();
    unknown.user = Some("root".into());
    for config in [nobody, wrong, unknown] {
        let error = jetstream::connect(&config).await.err().unwrap();
        let text = format!("{error} {error:?}");
        assert!(
            matches!(error, jetstream::ConnectError::Denied { .. }),
            "{text}"
        );
        assert!(text.contains("NATS_USER"), "{text}");
        if let Some(password) = &config.password {
            assert!(!text.contains(password.expose_secret()), "{text}");
        }
    }
}

/// The permissions as a server without them would have it: what each role does with streams,
/// consumers and buckets succeeds.
#[tokio::test]
async fn what_each_role_does_with_jetstream_succeeds() {
    let (server, _admin) = NatsServer::start_with_topology().await.unwrap();
    let connect = async |user| jetstream::connect(&server.config_of(user)).await.unwrap();
    for user in [User::Producer, User::Worker, User::Projector, User::Gateway] {
        jetstream::topology::verify(&connect(user).await)
            .await
            .unwrap();
    }

    let requester = connect(User::Requester).await;
    requester
        .publish("imports.requests".into(), "1", "{}".into())
        .await
        .unwrap();
    requester
        .publish("imports.commands".into(), "2", "{}".into())
        .await
        .unwrap();

    let producer = connect(User::Producer).await;
    for durable in ["producers", "controllers"] {
        take(&producer, "IMPORTS", durable).await;
    }
    let first = producer
        .publish("images.tasks.i".into(), "3", "task".into())
        .await
        .unwrap();
    let second = producer
        .publish("images.tasks.i".into(), "4", "task".into())
        .await
        .unwrap();
    let tasks = producer.context.get_stream("TASKS").await.unwrap();
    assert_eq!(tasks.get_raw_message(first).await.unwrap().payload, "task");
    assert_eq!(tasks.direct_get(second).await.unwrap().payload, "task");
    assert!(tasks.delete_message(second).await.unwrap());
    tasks.purge().filter("images.parked.*.*").await.unwrap();
    let control = producer.context.get_key_value("CONTROL").await.unwrap();
    control.create("i", "paused".into()).await.unwrap();

    let worker = connect(User::Worker).await;
    take(&worker, "TASKS", "workers").await;
    let parked = worker
        .publish("images.parked.i.f".into(), "5", "task".into())
        .await
        .unwrap();
    let tasks = worker.context.get_stream("TASKS").await.unwrap();
    assert!(tasks.delete_message(parked).await.unwrap());
    for reader in [&producer, &worker] {
        let control = reader.context.get_key_value("CONTROL").await.unwrap();
        assert_eq!(control.get("i").await.unwrap().unwrap(), "paused");
        let mut changes = control.watch_with_history(">").await.unwrap();
        let change = tokio::time::timeout(DEADLINE, changes.next())
            .await
            .unwrap();
        assert_eq!(change.unwrap().unwrap().value, "paused");
        let fleet = reader.context.get_key_value("FLEET").await.unwrap();
        fleet.put("someone", "here".into()).await.unwrap();
    }
    worker
        .publish("events.i.image.imported".into(), "6", "event".into())
        .await
        .unwrap();

    for user in [User::Projector, User::Gateway] {
        let reader = connect(user).await;
        let config = pull::Config {
            ack_policy: async_nats::jetstream::consumer::AckPolicy::None,
            ..pull::Config::default()
        };
        let events = reader
            .context
            .create_consumer_on_stream(config, "EVENTS")
            .await
            .unwrap();
        let mut fetched = events.fetch().max_messages(1).messages().await.unwrap();
        assert_eq!(fetched.next().await.unwrap().unwrap().payload, "event");
        let ordered = pull::OrderedConfig::default();
        let stream = reader.context.get_stream("EVENTS").await.unwrap();
        let ordered = stream.create_consumer(ordered).await.unwrap();
        let mut live = ordered.messages().await.unwrap();
        let event = tokio::time::timeout(DEADLINE, live.next()).await.unwrap();
        assert_eq!(event.unwrap().unwrap().payload, "event");
        reader
            .publish("images.tasks.i".into(), user.name(), "delete".into())
            .await
            .unwrap();
    }
    let projector = connect(User::Projector).await;
    let fleet = projector.context.get_key_value("FLEET").await.unwrap();
    fleet.put("projector", "waits".into()).await.unwrap();
    fleet.delete("projector").await.unwrap();
    let gateway = connect(User::Gateway).await;
    let submissions = gateway.context.get_key_value("SUBMISSIONS").await.unwrap();
    submissions.create("i", "{}".into()).await.unwrap();
    assert_eq!(submissions.get("i").await.unwrap().unwrap(), "{}");
    let tasks = gateway.context.get_stream_no_info("TASKS").await.unwrap();
    let first = tasks.direct_get_first_for_subject("images.tasks.*").await;
    assert_eq!(first.unwrap().subject.as_str(), "images.tasks.i");
    assert!(gateway.context.query_account().await.unwrap().storage > 0);
    let fleet = gateway.context.get_key_value("FLEET").await.unwrap();
    let mut members = fleet.watch_with_history(">").await.unwrap();
    assert_eq!(members.next().await.unwrap().unwrap().value, "here");
}

/// Take one message and settle it, confirmed.
async fn take(nats: &Nats, stream: &str, durable: &str) {
    let consumer: async_nats::jetstream::consumer::PullConsumer = nats
        .context
        .get_consumer_from_stream(durable, stream)
        .await
        .unwrap();
    let mut fetched = consumer.fetch().max_messages(1).messages().await.unwrap();
    let message = fetched.next().await.unwrap().unwrap();
    // Its answer is what is asked for here, and the consumer stays.
    #[allow(clippy::disallowed_methods)]
    message.double_ack().await.unwrap();
}
