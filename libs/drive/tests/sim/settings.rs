//! Settings from the environment, and what is said about wrong ones.

use drive::{Auth, DriveConfig};
use drive_sim::{Faults, SERVICE_ACCOUNT};
use runtime::Env;
use serde_json::{Value, json};

use crate::sim;

const FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const SUBJECT: &str = "GOOGLE_IMPERSONATE_SUBJECT";

fn refused(pairs: &[(&str, &str)]) -> String {
    let error = DriveConfig::from_env(&Env::from_pairs(pairs.iter().copied())).unwrap_err();
    error.to_string()
}

#[tokio::test]
async fn credentials_win_over_a_key() {
    let (server, _) = sim(Faults::default()).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, server.service_account_file()).unwrap();
    let path = file.path().to_str().unwrap();
    let env = Env::from_pairs([
        (FILE, path),
        ("GOOGLE_API_KEY", "k"),
        ("GOOGLE_DRIVE_ACKNOWLEDGE_ABUSE", "true"),
    ]);
    let config = DriveConfig::from_env(&env).unwrap();
    assert!(config.acknowledge_abuse);
    let credentials = config.auth.credentials().unwrap();
    assert_eq!(credentials.address(), Some(SERVICE_ACCOUNT));
    assert_eq!(
        credentials.to_string(),
        format!("service account {SERVICE_ACCOUNT}")
    );

    let config = DriveConfig::from_env(&env.clone().with(SUBJECT, "ann@example.com")).unwrap();
    let credentials = config.auth.credentials().unwrap();
    assert_eq!(credentials.address(), Some("ann@example.com"));

    let config = DriveConfig::from_env(&Env::from_pairs([("GOOGLE_API_KEY", "k")])).unwrap();
    assert!(matches!(config.auth, Auth::ApiKey(_)));
    assert!(!config.acknowledge_abuse);
}

#[tokio::test]
async fn a_file_of_no_use_is_named_with_what_to_do() {
    let (server, _) = sim(Faults::default()).await;
    let service: Value = serde_json::from_str(&server.service_account_file()).unwrap();
    let user: Value = serde_json::from_str(&server.user_file()).unwrap();
    let changed = |file: &Value, name: &str, value: Value| {
        let mut file = file.clone();
        file[name] = value;
        file.to_string()
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let said = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let said = refused(&[(FILE, path)]);
        assert!(said.starts_with(&format!("{FILE}: {path}")), "{said}");
        said
    };
    let half_key = service["private_key"].as_str().unwrap()[..400].to_owned();
    for (text, words) in [
        (
            changed(&service, "type", json!("external_account")),
            "\"service_account\"",
        ),
        (changed(&service, "type", Value::Null), "\"type\""),
        (
            changed(&service, "client_email", json!(" ")),
            "\"client_email\"",
        ),
        (
            changed(&service, "private_key", Value::Null),
            "\"private_key\"",
        ),
        (
            changed(&service, "private_key", json!("hunter2")),
            "new key",
        ),
        (changed(&service, "private_key", json!(half_key)), "new key"),
        (
            changed(&service, "token_uri", json!("http://example.com/token")),
            "https",
        ),
        (changed(&service, "token_uri", json!("hunter2")), "https"),
        (
            changed(&user, "refresh_token", Value::Null),
            "\"refresh_token\"",
        ),
        (
            changed(&user, "client_secret", json!("")),
            "\"client_secret\"",
        ),
        (
            json!({"installed": {"client_id": "c"}}).to_string(),
            "gcloud auth",
        ),
        (
            json!({"type": 7, "x": "hunter2"}).to_string(),
            "download it again",
        ),
        ("hunter2".to_owned(), "download it again"),
        ("x".repeat(100 << 10), "download it again"),
        (String::new(), "download it again"),
    ] {
        let said = said(&text);
        assert!(said.contains(words), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let said = refused(&[(FILE, "/nowhere/at/all.json")]);
    assert!(
        said.contains(FILE) && said.contains("cannot be read"),
        "{said}"
    );

    std::fs::write(&file, user.to_string()).unwrap();
    let said = refused(&[(FILE, path), (SUBJECT, "ann@example.com")]);
    assert!(said.starts_with(SUBJECT), "{said}");
    let said = refused(&[(SUBJECT, "ann@example.com")]);
    assert!(said.starts_with(SUBJECT) && said.contains(FILE), "{said}");
    let said = refused(&[]);
    assert!(
        said.contains("GOOGLE_API_KEY") && said.contains(FILE),
        "{said}"
    );
}
