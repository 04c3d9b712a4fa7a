use contracts::Cause;
use serde_json::{Value, json};

use crate::seed::{
    accepted, failed, import_failed, import_id, imported, listed, listing_completed,
};
use crate::support::{FOLDER, problem, start};

#[tokio::test]
async fn a_status_right_after_the_202_is_known() {
    let gateway = start().await;
    let response = gateway
        .post_import(&json!({ "folder_url": FOLDER }))
        .send()
        .await
        .unwrap();
    let answer: Value = response.json().await.unwrap();
    let status = gateway.json(answer["status_url"].as_str().unwrap()).await;
    assert_eq!(status["job_id"], answer["job_id"]);
    assert_eq!(status["status"], "processing");
    assert_eq!(status["listing"], true);
    assert_eq!(status["imported"], json!([]));
    for counter in [
        "total",
        "total_images",
        "processed",
        "imported_count",
        "skipped",
        "failed",
        "bytes",
    ] {
        assert_eq!(status[counter], 0, "{counter}");
    }
}

#[tokio::test]
async fn the_answer_keeps_the_fields_of_old_from_first_to_last_event() {
    let mut gateway = start().await;
    let import = import_id("job-1");
    gateway
        .fold(vec![
            accepted(&import),
            listed(&import, 1..=4, &[5]),
            imported(&import, 1),
        ])
        .await;
    let path = "/api/import/status/job-1";
    let early = gateway.json(path).await;
    assert_eq!(early["status"], "processing");
    assert_eq!(early["listing"], true);
    assert_eq!(
        early["eta_seconds"],
        Value::Null,
        "the total is not known yet"
    );

    gateway
        .fold(vec![listing_completed(&import), imported(&import, 2)])
        .await;
    let middle = gateway.json(path).await;
    assert_eq!(middle["total"], 5);
    assert_eq!(middle["total_images"], 5);
    assert_eq!(middle["imported_count"], 2);
    assert_eq!(middle["skipped"], 1);
    assert_eq!(middle["processed"], 3);
    assert_eq!(middle["failed"], 0);
    assert_eq!(middle["listing"], false);
    assert_eq!(middle["bytes"], 2003);
    assert_eq!(middle["folder_name"], "Holidays");
    // Three entries in the five seconds from the first event to the last; two are left.
    assert_eq!(middle["rate"], 0.6);
    assert_eq!(middle["eta_seconds"], 4.0);
    assert_eq!(middle["finished_at"], Value::Null);
    let names: Vec<_> = middle["imported"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| &image["name"])
        .collect();
    assert_eq!(names, ["cat-2.jpg", "cat-1.jpg"]);

    gateway
        .fold(vec![
            imported(&import, 3),
            failed(&import, 4, Cause::SourceGone),
        ])
        .await;
    let last = gateway.json(path).await;
    assert_eq!(last["status"], "completed");
    assert_eq!(
        last["processed"].as_u64().unwrap() + last["failed"].as_u64().unwrap(),
        5
    );
    assert_eq!(last["eta_seconds"], Value::Null);
    assert!(last["finished_at"].is_string());
    assert_eq!(last["error"], Value::Null);
}

#[tokio::test]
async fn an_import_that_failed_says_why() {
    let mut gateway = start().await;
    let import = import_id("job-2");
    gateway
        .fold(vec![accepted(&import), import_failed(&import)])
        .await;
    let status = gateway.json("/api/import/status/job-2").await;
    assert_eq!(status["status"], "failed");
    assert_eq!(status["error"], "403 from Drive");
    assert_eq!(status["cause"], "folder_forbidden");
    assert_eq!(status["advice"], Cause::FolderForbidden.advice());
    assert_eq!(status["listing"], false);
}

#[tokio::test]
async fn only_the_latest_hundred_images_are_named() {
    let mut gateway = start().await;
    let import = import_id("job-3");
    gateway
        .fold((1..=130).map(|n| imported(&import, n)).collect())
        .await;
    let status = gateway.json("/api/import/status/job-3").await;
    let images = status["imported"].as_array().unwrap();
    assert_eq!(images.len(), 100);
    assert_eq!(images[0]["name"], "cat-130.jpg");
    assert_eq!(images[99]["name"], "cat-31.jpg");
}

#[tokio::test]
async fn unknown_and_impossible_ids_are_404() {
    let gateway = start().await;
    for id in ["no-such-job", "NoSuchJob", "%2e%2e", "a.b"] {
        let response = gateway
            .get(&format!("/api/import/status/{id}"))
            .send()
            .await
            .unwrap();
        problem(response, 404, "not_found").await;
    }
}

#[tokio::test]
async fn an_unchanged_status_is_a_304() {
    let mut gateway = start().await;
    let import = import_id("job-4");
    gateway
        .fold(vec![accepted(&import), listed(&import, 1..=2, &[])])
        .await;
    let path = "/api/import/status/job-4";
    let first = gateway.get(path).send().await.unwrap();
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    assert_eq!(first.headers()["cache-control"], "no-cache");

    let again = gateway
        .get(path)
        .header("if-none-match", format!("\"x\", {tag}"))
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 304);
    assert_eq!(again.headers()["etag"], tag.as_str());
    assert!(again.text().await.unwrap().is_empty());

    gateway.fold(vec![imported(&import, 1)]).await;
    let changed = gateway
        .get(path)
        .header("if-none-match", &tag)
        .send()
        .await
        .unwrap();
    assert_eq!(changed.status(), 200);
    assert_ne!(changed.headers()["etag"], tag.as_str());
}
