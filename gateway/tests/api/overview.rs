use std::time::Duration;

use contracts::kv::{Presence, QuotaUse};
use contracts::streams;
use serde_json::{Value, json};

use crate::seed::{accepted, import_failed, import_id, imported, paused};
use crate::support::{FOLDER, Fixture, PATIENCE, start, start_against};

async fn announce(gateway: &Fixture, name: &str, presence: &Presence) {
    let fleet = gateway
        .nats()
        .context
        .get_key_value(streams::FLEET)
        .await
        .unwrap();
    let presence = serde_json::to_vec(presence).unwrap();
    fleet.put(name, presence.into()).await.unwrap();
}

#[tokio::test]
async fn everything_is_told_at_one_look() {
    let mut gateway = start().await;
    let [one, two, three] = ["one", "two", "three"].map(import_id);
    gateway
        .fold(vec![
            accepted(&one),
            imported(&one, 1),
            accepted(&two),
            paused(&two),
            import_failed(&three),
        ])
        .await;
    let before = gateway.json("/api/overview").await;
    assert_eq!(before["stats"], gateway.json("/api/stats").await);
    let counts =
        json!({ "processing": 1, "paused": 1, "completed": 0, "failed": 1, "cancelled": 0 });
    assert_eq!(before["imports"], counts);
    assert_eq!(
        before["queue"],
        json!({ "pending": 0, "in_flight": 0, "requests": 0 })
    );
    assert_eq!(
        (&before["fleet"], &before["quota"]),
        (&json!([]), &Value::Null)
    );
    assert_eq!(before["projector"], json!({ "lag_events": 0 }));

    // A request, two tasks, and more events than are folded.
    let post = gateway.post_import(&json!({ "folder_url": FOLDER }));
    assert_eq!(post.send().await.unwrap().status(), 202);
    let admin = gateway.nats();
    for n in 0..2 {
        let subject = contracts::subjects::task(&one);
        admin
            .publish(subject, &format!("t{n}"), "{}".into())
            .await
            .unwrap();
    }
    for n in 0..8 {
        let event = accepted(&one);
        let subject = contracts::subjects::event(&one, event.body.kind());
        let payload = contracts::encode(&event).unwrap();
        admin
            .publish(subject, &format!("e{n}"), payload.into())
            .await
            .unwrap();
    }
    let worker = Presence {
        v: 1,
        role: "worker".into(),
        busy: true,
        weight: None,
        holds: [(one.clone(), 3)].into(),
        waiting: [("drive".to_owned(), "the quota is used up".to_owned())].into(),
        quota: Some(QuotaUse {
            units_per_minute: 1_000,
            used: 400,
        }),
    };
    let producer = Presence {
        role: "producer".into(),
        busy: false,
        holds: [].into(),
        waiting: [].into(),
        quota: Some(QuotaUse {
            units_per_minute: 1_000,
            used: 5,
        }),
        ..worker.clone()
    };
    let projector = Presence {
        role: "projector".into(),
        quota: None,
        ..producer.clone()
    };
    for (name, presence) in [("w", &worker), ("p", &producer), ("j", &projector)] {
        announce(&gateway, name, presence).await;
    }
    let look = testkit::until("the fleet is heard of", PATIENCE, || async {
        let look = gateway.json("/api/overview").await;
        (look["fleet"].as_array()?.len() == 3).then_some(look)
    })
    .await;
    assert_eq!(
        look["queue"],
        json!({ "pending": 2, "in_flight": 0, "requests": 1 })
    );
    assert_eq!(look["projector"], json!({ "lag_events": 3 }));
    assert_eq!(
        look["quota"],
        json!({ "units_per_minute": 1_000, "used_per_minute": 405 })
    );
    assert_eq!(look["waiting_for"]["drive"], "the quota is used up");
    let expected = json!({ "role": "worker", "instance": "w", "busy": true, "holds": { "one": 3 }, "waiting": { "drive": "the quota is used up" } });
    assert_eq!(look["fleet"][2], expected);

    // The dead are not added up.
    testkit::until("they are forgotten", PATIENCE, || async {
        let look = gateway.json("/api/overview").await;
        (look["fleet"] == json!([]) && look["quota"] == Value::Null).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_nats_and_database_it_says_so() {
    let nowhere = jetstream::NatsConfig::new("nats://127.0.0.1:1", "test");
    let gateway = start_against(nowhere, |_| {}).await;
    let look = testkit::until("both are missed", PATIENCE, || async {
        let look = gateway.json("/api/overview").await;
        let waiting = &look["waiting_for"];
        (waiting["nats"].is_string() && waiting["sql"].is_string()).then_some(look)
    })
    .await;
    for field in ["stats", "imports", "queue", "quota", "projector"] {
        assert_eq!(look[field], Value::Null, "{field}");
    }
    let began = std::time::Instant::now();
    for _ in 0..20 {
        gateway.json("/api/overview").await;
    }
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "nobody waits for what is away"
    );
}
