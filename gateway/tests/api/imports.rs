use contracts::Cause;
use serde_json::json;

use crate::seed::{
    accepted, failed, import_failed, import_id, imported, listed, listing_completed,
};
use crate::support::{FOLDER, problem, start};

#[tokio::test]
async fn imports_are_listed_and_filtered_by_status() {
    let mut gateway = start().await;
    assert_eq!(gateway.json("/api/imports").await["imports"], json!([]));
    let (a, b, c) = (import_id("a"), import_id("b"), import_id("c"));
    gateway
        .fold(vec![
            accepted(&a),
            accepted(&b),
            import_failed(&b),
            accepted(&c),
            listed(&c, [1], &[]),
            listing_completed(&c),
            imported(&c, 1),
        ])
        .await;
    let all = gateway.json("/api/imports?per_page=2").await;
    assert_eq!((&all["total"], &all["total_pages"]), (&json!(3), &json!(2)));
    assert_eq!(all["imports"].as_array().unwrap().len(), 2);
    let cursor = all["next_cursor"].as_str().unwrap();
    let rest = gateway
        .json(&format!("/api/imports?per_page=2&cursor={cursor}"))
        .await;
    assert_eq!(rest["imports"].as_array().unwrap().len(), 1);

    for (status, job) in [("processing", "a"), ("failed", "b"), ("completed", "c")] {
        let found = gateway.json(&format!("/api/imports?status={status}")).await;
        assert_eq!(found["total"], 1, "{status}");
        assert_eq!(found["imports"][0]["job_id"], job);
    }
    let response = gateway
        .get("/api/imports?status=done")
        .send()
        .await
        .unwrap();
    let answer = problem(response, 400, "invalid_parameter").await;
    assert!(answer["detail"].as_str().unwrap().contains("'status'"));
}

#[tokio::test]
async fn one_import_tells_what_was_asked_for_and_where_to_go_on() {
    let mut gateway = start().await;
    let import = import_id("job-1");
    gateway
        .fold(vec![accepted(&import), listed(&import, 1..=3, &[])])
        .await;
    let row = gateway.json("/api/imports/job-1").await;
    assert_eq!(
        (&row["id"], &row["status"]),
        (&json!("job-1"), &json!("processing"))
    );
    assert_eq!(row["folder"], FOLDER);
    assert_eq!(
        (&row["recursive"], &row["skip_unchanged"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(row["total"], 3);
    for link in ["self", "status", "failures", "images"] {
        gateway.json(row["links"][link].as_str().unwrap()).await;
    }
    problem(
        gateway.get("/api/imports/nobody").send().await.unwrap(),
        404,
        "not_found",
    )
    .await;
    problem(
        gateway.get("/api/imports/Not.An.Id").send().await.unwrap(),
        404,
        "not_found",
    )
    .await;
}

#[tokio::test]
async fn failures_are_grouped_by_cause_with_advice() {
    let mut gateway = start().await;
    let import = import_id("job-1");
    let mut events = vec![accepted(&import), listed(&import, 1..=9, &[])];
    events.extend((1..=7).map(|n| failed(&import, n, Cause::SourceGone)));
    events.push(failed(&import, 8, Cause::NotAnImage));
    gateway.fold(events).await;
    let answer = gateway.json("/api/imports/job-1/failures").await;
    assert_eq!(answer["failed"], 8);
    let groups = answer["failures"].as_array().unwrap();
    assert_eq!(groups.len(), 2);
    assert_eq!(
        (&groups[0]["cause"], &groups[0]["count"]),
        (&json!("source_gone"), &json!(7))
    );
    assert_eq!(groups[0]["advice"], Cause::SourceGone.advice());
    assert_eq!(groups[0]["first_seen"], "2024-10-04T00:00:04Z");
    assert_eq!(groups[0]["last_seen"], "2024-10-04T00:00:10Z");
    assert_eq!(groups[0]["samples"].as_array().unwrap().len(), 5);
    assert!(
        groups[0]["samples"][0]["message"]
            .as_str()
            .unwrap()
            .starts_with("message")
    );
    assert_eq!(groups[1]["cause"], "not_an_image");
    problem(
        gateway
            .get("/api/imports/nobody/failures")
            .send()
            .await
            .unwrap(),
        404,
        "not_found",
    )
    .await;
}

#[tokio::test]
async fn imports_are_found_by_part_of_their_folder_or_id() {
    let mut gateway = start().await;
    let events = ["alpha-1", "alpha-2", "beta"].map(|name| accepted(&import_id(name)));
    gateway.fold(events.into()).await;
    for (query, total) in [
        ("q=alpha", 2),
        ("q=HOLI", 3),
        ("q=dEf_GhI", 3),
        ("q=holi&status=completed", 0),
        ("q=%25", 0),
        ("q=%00", 0),
    ] {
        let answer = gateway.json(&format!("/api/imports?{query}")).await;
        assert_eq!(answer["total"], total, "{query}");
    }
    let first = gateway.json("/api/imports?q=alpha&per_page=1").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = gateway
        .json(&format!("/api/imports?q=alpha&per_page=1&cursor={cursor}"))
        .await;
    assert_ne!(first["imports"][0]["id"], second["imports"][0]["id"]);
    assert_eq!(second["next_cursor"], serde_json::Value::Null);
    for query in [format!("q={}", "x".repeat(201)), "cursor=alpha-1".into()] {
        let answer = gateway
            .get(&format!("/api/imports?{query}"))
            .send()
            .await
            .unwrap();
        problem(answer, 400, "invalid_parameter").await;
    }
}

#[tokio::test]
async fn an_import_has_a_tag_while_nothing_changes() {
    let mut gateway = start().await;
    let one = import_id("one");
    gateway.fold(vec![accepted(&one)]).await;
    let first = gateway.get("/api/imports/one").send().await.unwrap();
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    assert!(tag.starts_with("W/"));
    let ask = || {
        gateway
            .get("/api/imports/one")
            .header("if-none-match", &tag)
            .send()
    };
    let same = ask().await.unwrap();
    assert_eq!(same.status(), 304);
    assert_eq!(same.text().await.unwrap(), "");
    gateway.fold(vec![imported(&one, 1)]).await;
    let ask = gateway
        .get("/api/imports/one")
        .header("if-none-match", &tag)
        .send();
    assert_eq!(ask.await.unwrap().status(), 200);
}
