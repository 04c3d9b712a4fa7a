//! Commands that ended halfway and are sent again with the same `Idempotency-Key`.

use async_nats::jetstream::stream::{Config, DiscardPolicy};
use contracts::kv::IdempotencyRecord;
use contracts::{Action, Cause, ImportId, streams};
use serde_json::{Value, json};

use crate::bulk::{commands, deletions};
use crate::repeated::{left, sha256};
use crate::seed::{
    accepted, cancelled, failed, file, import_id, imported, imported_as, listed, object, paused,
};
use crate::support::{Fixture, start};

const COMMANDS: &str = "/api/imports/commands";

fn record(request: &str, import: &str) -> IdempotencyRecord {
    IdempotencyRecord {
        v: 1,
        import_id: import_id(import),
        body_sha256: sha256(request),
        seen: None,
        matching: None,
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

/// Makes a stream refuse messages, so that requests end halfway; gives back how it was.
async fn refuse(gateway: &Fixture, stream: &str, change: impl FnOnce(&mut Config)) -> Config {
    let context = &gateway.nats().context;
    let found = context.get_stream(stream).await.unwrap();
    let config = found.cached_info().config.clone();
    let mut changed = config.clone();
    change(&mut changed);
    context.update_stream(&changed).await.unwrap();
    config
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
    assert_eq!(queued, [("two".to_owned(), Action::Pause)]);
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
    let config = refuse(&gateway, streams::IMPORTS, |config| {
        config.max_messages = 1;
        config.discard = DiscardPolicy::New;
    })
    .await;
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
    let context = &gateway.nats().context;
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

#[tokio::test]
async fn deletions_that_end_halfway_tell_how_far_they_came() {
    let mut gateway = start().await;
    let one = import_id("one");
    let images = (1..=700).map(|n| {
        let mut object = object(n);
        if n == 100 {
            object.key = "x".repeat(3_000);
        }
        imported_as(&one, n, file(n, &format!("cat-{n}.jpg")), object)
    });
    gateway.fold(images.collect()).await;
    // One page of images goes, and of the next all but one.
    let config = refuse(&gateway, streams::TASKS, |config| {
        config.max_message_size = 2_000;
    })
    .await;
    let path = "/api/images/delete";
    let body = json!({ "filter": { "import": "one" } });
    let part = repeat(&gateway, path, &body).await;
    assert_eq!(
        (&part["matching"], &part["queued"], &part["complete"]),
        (&json!(700), &json!(500), &json!(false))
    );

    let context = &gateway.nats().context;
    context.update_stream(&config).await.unwrap();
    gateway.wait_ready().await;
    gateway.fold(vec![imported(&one, 701)]).await;
    let mut rest = body.clone();
    rest["cursor"] = part["cursor"].clone();
    let request = gateway.client.post(gateway.url(path)).json(&rest);
    let rest: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (&rest["queued"], &rest["complete"]),
        (&json!(200), &json!(true))
    );
    assert_eq!(deletions(&gateway).await.len(), 700);
    // It was not done, so it is done again: for the images that there were at first.
    let again = repeat(&gateway, path, &body).await;
    let expected = json!({ "matching": 700, "queued": 700, "complete": true, "cursor": null });
    assert_eq!(again, expected);
    assert_eq!(deletions(&gateway).await.len(), 700);
}

#[tokio::test]
async fn a_command_that_may_have_had_its_effect_is_sent_again() {
    let mut gateway = start().await;
    let [one, two] = ["one", "two"].map(import_id);
    gateway.fold(vec![accepted(&one), accepted(&two)]).await;
    // Both keys are claimed and not answered, and meanwhile neither import can be retried.
    let single = IdempotencyRecord {
        matching: Some(2),
        ..record("one\nretry\n{}", "one")
    };
    left(&gateway, &sha256("k"), &single).await;
    let answer = repeat(&gateway, "/api/imports/one/retry", &json!({})).await;
    assert_eq!(answer["matching"], 2);
    let retry = Action::Retry {
        cause: None,
        item_id: None,
    };
    assert_eq!(
        commands(&gateway).await,
        [("one".to_owned(), retry.clone())]
    );
    let id = gateway.messages(streams::IMPORTS).await[0].1.clone();
    let expected = format!("key-{}.{}", sha256("k"), single.body_sha256);
    assert_eq!(id, expected, "under the same id");
    let again = repeat(&gateway, "/api/imports/one/retry", &json!({})).await;
    assert_eq!(again, answer);
}

#[tokio::test]
async fn of_a_command_to_many_those_that_may_have_had_theirs_are_sent_again() {
    let mut gateway = start().await;
    let [one, two] = ["one", "two"].map(import_id);
    gateway.fold(vec![accepted(&one), accepted(&two)]).await;
    let body = json!({ "action": "retry", "filter": { "q": "holi" } });
    claimed(&gateway, &body, &[one, two]).await;
    left(&gateway, &part("one"), &record("retry", "one")).await;
    let answer = repeat(&gateway, COMMANDS, &body).await;
    assert_eq!(
        (&answer["accepted"], &answer["refused_count"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(answer["refused"][0]["id"], "two");
    assert_eq!(commands(&gateway).await.len(), 1);
}
