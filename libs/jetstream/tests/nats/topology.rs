//! The topology is created once and guarded afterwards.

use async_nats::jetstream::stream::RetentionPolicy;
use contracts::streams;
use jetstream::topology::{self, TopologyConfig, TopologyError};
use testkit::NatsServer;

#[tokio::test]
async fn what_setup_creates_verify_accepts_and_setup_repeats() {
    let (_server, nats) = NatsServer::start_with_topology().await.unwrap();
    topology::verify(&nats).await.unwrap();
    topology::setup(&nats, TopologyConfig::default())
        .await
        .unwrap();
    topology::verify(&nats).await.unwrap();
}

#[tokio::test]
async fn a_missing_stream_is_named_with_the_fix() {
    let server = NatsServer::start().await.unwrap();
    let nats = server.connect().await.unwrap();
    let error = topology::verify(&nats).await.unwrap_err();
    assert!(matches!(error, TopologyError::Missing(_)), "{error}");
    assert!(error.to_string().contains("imagefleet setup"), "{error}");
}

#[tokio::test]
async fn drift_is_refused_with_every_difference_and_setup_repairs_it() {
    let (_server, nats) = NatsServer::start_with_topology().await.unwrap();
    let mut config = nats
        .context
        .get_stream(streams::TASKS)
        .await
        .unwrap()
        .cached_info()
        .config
        .clone();
    assert_eq!(config.retention, RetentionPolicy::WorkQueue);
    config.max_messages = 10;
    config.allow_atomic_publish = false;
    nats.context.update_stream(&config).await.unwrap();
    let TopologyError::Drift(differences) = topology::verify(&nats).await.unwrap_err() else {
        panic!("expected drift");
    };
    assert_eq!(differences.len(), 2, "{differences:?}");
    assert!(
        differences
            .iter()
            .any(|d| d.contains("allow_atomic is false, must be true")),
        "{differences:?}"
    );
    assert!(
        differences.iter().any(|d| d.contains("max_msgs is 10")),
        "{differences:?}"
    );
    topology::setup(&nats, TopologyConfig::default())
        .await
        .unwrap();
    topology::verify(&nats).await.unwrap();
}
