//! Keys with a name and a scope, kept as digests.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use gateway::{ApiKey, Scope};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tracing::field::Field;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

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

/// Keeps what is said at WARN and above.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut said = String::new();
        event.record(&mut |field: &Field, value: &dyn Debug| {
            said += &format!("{field}={value:?} ");
        });
        self.0.lock().unwrap().push(said);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What a gateway with these keys warns of when it starts.
async fn warnings(keys: Vec<ApiKey>) -> Vec<String> {
    let warnings = Warnings::default();
    // With one subscriber in the process, another test's thread, which has none, could turn the warning
    // off for all.
    let _second = tracing::Dispatch::new(Warnings::default());
    let listening = tracing::subscriber::set_default(warnings.clone());
    start_with(|config| config.api_keys = keys).await;
    drop(listening);
    let said = warnings.0.lock().unwrap().clone();
    said.into_iter()
        .filter(|said| said.contains("API_KEYS"))
        .collect()
}

#[tokio::test]
async fn a_plain_key_is_warned_of_once_and_not_shown() {
    let (_, hashed) = ApiKey::generate(Scope::Write, Some("alice")).unwrap();
    assert_eq!(warnings(vec![hashed.clone()]).await, [""; 0]);
    let said = warnings(vec!["hunter2".into(), hashed, "swordfish".into()]).await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("keys=2"), "{said:?}");
    assert!(said[0].contains("sha256sum") && said[0].contains("imagefleet api-key"));
    assert!(!said[0].contains("hunter2") && !said[0].contains("swordfish"));
}
