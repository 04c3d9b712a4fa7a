//! The streams, consumers and buckets that must exist.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, pull};
use async_nats::jetstream::kv;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use contracts::{streams, subjects};

use super::config::Chosen;

pub(super) fn streams(chosen: Chosen) -> Vec<Config> {
    let base = || Config {
        storage: StorageType::File,
        num_replicas: chosen.replicas,
        duplicate_window: streams::DUPLICATE_WINDOW,
        discard: DiscardPolicy::Old,
        allow_direct: true,
        max_consumers: -1,
        max_messages: -1,
        max_bytes: -1,
        max_messages_per_subject: -1,
        ..Config::default()
    };
    vec![
        Config {
            name: streams::IMPORTS.into(),
            description: Some("Import requests and commands to imports".into()),
            subjects: vec![subjects::REQUESTS.into(), subjects::COMMANDS.into()],
            retention: RetentionPolicy::WorkQueue,
            ..base()
        },
        Config {
            name: streams::TASKS.into(),
            description: Some(
                "One message per image; scheduled retries; tasks of paused imports; listing checkpoints"
                    .into(),
            ),
            subjects: vec![
                subjects::TASKS.into(),
                subjects::RETRIES.into(),
                subjects::PARKED.into(),
                subjects::CHECKPOINTS.into(),
            ],
            retention: RetentionPolicy::WorkQueue,
            allow_atomic_publish: true,
            allow_message_schedules: true,
            allow_message_ttl: true,
            allow_rollup: true,
            ..base()
        },
        Config {
            name: streams::EVENTS.into(),
            description: Some("What happened; the source of truth for every projection".into()),
            subjects: vec![subjects::EVENTS.into()],
            retention: RetentionPolicy::Limits,
            max_age: chosen.events_retention,
            ..base()
        },
    ]
}

pub(super) fn consumers(chosen: Chosen) -> Vec<(&'static str, pull::Config)> {
    let base = |name: &str, filter: &str, max_ack_pending| pull::Config {
        durable_name: Some(name.into()),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: chosen.ack_wait,
        max_deliver: -1,
        filter_subject: filter.into(),
        replay_policy: ReplayPolicy::Instant,
        max_ack_pending,
        ..pull::Config::default()
    };
    vec![
        (
            streams::IMPORTS,
            base(streams::PRODUCERS, subjects::REQUESTS, 10_000),
        ),
        (
            streams::IMPORTS,
            base(streams::CONTROLLERS, subjects::COMMANDS, 10_000),
        ),
        (
            streams::TASKS,
            base(streams::WORKERS, subjects::TASKS, chosen.max_ack_pending),
        ),
    ]
}

pub(super) fn buckets(chosen: Chosen) -> Vec<kv::Config> {
    let base = |bucket: &str, max_age| kv::Config {
        bucket: bucket.into(),
        history: 1,
        max_age,
        storage: StorageType::File,
        num_replicas: chosen.replicas,
        ..kv::Config::default()
    };
    vec![
        base(streams::FLEET, streams::PRESENCE_TTL),
        base(streams::CONTROL, Duration::ZERO),
        base(streams::SUBMISSIONS, streams::SUBMISSION_TTL),
    ]
}
