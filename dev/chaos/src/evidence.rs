//! What is found afterwards, from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use contracts::{Event, streams, subjects};
use futures::{StreamExt as _, TryStreamExt as _};
use jetstream::Nats;

use crate::expect::{Content, Entry};
use crate::plan::Course;
use crate::tables::Tables;
use crate::world::{BUCKET, World};

/// Everything that is judged.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Each import, with what should have become of it.
    pub imports: Vec<Expected>,
    /// The bytes of each file that should have been imported.
    pub contents: BTreeMap<String, Content>,
    /// Every object in the bucket, by its key.
    pub objects: BTreeMap<String, Content>,
    /// Keys of uploads that were begun and neither completed nor given up.
    pub uploads: Vec<String>,
    /// Files that lie where they should not.
    pub stray_files: Vec<String>,
    /// Messages left in the queues, by subject.
    pub messages: BTreeMap<String, usize>,
    /// What lies in SQLite.
    pub tables: Tables,
    /// What happened.
    pub events: Vec<Event>,
    /// Downloads by file, as Drive counted them.
    pub downloads: BTreeMap<String, u64>,
    /// What the rebuilt tables differ in from the live ones, if that was asked.
    pub rebuilt: Option<String>,
}

/// One import, with what should have become of it.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its id.
    pub job: String,
    /// What was done to it.
    pub course: Course,
    /// Commands that were accepted.
    pub commanded: Vec<&'static str>,
    /// Every entry of its folder, by the entry's id.
    pub entries: BTreeMap<String, Entry>,
}

/// Every event that the stream holds, in order.
///
/// # Errors
/// When the stream cannot be read.
pub async fn events(nats: &Nats) -> anyhow::Result<Vec<Event>> {
    let stream = nats.context.get_stream(streams::EVENTS).await?;
    let (mut events, last) = (Vec::new(), stream.cached_info().state.last_sequence);
    if last == 0 {
        return Ok(events);
    }
    let consumer = stream.create_consumer(OrderedConfig::default()).await?;
    let mut messages = consumer.messages().await?;
    let patience = Duration::from_secs(60);
    loop {
        let next = tokio::time::timeout(patience, messages.next()).await?;
        let message = next.context("the event stream ended early")??;
        events.push(contracts::decode::<Event>(&message.payload)?);
        let info = message.info().map_err(|error| anyhow::anyhow!(error))?;
        if info.stream_sequence >= last {
            return Ok(events);
        }
    }
}

/// What is still queued: requests, commands, tasks, retries and parked tasks, by subject.
///
/// # Errors
/// When a stream cannot be read.
pub async fn messages(nats: &Nats) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut left = BTreeMap::new();
    for (stream, filter) in [
        (streams::IMPORTS, subjects::REQUESTS),
        (streams::IMPORTS, subjects::COMMANDS),
        (streams::TASKS, subjects::TASKS),
        (streams::TASKS, subjects::RETRIES),
        (streams::TASKS, subjects::PARKED),
    ] {
        let stream = nats.context.get_stream(stream).await?;
        let mut info = stream.info_with_subjects(filter).await?;
        while let Some((subject, count)) = info.try_next().await? {
            left.insert(subject, count);
        }
    }
    Ok(left)
}

/// Wait until nothing is queued and every event is folded; what is left if that takes too long.
///
/// # Errors
/// When NATS or SQLite cannot be read, or not everything settles in time.
pub async fn settled(nats: &Nats, database: &Path, deadline: Instant) -> anyhow::Result<()> {
    let mut quiet = 0;
    loop {
        let left = messages(nats).await?;
        let stream = nats.context.get_stream(streams::EVENTS).await?;
        let (told, folded) = (
            stream.cached_info().state.last_sequence,
            Tables::folded(database)?,
        );
        quiet = if left.is_empty() && told == folded {
            quiet + 1
        } else {
            0
        };
        // Twice in a row: between a retry's copy and the next look nothing may be on its way.
        if quiet == 2 {
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "left in the queues: {left:?}; folded {folded} of {told} events"
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// A client for the bucket that passes no proxy.
#[must_use]
pub fn bucket(world: &World) -> Client {
    let credentials = Credentials::new(
        world.weed.access_key(),
        world.weed.secret_key(),
        None,
        None,
        "chaos",
    );
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(world.weed.endpoint())
        .force_path_style(true)
        .credentials_provider(credentials)
        .build();
    Client::from_conf(config)
}

/// Every object of the bucket, read to its end.
///
/// # Errors
/// When the store does not give one of them.
pub async fn objects(client: &Client) -> anyhow::Result<BTreeMap<String, Content>> {
    let mut pages = client
        .list_objects_v2()
        .bucket(BUCKET)
        .into_paginator()
        .send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page?;
        keys.extend(
            page.contents()
                .iter()
                .filter_map(|object| object.key().map(str::to_owned)),
        );
    }
    let read = keys.into_iter().map(|key| async move {
        let object = client.get_object().bucket(BUCKET).key(&key).send().await?;
        let bytes = object.body.collect().await?.into_bytes();
        anyhow::Ok((key, Content::of(&bytes)))
    });
    futures::stream::iter(read)
        .buffer_unordered(8)
        .try_collect()
        .await
}

/// Uploads begun and not ended.
///
/// # Errors
/// When the store does not answer.
pub async fn uploads(client: &Client) -> anyhow::Result<Vec<String>> {
    let listed = client
        .list_multipart_uploads()
        .bucket(BUCKET)
        .send()
        .await?;
    let uploads = listed.uploads().iter();
    Ok(uploads
        .map(|upload| upload.key().unwrap_or("?").to_owned())
        .collect())
}

/// Files beside the database that are none of its own.
///
/// # Errors
/// When the folder cannot be read.
pub fn stray_files(data: &Path) -> anyhow::Result<Vec<String>> {
    let own = [
        "imagefleet.db",
        "imagefleet.db-wal",
        "imagefleet.db-shm",
        "imagefleet.db.migrate.lock",
    ];
    let own = BTreeSet::from(own);
    let mut strays = Vec::new();
    for entry in std::fs::read_dir(data)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !own.contains(name.as_str()) {
            strays.push(name);
        }
    }
    Ok(strays)
}
