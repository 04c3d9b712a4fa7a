//! Dependencies that are there and do not answer: refused at once, and back by themselves.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use read_model::{ReadModel, ReadModelConfig};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::seed::{accepted, file, import_id, imported_as, object};
use crate::store::{FakeS3, Says};
use crate::support::{FOLDER, Fixture, problem, start, start_with};

const PATIENCE: Duration = Duration::from_secs(90);
/// So many requests, each waiting for its patience, would take longer than [`AT_ONCE`].
const MANY: usize = 30;
const AT_ONCE: Duration = Duration::from_secs(60);

/// What readiness says of a dependency that is away.
async fn wait_until_away(gateway: &Fixture, dependency: &str) -> String {
    testkit::until("readiness says what is away", PATIENCE, || async {
        let report = gateway.get("/readyz").send().await.ok()?;
        let report: Value = report.json().await.ok()?;
        let why = report["dependencies"][dependency]["why"].as_str()?;
        (why != "not asked yet").then(|| why.to_owned())
    })
    .await
}

/// Each is refused with `code`, and no one waits.
async fn all_refused(code: &str, request: impl Fn() -> RequestBuilder) {
    let many = async {
        for _ in 0..MANY {
            problem(request().send().await.unwrap(), 503, code).await;
        }
    };
    tokio::time::timeout(AT_ONCE, many)
        .await
        .expect("refused at once");
}

/// A process that stands still until this is dropped.
struct Stopped(Pid);

impl Stopped {
    fn new(pid: i32) -> Self {
        let pid = Pid::from_raw(pid);
        kill(pid, Signal::SIGSTOP).unwrap();
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

#[tokio::test]
async fn a_nats_server_that_stands_still_holds_nobody_up() {
    let mut gateway = start().await;
    gateway.fold(vec![accepted(&import_id("one"))]).await;
    let stopped = Stopped::new(gateway.server.as_ref().unwrap().pid().unwrap());
    let why = wait_until_away(&gateway, "nats").await;
    assert!(why.contains("no answer from nats"), "{why}");

    let body = json!({ "folder_url": FOLDER });
    all_refused("queue_unavailable", || gateway.post_import(&body)).await;
    let cancel = gateway.url("/api/imports/one/cancel");
    all_refused("queue_unavailable", || gateway.client.post(&cancel)).await;
    // What SQL knows is served meanwhile, with what it lacks.
    for _ in 0..MANY {
        let status = gateway.json("/api/import/status/one").await;
        assert_eq!(status["status"], "processing");
        assert_eq!(status["waiting_for"]["nats"], "NATS is away");
    }

    drop(stopped);
    gateway.wait_ready().await;
    assert_eq!(
        gateway.post_import(&body).send().await.unwrap().status(),
        202
    );
    let status = gateway.json("/api/import/status/one").await;
    assert_eq!(status["waiting_for"], json!({}));
}

/// Image 1 is in the bucket of `store`, as far as the tables know.
async fn with_store(store: &FakeS3) -> Fixture {
    let config = store.config();
    let mut gateway = start_with(|gateway| gateway.store = config).await;
    let object = contracts::Object {
        provider: "aws".into(),
        ..object(1)
    };
    let image = imported_as(&import_id("one"), 1, file(1, "cat.jpg"), object);
    gateway.fold(vec![image]).await;
    gateway
}

const CONTENT: &str = "/api/images/1/content";

#[tokio::test]
async fn a_store_that_never_answers_holds_nobody_up() {
    let store = FakeS3::start(Says::Nothing).await;
    let gateway = with_store(&store).await;
    let first = gateway.get(CONTENT).send().await.unwrap();
    problem(first, 503, "store_unavailable").await;
    all_refused("store_unavailable", || gateway.get(CONTENT)).await;
    let why = wait_until_away(&gateway, "store").await;
    assert!(why.contains("no answer from store"), "{why}");
    assert_eq!(gateway.json("/api/images").await["total"], 1);

    store.now_says(Says::NoSuchKey);
    testkit::until("the store's answers come through", PATIENCE, || async {
        let answer = gateway.get(CONTENT).send().await.unwrap();
        (answer.status() == 404).then_some(())
    })
    .await;
    gateway.wait_ready().await;
}

#[tokio::test]
async fn refused_credentials_are_said_to_be_that() {
    let store = FakeS3::start(Says::WrongKey).await;
    let gateway = with_store(&store).await;
    for _ in 0..3 {
        let refused = gateway.get(CONTENT).send().await.unwrap();
        let refused = problem(refused, 503, "store_credentials").await;
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains("credentials"), "{detail}");
        assert!(!refused.to_string().contains("an-id"), "{refused}");
    }
    let why = wait_until_away(&gateway, "store").await;
    assert!(
        why.contains("InvalidAccessKeyId") && why.contains("check AWS_ACCESS_KEY_ID"),
        "{why}"
    );
    assert!(!why.contains("hunter2"), "{why}");

    store.now_says(Says::NoSuchKey);
    gateway.wait_ready().await;
    let answer = gateway.get(CONTENT).send().await.unwrap();
    problem(answer, 404, "object_missing").await;
}

#[tokio::test]
async fn a_locked_database_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("read-model.db");
    drop(ReadModel::open_sqlite(&path).await.unwrap());
    // Without a WAL, a writer can lock readers out.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.busy_timeout(PATIENCE).unwrap();
    testkit::until("the tables' maker has let go", PATIENCE, || async {
        other.pragma_update(None, "journal_mode", "DELETE").ok()
    })
    .await;
    let gateway = start_with(|config| config.read_model = ReadModelConfig::sqlite(path)).await;
    assert_eq!(gateway.json("/api/imports").await["total"], 0);

    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let why = wait_until_away(&gateway, "sql").await;
    assert!(why.contains("locked"), "{why}");
    all_refused("database_unavailable", || gateway.get("/api/imports")).await;

    // Submissions go on, and what was submitted has a status and obeys.
    let post = gateway.post_import(&json!({ "folder_url": FOLDER }));
    let post = post.send().await.unwrap();
    assert_eq!(post.status(), 202);
    let job: Value = post.json().await.unwrap();
    let job = job["job_id"].as_str().unwrap().to_owned();
    let status = gateway.json(&format!("/api/import/status/{job}")).await;
    assert_eq!(status["waiting_for"]["sql"], "The database is not ready");
    let ask = |id: &str, verb: &str| {
        let url = gateway.url(&format!("/api/imports/{id}/{verb}"));
        gateway.client.post(url).send()
    };
    for verb in ["pause", "resume", "cancel"] {
        assert_eq!(ask(&job, verb).await.unwrap().status(), 202, "{verb}");
        let unknown = ask("unknown", verb).await.unwrap();
        problem(unknown, 503, "database_unavailable").await;
    }
    let retry = ask(&job, "retry").await.unwrap();
    problem(retry, 503, "database_unavailable").await;

    other.execute_batch("ROLLBACK").unwrap();
    gateway.wait_ready().await;
    assert_eq!(gateway.json("/api/imports").await["total"], 0);
}

#[tokio::test]
async fn a_database_file_may_vanish_and_return() {
    let dir = tempfile::tempdir().unwrap();
    let (here, away) = (dir.path().join("here"), dir.path().join("away"));
    std::fs::create_dir(&here).unwrap();
    drop(ReadModel::open_sqlite(&here.join("db")).await.unwrap());
    let path = here.join("db");
    let gateway = start_with(|config| config.read_model = ReadModelConfig::sqlite(path)).await;
    assert_eq!(gateway.json("/api/imports").await["total"], 0);

    std::fs::rename(&here, &away).unwrap();
    let list = gateway.get("/api/imports").send().await.unwrap();
    problem(list, 503, "database_unavailable").await;
    let why = wait_until_away(&gateway, "sql").await;
    assert!(why.contains("no tables"), "{why}");

    std::fs::rename(&away, &here).unwrap();
    gateway.wait_ready().await;
    assert_eq!(gateway.json("/api/imports").await["total"], 0);
}
