//! Memory depends neither on the size of an image nor on the number of images.

use std::fs::File;
use std::io::Write as _;

use drive_sim::{LOCAL_FOLDER, Options};
use e2e::{bucket, drive_with, rows};
use testkit::{Fleet, fleet};

use crate::DEADLINE;

/// What each role may hold, its program's pages apart: those of this build say nothing about a release.
/// That a release stays within 64 MiB in all is for `bin/just bench memory` to show.
const LIMIT: u64 = 48 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_of_300_megabytes_is_never_held() {
    const SIZE: u64 = 300_000_000;
    // A picture followed by nothing but zeros, which take no place on disk.
    let folder = tempfile::tempdir().unwrap();
    let mut file = File::create(folder.path().join("huge.jpg")).unwrap();
    file.write_all(&drive_sim::content("sim-n1-s5k-f0").unwrap())
        .unwrap();
    file.set_len(SIZE).unwrap();
    let (drive_env, _sim) = drive_with(Options {
        folder: Some(folder.path().to_owned()),
        ..Options::default()
    })
    .await;
    let (store_env, _store) = bucket("huge").await;
    let fleet = Fleet::start(
        &fleet::program().unwrap(),
        1,
        &[drive_env, store_env].concat(),
    )
    .await
    .unwrap();
    let job = fleet.import(LOCAL_FOLDER).await.unwrap();
    let status = fleet.ended(&job, 2 * DEADLINE).await.unwrap();
    assert_eq!(
        (&status["status"], &status["imported_count"]),
        (&"completed".into(), &1.into()),
        "{status}"
    );
    assert_eq!(rows(&fleet.url).await[0]["size"].as_u64(), Some(SIZE));
    for (role, process) in [
        ("producer", &fleet.producer),
        ("worker", &fleet.workers[0]),
        ("projector", &fleet.projector),
        ("gateway", &fleet.gateway),
    ] {
        let peak = process.peak_held().unwrap();
        println!("{role}: {:.1} MiB", peak as f64 / 1_048_576.0);
        assert!(peak <= LIMIT, "the {role} had {} MiB", peak >> 20);
    }
    fleet.stop().await.unwrap();
}
