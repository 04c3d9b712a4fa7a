//! `imagefleet up` and the commands that ask it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::time::Duration;

use common::{Up, code, output, stderr, stdout};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;

#[tokio::test]
async fn an_import_is_watched_to_its_end() {
    let up = Up::start().await;
    let ended = up
        .cli(&[
            "import",
            "sim-n5-s1k",
            "--watch",
            "--json",
            "--prefix",
            "a/b",
        ])
        .await;
    assert_eq!(code(&ended), 0, "{}", stderr(&ended));
    let status: Value = serde_json::from_str(&stdout(&ended)).unwrap();
    assert_eq!(status["status"], "completed");
    assert_eq!(status["imported_count"], 5);
    assert_eq!(status["failures"], serde_json::json!([]));
    let stored = up.data.path().join("images/a/b");
    assert_eq!(std::fs::read_dir(stored).unwrap().count(), 5);

    // Unchanged files are skipped, unless told otherwise.
    let again = up.cli(&["import", "sim-n5-s1k", "--watch"]).await;
    assert!(
        stdout(&again).starts_with("completed: 0 imported"),
        "{}",
        stdout(&again)
    );
    let again = up
        .cli(&["import", "sim-n5-s1k", "--watch", "--no-skip-unchanged"])
        .await;
    assert!(
        stdout(&again).starts_with("completed: 5 imported"),
        "{}",
        stdout(&again)
    );

    // Without --watch the id is all there is on stdout.
    let started = up.cli(&["import", "sim-n5-s1k"]).await;
    assert_eq!(code(&started), 0);
    let id = stdout(&started).trim().to_owned();
    assert_eq!(id.len(), 36, "{id:?}");
    let watched = up.cli(&["status", &id, "--watch"]).await;
    assert_eq!(code(&watched), 0, "{}", stderr(&watched));

    let listed = up.cli(&["imports"]).await;
    assert_eq!(stdout(&listed).lines().count(), 5, "{}", stdout(&listed));
    assert!(stdout(&listed).contains(&id));
    let listed = up.cli(&["imports", "--json", "--limit", "2"]).await;
    let listed: Value = serde_json::from_str(&stdout(&listed)).unwrap();
    assert_eq!(listed["imports"].as_array().unwrap().len(), 2);
    assert_eq!(listed["total"], 4);
}

#[tokio::test]
async fn failed_files_are_grouped_by_cause_and_end_with_1() {
    let up = Up::start().await;
    let ended = up.cli(&["import", "demo-photographs-n12", "--watch"]).await;
    assert_eq!(code(&ended), 1, "{}", stderr(&ended));
    let text = stdout(&ended);
    assert!(text.starts_with("completed: 7 imported"), "{text}");
    for expected in [
        "1 failed with source_gone. The file was deleted",
        "1 failed with empty_file.",
        "  Lost in the clouds.jpg: ",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
    // Plain lines where there is no terminal.
    assert!(!stderr(&ended).contains('\u{1b}'), "{}", stderr(&ended));
    assert!(!text.contains('\u{1b}'));
}

#[tokio::test]
async fn mistakes_are_told_apart() {
    let up = Up::start().await;
    for (arguments, exit, message) in [
        (
            ["status", "no-such-import"].as_slice(),
            66,
            "There is no import",
        ),
        (&["status", "../../livez"], 66, "There is no import"),
        (
            &["status", "no-such-import", "--watch"],
            66,
            "There is no import",
        ),
        (&["cancel", "no-such-import"], 66, "There is no import"),
        (&["retry", "no-such-import"], 66, "There is no import"),
        (&["pause", "../../livez"], 66, "There is no import"),
        (
            &["import", "https://example.com/x"],
            66,
            "is not drive.google.com",
        ),
        (
            &[
                "import",
                "https://drive.google.com/file/d/abcdefghijklmnop/view",
            ],
            66,
            "single file",
        ),
        (
            &["import", "sim-n1-s1k", "--prefix", "../up"],
            2,
            "destination_prefix",
        ),
    ] {
        let ended = up.cli(arguments).await;
        assert_eq!(code(&ended), exit, "{arguments:?}: {}", stderr(&ended));
        assert!(
            stderr(&ended).contains(message),
            "{arguments:?}: {}",
            stderr(&ended)
        );
        assert_eq!(stdout(&ended), "");
    }
    // Only Drive knows that there is no such folder.
    let ended = up.cli(&["import", "private-folder", "--watch"]).await;
    assert_eq!(code(&ended), 66, "{}", stderr(&ended));
    assert!(
        stdout(&ended).contains("Share it with"),
        "{}",
        stdout(&ended)
    );
}

#[tokio::test]
async fn what_an_import_cannot_do_ends_with_1_and_says_why() {
    let up = Up::start().await;
    let ended = up.cli(&["import", "sim-n2-s1k", "--watch", "--json"]).await;
    assert_eq!(code(&ended), 0, "{}", stderr(&ended));
    let status: Value = serde_json::from_str(&stdout(&ended)).unwrap();
    let id = status["job_id"].as_str().unwrap();
    for (arguments, exit, message) in [
        (["cancel", id].as_slice(), 1, "completed"),
        (&["pause", id, "--json"], 1, "completed"),
        (&["retry", id], 1, "No entry of this import has failed"),
        (
            &["retry", id, "--item", "no-such-entry"],
            1,
            "no-such-entry",
        ),
        (&["retry", id, "--cause", "bad_luck"], 2, "'cause'"),
        (&["retry", id, "--item", "a.b"], 2, "'item_id'"),
    ] {
        let ended = up.cli(arguments).await;
        assert_eq!(code(&ended), exit, "{arguments:?}: {}", stderr(&ended));
        assert!(
            stderr(&ended).contains(message),
            "{arguments:?}: {}",
            stderr(&ended)
        );
        assert_eq!(stdout(&ended), "");
    }
}

#[tokio::test]
async fn an_empty_folder_and_a_refused_key_say_what_to_do() {
    let up = Up::start().await;
    let empty = up.cli(&["import", "empty-folder", "--watch"]).await;
    assert_eq!(code(&empty), 0, "{}", stderr(&empty));
    let text = stdout(&empty);
    assert!(
        text.contains("0 imported") && text.contains("share it with"),
        "{text}"
    );

    up.drive.set_faults(drive_sim::Faults {
        unauthorized: true,
        ..Default::default()
    });
    let refused = up.cli(&["import", "demo-photographs", "--watch"]).await;
    assert_eq!(code(&refused), 1, "{}", stderr(&refused));
    let text = stdout(&refused);
    assert_eq!(
        text.matches("Check GOOGLE_API_KEY").count(),
        1,
        "said once: {text}"
    );
    assert!(!text.contains(drive_sim::DEFAULT_API_KEY), "{text}");

    // The fleet goes on: the same folder, with the key accepted again.
    up.drive.set_faults(drive_sim::Faults::default());
    let good = up.cli(&["import", "sim-n3-s5k", "--watch"]).await;
    assert_eq!(code(&good), 0, "{}", stderr(&good));
}

#[tokio::test]
async fn the_doctor_finds_a_running_fleet_healthy() {
    let up = Up::start().await;
    let port = up
        .url
        .trim_end_matches('/')
        .rsplit(':')
        .next()
        .unwrap()
        .to_owned();
    let run = |key: &'static str| {
        let mut command = Up::command(&up.drive, up.data.path());
        // The first argument wins: this is `doctor`, with the settings that `up` has.
        let mut doctor = common::imagefleet(up.data.path());
        doctor.args(["doctor", "--json", "--folder", "demo-photographs", "--data"]);
        doctor.arg(up.data.path());
        doctor.envs(
            command
                .env("GATEWAY_PORT", &port)
                .get_envs()
                .filter_map(|(k, v)| Some((k, v?))),
        );
        doctor.env("GOOGLE_API_KEY", key);
        for role in ["PRODUCER", "PROJECTOR", "WORKER"] {
            doctor.env(format!("{role}_HEALTH_ADDR"), "127.0.0.1:0");
        }
        output(doctor)
    };
    let healthy = run(drive_sim::DEFAULT_API_KEY).await;
    assert_eq!(code(&healthy), 0, "{}", stdout(&healthy));
    let text = stdout(&healthy);
    for expected in [
        "can be listed",
        "imagefleet up 0.1.0 is running",
        "starts nats-server 2.",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in {text}");
    }
    let wrong_key = run("another-key").await;
    assert_eq!(code(&wrong_key), 1);
    assert!(
        stdout(&wrong_key).contains("GOOGLE_API_KEY"),
        "{}",
        stdout(&wrong_key)
    );
    assert!(!stdout(&wrong_key).contains("another-key"));
}

#[tokio::test]
async fn sigterm_ends_it_cleanly_and_nats_with_it() {
    let mut up = Up::start().await;
    let nats = up.nats_pid();
    assert!(kill(nats, None).is_ok());

    let second = Up::command(&up.drive, up.data.path());
    let second = output(second).await;
    assert_eq!(code(&second), 1);
    assert!(
        stderr(&second).contains("another `imagefleet up` uses"),
        "{}",
        stderr(&second)
    );

    assert_eq!(up.terminate().await.code(), Some(0));
    assert!(kill(nats, None).is_err(), "nats-server was left behind");
}

#[tokio::test]
async fn imports_survive_the_death_of_nats_server() {
    let up = Up::start().await;
    let nats = up.nats_pid();
    kill(nats, Signal::SIGKILL).unwrap();
    testkit::until(
        "nats-server runs again",
        Duration::from_secs(30),
        || async {
            let again = std::fs::read_to_string(up.data.path().join("nats/run/nats.pid")).ok()?;
            (again.trim().parse() != Ok(nats.as_raw())).then_some(())
        },
    )
    .await;
    let ended = up.cli(&["import", "sim-n5-s1k", "--watch"]).await;
    assert_eq!(code(&ended), 0, "{}{}", stdout(&ended), stderr(&ended));
}

#[tokio::test]
async fn tables_are_checked_and_rebuilt_while_up_runs() {
    let up = Up::start().await;
    let ended = up.cli(&["import", "sim-n20-s1k", "--watch"]).await;
    assert_eq!(code(&ended), 0, "{}", stderr(&ended));
    let data = up.data.path().to_str().unwrap();
    let rebuild = async |more: &[&str]| {
        let arguments = [&["rebuild", "--data", data], more].concat();
        up.cli(&arguments).await
    };

    let equal = rebuild(&["--check"]).await;
    assert_eq!(code(&equal), 0, "{}{}", stdout(&equal), stderr(&equal));
    assert!(stdout(&equal).starts_with("equal: "), "{}", stdout(&equal));

    let sql = rusqlite::Connection::open(up.data.path().join("imagefleet.db")).unwrap();
    sql.execute_batch("UPDATE images SET size = 5 WHERE id = (SELECT min(id) FROM images)")
        .unwrap();
    let different = rebuild(&["--check"]).await;
    assert_eq!(code(&different), 1, "{}", stderr(&different));
    assert!(
        stdout(&different).contains(": size is 5, must be 1024"),
        "{}",
        stdout(&different)
    );
    let different = rebuild(&["--check", "--json"]).await;
    let report: Value = serde_json::from_str(&stdout(&different)).unwrap();
    assert_eq!(
        (code(&different), &report["equal"]),
        (1, &Value::Bool(false))
    );
    assert_eq!(report["differences"], 1);
    assert_eq!(report["first"][0]["table"], "images");
    assert_eq!(report["first"][0]["column"], "size");

    let rebuilt = rebuild(&["--json"]).await;
    assert_eq!(code(&rebuilt), 0, "{}", stderr(&rebuilt));
    let equal = rebuild(&["--check"]).await;
    assert_eq!(code(&equal), 0, "{}{}", stdout(&equal), stderr(&equal));

    // It goes on.
    let again = up.cli(&["import", "sim-n5-s1k", "--watch"]).await;
    assert_eq!(code(&again), 0, "{}", stderr(&again));
}
