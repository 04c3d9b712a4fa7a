//! What is found afterwards, from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use contracts::{Event, streams, subjects};
use futures::{StreamExt as _, TryStreamExt as _};
use jetstream::Nats;
use serde_json::Value;

use crate::expect::{Content, Entry};
use crate::tables::Tables;

/// Where the store keeps the parts of unfinished uploads.
const UPLOADS: &str = ".uploads";
/// The bit that marks a folder in a mode, as Go has it.
const FOLDER: u64 = 1 << 31;

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
    /// What happened, each event with its place in the stream.
    pub events: Vec<(u64, Event)>,
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
    /// Commands that were accepted.
    pub commanded: Vec<&'static str>,
    /// The last status that its requester saw.
    pub seen: Value,
    /// Every entry of its folder, by the entry's id.
    pub entries: BTreeMap<String, Entry>,
}

/// Every event that the stream holds, in order.
///
/// # Errors
/// When the stream cannot be read.
pub async fn events(nats: &Nats) -> anyhow::Result<Vec<(u64, Event)>> {
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
        let info = message.info().map_err(|error| anyhow::anyhow!(error))?;
        let event = contracts::decode::<Event>(&message.payload)?;
        events.push((info.stream_sequence, event));
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

/// Every object of the bucket, read to its end, and the names of uploads begun and not ended. Asks
/// the store's own file server, past S3 and past every proxy.
///
/// # Errors
/// When the store does not give one of them.
pub async fn bucket(url: &str) -> anyhow::Result<(BTreeMap<String, Content>, Vec<String>)> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let (mut keys, mut uploads) = (Vec::new(), Vec::new());
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in entries(&http, url, &folder).await? {
            let path = entry["FullPath"]
                .as_str()
                .context("an entry without a path")?;
            let name = path.rsplit('/').next().unwrap_or_default();
            let key = format!("{folder}{name}");
            let is_folder = entry["Mode"].as_u64().unwrap_or(0) & FOLDER != 0;
            match (folder.as_str(), name) {
                ("", UPLOADS) => folders.push(format!("{UPLOADS}/")),
                (parent, _) if parent.starts_with(UPLOADS) => uploads.push(key),
                _ if is_folder => folders.push(format!("{key}/")),
                _ => keys.push(key),
            }
        }
    }
    let read = keys.into_iter().map(|key| {
        let request = http.get(format!("{url}/{key}"));
        async move {
            let bytes = request.send().await?.error_for_status()?.bytes().await?;
            anyhow::Ok((key, Content::of(&bytes)))
        }
    });
    let objects = futures::stream::iter(read)
        .buffer_unordered(8)
        .try_collect()
        .await?;
    Ok((objects, uploads))
}

async fn entries(http: &reqwest::Client, url: &str, folder: &str) -> anyhow::Result<Vec<Value>> {
    let (mut all, mut last) = (Vec::new(), String::new());
    loop {
        let request = http
            .get(format!("{url}/{folder}"))
            .query(&[("limit", "1000"), ("lastFileName", &last)])
            .header("accept", "application/json");
        let response = request.send().await?;
        // Of a folder that was never made.
        if response.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(all);
        }
        let page: Value = response.error_for_status()?.json().await?;
        all.extend(page["Entries"].as_array().cloned().unwrap_or_default());
        if page["ShouldDisplayLoadMore"] != true {
            return Ok(all);
        }
        page["LastFileName"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut last);
    }
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
