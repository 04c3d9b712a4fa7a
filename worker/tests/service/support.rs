//! NATS, Drive and a store of a test's own, and workers on them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::PullConsumer;
use bytes::Bytes;
use contracts::{
    Event, EventBody, FileId, ImportId, ImportImage, Prefix, SourceFile, Task, streams, subjects,
};
use drive::{Auth, Drive, DriveConfig, Entry, FolderRef};
use drive_sim::{DEFAULT_API_KEY, Faults, Options};
use futures::StreamExt as _;
use jetstream::{Nats, User};
use prometheus::Registry;
use runtime::backoff::RetryPolicy;
use runtime::{Health, Service};
use storage::{Key, Store, StoreConfig};
use tempfile::TempDir;
use testkit::{NatsServer, until};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use worker::Config;

pub(crate) const PATIENCE: Duration = Duration::from_secs(50);

pub(crate) struct Fixture {
    pub(crate) server: NatsServer,
    pub(crate) nats: Nats,
    pub(crate) sim: drive_sim::Server,
    pub(crate) store: Store,
    pub(crate) import: ImportId,
    store_config: StoreConfig,
    /// Read so far.
    events: Mutex<Vec<Event>>,
    folder: TempDir,
}

/// Everything there, Drive with `faults`, a directory as the store.
pub(crate) async fn start(faults: Faults) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let store = StoreConfig::Local {
        root: folder.path().join("bucket"),
    };
    Box::pin(start_on(folder, store, faults)).await
}

pub(crate) async fn start_on(folder: TempDir, store: StoreConfig, faults: Faults) -> Fixture {
    let (server, nats) = NatsServer::start_with_topology().await.unwrap();
    let options = Options {
        faults,
        ..Options::default()
    };
    Fixture {
        server,
        nats,
        sim: drive_sim::serve(options).await.unwrap(),
        store: Store::open(store.clone()).await.unwrap(),
        import: ImportId::generate(),
        store_config: store,
        events: Mutex::default(),
        folder,
    }
}

/// A worker at work.
pub(crate) struct Running {
    pub(crate) health: Health,
    pub(crate) registry: Registry,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Fixture {
    pub(crate) fn config(&self) -> Config {
        Config {
            nats: self.server.config_of(User::Worker),
            drive: DriveConfig {
                endpoint: self.sim.url().parse().unwrap(),
                auth: Auth::ApiKey(DEFAULT_API_KEY.into()),
                ..DriveConfig::default()
            },
            quota: None,
            store: self.store_config.clone(),
            concurrency: 8,
            retry: RetryPolicy {
                max_attempts: 3,
                base: Duration::from_millis(1),
                ..RetryPolicy::default()
            },
            grace: PATIENCE,
            health_listen: None,
        }
    }

    pub(crate) fn work(&self) -> Running {
        Running::start(self.config())
    }

    pub(crate) fn task(&self, file: SourceFile) -> ImportImage {
        ImportImage {
            import_id: self.import.clone(),
            run: 1,
            attempt: 1,
            file,
            destination_prefix: "photos".parse().unwrap(),
        }
    }

    pub(crate) async fn publish(&self, task: ImportImage) {
        let id = uuid::Uuid::new_v4().to_string();
        let payload = contracts::encode(&Task::ImportImage(task)).unwrap();
        self.publish_raw(&id, payload).await;
    }

    pub(crate) async fn publish_raw(&self, id: &str, payload: Vec<u8>) {
        let subject = subjects::task(&self.import);
        self.nats
            .publish(subject, id, payload.into())
            .await
            .unwrap();
    }

    pub(crate) async fn publish_all(&self, files: Vec<SourceFile>) {
        for file in files {
            self.publish(self.task(file)).await;
        }
    }

    /// What a listing says of a folder of generated images.
    pub(crate) async fn listed(&self, folder: &str) -> Vec<SourceFile> {
        let drive = Drive::new(self.config().drive).unwrap();
        list(&drive, folder).await
    }

    /// Every event so far.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let mut events = self.events.lock().await;
        let Ok(stream) = self.nats.context.get_stream(streams::EVENTS).await else {
            return events.clone();
        };
        let last = stream.cached_info().state.last_sequence;
        while (events.len() as u64) < last {
            let message = stream.direct_get(events.len() as u64 + 1).await.unwrap();
            let event: Event = contracts::decode(&message.payload).unwrap();
            assert_eq!(
                message.subject.as_str(),
                subjects::event(&event.import_id, event.body.kind())
            );
            events.push(event);
        }
        events.clone()
    }

    /// Wait until `pick` finds what it wants among the events.
    pub(crate) async fn event<T>(&self, what: &str, pick: impl Fn(&EventBody) -> Option<T>) -> T {
        until(what, PATIENCE, || async {
            self.events().await.iter().find_map(|e| pick(&e.body))
        })
        .await
    }

    /// Wait until nothing is left to do, retries included.
    pub(crate) async fn all_done(&self) {
        until("no task is left", PATIENCE, || async {
            (self.tasks_left().await == Some(0)).then_some(())
        })
        .await;
    }

    /// Tasks in the stream, held and scheduled ones included.
    pub(crate) async fn tasks_left(&self) -> Option<u64> {
        let stream = self.nats.context.get_stream(streams::TASKS).await.ok()?;
        Some(stream.cached_info().state.messages)
    }

    /// Tasks that a worker would be given at once. They are given back.
    pub(crate) async fn tasks_ready(&self) -> usize {
        let tasks = self.tasks().await;
        let ready = tasks.fetch().max_messages(100).messages().await.unwrap();
        let ready: Vec<_> = ready.collect().await;
        for message in &ready {
            let message = message.as_ref().unwrap();
            message.ack_with(AckKind::Nak(None)).await.unwrap();
        }
        ready.len()
    }

    /// Take the one task that is waiting and give it back, `times` over, as workers that die do.
    pub(crate) async fn crash(&self, times: usize) {
        let consumer = self.tasks().await;
        for _ in 0..times {
            let mut batch = consumer
                .batch()
                .max_messages(1)
                .expires(PATIENCE)
                .messages()
                .await
                .unwrap();
            let message = batch.next().await.unwrap().unwrap();
            message.ack_with(AckKind::Nak(None)).await.unwrap();
        }
    }

    pub(crate) async fn tasks(&self) -> PullConsumer {
        self.nats
            .context
            .get_consumer_from_stream(streams::WORKERS, streams::TASKS)
            .await
            .unwrap()
    }

    /// Every object there is, by its key.
    pub(crate) async fn objects(&self) -> BTreeMap<String, Bytes> {
        let mut objects = BTreeMap::new();
        for name in self.store.keys("").await.unwrap() {
            let key = Key::new(name.as_str()).unwrap();
            let body = self.store.get(&key, None).await.unwrap().unwrap();
            objects.insert(name, body.collect().await.unwrap());
        }
        objects
    }

    /// Check that each file is imported at its attempt `attempt`, byte for byte, and nothing else.
    pub(crate) async fn assert_imported(&self, files: &[SourceFile], attempt: u32) {
        self.all_done().await;
        let mut keys = BTreeMap::new();
        for event in self.events().await {
            if let EventBody::ImageImported {
                file,
                object,
                attempt: found,
                ..
            } = event.body
            {
                assert_eq!(found, attempt, "{}", file.name);
                keys.insert(file.item_id, object);
            }
        }
        assert_eq!(keys.len(), files.len());
        let mut objects = self.objects().await;
        for file in files {
            let object = &keys[&file.item_id];
            let body = objects.remove(&object.key).unwrap();
            assert_eq!(
                body,
                drive_sim::content(file.id.as_str()).unwrap(),
                "{}",
                file.name
            );
            assert_eq!(Some(&object.md5), file.md5.as_ref());
            assert_eq!(Some(&object.sha256), file.sha256.as_ref());
            assert_eq!(object.size, body.len() as u64);
        }
        assert_eq!(objects.keys().next(), None, "an object without an event");
    }

    /// Check that no event says more than that images were imported.
    pub(crate) async fn assert_nothing_failed(&self) {
        for event in self.events().await {
            assert!(
                matches!(event.body, EventBody::ImageImported { .. }),
                "{:?}",
                event.body
            );
        }
    }

    /// Downloads of one file.
    pub(crate) fn downloads(&self, file: &FileId) -> u64 {
        let stats = self.sim.stats();
        stats.downloads.get(file.as_str()).copied().unwrap_or(0)
    }

    /// The directory of the store, for what only a disk can tell.
    pub(crate) fn bucket(&self) -> PathBuf {
        self.folder.path().join("bucket")
    }
}

impl Running {
    pub(crate) fn start(config: Config) -> Self {
        let service = Service {
            health: Health::new("worker"),
            registry: Registry::new(),
            stop: CancellationToken::new(),
        };
        Self {
            health: service.health.clone(),
            registry: service.registry.clone(),
            stop: service.stop.clone(),
            task: tokio::spawn(Box::pin(worker::run(config, service))),
        }
    }

    /// Stop it and wait for its end.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.ended().await.unwrap();
    }

    /// Wait for its end.
    pub(crate) async fn ended(self) -> anyhow::Result<()> {
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("the worker does not end")
            .unwrap()
    }

    /// Tell it to stop.
    pub(crate) fn cancel(&self) {
        self.stop.cancel();
    }

    /// Wait until readiness says that `dependency` is waited for, and why.
    pub(crate) async fn waits_for(&self, dependency: &str) -> String {
        until(&format!("{dependency} is waited for"), PATIENCE, || async {
            let report = self.health.snapshot();
            report.dependencies.get(dependency)?.why.clone()
        })
        .await
    }

    /// Wait until it waits for nothing. It names the store once it is at work.
    pub(crate) async fn is_ready(&self) {
        until("it is ready", PATIENCE, || async {
            let report = self.health.snapshot();
            (report.status == "ok" && report.dependencies.contains_key("store")).then_some(())
        })
        .await;
    }

    /// The value of a counter or gauge, all its labels taken together.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        self.registry
            .gather()
            .iter()
            .filter(|family| family.name() == name)
            .flat_map(prometheus::proto::MetricFamily::get_metric)
            .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
            .sum()
    }
}

/// SIGKILL.
pub(crate) fn kill(pid: i32) {
    let killed = std::process::Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status();
    assert!(killed.unwrap().success());
}

/// Every file beneath a folder as tasks name them, shortcuts to files followed.
pub(crate) async fn list(drive: &Drive, folder: &str) -> Vec<SourceFile> {
    let root = FolderRef {
        id: folder.parse().unwrap(),
        resource_key: None,
    };
    let mut files = Vec::new();
    let mut open = vec![drive.folder(&root).await.unwrap()];
    let mut seen = std::collections::HashSet::new();
    while let Some(folder) = open.pop() {
        if !seen.insert(folder.id.clone()) {
            continue;
        }
        let mut token = None;
        loop {
            let page = drive.list(&folder, token.as_deref()).await.unwrap();
            for entry in page.entries {
                match entry {
                    Entry::File(file) => files.push(source_file(file.id.clone(), file)),
                    Entry::Folder(folder) => open.push(folder),
                    Entry::Shortcut(shortcut) => {
                        let key = shortcut.target_resource_key.as_deref();
                        match drive.file(&shortcut.target_id, key).await {
                            Ok(Entry::File(file)) => files.push(source_file(shortcut.id, file)),
                            Ok(Entry::Folder(folder)) => open.push(folder),
                            Ok(Entry::Shortcut(_)) | Err(_) => {}
                        }
                    }
                }
            }
            match page.next {
                Some(next) => token = Some(next),
                None => break,
            }
        }
    }
    files
}

fn source_file(item_id: FileId, file: drive::File) -> SourceFile {
    SourceFile {
        item_id,
        id: file.id,
        name: file.name,
        mime_type: file.mime_type,
        size: file.size,
        md5: file.md5,
        sha256: file.sha256,
        modified_time: file.modified_time,
        resource_key: file.resource_key,
        path: String::new(),
    }
}

/// No prefix, for keys that begin at the bucket's root.
pub(crate) fn no_prefix() -> Prefix {
    Prefix::default()
}
