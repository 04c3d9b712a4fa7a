//! One of every strange thing, each with the outcome that is planned for it.

use std::collections::BTreeMap;
use std::time::Duration;

use drive_sim::{Expect, Faults, MUSEUM, museum};
use e2e::{bucket, drive, rows};
use md5::{Digest as _, Md5};
use read_model::{ItemState, ReadModel, Reason};
use testkit::{Fleet, fleet};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_exhibit_ends_as_planned() {
    let (drive_env, _sim) = drive(Faults::default()).await;
    let (store_env, store) = bucket("museum").await;
    let data = tempfile::tempdir().unwrap();
    let database = data.path().join("museum.db");
    let own = vec![
        ("DATABASE_PATH", database.display().to_string()),
        ("WORKER_RETRY_BASE", "100ms".to_owned()),
    ];
    let env = [drive_env, store_env, own].concat();
    let fleet = Fleet::start(&fleet::program().unwrap(), 1, &env)
        .await
        .unwrap();
    let job = fleet.import(MUSEUM).await.unwrap();
    let status = fleet.ended(&job, Duration::from_secs(120)).await.unwrap();
    assert_eq!(status["status"], "completed", "{status}");

    let model = ReadModel::open_sqlite_read_only(&database);
    let items = model
        .items(&job.parse().unwrap(), None, 1000)
        .await
        .unwrap();
    let items: BTreeMap<String, _> = items
        .into_iter()
        .map(|item| (item.item_id.to_string(), item))
        .collect();
    let rows = rows(&fleet.url).await;
    let exhibits = museum();
    assert_eq!(
        items.len(),
        exhibits.len(),
        "every exhibit and nothing else was counted"
    );
    assert_eq!(status["total"].as_u64(), Some(exhibits.len() as u64));
    for exhibit in &exhibits {
        let what = format!("{:?} in {:?}", exhibit.name, exhibit.path);
        let item = items
            .get(&exhibit.item_id)
            .unwrap_or_else(|| panic!("{what} was not listed"));
        match &exhibit.expect {
            Expect::Imported { md5, size } => {
                assert_eq!(item.state, ItemState::Imported, "{what}: {item:?}");
                let row = rows
                    .iter()
                    .find(|row| row["md5"] == md5.as_str() && row["size"] == *size)
                    .unwrap_or_else(|| panic!("{what} has no row"));
                let key = storage::Key::new(row["key"].as_str().unwrap()).unwrap();
                let bytes = store
                    .get(&key, None)
                    .await
                    .unwrap()
                    .unwrap()
                    .collect()
                    .await
                    .unwrap();
                assert_eq!(hex::encode(Md5::digest(&bytes)), *md5, "{what}");
            }
            Expect::Skipped(code) => {
                assert_eq!(item.state, ItemState::Skipped, "{what}: {item:?}");
                assert_eq!(
                    item.reason.map(Reason::code),
                    Some(*code),
                    "{what}: {item:?}"
                );
            }
            Expect::Failed(code) => {
                assert_eq!(item.state, ItemState::Failed, "{what}: {item:?}");
                assert_eq!(
                    item.reason.map(Reason::code),
                    Some(*code),
                    "{what}: {item:?}"
                );
            }
        }
    }
    // What failed is grouped by cause, with advice.
    let url = format!("{}/api/imports/{job}/failures", fleet.url);
    let failures: serde_json::Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    let planned = exhibits
        .iter()
        .filter(|exhibit| matches!(exhibit.expect, Expect::Failed(_)))
        .count();
    assert_eq!(status["failed"].as_u64(), Some(planned as u64));
    let text = failures.to_string();
    for exhibit in &exhibits {
        if let Expect::Failed(cause) = exhibit.expect {
            assert!(text.contains(cause), "{cause} in {text}");
        }
    }
    fleet.stop().await.unwrap();
}
