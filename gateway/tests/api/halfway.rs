//! Commands that ended halfway and are sent again with the same `Idempotency-Key`.

use contracts::kv::IdempotencyRecord;
use contracts::{Cause, ImportId};
use serde_json::{Value, json};

use crate::bulk::commands;
use crate::repeated::{left, sha256};
use crate::seed::{accepted, cancelled, failed, import_id, listed, paused};
use crate::support::{Fixture, start};

const COMMANDS: &str = "/api/imports/commands";

fn record(request: &str, import: &str) -> IdempotencyRecord {
    IdempotencyRecord {
        v: 1,
        import_id: import_id(import),
        body_sha256: sha256(request),
        seen: None,
        imports: Vec::new(),
        answer: None,
    }
}

/// The hash of the key `k`'s part for one import.
fn part(import: &str) -> String {
    sha256(&format!("{}\n{import}", sha256("k")))
}

/// What is left of `body` that was claimed for these imports.
async fn claimed(gateway: &Fixture, body: &Value, imports: &[ImportId]) {
    let whole = IdempotencyRecord {
        imports: imports.to_vec(),
        ..record(&format!("imports/commands\n{body}"), "none")
    };
    left(gateway, &sha256("k"), &whole).await;
}

async fn repeat(gateway: &Fixture, path: &str, body: &Value) -> Value {
    let request = gateway.client.post(gateway.url(path)).json(body);
    let answer = request.header("idempotency-key", "k").send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    answer.json().await.unwrap()
}

#[tokio::test]
async fn a_command_to_many_is_finished_for_those_that_matched_then() {
    let mut gateway = start().await;
    let [one, two, late] = ["one", "two", "late"].map(import_id);
    gateway.fold(vec![accepted(&one), accepted(&two)]).await;
    let body = json!({ "action": "pause", "filter": { "status": "processing" } });
    claimed(&gateway, &body, &[one.clone(), two]).await;
    // `one` had its command, and matches no more.
    let done = IdempotencyRecord {
        answer: Some(json!("pause")),
        ..record("pause", "one")
    };
    left(&gateway, &part("one"), &done).await;
    gateway.fold(vec![paused(&one), accepted(&late)]).await;

    let answer = repeat(&gateway, COMMANDS, &body).await;
    let expected = json!({ "matching": 2, "accepted": 2, "refused": [], "refused_count": 0 });
    assert_eq!(answer, expected);
    let queued = commands(&gateway).await;
    assert_eq!(queued, [("two".to_owned(), contracts::Action::Pause)]);
    assert_eq!(repeat(&gateway, COMMANDS, &body).await, expected);
    assert_eq!(commands(&gateway).await, queued);
}

#[tokio::test]
async fn the_key_of_a_command_to_many_is_claimed_for_those_that_match() {
    let mut gateway = start().await;
    let [one, two] = ["one", "two"].map(import_id);
    gateway
        .fold(vec![
            accepted(&one),
            listed(&one, 1..=2, &[]),
            failed(&one, 1, Cause::SourceGone),
            accepted(&two),
            cancelled(&two),
        ])
        .await;
    // While commands cannot be stored, so that it ends halfway.
    let context = &gateway.nats().context;
    let stream = context.get_stream(contracts::streams::IMPORTS).await;
    let config = stream.unwrap().cached_info().config.clone();
    let mut full = config.clone();
    full.max_messages = 1;
    full.discard = async_nats::jetstream::stream::DiscardPolicy::New;
    context.update_stream(&full).await.unwrap();
    let post = gateway.post_import(&json!({ "folder_url": crate::support::FOLDER }));
    assert_eq!(post.send().await.unwrap().status(), 202);
    let body = json!({ "action": "cancel", "filter": { "q": "holi" } });
    let request = gateway.client.post(gateway.url(COMMANDS)).json(&body);
    let request = request.header("idempotency-key", "k").send();
    assert_eq!(request.await.unwrap().status(), 503);

    let kept = gateway.record(&format!("key-{}", sha256("k"))).await;
    let kept: IdempotencyRecord = serde_json::from_slice(&kept.unwrap()).unwrap();
    let mut imports = kept.imports;
    imports.sort();
    assert_eq!(imports, [one, two]);
    context.update_stream(&config).await.unwrap();
    gateway.wait_ready().await;
    gateway.fold(vec![accepted(&import_id("late"))]).await;
    let answer = repeat(&gateway, COMMANDS, &body).await;
    assert_eq!(
        (&answer["matching"], &answer["accepted"]),
        (&json!(2), &json!(2))
    );
    let kept = gateway.record(&format!("key-{}", sha256("k"))).await;
    let kept: IdempotencyRecord = serde_json::from_slice(&kept.unwrap()).unwrap();
    assert_eq!(kept.imports, [] as [ImportId; 0]);
}
