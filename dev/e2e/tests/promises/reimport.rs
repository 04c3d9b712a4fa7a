//! Importing again, and deleting: objects and rows go together, whoever dies.

use std::collections::BTreeSet;

use drive_sim::{LOCAL_FOLDER, Options};
use e2e::{bucket, drive, drive_with, rows};
use futures::StreamExt as _;
use serde_json::Value;
use storage::{Key, Store};
use testkit::{Fleet, fleet, until};

use crate::{DEADLINE, ack_wait};

async fn is_there(store: &Store, key: &str) -> bool {
    store.head(&Key::new(key).unwrap()).await.unwrap().is_some()
}

async fn import(fleet: &Fleet, folder: &str) -> Value {
    let job = fleet.import(folder).await.unwrap();
    let status = fleet.ended(&job, DEADLINE).await.unwrap();
    assert_eq!(status["status"], "completed", "{status}");
    status
}

fn picture(seed: usize) -> Vec<u8> {
    drive_sim::content(&format!("sim-n1-s5k-seed{seed}-f0"))
        .unwrap()
        .to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_replaces_its_row_and_object() {
    let folder = tempfile::tempdir().unwrap();
    for (seed, name) in ["a.jpg", "b.jpg", "c.jpg"].into_iter().enumerate() {
        std::fs::write(folder.path().join(name), picture(seed)).unwrap();
    }
    let (drive_env, sim) = drive_with(Options {
        folder: Some(folder.path().to_owned()),
        ..Options::default()
    })
    .await;
    let (store_env, store) = bucket("changed").await;
    let env = [drive_env, store_env, ack_wait("2s")].concat();
    let fleet = Fleet::start(&fleet::program().unwrap(), 1, &env)
        .await
        .unwrap();
    let status = import(&fleet, LOCAL_FOLDER).await;
    assert_eq!(status["imported_count"], 3, "{status}");
    let find = async |name: &str| {
        let rows = rows(&fleet.url).await;
        assert_eq!(rows.len(), 3, "one row per file");
        rows.into_iter().find(|row| row["name"] == name).unwrap()
    };
    let before = find("b.jpg").await;
    let old = before["key"].as_str().unwrap().to_owned();

    // Nothing has changed: nothing is downloaded.
    let downloads = sim.stats().requests.download;
    let status = import(&fleet, LOCAL_FOLDER).await;
    assert_eq!(status["skipped"], 3, "{status}");
    assert_eq!(sim.stats().requests.download, downloads);

    // With nobody to record the new object, the old one stays, and so does its row.
    std::fs::write(folder.path().join("b.jpg"), picture(7)).unwrap();
    fleet.projector.pause().unwrap();
    let job = fleet.import(LOCAL_FOLDER).await.unwrap();
    until("the new object is stored", DEADLINE, || async {
        (store.keys("").await.unwrap().len() == 4).then_some(())
    })
    .await;
    assert_eq!(find("b.jpg").await["key"], old.as_str());
    assert!(is_there(&store, &old).await, "the row still names it");
    fleet.projector.wake().unwrap();
    let status = fleet.ended(&job, DEADLINE).await.unwrap();
    assert_eq!(
        (&status["imported_count"], &status["skipped"]),
        (&1.into(), &2.into()),
        "{status}"
    );
    assert_eq!(sim.stats().requests.download, downloads + 1);
    let after = find("b.jpg").await;
    let new = after["key"].as_str().unwrap();
    assert_ne!(new, old);
    assert_eq!(
        (&after["google_drive_id"], &after["id"]),
        (&before["google_drive_id"], &before["id"])
    );
    until("the old object is removed", DEADLINE, || async {
        assert!(is_there(&store, new).await);
        (!is_there(&store, &old).await).then_some(())
    })
    .await;
    let keys = BTreeSet::from_iter(store.keys("").await.unwrap());
    let named = rows(&fleet.url).await;
    let named = named
        .iter()
        .map(|row| row["key"].as_str().unwrap().to_owned());
    assert_eq!(keys, named.collect(), "one object per row");
    fleet.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_survives_the_death_of_whoever_does_it() {
    const IMAGES: usize = 200;
    let (drive_env, _sim) = drive(drive_sim::Faults::default()).await;
    let (store_env, store) = bucket("deleted").await;
    let env = [drive_env, store_env, ack_wait("2s")].concat();
    let mut fleet = Fleet::start(&fleet::program().unwrap(), 1, &env)
        .await
        .unwrap();
    import(&fleet, "sim-n200-s5k").await;
    let all = rows(&fleet.url).await;
    assert_eq!(all.len(), IMAGES);
    let http = reqwest::Client::new();
    let (kept, deleted) = all.split_at(20);
    futures::stream::iter(deleted)
        .for_each_concurrent(8, |row| {
            let image = format!("{}/api/images/{}", fleet.url, row["id"]);
            let http = http.clone();
            async move {
                assert_eq!(http.delete(image).send().await.unwrap().status(), 200);
            }
        })
        .await;
    // Killed over and over, until little is left to do.
    for round in 0..3 {
        let left = store.keys("").await.unwrap().len();
        until("some objects are removed", DEADLINE, || async {
            let now = store.keys("").await.unwrap().len();
            (now < left || now == kept.len()).then_some(())
        })
        .await;
        fleet.workers[0].kill().await.unwrap();
        let name = format!("worker-after-{round}");
        fleet.workers[0] = fleet.another(&name, "worker", &[]).unwrap();
    }
    let rows = until("the rows are gone", DEADLINE, || async {
        let rows = rows(&fleet.url).await;
        (rows.len() == kept.len()).then_some(rows)
    })
    .await;
    let ids = |rows: &[Value]| -> BTreeSet<String> {
        rows.iter().map(|row| row["id"].to_string()).collect()
    };
    assert_eq!(ids(&rows), ids(kept), "the right ones are gone");
    let keys = BTreeSet::from_iter(store.keys("").await.unwrap());
    let named = kept
        .iter()
        .map(|row| row["key"].as_str().unwrap().to_owned());
    assert_eq!(keys, named.collect(), "objects and rows go together");
    fleet.stop().await.unwrap();
}
