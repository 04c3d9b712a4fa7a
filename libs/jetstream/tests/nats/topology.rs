//! The topology is created once and guarded afterwards.

use std::time::Duration;

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
async fn setup_keeps_what_it_is_not_told() {
    let (_server, nats) = NatsServer::start_with_topology().await.unwrap();
    let day = Duration::from_secs(24 * 3600);
    let wanted = TopologyConfig {
        events_retention: Some(90 * day),
        max_ack_pending: Some(40_000),
        ack_wait: Some(Duration::from_secs(45)),
        replicas: None,
    };
    topology::setup(&nats, wanted).await.unwrap();
    let chosen = topology::setup(&nats, TopologyConfig::default()).await;
    let chosen = chosen.unwrap();
    assert_eq!((chosen.replicas, chosen.events_retention), (1, 90 * day));
    let events = nats.context.get_stream(streams::EVENTS).await.unwrap();
    assert_eq!(events.cached_info().config.max_age, 90 * day);
    let tasks = nats.context.get_stream(streams::TASKS).await.unwrap();
    let workers = tasks.consumer_info(streams::WORKERS).await.unwrap().config;
    let kept = (workers.max_ack_pending, workers.ack_wait);
    assert_eq!(kept, (40_000, Duration::from_secs(45)));

    let for_good = TopologyConfig {
        events_retention: Some(Duration::ZERO),
        ..TopologyConfig::default()
    };
    topology::setup(&nats, for_good).await.unwrap();
    let chosen = topology::setup(&nats, TopologyConfig::default()).await;
    assert_eq!(chosen.unwrap().events_retention, Duration::ZERO);
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
