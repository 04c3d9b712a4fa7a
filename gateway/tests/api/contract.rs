//! Whatever is asked, the gateway answers as its description says: schemathesis makes up requests from
//! the description, fitting ones and odd ones, and judges the answers.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};
use std::time::Duration;

use bytes::Bytes;
use contracts::{Cause, Event, ImportId, Object};
use serde_json::Value;
use storage::{Key, ObjectInfo};
use tokio::process::Command;

use crate::seed::{
    accepted, cancelled, failed, file, import_failed, import_id, imported, imported_as, listed,
    listing_completed, object, paused,
};
use crate::support::{Fixture, start_with};
use crate::thumbnail::photograph;

/// However slow the machine is. On two idle cores it takes half a minute.
const DEADLINE: Duration = Duration::from_secs(300);
const KEY: &str = "contract-key";

/// Imports in every state, images with their objects, failures of two causes.
async fn seeded() -> Fixture {
    let mut gateway = start_with(|config| config.api_keys = vec![KEY.into()]).await;
    let (busy, done) = (import_id("busy"), import_id("done"));
    let picture = photograph(640, 480);
    let pictured = Object {
        size: picture.len() as u64,
        ..object(1)
    };
    let mut events = vec![
        accepted(&busy),
        listed(&busy, 1..=9, &[20]),
        imported_as(&busy, 1, file(1, "cat-1.jpg"), pictured.clone()),
        imported(&busy, 2),
        imported(&busy, 3),
        failed(&busy, 4, Cause::SourceGone),
        failed(&busy, 5, Cause::NotAnImage),
        accepted(&done),
        listed(&done, [10], &[]),
        imported(&done, 10),
        listing_completed(&done),
    ];
    let others = [
        ("held", paused as fn(&ImportId) -> Event),
        ("failed", import_failed),
        ("cancelled", cancelled),
    ];
    for (name, last) in others {
        let import = import_id(name);
        events.extend([accepted(&import), last(&import)]);
    }
    gateway.fold(events).await;
    let noise = |object: Object| (vec![7; usize::try_from(object.size).unwrap()], object);
    let others = [2, 3, 10].map(|n| noise(object(n)));
    for (bytes, object) in [(picture, pictured)].into_iter().chain(others) {
        let info = ObjectInfo {
            content_type: object.content_type,
            ..ObjectInfo::default()
        };
        let key = Key::new(object.key).unwrap();
        gateway
            .store
            .put(&key, Bytes::from(bytes), &info)
            .await
            .unwrap();
    }
    gateway
}

/// The same requests each time, as far as they do not repeat what was answered.
async fn fuzz(gateway: &Fixture) -> Output {
    let root = testkit::tools::workspace();
    let library = root.join(".tools/env/schemathesis");
    assert!(
        library.is_dir(),
        "schemathesis is not installed; run `bin/just tools`"
    );
    let main = "from schemathesis.cli import schemathesis; schemathesis()";
    let folder = tempfile::tempdir().unwrap();
    let fuzzing = Command::new("python3")
        .args(["-c", main, "--config-file"])
        .arg(root.join("gateway/tests/api/schemathesis.toml"))
        .args(["run", &gateway.url("/api/openapi.json")])
        .args(["--checks", "all", "--continue-on-failure", "--no-color"])
        .args(["--generation-deterministic", "--max-examples", "25"])
        .env("PYTHONPATH", library)
        .env("API_KEY", KEY)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(DEADLINE, fuzzing).await;
    output.expect("schemathesis takes too long").unwrap()
}

/// Answers that the gateway has counted: method, route, class of the status.
async fn answers(gateway: &Fixture) -> BTreeMap<(String, String, String), f64> {
    let metrics = gateway.get("/metrics").send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let counted = metrics.lines().filter_map(|line| {
        let (labels, count) = line
            .strip_prefix("imagefleet_http_requests_total{")?
            .rsplit_once("} ")?;
        let label = |name: &str| {
            let from = labels.split_once(&format!("{name}=\""))?.1;
            Some(from.split_once('"')?.0.to_owned())
        };
        let key = (label("method")?, label("route")?, label("status")?);
        Some((key, count.parse().ok()?))
    });
    counted.collect()
}

#[tokio::test]
async fn every_operation_answers_as_described() {
    let gateway = seeded().await;
    let output = fuzz(&gateway).await;
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );

    let answers = answers(&gateway).await;
    let broken: Vec<_> = answers
        .keys()
        .filter(|(_, route, class)| route != "/readyz" && class == "5xx")
        .collect();
    assert!(broken.is_empty(), "{broken:?}");
    // A run that never gets past the first check finds nothing, too.
    let document: Value = serde_json::from_str(&gateway::openapi_json().unwrap()).unwrap();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            if operation["responses"]["200"]["content"]["text/event-stream"].is_object() {
                continue;
            }
            for class in ["2xx", "4xx"] {
                let key = (method.to_uppercase(), path.clone(), class.to_owned());
                let refuses = path != "/api/openapi.json";
                assert!(
                    answers.contains_key(&key) || (class == "4xx" && !refuses),
                    "{method} {path} was never answered {class}"
                );
            }
        }
    }
}
