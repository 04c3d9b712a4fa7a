use contracts::{Action, Cause, Command, Task, streams, subjects};
use reqwest::Response;
use serde_json::{Value, json};

use crate::seed::{
    accepted, cancelled, failed, file, import_failed, import_id, imported, imported_as, listed,
    listing_completed, object, paused,
};
use crate::support::{Fixture, problem, start, start_with};

async fn post(gateway: &Fixture, path: &str, body: &Value) -> Response {
    gateway
        .client
        .post(gateway.url(path))
        .json(body)
        .send()
        .await
        .unwrap()
}

async fn ok(gateway: &Fixture, path: &str, body: &Value) -> Value {
    let response = post(gateway, path, body).await;
    assert_eq!(response.status(), 200, "{body}");
    response.json().await.unwrap()
}

/// Keys of the objects whose deletion is queued.
pub(crate) async fn deletions(gateway: &Fixture) -> Vec<String> {
    let messages = gateway.messages(streams::TASKS).await;
    let key = |(_, _, payload): (String, String, Vec<u8>)| match contracts::decode(&payload) {
        Ok(Task::DeleteObject(delete)) => Some(delete.key),
        _ => None,
    };
    let mut keys: Vec<_> = messages.into_iter().filter_map(key).collect();
    keys.sort();
    keys
}

const DELETE: &str = "/api/images/delete";

/// 30 images of `one`, of which three are PNGs, and 3 of `two`.
async fn with_images() -> Fixture {
    let mut gateway = start().await;
    let (one, two) = (import_id("one"), import_id("two"));
    let mut events: Vec<_> = (1..=27).map(|n| imported(&one, n)).collect();
    events.extend((28..=30).map(|n| {
        let mut object = object(n);
        object.content_type = "image/png".into();
        imported_as(&one, n, file(n, &format!("dog-{n}.png")), object)
    }));
    events.extend((31..=33).map(|n| imported(&two, n)));
    gateway.fold(events).await;
    gateway
}

#[tokio::test]
async fn all_images_that_match_are_deleted_once() {
    let gateway = with_images().await;
    for (filter, matching) in [
        (json!({ "import": "one" }), 30),
        (json!({ "mime_type": "image/png" }), 3),
        (json!({ "q": "CAT-1" }), 11),
        (json!({ "storage_provider": "aws" }), 0),
        (json!({ "import": "one", "q": "dog" }), 3),
    ] {
        let preview = ok(
            &gateway,
            DELETE,
            &json!({ "filter": filter, "preview": true }),
        )
        .await;
        assert_eq!(preview, json!({ "matching": matching }), "{filter}");
    }
    let all = ok(
        &gateway,
        DELETE,
        &json!({ "filter": {}, "all": true, "preview": true }),
    )
    .await;
    assert_eq!(all, json!({ "matching": 33 }));
    assert_eq!(
        deletions(&gateway).await,
        [""; 0],
        "a preview deletes nothing"
    );

    let body = json!({ "filter": { "mime_type": "image/png" } });
    let expected = json!({ "matching": 3, "queued": 3, "complete": true, "cursor": null });
    assert_eq!(ok(&gateway, DELETE, &body).await, expected);
    let pngs = ["photos/28.jpg", "photos/29.jpg", "photos/30.jpg"];
    assert_eq!(deletions(&gateway).await, pngs);
    assert_eq!(ok(&gateway, DELETE, &body).await, expected);
    assert_eq!(deletions(&gateway).await, pngs, "once");

    let images = gateway.json("/api/images?import=two").await;
    let mut ids: Vec<i64> = images["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["id"].as_i64().unwrap())
        .collect();
    ids.extend([ids[0], 999_999, -1]);
    let named = ok(&gateway, DELETE, &json!({ "ids": ids })).await;
    assert_eq!(
        named,
        json!({ "matching": 3, "queued": 3, "complete": true, "cursor": null })
    );
    assert_eq!(deletions(&gateway).await.len(), 6);
}

#[tokio::test]
async fn what_does_not_fit_into_a_request_takes_another() {
    // A budget that is used up after the first page.
    let mut gateway =
        start_with(|config| config.limits.request = std::time::Duration::from_secs(20)).await;
    let one = import_id("one");
    gateway
        .fold((1..=1_200).map(|n| imported(&one, n)).collect())
        .await;
    let (mut queued, mut cursor, mut requests) = (0, Value::Null, 0);
    loop {
        let mut body = json!({ "filter": { "import": "one" } });
        if cursor != Value::Null {
            body["cursor"] = cursor.clone();
        }
        let answer = ok(&gateway, DELETE, &body).await;
        assert_eq!(answer["matching"], 1_200);
        queued += answer["queued"].as_u64().unwrap();
        cursor = answer["cursor"].clone();
        requests += 1;
        assert_eq!(answer["complete"], cursor == Value::Null);
        if cursor == Value::Null {
            break;
        }
    }
    println!("{requests} requests");
    assert_eq!(queued, 1_200);
    let mut keys = deletions(&gateway).await;
    keys.dedup();
    assert_eq!(keys.len(), 1_200);

    // From the cursor of a list on, only what is behind it.
    let list = gateway.json("/api/images?per_page=100").await;
    let body = json!({ "filter": { "import": "one" }, "cursor": list["next_cursor"] });
    assert_eq!(ok(&gateway, DELETE, &body).await["queued"], 1_100);
}

#[tokio::test]
async fn nobody_deletes_everything_by_a_slip() {
    let gateway = with_images().await;
    for (body, code) in [
        (json!({ "filter": {} }), "invalid_parameter"),
        (json!({ "filter": { "q": " " } }), "invalid_parameter"),
        (json!({ "filter": {}, "all": false }), "invalid_parameter"),
        (json!({ "filter": { "name": "x" } }), "invalid_request"),
        (
            json!({ "filter": { "q": "x" }, "ids": [1] }),
            "invalid_request",
        ),
        (json!({ "all": true }), "invalid_request"),
        (json!({}), "invalid_request"),
        (json!([]), "invalid_request"),
        (json!([{}, [1], true, false, null]), "invalid_request"),
        (json!({ "ids": [] }), "invalid_parameter"),
        (
            json!({ "ids": (0..1_001).collect::<Vec<_>>() }),
            "invalid_parameter",
        ),
        (json!({ "ids": ["1"] }), "invalid_request"),
        (json!({ "ids": [1e30] }), "invalid_request"),
        (
            json!({ "filter": { "storage_provider": "gcs" } }),
            "invalid_parameter",
        ),
        (
            json!({ "filter": { "mime_type": "jpeg" } }),
            "invalid_parameter",
        ),
        (
            json!({ "filter": { "import": "No!" } }),
            "invalid_parameter",
        ),
        (
            json!({ "filter": { "q": "x".repeat(201) } }),
            "invalid_parameter",
        ),
        (
            json!({ "filter": { "q": "x" }, "cursor": "nope" }),
            "invalid_parameter",
        ),
    ] {
        problem(post(&gateway, DELETE, &body).await, 400, code).await;
    }
    for body in ["", "{", "null", "\u{0}", "{\"filter\":{\"q\":\"\\ud800\"}}"] {
        let response = gateway
            .client
            .post(gateway.url(DELETE))
            .body(body)
            .send()
            .await
            .unwrap();
        problem(response, 400, "invalid_request").await;
    }
    assert_eq!(deletions(&gateway).await, [""; 0]);
    // Odd characters are characters.
    for q in ["\u{0}", "%", "'; --", "\u{FDD0}"] {
        let preview = json!({ "filter": { "q": q }, "preview": true });
        assert_eq!(
            ok(&gateway, DELETE, &preview).await,
            json!({ "matching": 0 })
        );
    }
}

pub(crate) async fn commands(gateway: &Fixture) -> Vec<(String, Action)> {
    let messages = gateway.messages(streams::IMPORTS).await;
    let commands = messages
        .into_iter()
        .filter(|(subject, ..)| subject == subjects::COMMANDS);
    let mut commands: Vec<_> = commands
        .map(|(_, _, payload)| {
            let command: Command = contracts::decode(&payload).unwrap();
            (command.import_id.to_string(), command.action)
        })
        .collect();
    commands.sort_by(|a, b| a.0.cmp(&b.0));
    commands
}

const COMMANDS: &str = "/api/imports/commands";

async fn with_imports() -> Fixture {
    let mut gateway = start().await;
    let [busy, idle, done, broken, given_up] =
        ["busy", "idle", "done", "broken", "given-up"].map(import_id);
    gateway
        .fold(vec![
            accepted(&busy),
            listed(&busy, 1..=4, &[]),
            failed(&busy, 1, Cause::SourceGone),
            failed(&busy, 2, Cause::EmptyFile),
            accepted(&idle),
            paused(&idle),
            accepted(&done),
            listed(&done, 1..=1, &[]),
            listing_completed(&done),
            failed(&done, 1, Cause::SourceGone),
            import_failed(&broken),
            accepted(&given_up),
            cancelled(&given_up),
        ])
        .await;
    gateway
}

#[tokio::test]
async fn a_command_goes_to_all_imports_that_match() {
    let gateway = with_imports().await;
    let everything = json!({ "action": "retry", "filter": {}, "all": true });
    let mut preview = everything.clone();
    preview["preview"] = json!(true);
    assert_eq!(
        ok(&gateway, COMMANDS, &preview).await,
        json!({ "matching": 5, "able": 2 })
    );
    // Done, failed and cancelled ones match, and can do little.
    for (action, filter, able) in [
        ("pause", json!({}), 2),
        ("cancel", json!({}), 3),
        ("resume", json!({}), 4),
        ("pause", json!({ "status": "completed" }), 0),
        ("cancel", json!({ "status": "cancelled" }), 1),
    ] {
        let body = json!({ "action": action, "filter": filter, "all": true, "preview": true });
        let answer = ok(&gateway, COMMANDS, &body).await;
        assert_eq!(answer["able"], able, "{body}");
    }
    let of_cause = json!({ "action": "retry", "filter": {}, "all": true, "cause": "empty_file", "preview": true });
    assert_eq!(
        ok(&gateway, COMMANDS, &of_cause).await,
        json!({ "matching": 5, "able": 1 })
    );
    assert_eq!(commands(&gateway).await, []);

    let answer = ok(&gateway, COMMANDS, &everything).await;
    assert_eq!(
        (&answer["matching"], &answer["accepted"]),
        (&json!(5), &json!(2))
    );
    assert_eq!(answer["refused_count"], 3);
    let mut refused: Vec<_> = answer["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refused| {
            (
                refused["id"].as_str().unwrap(),
                refused["code"].as_str().unwrap(),
            )
        })
        .collect();
    refused.sort_unstable();
    assert_eq!(
        refused,
        [
            ("broken", "nothing_to_retry"),
            ("given-up", "not_possible"),
            ("idle", "nothing_to_retry")
        ]
    );
    let retry = |cause| Action::Retry {
        cause,
        item_id: None,
    };
    let first = [
        ("busy".to_owned(), retry(None)),
        ("done".to_owned(), retry(None)),
    ];
    assert_eq!(commands(&gateway).await, first);

    let empty = json!({ "action": "retry", "filter": { "q": "holi" }, "cause": "empty_file", "requested_by": "Ada" });
    let answer = ok(&gateway, COMMANDS, &empty).await;
    assert_eq!(
        (&answer["matching"], &answer["accepted"]),
        (&json!(4), &json!(1))
    );
    assert_eq!(
        commands(&gateway).await[1],
        ("busy".to_owned(), retry(Some(Cause::EmptyFile)))
    );
    let pause = json!({ "action": "pause", "filter": { "status": "processing" } });
    let answer = ok(&gateway, COMMANDS, &pause).await;
    assert_eq!(
        answer,
        json!({ "matching": 1, "accepted": 1, "refused": [], "refused_count": 0 })
    );
}

#[tokio::test]
async fn a_repeated_key_commands_each_import_once() {
    let mut gateway = with_imports().await;
    let keyed = |body: Value| {
        let request = gateway.client.post(gateway.url(COMMANDS)).json(&body);
        request.header("idempotency-key", "k-1").send()
    };
    let body = json!({ "action": "cancel", "filter": { "q": "holi" } });
    let first: Value = keyed(body.clone()).await.unwrap().json().await.unwrap();
    assert_eq!(first["accepted"], 3, "{first}");
    let queued = commands(&gateway).await;
    let again: Value = keyed(body.clone()).await.unwrap().json().await.unwrap();
    assert_eq!(again["accepted"], 3);
    assert_eq!(commands(&gateway).await, queued);
    let other = keyed(json!({ "action": "pause", "filter": { "q": "holi" } }))
        .await
        .unwrap();
    problem(other, 422, "idempotency_key_reused").await;

    let late = import_id("late");
    gateway.fold(vec![accepted(&late)]).await;
    let request = gateway.client.post(gateway.url(COMMANDS)).json(&body);
    let request = request.header("idempotency-key", "k-1").send();
    let after: Value = request.await.unwrap().json().await.unwrap();
    assert_eq!(after, first, "what came later is not meant");
    assert_eq!(commands(&gateway).await, queued);
}

#[tokio::test]
async fn commands_that_make_no_sense_are_refused() {
    let gateway = with_imports().await;
    for (body, code) in [
        (
            json!({ "action": "cancel", "filter": {} }),
            "invalid_parameter",
        ),
        (json!({ "action": "cancel" }), "invalid_request"),
        (
            json!({ "action": "explode", "filter": { "q": "x" } }),
            "invalid_request",
        ),
        (
            json!({ "action": "cancel", "filter": { "status": "done" } }),
            "invalid_parameter",
        ),
        (
            json!({ "action": "cancel", "filter": { "q": "x" }, "cause": "source_gone" }),
            "invalid_parameter",
        ),
        (
            json!({ "action": "retry", "filter": { "q": "x" }, "cause": "nope" }),
            "invalid_parameter",
        ),
        (
            json!({ "action": "retry", "filter": { "q": "x" }, "couse": "source_gone" }),
            "invalid_request",
        ),
        (json!(["cancel", { "q": "x" }]), "invalid_request"),
        (
            json!({ "action": "cancel", "filter": { "q": "x" }, "requested_by": "x".repeat(201) }),
            "invalid_parameter",
        ),
    ] {
        problem(post(&gateway, COMMANDS, &body).await, 400, code).await;
    }
    assert_eq!(commands(&gateway).await, []);
}

#[tokio::test]
async fn a_retry_may_be_counted_first() {
    let gateway = with_imports().await;
    for (import, body, matching) in [
        ("busy", json!({ "preview": true }), 2),
        (
            "busy",
            json!({ "preview": true, "cause": "source_gone" }),
            1,
        ),
        ("busy", json!({ "preview": true, "item_id": "file-2" }), 1),
        ("busy", json!({ "preview": true, "item_id": "file-3" }), 0),
        ("idle", json!({ "preview": true }), 0),
    ] {
        let path = format!("/api/imports/{import}/retry");
        assert_eq!(
            ok(&gateway, &path, &body).await,
            json!({ "matching": matching }),
            "{body}"
        );
    }
    let preview = json!({ "preview": true });
    problem(
        post(&gateway, "/api/imports/none/retry", &preview).await,
        404,
        "not_found",
    )
    .await;
    problem(
        post(&gateway, "/api/imports/busy/cancel", &preview).await,
        400,
        "invalid_parameter",
    )
    .await;
    assert_eq!(commands(&gateway).await, []);
}

#[tokio::test]
async fn without_nats_nothing_is_claimed_to_be_queued() {
    let mut gateway = with_imports().await;
    gateway.fold(vec![imported(&import_id("busy"), 3)]).await;
    gateway.server.take().unwrap().stop().await;
    testkit::until("it is missed", crate::support::PATIENCE, || async {
        let delete = post(&gateway, DELETE, &json!({ "filter": { "q": "cat" } })).await;
        (delete.status() == 503).then_some(())
    })
    .await;
    let cancel = json!({ "action": "cancel", "filter": { "q": "holi" } });
    problem(
        post(&gateway, COMMANDS, &cancel).await,
        503,
        "queue_unavailable",
    )
    .await;
    // Counting goes on.
    let preview = json!({ "filter": { "q": "cat" }, "preview": true });
    assert_eq!(
        ok(&gateway, DELETE, &preview).await,
        json!({ "matching": 1 })
    );
    let mut preview = cancel;
    preview["preview"] = json!(true);
    let request = gateway.client.post(gateway.url(COMMANDS)).json(&preview);
    let request = request.header("idempotency-key", "k").send();
    let counted: Value = request.await.unwrap().json().await.unwrap();
    assert_eq!(counted, json!({ "matching": 4, "able": 3 }));
}
