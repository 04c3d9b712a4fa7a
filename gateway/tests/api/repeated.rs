//! Requests that are sent again with the same `Idempotency-Key`.

use async_nats::jetstream::stream::{Config, Source};
use contracts::kv::IdempotencyRecord;
use contracts::streams;
use reqwest::Response;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::bulk::deletions;
use crate::seed::{deleted, import_id, imported, object};
use crate::support::{Fixture, PATIENCE, problem, start};

const PATH: &str = "/api/images/delete";

async fn with_images(count: u32) -> Fixture {
    let mut gateway = start().await;
    let one = import_id("one");
    let events = (1..=count).map(|n| imported(&one, n)).collect();
    gateway.fold(events).await;
    gateway
}

pub(crate) fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// What a gateway leaves behind that died with a request under way: the record of the key with this
/// hash.
pub(crate) async fn left(gateway: &Fixture, hash: &str, record: &IdempotencyRecord) {
    let bucket = gateway.nats().context.get_key_value(streams::SUBMISSIONS);
    let record = serde_json::to_vec(record).unwrap();
    let created = bucket.await.unwrap();
    created
        .create(format!("key-{hash}"), record.into())
        .await
        .unwrap();
}

async fn delete(gateway: &Fixture, key: &str, body: &Value) -> Response {
    let request = gateway.client.post(gateway.url(PATH));
    let request = request.header("idempotency-key", key).json(body);
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_repeated_key_deletes_nothing_that_came_later() {
    let mut gateway = with_images(3).await;
    let body = json!({ "filter": { "import": "one" } });
    let first: Value = delete(&gateway, "k", &body).await.json().await.unwrap();
    let expected = json!({ "matching": 3, "queued": 3, "complete": true, "cursor": null });
    assert_eq!(first, expected);

    let one = import_id("one");
    gateway
        .fold(vec![deleted(&one, 1), imported(&one, 4)])
        .await;
    let again: Value = delete(&gateway, "k", &body).await.json().await.unwrap();
    assert_eq!(again, first);
    let gone = ["photos/1.jpg", "photos/2.jpg", "photos/3.jpg"];
    assert_eq!(deletions(&gateway).await, gone);

    for other in [
        json!({ "filter": {}, "all": true }),
        json!({ "filter": { "import": "two" } }),
        json!({ "ids": [4] }),
    ] {
        let answer = delete(&gateway, "k", &other).await;
        problem(answer, 422, "idempotency_key_reused").await;
    }
    assert_eq!(deletions(&gateway).await, gone);
    // Counting neither needs a key nor takes one.
    let preview = json!({ "filter": { "import": "one" }, "preview": true });
    for key in ["k", "l"] {
        let answer: Value = delete(&gateway, key, &preview).await.json().await.unwrap();
        assert_eq!(answer, json!({ "matching": 3 }));
    }
    let fresh: Value = delete(&gateway, "l", &body).await.json().await.unwrap();
    assert_eq!(fresh["queued"], 3);
}

#[tokio::test]
async fn requests_with_one_key_at_once_are_one_request() {
    let mut gateway = with_images(20).await;
    let mut expected = Vec::new();
    for round in 0..5 {
        let key = format!("other-{round}");
        // Three images for the one request and one for the other, which nobody deleted so far.
        let first = 21 + 4 * round;
        let (few, single) = (import_id(&key), import_id("single"));
        let mut events: Vec<_> = (first..first + 3).map(|n| imported(&few, n)).collect();
        events.push(imported(&single, first + 3));
        gateway.fold(events).await;
        let one = json!({ "filter": { "import": key } });
        let two = json!({ "ids": [first + 3] });
        let both = tokio::join!(delete(&gateway, &key, &one), delete(&gateway, &key, &two));
        expected.extend(match (both.0.status().as_u16(), both.1.status().as_u16()) {
            (200, 422) => first..first + 3,
            (422, 200) => first + 3..first + 4,
            statuses => panic!("{statuses:?}"),
        });
        let keys: Vec<_> = expected.iter().map(|n| object(*n).key).collect();
        assert_eq!(
            deletions(&gateway).await,
            keys,
            "the winner's and no others"
        );
    }
    let one = json!({ "filter": { "q": "cat-1" } });
    let same = (0..8).map(|_| async {
        let answer = delete(&gateway, "same", &one).await;
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.unwrap()
    });
    let mut answers = futures::future::join_all(same).await;
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn what_ended_halfway_is_finished_for_what_there_was_then() {
    let mut gateway = with_images(3).await;
    let body = json!({ "filter": { "import": "one" } });
    // What a gateway leaves behind that died before it had queued anything.
    let request = format!("images/delete\n{body}");
    let record = IdempotencyRecord {
        v: 1,
        import_id: import_id("none"),
        body_sha256: sha256(&request),
        seen: Some(3),
        matching: Some(3),
        imports: Vec::new(),
        answer: None,
    };
    left(&gateway, &sha256("k"), &record).await;

    let one = import_id("one");
    gateway
        .fold((4..=6).map(|n| imported(&one, n)).collect())
        .await;
    let answer: Value = delete(&gateway, "k", &body).await.json().await.unwrap();
    let expected = json!({ "matching": 3, "queued": 3, "complete": true, "cursor": null });
    assert_eq!(answer, expected, "as many match as did then");
    let old = ["photos/1.jpg", "photos/2.jpg", "photos/3.jpg"];
    assert_eq!(deletions(&gateway).await, old);
    let again: Value = delete(&gateway, "k", &body).await.json().await.unwrap();
    assert_eq!(again, answer);
}

#[tokio::test]
async fn a_replica_that_lags_makes_no_difference() {
    let gateway = with_images(3).await;
    // It answers direct reads of the bucket as well, and has none of the keys' records.
    let lagging = Config {
        name: "LAGGING".into(),
        mirror: Some(Source {
            name: format!("KV_{}", streams::SUBMISSIONS),
            filter_subject: Some("$KV.SUBMISSIONS.other".into()),
            ..Source::default()
        }),
        mirror_direct: true,
        allow_direct: true,
        ..Config::default()
    };
    let context = &gateway.nats().context;
    context.create_stream(lagging).await.unwrap();
    // With its first message it begins to answer.
    let bucket = context.get_key_value(streams::SUBMISSIONS).await.unwrap();
    bucket.put("other", "".into()).await.unwrap();
    let body = json!({ "filter": { "import": "one" } });
    let first: Value = delete(&gateway, "k", &body).await.json().await.unwrap();
    let name = format!("key-{}", sha256("k"));
    testkit::until("a direct read finds nothing", PATIENCE, || async {
        gateway.record(&name).await.is_none().then_some(())
    })
    .await;
    for _ in 0..20 {
        let again = delete(&gateway, "k", &body).await;
        assert_eq!(again.status(), 200);
        assert_eq!(again.json::<Value>().await.unwrap(), first);
    }
    let url = gateway.url("/api/imports/one/pause");
    for _ in 0..20 {
        let pause = gateway.client.post(&url).header("idempotency-key", "l");
        assert_eq!(pause.send().await.unwrap().status(), 202);
    }
}
