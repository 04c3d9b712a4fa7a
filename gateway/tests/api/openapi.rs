//! The API's description: checked in, served, and browsable without a network.

use std::path::Path;

use serde_json::Value;

use crate::support::{problem, start, start_with};

const UPDATE: &str =
    "UPDATE_OPENAPI=1 cargo test --workspace --locked --test api the_description_is_checked_in";

fn checked_in() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json")
}

#[test]
fn the_description_is_checked_in() {
    let now = gateway::openapi_json().unwrap();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(checked_in(), &now).unwrap();
    }
    let known = std::fs::read_to_string(checked_in()).unwrap_or_default();
    assert!(
        known == now,
        "gateway/openapi.json is not what the code says; if the change is wanted, run\n    {UPDATE}"
    );
}

#[tokio::test]
async fn the_description_is_served_without_a_key() {
    let gateway = start_with(|config| config.api_keys = vec!["key".into()]).await;
    let response = gateway.get("/api/openapi.json").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let tag = response.headers()["etag"].to_str().unwrap().to_owned();
    let served: Value = response.json().await.unwrap();
    let known: Value = serde_json::from_str(&gateway::openapi_json().unwrap()).unwrap();
    assert_eq!(served, known);
    assert_eq!(served["openapi"], "3.1.0");
    let again = gateway
        .get("/api/openapi.json")
        .header("if-none-match", tag);
    assert_eq!(again.send().await.unwrap().status(), 304);
}

#[tokio::test]
async fn every_operation_says_what_it_may_answer() {
    let document: Value = serde_json::from_str(&gateway::openapi_json().unwrap()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(operation["summary"].is_string(), "{name} has no summary");
            let responses = operation["responses"].as_object().unwrap();
            let mut statuses = vec!["500", "503"];
            if path.starts_with("/api/") && path != "/api/openapi.json" {
                statuses.extend(["400", "401", "414", "421", "429"]);
                assert!(operation["security"].is_array(), "{name} is open");
            }
            if method != "get" {
                statuses.push("403");
            }
            for status in statuses {
                let answer = &responses[status];
                assert!(
                    answer["content"]["application/problem+json"]["examples"].is_object(),
                    "{name} does not describe {status}"
                );
            }
            for (status, answer) in responses {
                assert!(
                    answer["headers"]["X-Request-Id"].is_object(),
                    "{name} {status}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_browser_can_read_it_and_needs_nothing_from_elsewhere() {
    let gateway = start_with(|config| config.api_keys = vec!["key".into()]).await;
    let page = gateway.get("/api/docs").send().await.unwrap();
    assert_eq!(page.url().path(), "/api/docs/");
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(policy.contains("script-src 'self';"), "{policy}");
    let html = page.text().await.unwrap();
    let files: Vec<&str> = ["src=\"", "href=\""]
        .iter()
        .flat_map(|attribute| html.split(attribute).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(files.len() > 4, "{files:?}");
    for file in files {
        let file = file.trim_start_matches("./");
        assert!(!file.contains("//"), "{file} is elsewhere");
        let path = format!("/api/docs/{file}");
        let answer = gateway.get(&path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let kind = answer.headers()["content-type"].to_str().unwrap();
        assert!(!kind.contains("octet-stream"), "{path} is {kind}");
    }
    let start = gateway.get("/api/docs/swagger-initializer.js");
    let start = start.send().await.unwrap().text().await.unwrap();
    assert!(start.contains("../openapi.json"), "{start}");
    let none = gateway.get("/api/docs/none.js").send().await.unwrap();
    problem(none, 404, "not_found").await;
}

#[tokio::test]
async fn queries_and_paths_are_bounded() {
    let gateway = start().await;
    let long = format!("/api/images?q={}", "a".repeat(4096));
    problem(
        gateway.get(&long).send().await.unwrap(),
        414,
        "query_too_long",
    )
    .await;
    // A path that cannot be decoded names nothing, and is told so like everything else.
    let odd = gateway.get("/api/imports/%ff").send().await.unwrap();
    problem(odd, 404, "not_found").await;
}
