//! `imagefleet demo --once`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{code, imagefleet, output, stderr, stdout};
use serde_json::Value;

#[tokio::test]
async fn the_demo_ends_as_planned() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = imagefleet(folder.path());
    command.args(["demo", "--once", "--json", "--files", "120"]);
    // The demo takes nothing of the user's installation.
    command
        .env("NATS_URL", "nats://127.0.0.1:1")
        .env("STORAGE_PROVIDER", "aws");
    let ended = output(command).await;
    assert_eq!(code(&ended), 0, "{}{}", stdout(&ended), stderr(&ended));
    assert_eq!(stdout(&ended).lines().count(), 1);
    let outcome: Value = serde_json::from_str(&stdout(&ended)).unwrap();
    assert_eq!(outcome["total"], 120);
    assert_eq!(outcome["imported"], 115);
    assert_eq!(outcome["skipped"], 2);
    assert_eq!(outcome["failed"], 3);
    let causes = serde_json::json!({"empty_file": 1, "not_an_image": 1, "source_gone": 1});
    assert_eq!(outcome["causes"], causes);
    assert!(outcome["seconds"].as_f64().unwrap() > 0.0);
    // Without --data nothing is left.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn own_photographs_arrive_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    std::fs::create_dir_all(photos.join("Zürich 🏔/2026")).unwrap();
    let names = [
        "a.jpg",
        "日本の猫.jpg",
        "Zürich 🏔/2026/o'brien & 50% #1?.JPG",
        "Zürich 🏔/two\nlines.jpeg",
    ];
    for (number, name) in names.iter().enumerate() {
        let bytes = drive_sim::content(&format!("demo-photographs-n9-f{number}")).unwrap();
        std::fs::write(photos.join(name), bytes).unwrap();
    }
    std::fs::write(photos.join("notes.txt"), "Remember the tripod.\n").unwrap();
    let run = || {
        let mut command = imagefleet(folder.path());
        command.args([
            "demo", "--once", "--json", "--photos", "photos", "--data", "kept",
        ]);
        output(command)
    };
    let ended = run().await;
    assert_eq!(code(&ended), 0, "{}{}", stdout(&ended), stderr(&ended));
    let outcome: Value = serde_json::from_str(&stdout(&ended)).unwrap();
    assert_eq!(
        (
            &outcome["total"],
            &outcome["imported"],
            &outcome["skipped"],
            &outcome["failed"]
        ),
        (&5.into(), &4.into(), &1.into(), &0.into())
    );

    // With --data everything is kept, and a second demo on it works.
    assert!(folder.path().join("kept/imagefleet.db").is_file());
    let ended = run().await;
    assert_eq!(code(&ended), 0, "{}{}", stdout(&ended), stderr(&ended));

    // What is named like an image and is none is not passed over.
    std::fs::write(photos.join("broken.jpg"), "<html>not a picture</html>").unwrap();
    let ended = run().await;
    assert_eq!(code(&ended), 1, "{}", stdout(&ended));
    assert!(
        stderr(&ended).contains("broken.jpg was not imported"),
        "{}",
        stderr(&ended)
    );
    let outcome: Value = serde_json::from_str(&stdout(&ended)).unwrap();
    assert_eq!(outcome["causes"], serde_json::json!({"not_an_image": 1}));
}
