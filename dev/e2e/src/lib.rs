//! Whole-fleet tests on real parts. The tests are in `tests/`; here is what they share.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod broker;
pub mod metrics;

use std::collections::BTreeSet;

use drive_sim::Server;
use futures::StreamExt as _;
use serde_json::Value;
use storage::{Key, Store, StoreConfig};
use testkit::weed::Weed;

/// A bucket of the shared SeaweedFS: the settings for the fleet, and our own view of it.
pub async fn bucket(name: &str) -> (Vec<(&'static str, String)>, Store) {
    bucket_of(Weed::shared().await.unwrap(), name).await
}

/// A bucket of a SeaweedFS of the caller's.
pub async fn bucket_of(weed: &Weed, name: &str) -> (Vec<(&'static str, String)>, Store) {
    weed.create_bucket(name).await.unwrap();
    let env = vec![
        ("STORAGE_PROVIDER", "aws".to_owned()),
        ("AWS_BUCKET_NAME", name.to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ENDPOINT_URL", weed.endpoint()),
        ("AWS_ACCESS_KEY_ID", weed.access_key().to_owned()),
        ("AWS_SECRET_ACCESS_KEY", weed.secret_key().to_owned()),
    ];
    let config = StoreConfig::from_env(&runtime::Env::from_pairs(env.clone())).unwrap();
    (env, Store::open(config).await.unwrap())
}

pub use broker::{Drain, events, events_with_headers, outcomes};

/// A simulator, and the settings that lead the fleet to it.
pub async fn drive(faults: drive_sim::Faults) -> (Vec<(&'static str, String)>, Server) {
    drive_with(drive_sim::Options {
        faults,
        ..drive_sim::Options::default()
    })
    .await
}

/// A simulator with these options, and the settings that lead the fleet to it.
pub async fn drive_with(options: drive_sim::Options) -> (Vec<(&'static str, String)>, Server) {
    let server = drive_sim::serve(options).await.unwrap();
    let env = vec![
        ("GOOGLE_DRIVE_ENDPOINT", server.url()),
        ("GOOGLE_API_KEY", drive_sim::DEFAULT_API_KEY.to_owned()),
    ];
    (env, server)
}

/// Every image row of the gateway.
pub async fn rows(url: &str) -> Vec<Value> {
    let all: Value = reqwest::get(format!("{url}/api/images/all"))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(all["success"], true);
    let rows = all["images"].as_array().unwrap().clone();
    assert_eq!(all["total"].as_u64(), Some(rows.len() as u64));
    rows
}

/// One row and one object per source file, nothing else in the bucket, and every byte as it is in
/// Drive.
pub async fn assert_every_byte(url: &str, store: &Store, expected: usize) {
    let rows = rows(url).await;
    assert_eq!(rows.len(), expected, "rows");
    let sources: BTreeSet<&str> = rows
        .iter()
        .map(|row| row["google_drive_id"].as_str().unwrap())
        .collect();
    assert_eq!(sources.len(), expected, "one row per source file");
    let keys: BTreeSet<String> = rows
        .iter()
        .map(|row| row["key"].as_str().unwrap().to_owned())
        .collect();
    let found: BTreeSet<String> = store.keys("").await.unwrap().into_iter().collect();
    assert_eq!(found, keys, "the bucket holds exactly what the rows name");
    futures::stream::iter(&rows)
        .for_each_concurrent(16, |row| async move {
            let id = row["google_drive_id"].as_str().unwrap();
            let key = Key::new(row["key"].as_str().unwrap()).unwrap();
            let object = store
                .get(&key, None)
                .await
                .unwrap()
                .unwrap()
                .collect()
                .await
                .unwrap();
            let source = drive_sim::content(id).unwrap();
            assert!(
                object == source,
                "{id}: {} bytes stored, {} in Drive",
                object.len(),
                source.len()
            );
            assert_eq!(row["size"].as_u64(), Some(source.len() as u64));
        })
        .await;
}
