//! Keys with a name and a scope, kept as digests.

use gateway::{ApiKey, Scope};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::support::{FOLDER, Fixture, problem, start, start_with};

struct Keyed {
    gateway: Fixture,
    reader: SecretString,
    writer: SecretString,
}

/// A gateway with a plain key, one that may read and one that may write.
async fn keyed() -> Keyed {
    let (reader, read) = ApiKey::generate(Scope::Read, Some("grafana")).unwrap();
    let (writer, write) = ApiKey::generate(Scope::Write, Some("alice")).unwrap();
    let gateway = start_with(|config| config.api_keys = vec!["plain".into(), read, write]).await;
    Keyed {
        gateway,
        reader,
        writer,
    }
}

#[tokio::test]
async fn a_read_key_may_look_and_change_nothing() {
    let keyed = keyed().await;
    let (gateway, reader) = (&keyed.gateway, keyed.reader.expose_secret());
    for path in ["/api/stats", "/api/imports", "/api/images"] {
        let answer = gateway.get(path).bearer_auth(reader).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    for (method, path) in [
        (Method::POST, "/api/import/google-drive"),
        (Method::POST, "/api/imports/x/cancel"),
        (Method::POST, "/api/imports/x/retry"),
        (Method::DELETE, "/api/images/1"),
    ] {
        let request = gateway.client.request(method, gateway.url(path));
        let answer = request.bearer_auth(reader).send().await.unwrap();
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
        assert!(challenge.contains("insufficient_scope"), "{challenge}");
        problem(answer, 403, "insufficient_scope").await;
    }
    assert!(gateway.messages("IMPORTS").await.is_empty());
}

#[tokio::test]
async fn a_digest_is_no_key() {
    let (key, entry) = ApiKey::generate(Scope::Write, None).unwrap();
    let digest = entry.to_string();
    let gateway = start_with(|config| config.api_keys = vec![entry]).await;
    let with = |key: &str| gateway.get("/api/stats").bearer_auth(key).send();
    assert_eq!(with(key.expose_secret()).await.unwrap().status(), 200);
    for wrong in [digest.as_str(), digest.rsplit(':').next().unwrap()] {
        let answer = with(wrong).await.unwrap();
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
        assert!(challenge.contains("invalid_token"), "{challenge}");
        problem(answer, 401, "unauthorized").await;
    }
}

#[tokio::test]
async fn the_keys_name_stands_for_who_asks() {
    let keyed = keyed().await;
    let writer = keyed.writer.expose_secret();
    for (body, key) in [
        (json!({ "folder_url": FOLDER }), writer),
        (
            json!({ "folder_url": FOLDER, "requested_by": "Bob" }),
            writer,
        ),
        (json!({ "folder_url": FOLDER }), "plain"),
    ] {
        let request = keyed.gateway.post_import(&body).bearer_auth(key);
        assert_eq!(request.send().await.unwrap().status(), 202);
    }
    let requests = keyed.gateway.messages("IMPORTS").await;
    let said = requests.iter().map(|(_, _, payload)| {
        let request: Value = serde_json::from_slice(payload).unwrap();
        assert!(!request.to_string().contains(writer), "a key was published");
        request["requested_by"].as_str().map(str::to_owned)
    });
    let said: Vec<_> = said.collect();
    assert_eq!(said, [Some("alice".into()), Some("Bob".into()), None]);
}

#[tokio::test]
async fn a_session_tells_what_is_allowed() {
    let open = start().await.json("/api/session").await;
    let version = env!("CARGO_PKG_VERSION");
    let expected = |authentication: &str, scopes: &[&str]| json!({ "authentication": authentication, "scopes": scopes, "version": version });
    assert_eq!(open, expected("none", &["read", "write"]));

    let keyed = keyed().await;
    let session = |key: &str| keyed.gateway.get("/api/session").bearer_auth(key).send();
    for (key, scopes) in [
        ("plain", &["read", "write"][..]),
        (keyed.writer.expose_secret(), &["read", "write"]),
        (keyed.reader.expose_secret(), &["read"]),
    ] {
        let answer: Value = session(key).await.unwrap().json().await.unwrap();
        assert_eq!(answer, expected("key", scopes));
    }
    problem(session("wrong").await.unwrap(), 401, "unauthorized").await;
    let none = keyed.gateway.get("/api/session").send().await.unwrap();
    problem(none, 401, "unauthorized").await;
}
