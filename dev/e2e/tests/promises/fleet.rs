//! The main job, every role as its own process, into a real S3 server.

use std::time::Duration;

use drive_sim::Faults;
use e2e::{assert_every_byte, bucket, drive, metrics, rows};
use serde_json::Value;
use testkit::{Fleet, Process, fleet, until};

const DEADLINE: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_three_pages_arrives_whole() {
    let (drive_env, sim) = drive(Faults::default()).await;
    let (store_env, store) = bucket("three-pages").await;
    let fleet = Fleet::start(
        &fleet::program().unwrap(),
        2,
        &[drive_env, store_env].concat(),
    )
    .await
    .unwrap();
    let job = fleet.import("sim-n2500-s10k").await.unwrap();
    let status = fleet.ended(&job, DEADLINE).await.unwrap();
    assert_eq!(status["status"], "completed", "{status}");
    assert_eq!(status["total"], 2500);
    assert_eq!(status["processed"], 2500);
    assert_eq!(status["failed"], 0);
    assert_eq!(
        status["imported"].as_array().unwrap().len(),
        100,
        "the latest hundred"
    );
    assert_every_byte(&fleet.url, &store, 2500).await;
    let stats = sim.stats();
    assert_eq!(stats.requests.download, 2500, "nothing is downloaded twice");
    assert_eq!(stats.requests.list, 3);

    // A second import of the same folder costs no download.
    let job = fleet.import("sim-n2500-s10k").await.unwrap();
    let status = fleet.ended(&job, DEADLINE).await.unwrap();
    assert_eq!(
        (&status["status"], &status["skipped"]),
        (&"completed".into(), &2500.into()),
        "{status}"
    );
    assert_eq!(sim.stats().requests.download, 2500);

    // Deleting removes row and object.
    let row = &rows(&fleet.url).await[0];
    let image = format!("{}/api/images/{}", fleet.url, row["id"]);
    let deleted = reqwest::Client::new().delete(&image).send().await.unwrap();
    assert_eq!(deleted.status(), 200);
    until("the row is gone", DEADLINE, || async {
        (reqwest::get(&image).await.unwrap().status() == 404).then_some(())
    })
    .await;
    let key = storage::Key::new(row["key"].as_str().unwrap()).unwrap();
    assert!(
        store.head(&key).await.unwrap().is_none(),
        "the object is gone"
    );
    fleet.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_two_percent_of_everything_going_wrong_everything_arrives() {
    let faults = Faults {
        seed: 7,
        error_500: 0.02,
        error_503: 0.02,
        reset: 0.02,
        truncate: 0.02,
        flip: 0.02,
        stall: 0.02,
        latency_ms: 5,
        jitter_ms: 20,
        expired_token: 0.02,
        short_page: 0.02,
        empty_page: 0.02,
        ..Faults::default()
    };
    let (drive_env, _sim) = drive(faults).await;
    let (store_env, store) = bucket("faults").await;
    let quick = vec![("WORKER_RETRY_BASE", "500ms".to_owned())];
    let env = [drive_env, store_env, quick].concat();
    let fleet = Fleet::start(&fleet::program().unwrap(), 2, &env)
        .await
        .unwrap();
    let job = fleet.import("sim-n1500-s20k").await.unwrap();
    let status = fleet.ended(&job, DEADLINE).await.unwrap();
    assert_eq!(status["status"], "completed", "{status}");
    assert_eq!(
        (&status["total"], &status["imported_count"]),
        (&1500.into(), &1500.into()),
        "{status}"
    );
    assert_every_byte(&fleet.url, &store, 1500).await;
    fleet.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing_to_nats_does_what_the_post_does() {
    let (drive_env, _sim) = drive(Faults::default()).await;
    let (store_env, store) = bucket("by-nats").await;
    let fleet = Fleet::start(
        &fleet::program().unwrap(),
        1,
        &[drive_env, store_env].concat(),
    )
    .await
    .unwrap();
    let nats = fleet.nats.connect().await.unwrap();
    for (id, folder) in [
        ("nightly-1", "sim-n30-s5k"),
        ("nightly-2", "no-such-folder"),
        ("nightly-3", "file/d/1AbC"),
    ] {
        let request = format!(
            r#"{{"import_id":"{id}","source":{{"google_drive":{{"folder":"{folder}"}}}},"destination_prefix":"nightly"}}"#
        );
        nats.client
            .publish("imports.requests", request.into())
            .await
            .unwrap();
    }
    nats.client
        .publish("imports.requests", "nonsense".into())
        .await
        .unwrap();
    nats.client.flush().await.unwrap();
    let list = || async {
        let all: Value = reqwest::get(format!("{}/api/imports", fleet.url))
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let all = all["imports"].as_array().cloned().unwrap_or_default();
        let ended = all
            .iter()
            .filter(|import| import["status"] != "processing")
            .count();
        (ended == 4).then_some(all)
    };
    let all = until("four imports have ended", DEADLINE, list).await;
    let by_id = |id: &str| {
        all.iter()
            .find(|import| import["id"] == id || import["job_id"] == id)
            .cloned()
    };
    assert_eq!(
        by_id("nightly-1").unwrap_or_else(|| panic!("{all:?}"))["status"],
        "completed"
    );
    let missing = by_id("nightly-2").unwrap();
    assert_eq!(
        (&missing["status"], &missing["cause"]),
        (&"failed".into(), &"folder_not_found".into())
    );
    let file = by_id("nightly-3").unwrap();
    assert_eq!(
        (&file["status"], &file["cause"]),
        (&"failed".into(), &"not_a_folder_url".into())
    );
    let refused = all
        .iter()
        .find(|import| import["cause"] == "malformed_request")
        .unwrap();
    assert!(
        refused["error"].as_str().unwrap().contains("google_drive"),
        "{refused}"
    );
    assert_every_byte(&fleet.url, &store, 30).await;
    assert!(
        store
            .keys("")
            .await
            .unwrap()
            .iter()
            .all(|key| key.starts_with("nightly/"))
    );
    fleet.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_does_the_same_in_one_process() {
    let (drive_env, sim) = drive(Faults::default()).await;
    let (store_env, store) = bucket("up").await;
    let folder = tempfile::tempdir().unwrap();
    let nats_server = testkit::tools::find("nats-server").unwrap();
    let mut env: Vec<(String, String)> = [drive_env, store_env]
        .concat()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    env.push((
        "NATS_SERVER_BIN".to_owned(),
        nats_server.display().to_string(),
    ));
    let data = folder.path().join("data");
    let args = ["up", "--port", "0", "--data", data.to_str().unwrap()];
    let up = Process::start("up", &fleet::program().unwrap(), &args, &env, folder.path()).unwrap();
    let url = until(
        "the page's address is printed",
        Duration::from_secs(30),
        || async {
            let out = up.out();
            let line = out.lines().find(|line| line.starts_with("http://"))?;
            Some(line.trim_end_matches('/').to_owned())
        },
    )
    .await;
    let http = reqwest::Client::new();
    fleet::ready(&http, &url).await.unwrap();
    let job = fleet::submit(&http, &url, "sim-n2500-s10k").await.unwrap();
    let status = fleet::ended(&http, &url, &job, DEADLINE)
        .await
        .unwrap_or_else(|e| panic!("{e:#}\n{}", up.log()));
    assert_eq!(
        (&status["status"], &status["imported_count"]),
        (&"completed".into(), &2500.into()),
        "{status}"
    );
    assert_every_byte(&url, &store, 2500).await;
    assert_eq!(sim.stats().requests.download, 2500);

    // One address answers for all roles, each by its name.
    let scraped = reqwest::get(format!("{url}/metrics")).await.unwrap();
    let scraped = scraped.text().await.unwrap();
    let exported = metrics::exported(&scraped);
    let wrong = metrics::undocumented(&exported, &metrics::documented());
    assert!(wrong.is_empty(), "{wrong:#?}");
    metrics::assert_lint_free(&scraped).await;
    for (name, roles) in [
        ("imagefleet_build_info", &["up"][..]),
        ("imagefleet_dependency_up", &["up"]),
        ("imagefleet_quota_units_total", &["producer", "worker"]),
        (
            "imagefleet_sql_connections",
            &["gateway", "producer", "projector"],
        ),
    ] {
        let found = exported[name].labels["role"].iter().flatten();
        assert!(found.eq(roles), "{name}: {:?}", exported[name]);
    }
    let pid = std::fs::read_to_string(data.join("nats/run/nats.pid")).unwrap();
    let log = up.log();
    assert!(up.stop().await.unwrap().success(), "{log}");
    assert!(
        !std::path::Path::new(&format!("/proc/{}", pid.trim())).exists(),
        "nats-server outlived us"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_bucket_is_said_and_waited_for() {
    let (drive_env, _sim) = drive(Faults::default()).await;
    let (mut store_env, _other) = bucket("present").await;
    for (name, value) in &mut store_env {
        if *name == "AWS_BUCKET_NAME" {
            "absent".clone_into(value);
        }
    }
    let fleet = Fleet::start(
        &fleet::program().unwrap(),
        1,
        &[drive_env, store_env].concat(),
    )
    .await
    .unwrap();
    let job = fleet.import("sim-n40-s5k").await.unwrap();
    let url = format!("{}/api/import/status/{job}", fleet.url);
    let status = until("the status says what is missing", DEADLINE, || async {
        let status: Value = reqwest::get(&url).await.unwrap().json().await.unwrap();
        status["waiting_for"]["store"].is_string().then_some(status)
    })
    .await;
    let why = status["waiting_for"]["store"].as_str().unwrap();
    assert!(why.contains("absent") && why.contains("create it"), "{why}");
    assert_eq!(
        (&status["status"], &status["failed"]),
        (&"processing".into(), &0.into()),
        "{status}"
    );
    // Nothing was spent: with the bucket there, everything arrives.
    let (_, store) = bucket("absent").await;
    let status = fleet.ended(&job, DEADLINE).await.unwrap();
    assert_eq!(
        (&status["status"], &status["imported_count"]),
        (&"completed".into(), &40.into()),
        "{status}"
    );
    assert_every_byte(&fleet.url, &store, 40).await;
    fleet.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_that_nobody_told_us_of_costs_time_and_nothing_else() {
    // Answers 403 and 429, some with Retry-After, as soon as the burst is spent.
    let faults = Faults {
        quota_units_per_minute: Some(600_000),
        quota_burst_ms: Some(3_000),
        ..Faults::default()
    };
    let (drive_env, sim) = drive(faults).await;
    let (store_env, store) = bucket("quota").await;
    let fleet = Fleet::start(
        &fleet::program().unwrap(),
        2,
        &[drive_env, store_env].concat(),
    )
    .await
    .unwrap();
    let job = fleet.import("sim-n500-s5k").await.unwrap();
    let status = fleet.ended(&job, DEADLINE).await.unwrap();
    assert_eq!(
        (&status["status"], &status["imported_count"]),
        (&"completed".into(), &500.into()),
        "{status}"
    );
    assert_every_byte(&fleet.url, &store, 500).await;
    let statuses = sim.stats().statuses;
    let refused = statuses.get(&403).unwrap_or(&0) + statuses.get(&429).unwrap_or(&0);
    assert!(refused > 0, "the quota never bound: {statuses:?}");
    fleet.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_denies_us_is_waited_for_and_shows_no_secret() {
    let (drive_env, _sim) = drive(Faults::default()).await;
    let (mut store_env, _store) = bucket("denied").await;
    for (name, value) in &mut store_env {
        if *name == "AWS_SECRET_ACCESS_KEY" {
            "not-the-secret".clone_into(value);
        }
    }
    let env = [drive_env, store_env].concat();
    let fleet = Fleet::start(&fleet::program().unwrap(), 1, &env)
        .await
        .unwrap();
    let job = fleet.import("sim-n5-s5k").await.unwrap();
    let url = format!("{}/api/import/status/{job}", fleet.url);
    let status = until("the status says who denies", DEADLINE, || async {
        let status: Value = reqwest::get(&url).await.unwrap().json().await.unwrap();
        status["waiting_for"]["store"].is_string().then_some(status)
    })
    .await;
    let why = status["waiting_for"]["store"].as_str().unwrap();
    assert!(why.contains("AWS_SECRET_ACCESS_KEY"), "{why}");
    assert!(!why.contains("not-the-secret"), "{why}");
    assert_eq!(
        (&status["status"], &status["failed"], &status["retrying"]),
        (&"processing".into(), &0.into(), &0.into()),
        "{status}"
    );
    fleet.stop().await.unwrap();
}
