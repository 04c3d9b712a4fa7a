//! What the command line does without any service: settings, usage, help.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::process::{Output, Stdio};

use common::{code, imagefleet, stderr, stdout};
use serde_json::Value;

#[test]
fn a_gateway_that_does_not_answer_is_69_and_the_fix_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        ["import", "abcdefghijklmnop"].as_slice(),
        &["status", "x"],
        &["imports"],
        &["cancel", "x"],
        &["pause", "x"],
        &["resume", "x"],
        &["retry", "x", "--cause", "source_gone"],
    ] {
        let mut command = imagefleet(folder.path());
        let output = command
            .args(arguments)
            .args(["--api", "http://127.0.0.1:1"])
            .output()
            .unwrap();
        assert_eq!(code(&output), 69, "{arguments:?}: {}", stderr(&output));
        assert!(
            stderr(&output).contains("imagefleet up"),
            "{}",
            stderr(&output)
        );
        assert_eq!(stdout(&output), "");
    }
    let output = imagefleet(folder.path())
        .arg("setup")
        .env("NATS_URL", "nats://127.0.0.1:1")
        .output()
        .unwrap();
    assert_eq!(code(&output), 69, "{}", stderr(&output));
}

#[test]
fn a_bad_setting_is_64_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let key = ("GOOGLE_API_KEY", "k");
    for (arguments, settings, named) in [
        (
            ["worker"].as_slice(),
            [key, ("WORKER_CONCURRENCY", "0")].as_slice(),
            "WORKER_CONCURRENCY",
        ),
        (
            &["producer"],
            &[key, ("PRODUCER_WINDOW", "many")],
            "PRODUCER_WINDOW",
        ),
        (&["gateway"], &[("HOST", "0.0.0.0")], "API_KEYS"),
        (
            &["gateway"],
            &[("STORAGE_PROVIDER", "aws")],
            "AWS_BUCKET_NAME",
        ),
        (&["projector"], &[("LOG_FORMAT", "xml")], "LOG_FORMAT"),
        (&["projector"], &[("NATS_URL", "http://x")], "NATS_URL"),
        (
            &["worker"],
            &[key, ("GOOGLE_DRIVE_ENDPOINT", "ftp://x")],
            "GOOGLE_DRIVE_ENDPOINT",
        ),
        (&["up"], &[], "GOOGLE_API_KEY"),
        (&["up"], &[key, ("NATS_REPLICAS", "2")], "NATS_REPLICAS"),
        (&["setup", "--replicas", "4"], &[], "NATS_REPLICAS"),
        (
            &["imports"],
            &[("IMAGEFLEET_URL", "ftp://example.com")],
            "IMAGEFLEET_URL",
        ),
    ] {
        let mut command = imagefleet(folder.path());
        let output = command
            .args(arguments)
            .envs(settings.iter().copied())
            .output()
            .unwrap();
        assert_eq!(code(&output), 64, "{arguments:?}: {}", stderr(&output));
        assert!(
            stderr(&output).contains(named),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
    // What is refused leaves no trace.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn wrong_usage_is_2_and_help_has_examples() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        ["import"].as_slice(),
        &["frobnicate"],
        &["demo", "--json"],
        &["import", "x", "--recursive=maybe"],
        &["cancel"],
        &["pause", "x", "--cause", "source_gone"],
        &["retry", "x", "--cause"],
    ] {
        let output = imagefleet(folder.path()).args(arguments).output().unwrap();
        assert_eq!(code(&output), 2, "{arguments:?}: {}", stderr(&output));
    }
    for command in [
        [].as_slice(),
        &["up"],
        &["demo"],
        &["import"],
        &["status"],
        &["cancel"],
        &["pause"],
        &["resume"],
        &["retry"],
        &["doctor"],
        &["completions"],
    ] {
        let output = imagefleet(folder.path())
            .args(command)
            .arg("--help")
            .output()
            .unwrap();
        assert_eq!(code(&output), 0);
        assert!(stdout(&output).contains("Examples:"), "{command:?}");
    }
}

#[test]
fn completions_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = imagefleet(folder.path())
            .args(["completions", shell])
            .output()
            .unwrap();
        assert_eq!(code(&output), 0);
        for command in [
            "up",
            "demo",
            "worker",
            "import",
            "doctor",
            "cancel",
            "pause",
            "resume",
            "retry",
            "--cause",
            "--item",
            "--no-skip-unchanged",
        ] {
            let command = command.trim_start_matches('-');
            assert!(
                stdout(&output).contains(command),
                "{shell} does not know {command}"
            );
        }
    }
}

#[test]
fn config_shows_what_holds_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join(".env"),
        "GATEWAY_PORT=5055\nWORKER_CONCURRENCY=3\n",
    )
    .unwrap();
    let run = |arguments: &[&str]| {
        let output = imagefleet(folder.path())
            .args(arguments)
            .env("WORKER_CONCURRENCY", "7")
            .env("GOOGLE_API_KEY", "hunter2-google")
            .env("NATS_URL", "nats://user:hunter2-nats@nats:4222")
            .env("NATS_PASSWORD", "hunter2-password")
            .output()
            .unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert!(!stdout(&output).contains("hunter2"), "{}", stdout(&output));
        stdout(&output)
    };
    let text = run(&["config"]);
    let lines: Vec<_> = text.lines().collect();
    for line in [
        "GOOGLE_API_KEY=***",
        "NATS_PASSWORD=***",
        "NATS_URL=nats://***@nats:4222",
        // From .env; and the environment goes before it.
        "GATEWAY_PORT=5055",
        "WORKER_CONCURRENCY=7",
        "STORAGE_PROVIDER=local  # default",
        "# AWS_BUCKET_NAME is not set",
    ] {
        assert!(lines.contains(&line), "{line:?} is not in\n{text}");
    }
    let all: Vec<Value> = serde_json::from_str(&run(&["config", "--json"])).unwrap();
    let key = all
        .iter()
        .find(|setting| setting["name"] == "GOOGLE_API_KEY")
        .unwrap();
    assert_eq!(
        (&key["value"], &key["origin"]),
        (&"***".into(), &"set".into())
    );
}

#[test]
fn the_doctor_names_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let output = imagefleet(folder.path())
        .args(["doctor", "--json"])
        .env("NATS_URL", "nats://127.0.0.1:1")
        .env("GOOGLE_API_KEY", "k")
        .env("GOOGLE_DRIVE_ENDPOINT", "http://127.0.0.1:1")
        .env("WORKER_CONCURRENCY", "0")
        .env("DATABASE_PATH", "/proc/none/imagefleet.db")
        .output()
        .unwrap();
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert_checks(
        &output,
        &[
            ("settings", false, "WORKER_CONCURRENCY"),
            ("nats", false, "NATS_URL"),
            ("drive", false, "GOOGLE_DRIVE_ENDPOINT"),
            ("store", true, "written, read and deleted"),
            ("database", false, "DATABASE_PATH"),
        ],
    );
}

#[test]
fn the_doctor_names_the_settings_of_servers_that_do_not_answer() {
    let folder = tempfile::tempdir().unwrap();
    let output = imagefleet(folder.path())
        .args(["doctor", "--json"])
        .env("NATS_URL", "nats://127.0.0.1:1")
        .env("GOOGLE_DRIVE_ENDPOINT", "http://127.0.0.1:1")
        .env("STORAGE_PROVIDER", "azure")
        .env("AZURE_STORAGE_CONTAINER_NAME", "photos")
        .env(
            "AZURE_STORAGE_CONNECTION_STRING",
            "BlobEndpoint=http://127.0.0.1:1/alice;AccountName=alice;AccountKey=aHVudGVyMg==",
        )
        .env("DB_SERVER", "127.0.0.1,1")
        .env("DB_NAME", "photos")
        .env("DB_USER", "projector")
        .env("DB_PASSWORD", "hunter2")
        .output()
        .unwrap();
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert_checks(
        &output,
        &[
            ("settings", true, ""),
            ("store", false, "AZURE_STORAGE_CONNECTION_STRING"),
            ("database", false, "DB_SERVER and DB_PORT"),
        ],
    );
    let said = stdout(&output);
    assert!(
        !said.contains("hunter2") && !said.contains("aHVudGVyMg"),
        "{said}"
    );
}

fn assert_checks(output: &Output, expected: &[(&str, bool, &str)]) {
    let report: Value = serde_json::from_str(&stdout(output)).unwrap();
    assert_eq!(report["ok"], false);
    for (name, ok, detail) in expected {
        let checks = report["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == *name).unwrap();
        assert_eq!(check["ok"], *ok, "{check}");
        assert!(
            check["detail"].as_str().unwrap().contains(detail),
            "{check}"
        );
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = imagefleet(folder.path())
        .args(["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_fresh_key_comes_with_its_entry_and_is_never_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let made = |arguments: &[&str]| {
        let mut command = imagefleet(folder.path());
        command.arg("api-key").args(arguments).output().unwrap()
    };
    let output = made(&["--name", "ci", "--scope", "read"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    let lines: Vec<_> = text.lines().collect();
    let [key, entry] = lines[..] else {
        panic!("{text}");
    };
    assert!(entry.starts_with("ci:read:sha256:"), "{entry}");
    assert!(!stderr(&output).contains(key), "data belongs on stdout");

    let json: Value = serde_json::from_str(&stdout(&made(&["--json"]))).unwrap();
    assert_ne!(json["key"], key);
    assert!(json["entry"].as_str().unwrap().starts_with("write:sha256:"));

    // What it prints is a setting, and one that is shown to nobody.
    let mut config = imagefleet(folder.path());
    let shown = config
        .arg("config")
        .env("API_KEYS", entry)
        .output()
        .unwrap();
    assert!(
        stdout(&shown).contains("API_KEYS=***"),
        "{}",
        stdout(&shown)
    );
    let mut doctor = imagefleet(folder.path());
    let wrong = doctor
        .arg("doctor")
        .env("API_KEYS", "ci:sudo:sha256:hunter2")
        .output()
        .unwrap();
    let said = stdout(&wrong);
    assert!(
        said.contains("API_KEYS: ") && !said.contains("hunter2"),
        "{said}"
    );
    assert_eq!(code(&made(&["--name", "a,b"])), 64);
    assert_eq!(code(&made(&["--scope", "admin"])), 2);
}

#[test]
fn health_tells_a_role_that_runs_from_one_that_waits_and_from_none() {
    for role in ["producer", "worker", "projector", "gateway"] {
        let folder = tempfile::tempdir().unwrap();
        // Every role at the same port, lest another test's is asked.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let here = |arguments: &[&str]| {
            let mut command = imagefleet(folder.path());
            command
                .args(arguments)
                .env("HOST", "127.0.0.1")
                .env("GATEWAY_PORT", port.to_string())
                .env("GOOGLE_API_KEY", "k")
                .env("NATS_URL", "nats://127.0.0.1:1");
            for name in ["PRODUCER", "PROJECTOR", "WORKER"] {
                command.env(format!("{name}_HEALTH_ADDR"), format!("127.0.0.1:{port}"));
            }
            command
        };
        let none = here(&["health"]).output().unwrap();
        assert_eq!(code(&none), 69, "{}", stderr(&none));

        let mut process = here(&[role]).stderr(Stdio::null()).spawn().unwrap();
        let started = std::time::Instant::now();
        let (well, ready) = loop {
            let well = here(&["health"]).output().unwrap();
            let ready = here(&["health", "--ready"]).output().unwrap();
            let waits = code(&ready) == 1 && stderr(&ready).contains("nats");
            if (code(&well) == 0 && waits) || started.elapsed().as_secs() > 30 {
                break (well, ready);
            }
        };
        process.kill().unwrap();
        process.wait().unwrap();
        assert_eq!(code(&well), 0, "{role}: {}", stderr(&well));
        assert_eq!(code(&ready), 1, "{role}: {}", stderr(&ready));
        assert!(
            stderr(&ready).contains("nats"),
            "{role}: {}",
            stderr(&ready)
        );
    }
}
