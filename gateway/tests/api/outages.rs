use contracts::streams;
use jetstream::NatsConfig;
use serde_json::{Value, json};
use storage::{S3Config, StoreConfig};

use crate::seed::{accepted, import_id, imported};
use crate::support::{FOLDER, Fixture, PATIENCE, problem, start, start_against, start_with};

fn nowhere() -> NatsConfig {
    // Port 1 is reserved and nothing listens there.
    NatsConfig::new("nats://127.0.0.1:1", "test")
}

async fn readiness(gateway: &Fixture) -> Value {
    gateway
        .get("/readyz")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

#[tokio::test]
async fn without_nats_it_starts_reads_and_refuses_at_once() {
    let mut gateway = start_against(nowhere(), |_| {}).await;
    gateway.make_tables().await;
    gateway
        .fold(vec![
            accepted(&import_id("one")),
            imported(&import_id("one"), 1),
        ])
        .await;
    testkit::until("readiness names NATS alone", PATIENCE, || async {
        let report = readiness(&gateway).await;
        let why = report["dependencies"]["nats"]["why"].as_str()?;
        let database = &report["dependencies"]["sql"]["ready"];
        (why.contains("NATS_URL") && *database == true).then_some(())
    })
    .await;
    assert_eq!(gateway.get("/readyz").send().await.unwrap().status(), 503);
    assert_eq!(gateway.get("/health").send().await.unwrap().status(), 200);

    let post = gateway
        .post_import(&json!({ "folder_url": FOLDER }))
        .send()
        .await
        .unwrap();
    problem(post, 503, "queue_unavailable").await;
    let keyed = gateway
        .post_import(&json!({ "folder_url": FOLDER }))
        .header("idempotency-key", "k");
    problem(keyed.send().await.unwrap(), 503, "queue_unavailable").await;
    let delete = gateway
        .client
        .delete(gateway.url("/api/images/2"))
        .send()
        .await
        .unwrap();
    problem(delete, 503, "queue_unavailable").await;
    // Whether it was accepted is not known without NATS, so it is not denied.
    let unknown = gateway
        .get("/api/import/status/other")
        .send()
        .await
        .unwrap();
    problem(unknown, 503, "queue_unavailable").await;

    for path in [
        "/api/import/status/one",
        "/api/images",
        "/api/images/all",
        "/api/imports",
        "/api/stats",
        "/",
    ] {
        assert_eq!(
            gateway.get(path).send().await.unwrap().status(),
            200,
            "{path}"
        );
    }
    // A bad request is still told apart from an outage.
    let bad = gateway
        .post_import(&json!({ "folder_url": "nonsense here" }))
        .send()
        .await
        .unwrap();
    problem(bad, 400, "not_a_folder_url").await;
}

#[tokio::test]
async fn nats_may_go_and_come_back() {
    let mut gateway = start().await;
    let mut server = gateway.server.take().unwrap();
    server.stop().await;
    testkit::until("posts are refused", PATIENCE, || async {
        let post = gateway
            .post_import(&json!({ "folder_url": FOLDER }))
            .send()
            .await
            .unwrap();
        (post.status() == 503).then_some(())
    })
    .await;
    testkit::until("readiness says so", PATIENCE, || async {
        (readiness(&gateway).await["dependencies"]["nats"]["ready"] == false).then_some(())
    })
    .await;
    assert_eq!(
        gateway.get("/api/imports").send().await.unwrap().status(),
        200
    );

    server.restart().await.unwrap();
    gateway.wait_ready().await;
    let before = gateway.messages(streams::IMPORTS).await.len();
    let post = gateway
        .post_import(&json!({ "folder_url": FOLDER }))
        .send()
        .await
        .unwrap();
    assert_eq!(post.status(), 202);
    assert_eq!(gateway.messages(streams::IMPORTS).await.len(), before + 1);
}

#[tokio::test]
async fn without_streams_it_waits_and_says_what_to_run() {
    let server = testkit::NatsServer::start().await.unwrap();
    let mut gateway = start_against(server.config_of(jetstream::User::Gateway), |_| {}).await;
    gateway.make_tables().await;
    testkit::until("readiness names the setup", PATIENCE, || async {
        let report = readiness(&gateway).await;
        report["dependencies"]["nats"]["why"]
            .as_str()?
            .contains("imagefleet setup")
            .then_some(())
    })
    .await;
    let nats = server.connect().await.unwrap();
    jetstream::topology::setup(&nats, jetstream::topology::TopologyConfig::default())
        .await
        .unwrap();
    gateway.wait_ready().await;
}

#[tokio::test]
async fn without_a_database_imports_start_and_have_a_status() {
    let (server, _nats) = Box::pin(testkit::NatsServer::start_with_topology())
        .await
        .unwrap();
    let mut gateway = start_against(server.config_of(jetstream::User::Gateway), |_| {}).await;
    testkit::until("NATS is connected", PATIENCE, || async {
        (readiness(&gateway).await["dependencies"]["nats"]["ready"] == true).then_some(())
    })
    .await;
    assert_eq!(
        readiness(&gateway).await["dependencies"]["sql"]["ready"],
        false
    );

    let post = gateway
        .post_import(&json!({ "folder_url": FOLDER }))
        .send()
        .await
        .unwrap();
    assert_eq!(post.status(), 202);
    let answer: Value = post.json().await.unwrap();
    let status = gateway.json(answer["status_url"].as_str().unwrap()).await;
    assert_eq!(status["status"], "processing");
    for path in [
        "/api/images",
        "/api/images/all",
        "/api/images/1",
        "/api/images/1/content",
        "/api/imports",
        "/api/imports/x",
        "/api/stats",
        "/api/import/status/unknown",
    ] {
        problem(
            gateway.get(path).send().await.unwrap(),
            503,
            "database_unavailable",
        )
        .await;
    }

    gateway.make_tables().await;
    gateway.wait_ready().await;
    assert_eq!(gateway.json("/api/images").await["total"], 0);
}

#[tokio::test]
async fn without_a_database_deletions_that_are_done_are_answered_again() {
    let mut gateway = start().await;
    gateway.fold(vec![imported(&import_id("one"), 1)]).await;
    let delete = |key: &str, ids: Value| {
        let request = gateway.client.post(gateway.url("/api/images/delete"));
        let request = request.header("idempotency-key", key);
        request.json(&json!({ "ids": ids })).send()
    };
    let first = delete("k", json!([1])).await.unwrap();
    let first: Value = first.json().await.unwrap();
    let repeat = delete("k", json!([1]));
    let other = delete("l", json!([1]));
    gateway.hide_tables();
    testkit::until("the database is missed", PATIENCE, || async {
        let list = gateway.get("/api/images").send().await.unwrap();
        (list.status() == 503).then_some(())
    })
    .await;
    problem(other.await.unwrap(), 503, "database_unavailable").await;
    let again = repeat.await.unwrap();
    assert_eq!(again.status(), 200);
    assert_eq!(again.json::<Value>().await.unwrap(), first);
}

#[tokio::test]
async fn a_store_that_is_away_is_a_503() {
    let nowhere = S3Config::new("bucket", "us-east-1", "http://127.0.0.1:1".parse().ok());
    let nowhere = StoreConfig::S3(nowhere.with_key("id", "secret"));
    let mut gateway = start_with(|config| config.store = nowhere).await;
    let object = contracts::Object {
        provider: "aws".into(),
        ..crate::seed::object(1)
    };
    let image = crate::seed::imported_as(
        &import_id("one"),
        1,
        crate::seed::file(1, "cat.jpg"),
        object,
    );
    gateway.fold(vec![image]).await;
    let answer = problem(
        gateway.get("/api/images/1/content").send().await.unwrap(),
        503,
        "store_unavailable",
    )
    .await;
    assert!(
        !answer.to_string().contains("127.0.0.1:1\""),
        "internals stay in the log: {answer}"
    );
}
