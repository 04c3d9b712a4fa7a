use contracts::{Action, Cause, Command, streams, subjects};
use reqwest::Response;
use serde_json::{Value, json};

use crate::seed::{
    accepted, cancelled, failed, import_failed, import_id, imported, listed, listing_completed,
    paused,
};
use crate::support::{FOLDER, Fixture, problem, start};

async fn ask(gateway: &Fixture, import: &str, verb: &str, body: &Value) -> Response {
    let request = gateway
        .client
        .post(gateway.url(&format!("/api/imports/{import}/{verb}")));
    let request = if body.is_null() {
        request
    } else {
        request.json(body)
    };
    request.send().await.unwrap()
}

/// The commands on NATS, each with its message id.
async fn commands(gateway: &Fixture) -> Vec<(Command, String)> {
    let messages = gateway.messages(streams::IMPORTS).await;
    messages
        .into_iter()
        .filter(|(subject, ..)| subject == subjects::COMMANDS)
        .map(|(_, id, payload)| (contracts::decode(&payload).unwrap(), id))
        .collect()
}

/// `busy`: 2 entries failed with `source_gone`, 1 with `empty_file`, and one is under way.
async fn seeded() -> Fixture {
    let mut gateway = start().await;
    let [busy, done, broken, given_up, held] =
        ["busy", "done", "broken", "given-up", "held"].map(import_id);
    gateway
        .fold(vec![
            accepted(&busy),
            listed(&busy, 1..=4, &[]),
            failed(&busy, 1, Cause::SourceGone),
            failed(&busy, 2, Cause::EmptyFile),
            failed(&busy, 3, Cause::SourceGone),
            accepted(&done),
            listed(&done, 1..=1, &[]),
            listing_completed(&done),
            imported(&done, 1),
            import_failed(&broken),
            accepted(&given_up),
            listed(&given_up, 1..=2, &[]),
            failed(&given_up, 1, Cause::SourceGone),
            cancelled(&given_up),
            accepted(&held),
            paused(&held),
        ])
        .await;
    gateway
}

#[tokio::test]
async fn a_command_is_queued_before_it_is_answered_and_may_be_repeated() {
    let gateway = seeded().await;
    let actions = [
        ("pause", Action::Pause),
        ("resume", Action::Resume),
        ("cancel", Action::Cancel),
    ];
    for (number, (verb, action)) in actions.into_iter().enumerate() {
        let mut answers = Vec::new();
        for body in [Value::Null, json!({ "requested_by": "Ada" })] {
            let response = ask(&gateway, "busy", verb, &body).await;
            assert_eq!(response.status(), 202, "{verb}");
            assert_eq!(
                response.headers()["location"],
                "/api/import/status/busy",
                "{verb}"
            );
            answers.push(response.json::<Value>().await.unwrap());
        }
        assert_eq!(answers[0], answers[1], "answered alike");
        assert_eq!(answers[0]["import_id"], "busy");
        assert_eq!(answers[0]["action"], verb);
        assert_eq!(answers[0]["status_url"], "/api/import/status/busy");
        assert!(!answers[0]["message"].as_str().unwrap().is_empty());

        let queued = commands(&gateway).await;
        assert_eq!(queued.len(), 2 * (number + 1));
        let [(first, _), (second, _)] = &queued[2 * number..] else {
            panic!("{queued:?}")
        };
        assert_eq!((&first.action, first.import_id.as_str()), (&action, "busy"));
        assert_eq!(first.requested_by, None);
        assert_eq!(second.action, action);
        assert_eq!(second.requested_by.as_deref(), Some("Ada"));
    }
}

#[tokio::test]
async fn a_repeated_key_queues_nothing_more_and_stands_for_one_command() {
    let gateway = seeded().await;
    let keyed = |verb: &str, import: &str| {
        let url = gateway.url(&format!("/api/imports/{import}/{verb}"));
        gateway
            .client
            .post(url)
            .header("idempotency-key", "k-1")
            .send()
    };
    let first = keyed("pause", "busy").await.unwrap();
    let again = keyed("pause", "busy").await.unwrap();
    assert_eq!(
        (first.status(), again.status()),
        (202.try_into().unwrap(), 202.try_into().unwrap())
    );
    assert_eq!(
        first.json::<Value>().await.unwrap(),
        again.json::<Value>().await.unwrap()
    );
    assert_eq!(commands(&gateway).await.len(), 1);

    for (verb, import) in [("cancel", "busy"), ("pause", "held")] {
        let other = keyed(verb, import).await.unwrap();
        problem(other, 422, "idempotency_key_reused").await;
    }
    let submission = gateway
        .post_import(&json!({ "folder_url": FOLDER }))
        .header("idempotency-key", "k-1");
    problem(
        submission.send().await.unwrap(),
        422,
        "idempotency_key_reused",
    )
    .await;
    assert_eq!(commands(&gateway).await.len(), 1);
    let bad = gateway
        .client
        .post(gateway.url("/api/imports/busy/pause"))
        .header("idempotency-key", "two words");
    problem(bad.send().await.unwrap(), 400, "invalid_parameter").await;
}

#[tokio::test]
async fn a_keyed_command_is_answered_alike_after_it_took_effect() {
    let mut gateway = seeded().await;
    let keyed = || {
        let url = gateway.url("/api/imports/busy/pause");
        gateway
            .client
            .post(url)
            .header("idempotency-key", "k")
            .send()
    };
    let first: Value = keyed().await.unwrap().json().await.unwrap();
    let url = gateway.url("/api/imports/busy/pause");
    gateway.fold(vec![cancelled(&import_id("busy"))]).await;
    let again = gateway
        .client
        .post(&url)
        .header("idempotency-key", "k")
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 202);
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    // Another one is told that it comes too late.
    let late = gateway.client.post(&url).header("idempotency-key", "l");
    problem(late.send().await.unwrap(), 409, "not_possible").await;
    assert_eq!(commands(&gateway).await.len(), 1);
}

#[tokio::test]
async fn of_two_commands_with_one_key_at_once_only_one_is_queued() {
    let gateway = seeded().await;
    let url = gateway.url("/api/imports/busy/pause");
    let keyed = |key: &str, who: &str| {
        let request = gateway.client.post(&url).header("idempotency-key", key);
        request.json(&json!({ "requested_by": who })).send()
    };
    // Often enough that they meet between a look and a write.
    for round in 0..10 {
        let key = format!("k-{round}");
        let (ada, ben) = tokio::join!(keyed(&key, "Ada"), keyed(&key, "Ben"));
        let mut statuses = [ada.unwrap().status(), ben.unwrap().status()];
        statuses.sort();
        assert_eq!(statuses, [202, 422], "{key}");
        assert_eq!(commands(&gateway).await.len(), round + 1);
    }
    let (one, other) = tokio::join!(keyed("same", "Ada"), keyed("same", "Ada"));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(
        (one.status(), other.status()),
        (202.try_into().unwrap(), 202.try_into().unwrap())
    );
    let one: Value = one.json().await.unwrap();
    assert_eq!(one, other.json::<Value>().await.unwrap());
    assert_eq!(commands(&gateway).await.len(), 11);
}

#[tokio::test]
async fn a_repeated_retry_is_answered_as_it_was_and_a_refused_command_keeps_no_key() {
    let mut gateway = seeded().await;
    let keyed = |key: &str, verb: &str, import: &str| {
        let url = gateway.url(&format!("/api/imports/{import}/{verb}"));
        let request = gateway.client.post(url).header("idempotency-key", key);
        request.send()
    };
    let refused = keyed("k", "pause", "done").await.unwrap();
    problem(refused, 409, "not_possible").await;
    let first = keyed("k", "retry", "busy").await.unwrap();
    assert_eq!(first.status(), 202, "a key that did nothing is free");
    let first: Value = first.json().await.unwrap();
    assert_eq!(first["matching"], 3);

    gateway.fold(vec![imported(&import_id("busy"), 2)]).await;
    let url = gateway.url("/api/imports/busy/retry");
    let again = gateway.client.post(url).header("idempotency-key", "k");
    let again = again.send().await.unwrap();
    assert_eq!(again.headers()["location"], "/api/import/status/busy");
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    assert_eq!(commands(&gateway).await.len(), 1);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_advice_and_not_queued() {
    let gateway = seeded().await;
    for (import, verb, code, says) in [
        ("done", "cancel", "not_possible", "completed"),
        ("done", "pause", "not_possible", "completed"),
        ("done", "retry", "nothing_to_retry", "has failed"),
        ("broken", "cancel", "not_possible", "could not be listed"),
        ("broken", "pause", "not_possible", "could not be listed"),
        (
            "broken",
            "retry",
            "nothing_to_retry",
            "submit the folder again",
        ),
        (
            "broken",
            "retry",
            "nothing_to_retry",
            "Anyone with the link",
        ),
        (
            "given-up",
            "pause",
            "not_possible",
            "Import the folder again",
        ),
        ("given-up", "resume", "not_possible", "final"),
        ("given-up", "retry", "not_possible", "final"),
        ("held", "retry", "nothing_to_retry", "has failed"),
    ] {
        let answer = problem(ask(&gateway, import, verb, &Value::Null).await, 409, code).await;
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{verb} {import}: {detail}");
    }
    assert_eq!(commands(&gateway).await.len(), 0);
    // To ask again for what holds already is no mistake.
    for (import, verb) in [
        ("given-up", "cancel"),
        ("held", "pause"),
        ("busy", "resume"),
    ] {
        let again = ask(&gateway, import, verb, &Value::Null).await;
        assert_eq!(again.status(), 202, "{verb} {import}");
    }
}

#[tokio::test]
async fn a_retry_counts_what_it_queues() {
    let gateway = seeded().await;
    let item = |n| Some(crate::seed::file_id(n));
    for (body, matching, cause, item_id) in [
        (Value::Null, 3, None, None),
        (json!({}), 3, None, None),
        (
            json!({ "cause": "source_gone" }),
            2,
            Some(Cause::SourceGone),
            None,
        ),
        (json!({ "item_id": "file-2" }), 1, None, item(2)),
        (
            json!({ "cause": "empty_file", "item_id": "file-2" }),
            1,
            Some(Cause::EmptyFile),
            item(2),
        ),
    ] {
        let before = commands(&gateway).await.len();
        let response = ask(&gateway, "busy", "retry", &body).await;
        assert_eq!(response.status(), 202, "{body}");
        let answer: Value = response.json().await.unwrap();
        assert_eq!(
            (&answer["action"], &answer["matching"]),
            (&json!("retry"), &json!(matching))
        );
        let queued = commands(&gateway).await;
        assert_eq!(queued.len(), before + 1);
        assert_eq!(queued[before].0.action, Action::Retry { cause, item_id });
    }
    for (body, says) in [
        (json!({ "cause": "too_large" }), "with too_large"),
        (json!({ "item_id": "file-4" }), "file-4"),
        (json!({ "item_id": "file" }), "The entry file "),
        (json!({ "item_id": "no-such-entry" }), "no-such-entry"),
        (
            json!({ "item_id": "file-2", "cause": "source_gone" }),
            "with source_gone",
        ),
    ] {
        let answer = ask(&gateway, "busy", "retry", &body).await;
        let answer = problem(answer, 409, "nothing_to_retry").await;
        assert!(
            answer["detail"].as_str().unwrap().contains(says),
            "{answer}"
        );
    }
    for (body, code, says) in [
        (json!({ "cause": "bad_luck" }), "invalid_parameter", "cause"),
        (json!({ "item_id": "a.b" }), "invalid_parameter", "item_id"),
        (json!({ "item_id": "" }), "invalid_parameter", "item_id"),
        (json!({ "cause": 7 }), "invalid_request", "string"),
        (json!([]), "invalid_request", "cause"),
        (
            json!({ "couse": "source_gone" }),
            "invalid_request",
            "couse",
        ),
        (
            json!({ "requested_by": "x".repeat(201) }),
            "invalid_parameter",
            "requested_by",
        ),
    ] {
        let answer = ask(&gateway, "busy", "retry", &body).await;
        let answer = problem(answer, 400, code).await;
        assert!(
            answer["detail"].as_str().unwrap().contains(says),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn one_entry_cannot_be_cancelled_and_nothing_else_is() {
    let gateway = seeded().await;
    for verb in ["cancel", "pause", "resume"] {
        for body in [
            json!({ "item_id": "file-2" }),
            json!({ "cause": "source_gone" }),
        ] {
            let answer = ask(&gateway, "busy", verb, &body).await;
            let answer = problem(answer, 400, "invalid_parameter").await;
            let detail = answer["detail"].as_str().unwrap();
            assert!(detail.contains("whole import"), "{detail}");
        }
    }
    assert_eq!(commands(&gateway).await.len(), 0);
}

#[tokio::test]
async fn an_import_is_known_from_its_submission_on() {
    let gateway = seeded().await;
    let post = gateway.post_import(&json!({ "folder_url": FOLDER }));
    let job: Value = post.send().await.unwrap().json().await.unwrap();
    let job = job["job_id"].as_str().unwrap();
    for verb in ["pause", "resume", "cancel"] {
        let answer = ask(&gateway, job, verb, &Value::Null).await;
        assert_eq!(answer.status(), 202, "{verb}");
    }
    let answer = ask(&gateway, job, "retry", &Value::Null).await;
    problem(answer, 409, "nothing_to_retry").await;
    for verb in ["pause", "resume", "cancel", "retry"] {
        for unknown in ["no-such-import", "No_Id"] {
            let answer = ask(&gateway, unknown, verb, &Value::Null).await;
            problem(answer, 404, "not_found").await;
        }
    }
    assert_eq!(commands(&gateway).await.len(), 3);
}

#[tokio::test]
async fn states_show_in_the_status() {
    let gateway = seeded().await;
    let held = gateway.json("/api/import/status/held").await;
    assert_eq!(held["status"], "paused");
    let given_up = gateway.json("/api/import/status/given-up").await;
    assert_eq!(given_up["status"], "cancelled");
    assert_eq!(
        (&given_up["total"], &given_up["failed"]),
        (&json!(2), &json!(1))
    );
    assert!(given_up["finished_at"].is_string());
}
