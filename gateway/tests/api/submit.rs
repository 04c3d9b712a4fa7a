use std::collections::HashSet;

use contracts::kv::{IdempotencyRecord, Submission};
use contracts::{ImportId, ImportRequest, streams, subjects};
use serde_json::{Value, json};

use crate::seed;
use crate::support::{FOLDER, problem, start};

#[tokio::test]
async fn a_folder_is_accepted_recorded_and_queued() {
    let gateway = start().await;
    let body = json!({
        "folder_url": format!("  {FOLDER}?usp=sharing "),
        "recursive": false,
        "destination_prefix": "/photos/2024/",
        "skip_unchanged": false,
        "requested_by": "Ada",
    });
    let response = gateway.post_import(&body).send().await.unwrap();
    assert_eq!(response.status(), 202);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let answer: Value = response.json().await.unwrap();
    let job = answer["job_id"].as_str().unwrap();
    assert_eq!(answer["status_url"], format!("/api/import/status/{job}"));
    assert_eq!(location, format!("/api/import/status/{job}"));
    assert!(answer["message"].is_string());

    let queued = gateway.messages(streams::IMPORTS).await;
    let [(subject, message_id, payload)] = &queued[..] else {
        panic!("{queued:?}")
    };
    assert_eq!(subject, subjects::REQUESTS);
    assert_eq!(message_id, job);
    let request: ImportRequest = contracts::decode(payload).unwrap();
    assert_eq!(request.import_id.as_ref().unwrap().as_str(), job);
    assert_eq!(request.source.folder(), format!("{FOLDER}?usp=sharing"));
    assert!(!request.recursive && !request.skip_unchanged);
    assert_eq!(request.destination_prefix.as_str(), "photos/2024");
    assert_eq!(request.requested_by.as_deref(), Some("Ada"));

    let record = gateway.record(job).await.unwrap();
    let record: Submission = serde_json::from_slice(&record).unwrap();
    assert_eq!(record.request, request);
}

#[tokio::test]
async fn old_clients_need_no_content_type_and_get_the_defaults() {
    let gateway = start().await;
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
    ] {
        let mut request = gateway.client.post(gateway.url("/api/import/google-drive"));
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let body = json!({ "folder_url": FOLDER, "unknown": "is ignored" }).to_string();
        let response = request.body(body).send().await.unwrap();
        assert_eq!(response.status(), 202, "{content_type:?}");
    }
    for (_, _, payload) in gateway.messages(streams::IMPORTS).await {
        let request: ImportRequest = contracts::decode(&payload).unwrap();
        assert!(request.recursive && request.skip_unchanged);
    }
}

#[tokio::test]
async fn a_bad_request_says_what_is_wrong_and_queues_nothing() {
    let gateway = start().await;
    let long = "x".repeat(201);
    let cases = [
        ("", "invalid_request", "folder_url"),
        ("not json", "invalid_request", "folder_url"),
        ("[]", "invalid_request", "folder_url"),
        ("{}", "invalid_request", "folder_url"),
        (r#"{"folder_url": 7}"#, "invalid_request", "folder_url"),
        (
            &format!(r#"{{"folder_url": "{FOLDER}", "recursive": "yes"}}"#),
            "invalid_request",
            "boolean",
        ),
        (
            r#"{"folder_url": ""}"#,
            "not_a_folder_url",
            "copy the address",
        ),
        (
            r#"{"folder_url": "https://drive.google.com/file/d/abcdefghijkl/view"}"#,
            "not_a_folder_url",
            "folder",
        ),
        (
            r#"{"folder_url": "https://example.com/"}"#,
            "not_a_folder_url",
            "drive.google.com",
        ),
        (
            &format!(r#"{{"folder_url": "{FOLDER}", "destination_prefix": "../up"}}"#),
            "invalid_parameter",
            "destination_prefix",
        ),
        (
            &format!(r#"{{"folder_url": "{FOLDER}", "requested_by": "{long}"}}"#),
            "invalid_parameter",
            "requested_by",
        ),
    ];
    for (body, code, says) in cases {
        let url = gateway.url("/api/import/google-drive");
        let response = gateway
            .client
            .post(url)
            .body(body.to_owned())
            .send()
            .await
            .unwrap();
        let answer = problem(response, 400, code).await;
        assert!(
            answer["detail"].as_str().unwrap().contains(says),
            "{body}: {answer}"
        );
    }
    assert!(gateway.messages(streams::IMPORTS).await.is_empty());
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_announced_or_not() {
    let gateway = start().await;
    let body = json!({ "folder_url": FOLDER, "padding": "x".repeat(64 * 1024) }).to_string();
    let url = gateway.url("/api/import/google-drive");
    let response = gateway
        .client
        .post(&url)
        .body(body.clone())
        .send()
        .await
        .unwrap();
    problem(response, 413, "payload_too_large").await;

    let chunked =
        reqwest::Body::wrap_stream(futures::stream::iter([Ok::<_, std::io::Error>(body)]));
    let response = gateway
        .client
        .post(&url)
        .body(chunked)
        .send()
        .await
        .unwrap();
    problem(response, 413, "payload_too_large").await;
}

#[tokio::test]
async fn a_repeated_key_is_one_import() {
    let gateway = start().await;
    let post = |folder: &str| {
        let body = json!({ "folder_url": folder });
        gateway
            .post_import(&body)
            .header("idempotency-key", "order-66")
    };
    let jobs = (0..8).map(|_| async {
        let response = post(FOLDER).send().await.unwrap();
        assert_eq!(response.status(), 202);
        response.json::<Value>().await.unwrap()["job_id"]
            .as_str()
            .unwrap()
            .to_owned()
    });
    let jobs: HashSet<String> = futures::future::join_all(jobs).await.into_iter().collect();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    assert_eq!(gateway.messages(streams::IMPORTS).await.len(), 1);

    problem(
        post("1OtherFolder_0123").send().await.unwrap(),
        422,
        "idempotency_key_reused",
    )
    .await;
    let body = json!({ "folder_url": FOLDER });
    let other = gateway
        .post_import(&body)
        .header("idempotency-key", "order-67")
        .send()
        .await
        .unwrap();
    let other: Value = other.json().await.unwrap();
    assert!(!jobs.contains(other["job_id"].as_str().unwrap()));
}

#[tokio::test]
async fn a_key_is_visible_ascii() {
    let gateway = start().await;
    let body = json!({ "folder_url": FOLDER });
    for key in ["a b", "ä", &"k".repeat(256)] {
        let response = gateway
            .post_import(&body)
            .header("idempotency-key", key)
            .send()
            .await
            .unwrap();
        let answer = problem(response, 400, "invalid_parameter").await;
        assert!(
            answer["detail"]
                .as_str()
                .unwrap()
                .contains("Idempotency-Key")
        );
    }
    let longest = "k".repeat(255);
    let response = gateway
        .post_import(&body)
        .header("idempotency-key", longest)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 202);
}

/// What a gateway leaves behind that died after it had recorded `key` for `import`.
async fn claimed(gateway: &crate::support::Fixture, key: &str, body: &[u8], import: &ImportId) {
    use sha2::{Digest, Sha256};
    let record = IdempotencyRecord {
        v: 1,
        import_id: import.clone(),
        body_sha256: hex::encode(Sha256::digest(body)),
        seen: None,
        matching: None,
        imports: Vec::new(),
        answer: None,
    };
    let bucket = gateway
        .nats()
        .context
        .get_key_value(streams::SUBMISSIONS)
        .await
        .unwrap();
    let key = format!("key-{}", hex::encode(Sha256::digest(key)));
    bucket
        .create(key, serde_json::to_vec(&record).unwrap().into())
        .await
        .unwrap();
}

#[tokio::test]
async fn repeating_the_key_cures_a_gateway_that_died_halfway() {
    let gateway = start().await;
    let import = seed::import_id("halfway");
    let body = json!({ "folder_url": FOLDER }).to_string();
    claimed(&gateway, "k1", body.as_bytes(), &import).await;
    assert!(gateway.messages(streams::IMPORTS).await.is_empty());

    let url = gateway.url("/api/import/google-drive");
    let repeated = gateway
        .client
        .post(url)
        .header("idempotency-key", "k1")
        .body(body);
    let answer: Value = repeated.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["job_id"], "halfway");
    let queued = gateway.messages(streams::IMPORTS).await;
    assert_eq!(queued.len(), 1);
    assert_eq!(queued[0].1, "halfway");
    assert!(gateway.record("halfway").await.is_some());
}

#[tokio::test]
async fn repeating_the_key_of_an_import_under_way_queues_nothing() {
    let mut gateway = start().await;
    let import = seed::import_id("under-way");
    let body = json!({ "folder_url": FOLDER }).to_string();
    claimed(&gateway, "k1", body.as_bytes(), &import).await;
    gateway.fold(vec![seed::accepted(&import)]).await;

    let url = gateway.url("/api/import/google-drive");
    let repeated = gateway
        .client
        .post(url)
        .header("idempotency-key", "k1")
        .body(body);
    let response = repeated.send().await.unwrap();
    assert_eq!(response.status(), 202);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["job_id"], "under-way");
    assert!(gateway.messages(streams::IMPORTS).await.is_empty());
}
