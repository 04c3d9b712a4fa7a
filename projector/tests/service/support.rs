//! NATS and a database of a test's own, projectors on them, and events to fold.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use contracts::event::{SkippedEntry, Timings};
use contracts::{
    Cause, Event, EventBody, FileId, ImportId, ImportImage, ImportRequest, Object, Prefix,
    SkipReason, SourceFile, streams, subjects,
};
use jetstream::{Members, Nats, User};
use projector::Config;
use prometheus::Registry;
use read_model::fold::State;
use read_model::{ImagesQuery, Item, ReadModel, ReadModelConfig};
use runtime::{Health, Service};
use tempfile::TempDir;
use testkit::{NatsServer, until};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const PATIENCE: Duration = Duration::from_secs(50);

pub(crate) struct Fixture {
    pub(crate) server: NatsServer,
    pub(crate) nats: Nats,
    pub(crate) folder: TempDir,
}

pub(crate) async fn start() -> Fixture {
    let (server, nats) = NatsServer::start_with_topology().await.unwrap();
    Fixture {
        server,
        nats,
        folder: tempfile::tempdir().unwrap(),
    }
}

/// A projector at work.
pub(crate) struct Running {
    pub(crate) health: Health,
    pub(crate) registry: Registry,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Fixture {
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("data/read-model.db")
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            nats: self.server.config_of(User::Projector),
            read_model: ReadModelConfig::sqlite(self.database()),
            health_listen: None,
        }
    }

    pub(crate) fn project(&self) -> Running {
        Running::start(self.config())
    }

    pub(crate) fn tables(&self) -> ReadModel {
        ReadModel::open_sqlite_read_only(&self.database())
    }

    pub(crate) async fn publish(&self, events: &[Event]) {
        let mut under_way = tokio::task::JoinSet::new();
        // Many at a time; their order is whatever the server makes of it.
        for event in events {
            let subject = subjects::event(&event.import_id, event.body.kind());
            let payload = contracts::encode(event).unwrap();
            let nats = self.nats.clone();
            under_way.spawn(async move { put(&nats, subject, payload).await });
            if under_way.len() >= 64 {
                under_way.join_next().await.unwrap().unwrap();
            }
        }
        while let Some(published) = under_way.join_next().await {
            published.unwrap();
        }
    }

    pub(crate) async fn publish_raw(&self, payload: &[u8]) {
        put(
            &self.nats,
            "events.someone.image.imported".into(),
            payload.into(),
        )
        .await;
    }

    /// Wait until everybody can know why the database is waited for, or that it is not.
    pub(crate) async fn fleet_hears(&self, why: Option<&str>) {
        let members = Members::default();
        let what = format!("the fleet hears {why:?}");
        let hears = until(&what, PATIENCE, || async {
            (members.waiting().get("sql").map(String::as_str) == why).then_some(())
        });
        tokio::select! {
            ended = members.follow(&self.nats) => panic!("{ended:?}"),
            () = hears => {}
        }
    }

    /// Sequence of the stream's last message.
    pub(crate) async fn last(&self) -> u64 {
        let stream = self.nats.context.get_stream(streams::EVENTS).await.unwrap();
        stream.cached_info().state.last_sequence
    }

    /// Wait until everything in the stream is folded, then hold the tables against a fold of the
    /// same events in memory.
    pub(crate) async fn assert_exact(&self) {
        let last = self.last().await;
        self.folded_to(last).await;
        let mut state = State::default();
        let stream = self.nats.context.get_stream(streams::EVENTS).await.unwrap();
        for sequence in 1..=last {
            let message = stream.direct_get(sequence).await.unwrap();
            if let Ok(event) = contracts::decode::<Event>(&message.payload) {
                state.apply(sequence, &event);
            }
        }
        self.assert_holds(&state).await;
    }

    pub(crate) async fn folded_to(&self, sequence: u64) {
        let tables = self.tables();
        until(&format!("event {sequence} is folded"), PATIENCE, || async {
            let at = tables.checkpoint(projector::CHECKPOINT).await.ok()?;
            (at == sequence).then_some(())
        })
        .await;
    }

    async fn assert_holds(&self, state: &State) {
        let tables = self.tables();
        for import in state.imports() {
            assert_eq!(
                tables.import(&import.id).await.unwrap().as_ref(),
                Some(import)
            );
            let expected: BTreeMap<&FileId, &Item> = state
                .items()
                .filter(|(id, _)| **id == import.id)
                .map(|(_, item)| (&item.item_id, item))
                .collect();
            let mut items: Vec<Item> = Vec::new();
            loop {
                let after = items.last().map(|item| item.item_id.clone());
                let page = tables
                    .items(&import.id, after.as_ref(), 1000)
                    .await
                    .unwrap();
                if page.is_empty() {
                    break;
                }
                items.extend(page);
            }
            assert_eq!(items.iter().collect::<Vec<_>>().len(), expected.len());
            for item in &items {
                assert_eq!(item, expected[&item.item_id]);
            }
        }
        let mut images = BTreeMap::new();
        let mut all = tables.all_images(ImagesQuery::default());
        while let Some(row) = all.next().await.unwrap() {
            images.insert(row.image.google_drive_id.clone(), row);
        }
        let expected: BTreeMap<_, _> = state
            .images()
            .map(|row| (row.image.google_drive_id.clone(), row.clone()))
            .collect();
        assert_eq!(images, expected);
        assert_eq!(images.len(), expected.len());
        let mut statistics: Vec<_> = state.statistics().cloned().collect();
        statistics.sort_by(|a, b| a.provider.cmp(&b.provider));
        assert_eq!(tables.statistics().await.unwrap(), statistics);
    }
}

async fn put(nats: &Nats, subject: String, payload: Vec<u8>) {
    let id = uuid::Uuid::new_v4().to_string();
    nats.publish(subject, &id, Bytes::from(payload))
        .await
        .unwrap();
}

impl Running {
    pub(crate) fn start(config: Config) -> Self {
        let service = Service {
            health: Health::new("projector"),
            registry: Registry::new(),
            stop: CancellationToken::new(),
        };
        Self {
            health: service.health.clone(),
            registry: service.registry.clone(),
            stop: service.stop.clone(),
            task: tokio::spawn(Box::pin(projector::run(config, service))),
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.ended().await.unwrap();
    }

    pub(crate) async fn ended(self) -> anyhow::Result<()> {
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("the projector does not end")
            .unwrap()
    }

    /// Wait until readiness says that `dependency` is waited for, and why.
    pub(crate) async fn waits_for(&self, dependency: &str) -> String {
        waits_for(&self.health, dependency).await
    }

    pub(crate) async fn is_ready(&self) {
        until("it is ready", PATIENCE, || async {
            let report = self.health.snapshot();
            (report.status == "ok" && report.dependencies.contains_key("nats")).then_some(())
        })
        .await;
    }

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

/// Wait until `health` says that `dependency` is waited for, and why.
pub(crate) async fn waits_for(health: &Health, dependency: &str) -> String {
    until(&format!("{dependency} is waited for"), PATIENCE, || async {
        let report = health.snapshot();
        report.dependencies.get(dependency)?.why.clone()
    })
    .await
}

/// The events of one import of `images` images whose ids begin with `name`: of every kind, some of
/// them twice. Every tenth fails, every tenth is retried first.
pub(crate) fn import(name: &str, images: usize) -> Vec<Event> {
    let id: ImportId = name.parse().unwrap();
    let file = |n: usize| file(name, n);
    let mut bodies = vec![EventBody::ImportAccepted {
        request: ImportRequest::google_drive(name),
        folder_name: Some(name.to_owned()),
    }];
    for (page, from) in (0..images).step_by(100).enumerate() {
        bodies.push(EventBody::ImportListed {
            page: page as u64 + 1,
            queued: (from..images.min(from + 100))
                .map(|n| file(n).item_id)
                .collect(),
            skipped: vec![SkippedEntry {
                item_id: format!("{name}-skipped-{page}").parse().unwrap(),
                name: "notes.txt".into(),
                reason: SkipReason::NotAnImage,
            }],
        });
    }
    for n in 0..images {
        match n % 10 {
            7 => bodies.push(EventBody::ImageFailed {
                cause: Cause::SourceGone,
                message: "gone".into(),
                attempts: 1,
                task: Box::new(ImportImage {
                    import_id: id.clone(),
                    run: 1,
                    attempt: 1,
                    file: file(n),
                    destination_prefix: Prefix::default(),
                }),
            }),
            rest => {
                if rest == 3 {
                    bodies.push(EventBody::ImageRetrying {
                        run: 1,
                        attempt: 1,
                        item_id: file(n).item_id,
                        name: file(n).name,
                        cause: Cause::NetworkError,
                        message: "broken".into(),
                        due: time::OffsetDateTime::now_utc(),
                    });
                }
                for _ in 0..1 + usize::from(rest == 5) {
                    bodies.push(imported(file(n)));
                }
            }
        }
    }
    bodies.push(EventBody::ImportListingCompleted { pages: 1 });
    bodies
        .into_iter()
        .map(|body| Event::now(id.clone(), body))
        .collect()
}

/// Of `images` files that every import has, version `version`: each import stores other objects.
pub(crate) fn changed(name: &str, images: usize, version: u32) -> Vec<Event> {
    let id: ImportId = name.parse().unwrap();
    let one = |n: usize| {
        let mut body = imported(file("file", n));
        if let EventBody::ImageImported { object, .. } = &mut body {
            object.key = format!("file-{n}-v{version}.jpg");
        }
        Event::now(id.clone(), body)
    };
    (0..images).map(one).collect()
}

fn file(name: &str, n: usize) -> SourceFile {
    let id: FileId = format!("{name}-{n}").parse().unwrap();
    SourceFile {
        item_id: id.clone(),
        id,
        name: format!("IMG_{n}.jpg"),
        mime_type: "image/jpeg".into(),
        size: Some(1000),
        md5: Some(format!("{n:032x}")),
        sha256: None,
        modified_time: None,
        resource_key: None,
        path: String::new(),
    }
}

fn imported(file: SourceFile) -> EventBody {
    let object = Object {
        provider: "local".into(),
        bucket: "bucket".into(),
        key: format!("{}.jpg", file.id),
        size: 1000,
        md5: file.md5.clone().unwrap(),
        sha256: String::new(),
        content_type: "image/jpeg".into(),
        width: Some(4),
        height: Some(3),
        taken_at: None,
        orientation: None,
    };
    EventBody::ImageImported {
        run: 1,
        attempt: 1,
        file,
        object,
        timings: Timings::default(),
        worker: "worker-1".into(),
    }
}
