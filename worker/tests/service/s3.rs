//! The same on an S3 server.

use drive_sim::Faults;
use storage::{S3Config, Store, StoreConfig};
use testkit::weed::Weed;

use crate::support;

#[tokio::test]
async fn small_and_large_images_arrive_in_s3() {
    let weed = Weed::start().await.unwrap();
    let config = S3Config::new("images", "us-east-1", weed.endpoint().parse().ok());
    let config = StoreConfig::S3(config.with_key(weed.access_key(), weed.secret_key()));
    let it = support::start_on(
        tempfile::tempdir().unwrap(),
        config.clone(),
        Faults::default(),
    );
    let it = Box::pin(it).await;
    let mut files = it.listed("sim-n10-s30k").await;
    // Two parts and a bit.
    files.extend(it.listed("sim-n1-s17m").await);
    it.publish_all(files.clone()).await;
    let worker = it.work();

    // An outage first: there is no bucket yet.
    let why = worker.waits_for("store").await;
    assert!(why.contains("AWS_BUCKET_NAME"), "{why}");
    let store = Store::open(config).await.unwrap();
    store.create_bucket().await.unwrap();
    it.assert_imported(&files, 1).await;
    it.assert_nothing_failed().await;

    // Nothing half-done becomes an object.
    let damaged = it.listed("sim-n1-s9m").await;
    it.sim.set_faults(Faults {
        truncate: 1.0,
        ..Faults::default()
    });
    it.publish_all(damaged.clone()).await;
    it.event("it is retried", |body| {
        matches!(body, contracts::EventBody::ImageRetrying { .. }).then_some(())
    })
    .await;
    assert_eq!(it.objects().await.len(), files.len());
    // Nor is it left behind, however an upload ended: `clean` would find it.
    worker.stop().await;
    let left = store.clean(std::time::Duration::ZERO).await.unwrap();
    assert_eq!(left.removed, 0);
}
