//! Cancel, pause, resume and retry of real imports.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::time::Duration;

use common::{Up, code, stderr, stdout};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);

/// Start an import of `folder`; gives its id.
async fn import(up: &Up, folder: &str) -> String {
    let started = up.cli(&["import", folder]).await;
    assert_eq!(code(&started), 0, "{}", stderr(&started));
    stdout(&started).trim().to_owned()
}

async fn status(up: &Up, id: &str) -> Value {
    let shown = up.cli(&["status", id, "--json"]).await;
    serde_json::from_str(&stdout(&shown)).unwrap()
}

/// Wait until the status of `id` is `wanted`.
async fn until_status(up: &Up, id: &str, wanted: &str) -> Value {
    testkit::until("the command took effect", PATIENCE, || async {
        let status = status(up, id).await;
        (status["status"] == wanted).then_some(status)
    })
    .await
}

/// Wait until some of `id` is imported.
async fn until_under_way(up: &Up, id: &str) {
    testkit::until("images arrive", PATIENCE, || async {
        let imported = status(up, id).await["imported_count"].as_u64()?;
        (imported > 0).then_some(())
    })
    .await;
}

/// Downloads so slow that 1,000 of them take half a minute.
fn slow() -> drive_sim::Faults {
    drive_sim::Faults {
        latency_ms: 2000,
        ..Default::default()
    }
}

async fn ask(up: &Up, arguments: &[&str]) -> String {
    let asked = up.cli(arguments).await;
    assert_eq!(code(&asked), 0, "{arguments:?}: {}", stderr(&asked));
    stdout(&asked)
}

#[tokio::test]
async fn a_paused_import_waits_and_goes_on_to_its_end() {
    let up = Up::start().await;
    up.drive.set_faults(slow());
    let id = import(&up, "sim-n1000-s1k").await;
    until_under_way(&up, &id).await;
    // Twice, as people click.
    for _ in 0..2 {
        assert!(ask(&up, &["pause", &id]).await.contains("being paused"));
    }
    let paused = until_status(&up, &id, "paused").await;
    assert!(paused["imported_count"].as_u64().unwrap() < 1000);
    let shown = up.cli(&["status", &id]).await;
    assert_eq!(code(&shown), 0, "{}", stderr(&shown));
    assert!(stdout(&shown).starts_with("paused: "), "{}", stdout(&shown));
    assert!(
        stderr(&shown).contains("imagefleet resume"),
        "{}",
        stderr(&shown)
    );

    up.drive.set_faults(drive_sim::Faults::default());
    let (watch, resume) = (["status", &id, "--watch"], ["resume", &id]);
    let (watched, resumed) = tokio::join!(up.cli(&watch), ask(&up, &resume));
    assert!(resumed.contains("goes on"), "{resumed}");
    assert_eq!(code(&watched), 0, "{}", stderr(&watched));
    let watched = stdout(&watched);
    assert!(
        watched.starts_with("completed: 1,000 imported"),
        "{watched}"
    );
}

#[tokio::test]
async fn a_cancelled_import_ends_at_once_and_for_good() {
    let up = Up::start().await;
    up.drive.set_faults(slow());
    let id = import(&up, "sim-n1000-s1k").await;
    until_under_way(&up, &id).await;
    let (watch, cancel) = (["status", &id, "--watch"], ["cancel", &id, "--json"]);
    let (watched, cancelled) = tokio::join!(up.cli(&watch), ask(&up, &cancel));
    let cancelled: Value = serde_json::from_str(&cancelled).unwrap();
    assert_eq!(cancelled["action"], "cancel");
    assert_eq!(code(&watched), 1, "{}", stderr(&watched));
    assert!(
        stdout(&watched).starts_with("cancelled: "),
        "{}",
        stdout(&watched)
    );
    let before = status(&up, &id).await;

    up.drive.set_faults(drive_sim::Faults::default());
    assert!(ask(&up, &["cancel", &id]).await.contains("cancelled"));
    for verb in ["pause", "resume", "retry"] {
        let refused = up.cli(&[verb, &id]).await;
        assert_eq!(code(&refused), 1, "{verb}: {}", stderr(&refused));
        assert!(stderr(&refused).contains("final"), "{}", stderr(&refused));
    }
    // Another import finds the fleet free, and the first one's counters stand.
    let other = up.cli(&["import", "sim-n3-s5k", "--watch"]).await;
    assert_eq!(code(&other), 0, "{}", stderr(&other));
    let after = status(&up, &id).await;
    for counter in ["total", "imported_count", "skipped", "failed"] {
        assert_eq!(after[counter], before[counter], "{counter}");
    }
}

#[tokio::test]
async fn what_failed_is_retried_by_cause_and_one_by_one() {
    let up = Up::start().await;
    up.drive.set_faults(drive_sim::Faults {
        download_quota: 1.0,
        ..Default::default()
    });
    let ended = up.cli(&["import", "sim-n6-s1k", "--watch", "--json"]).await;
    assert_eq!(code(&ended), 1, "{}", stderr(&ended));
    let failed: Value = serde_json::from_str(&stdout(&ended)).unwrap();
    assert_eq!(failed["failed"], 6, "{failed}");
    let id = failed["job_id"].as_str().unwrap();
    let group = &failed["failures"][0];
    assert_eq!(group["cause"], "download_quota_exceeded");
    let item = group["samples"][0]["item_id"].as_str().unwrap();

    up.drive.set_faults(drive_sim::Faults::default());
    let one = ask(&up, &["retry", id, "--item", item, "--json"]).await;
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(one["matching"], 1);
    testkit::until("one is imported", PATIENCE, || async {
        let now = status(&up, id).await;
        (now["status"] == "completed" && now["imported_count"] == 1).then_some(())
    })
    .await;
    let again = up.cli(&["retry", id, "--item", item]).await;
    assert_eq!(code(&again), 1, "{}", stderr(&again));

    let rest = ask(&up, &["retry", id, "--cause", "download_quota_exceeded"]).await;
    assert!(rest.starts_with("5 failed entries"), "{rest}");
    let done = testkit::until("all are imported", PATIENCE, || async {
        let now = status(&up, id).await;
        (now["imported_count"] == 6).then_some(now)
    })
    .await;
    assert_eq!((&done["total"], &done["failed"]), (&6.into(), &0.into()));
    let watched = up.cli(&["status", id, "--watch"]).await;
    assert_eq!(code(&watched), 0, "{}", stderr(&watched));
    let none = up.cli(&["retry", id]).await;
    assert_eq!(code(&none), 1, "{}", stderr(&none));
}

#[tokio::test]
async fn a_deleted_image_is_gone_from_bucket_and_list() {
    let up = Up::start().await;
    let ended = up.cli(&["import", "sim-n2-s1k", "--watch", "--json"]).await;
    assert_eq!(code(&ended), 0, "{}", stderr(&ended));
    let status: Value = serde_json::from_str(&stdout(&ended)).unwrap();
    let image = &status["imported"][0];
    let object = up
        .data
        .path()
        .join("images")
        .join(image["key"].as_str().unwrap());
    assert!(object.exists());

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}api/images/{}", up.url, image["id"]);
    assert_eq!(http.delete(&url).send().await.unwrap().status(), 200);
    // Whether or not it is done by now.
    let again = http.delete(&url).send().await.unwrap().status();
    assert!([200, 404].contains(&again.as_u16()), "{again}");
    testkit::until("the image is gone", PATIENCE, || async {
        let answer = http.delete(&url).send().await.unwrap();
        (answer.status() == 404).then_some(())
    })
    .await;
    assert!(!object.exists());
}
