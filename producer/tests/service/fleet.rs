//! What a test needs around its producers.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use async_nats::jetstream::consumer::{Consumer, pull};
use contracts::event::SkippedEntry;
use contracts::{
    Action, Cause, Command, Event, EventBody, ImportId, ImportImage, ImportRequest, Task, streams,
    subjects,
};
use drive::{Auth, DriveConfig};
use drive_sim::{Faults, Options};
use futures::{StreamExt as _, TryStreamExt as _};
use jetstream::{Nats, User};
use producer::Config;
use read_model::{ReadModel, ReadModelConfig};
use runtime::{Health, Service};
use tempfile::TempDir;
use testkit::{NatsServer, until};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A broker, a Drive and a place for the read model.
pub(crate) struct Fleet {
    pub(crate) server: NatsServer,
    pub(crate) nats: Nats,
    pub(crate) drive: drive_sim::Server,
    pub(crate) folder: TempDir,
}

impl Fleet {
    pub(crate) async fn start() -> Self {
        Self::start_with(Faults::default()).await
    }

    pub(crate) async fn start_with(faults: Faults) -> Self {
        let (server, nats) = Box::pin(NatsServer::start_with_topology()).await.unwrap();
        let options = Options {
            faults,
            ..Options::default()
        };
        Self {
            server,
            nats,
            drive: drive_sim::serve(options).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Settings with room for every test's images.
    pub(crate) fn config(&self) -> Config {
        Config {
            nats: self.server.config_of(User::Producer),
            drive: DriveConfig {
                endpoint: self.drive.url().parse().unwrap(),
                auth: Auth::ApiKey(drive_sim::DEFAULT_API_KEY.into()),
                ..DriveConfig::default()
            },
            quota: None,
            read_model: ReadModelConfig::sqlite(self.database()),
            concurrency: 8,
            window: 1_000_000,
            queue: 1_000_000,
            grace: DEADLINE,
            health_listen: None,
        }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("read-model.db")
    }

    pub(crate) fn producer(&self) -> Running {
        Running::start(self.config())
    }

    /// A producer that stops listing as soon as 1,000 tasks wait: after two pages.
    pub(crate) fn narrow_producer(&self) -> Running {
        Running::start(Config {
            window: 1_000,
            ..self.config()
        })
    }

    /// Publish a request as another system would, and without an id to recognise it by.
    pub(crate) async fn publish(&self, payload: impl Into<Vec<u8>>) {
        let nameless = async_nats::HeaderMap::new();
        self.nats
            .publish_with_headers(subjects::REQUESTS.into(), nameless, payload.into().into())
            .await
            .unwrap();
    }

    /// Ask for `folder`.
    pub(crate) async fn import(&self, folder: &str) -> ImportId {
        self.import_as(ImportRequest::google_drive(folder)).await
    }

    pub(crate) async fn import_as(&self, request: ImportRequest) -> ImportId {
        let import = ImportId::generate();
        let request = ImportRequest {
            import_id: Some(import.clone()),
            ..request
        };
        self.publish(contracts::encode(&request).unwrap()).await;
        import
    }

    /// Tell `import` to do something. Gives the command's place in the stream.
    pub(crate) async fn command(&self, import: &ImportId, action: Action) -> u64 {
        let command = Command {
            import_id: import.clone(),
            action,
            requested_by: Some("test".into()),
        };
        self.publish_command(contracts::encode(&command).unwrap())
            .await
    }

    pub(crate) async fn publish_command(&self, payload: impl Into<Vec<u8>>) -> u64 {
        let nameless = async_nats::HeaderMap::new();
        self.nats
            .publish_with_headers(subjects::COMMANDS.into(), nameless, payload.into().into())
            .await
            .unwrap()
    }

    /// Wait until every command is carried out.
    pub(crate) async fn obeyed(&self) {
        until("every command is carried out", DEADLINE, || async {
            (self.stored(streams::IMPORTS, subjects::COMMANDS).await == 0).then_some(())
        })
        .await;
    }

    /// [`Self::obeyed`], with a projector at work: retries wait for it.
    pub(crate) async fn obeyed_and_folded(&self) -> ReadModel {
        until("every command is carried out", DEADLINE, || async {
            let model = self.fold().await;
            let left = self.stored(streams::IMPORTS, subjects::COMMANDS).await;
            (left == 0).then_some(model)
        })
        .await;
        self.fold().await
    }

    /// Messages of `stream` under `filter`.
    pub(crate) async fn stored(&self, stream: &str, filter: &str) -> usize {
        let stream = self.nats.context.get_stream_no_info(stream).await.unwrap();
        let counts = stream.info_with_subjects(filter).await.unwrap();
        counts
            .try_fold(0, async |sum, (_, count)| Ok(sum + count))
            .await
            .unwrap()
    }

    /// Requests that are not settled.
    pub(crate) async fn requests(&self) -> u64 {
        let stream = self.nats.context.get_stream(streams::IMPORTS).await;
        // No answer: as good as any number.
        stream.map_or(u64::MAX, |stream| stream.cached_info().state.messages)
    }

    /// Wait until every request is settled.
    pub(crate) async fn settled(&self) {
        until("every request is settled", DEADLINE, || async {
            (self.requests().await == 0).then_some(())
        })
        .await;
    }

    /// Tasks of `import` on the queue.
    pub(crate) async fn queued(&self, import: &ImportId) -> usize {
        self.stored(streams::TASKS, &subjects::task(import)).await
    }

    pub(crate) async fn queued_are(&self, import: &ImportId, count: usize) {
        until(&format!("{count} tasks are queued"), DEADLINE, || async {
            (self.queued(import).await == count).then_some(())
        })
        .await;
    }

    /// Hand out `count` tasks, as to workers that keep them.
    pub(crate) async fn hand_out(&self, count: usize) -> Vec<async_nats::jetstream::Message> {
        let consumer: Consumer<pull::Config> = self
            .nats
            .context
            .get_consumer_from_stream(streams::WORKERS, streams::TASKS)
            .await
            .unwrap();
        let mut held = Vec::new();
        while held.len() < count {
            let wanted = count - held.len();
            let fetched = consumer.fetch().max_messages(wanted).messages();
            let fetched: Vec<_> = fetched.await.unwrap().try_collect().await.unwrap();
            held.extend(fetched);
        }
        held
    }

    /// Take every task off the queue, as workers do.
    pub(crate) async fn take_tasks(&self) -> Vec<ImportImage> {
        self.take(usize::MAX).await
    }

    /// Take every task off the queue until every request is settled.
    pub(crate) async fn drain(&self) -> Vec<ImportImage> {
        let taken = Mutex::new(Vec::new());
        until("every request is settled", DEADLINE, || async {
            let settled = self.requests().await == 0;
            let more = self.take_tasks().await;
            taken.lock().unwrap().extend(more);
            settled.then_some(())
        })
        .await;
        taken.into_inner().unwrap()
    }

    /// Take `most` tasks, or all there are.
    pub(crate) async fn take(&self, most: usize) -> Vec<ImportImage> {
        let consumer: Consumer<pull::Config> = self
            .nats
            .context
            .get_consumer_from_stream(streams::WORKERS, streams::TASKS)
            .await
            .unwrap();
        let mut taken = Vec::new();
        while taken.len() < most {
            let before = taken.len();
            let mut acks = Vec::new();
            let wanted = (most - before).min(1_000);
            let mut fetched = consumer
                .fetch()
                .max_messages(wanted)
                .messages()
                .await
                .unwrap();
            while let Some(message) = fetched.next().await {
                let message = message.unwrap();
                let Task::ImportImage(task) = contracts::decode(&message.payload).unwrap() else {
                    panic!("a producer asks for nothing but imports");
                };
                assert_eq!(message.subject.as_str(), subjects::task(&task.import_id));
                let reply = message.reply.clone().unwrap();
                acks.push(self.nats.client.request(reply, "+ACK".into()));
                taken.push(task);
            }
            futures::future::try_join_all(acks).await.unwrap();
            if taken.len() == before {
                break;
            }
        }
        taken
    }

    /// Everything that was announced, each event with its sequence.
    pub(crate) async fn all_events(&self) -> Vec<(u64, Event)> {
        let stream = self.nats.context.get_stream(streams::EVENTS).await.unwrap();
        let state = stream.cached_info().state.clone();
        let mut events = Vec::new();
        for sequence in state.first_sequence.max(1)..=state.last_sequence {
            let message = stream.get_raw_message(sequence).await.unwrap();
            let event: Event = contracts::decode(&message.payload).unwrap();
            assert_eq!(
                message.subject.as_str(),
                subjects::event(&event.import_id, event.body.kind())
            );
            events.push((sequence, event));
        }
        events
    }

    /// Do a projector's work.
    pub(crate) async fn fold(&self) -> ReadModel {
        let model = ReadModel::open_sqlite(&self.database()).await.unwrap();
        let at = model.checkpoint(read_model::CHECKPOINT).await.unwrap();
        let mut events = self.all_events().await;
        events.retain(|(sequence, _)| *sequence > at);
        if let Some((last, _)) = events.last() {
            let last = *last;
            model
                .fold(read_model::CHECKPOINT, at, events, last)
                .await
                .unwrap();
        }
        model
    }

    /// Report that `task` failed, as its worker would.
    pub(crate) async fn fail(&self, task: &ImportImage, cause: Cause) {
        let body = EventBody::ImageFailed {
            cause,
            message: "for the test".into(),
            attempts: task.attempt,
            task: Box::new(task.clone()),
        };
        let subject = subjects::event(&task.import_id, body.kind());
        let id = format!("{}.failed", task.message_id());
        let event = contracts::encode(&Event::now(task.import_id.clone(), body)).unwrap();
        self.nats.publish(subject, &id, event.into()).await.unwrap();
    }

    /// What was announced about `import`, in order.
    pub(crate) async fn events(&self, import: &ImportId) -> Vec<EventBody> {
        let events = self.all_events().await.into_iter();
        events
            .filter(|(_, event)| event.import_id == *import)
            .map(|(_, event)| event.body)
            .collect()
    }
}

/// A producer in a task of its own.
pub(crate) struct Running {
    pub(crate) service: Service,
    run: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    pub(crate) fn start(config: Config) -> Self {
        let service = service();
        let run = tokio::spawn(Box::pin(producer::run(config, service.clone())));
        Self { service, run }
    }

    /// Tell it to stop and wait until it has.
    pub(crate) async fn stop(self) {
        self.service.stop.cancel();
        self.ended().await.unwrap();
    }

    /// Wait until it ends.
    pub(crate) async fn ended(self) -> anyhow::Result<()> {
        tokio::time::timeout(DEADLINE, self.run)
            .await
            .expect("the producer ends")
            .unwrap()
    }

    /// The sum of a metric over those of its labels that include `label`.
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        let families = self.service.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        family.map_or(0.0, |family| {
            let metrics = family.get_metric().iter();
            let labelled = metrics.filter(|metric| {
                let mut labels = metric.get_label().iter();
                label.is_empty() || labels.any(|pair| pair.value() == label)
            });
            labelled
                .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
                .sum()
        })
    }
}

pub(crate) fn service() -> Service {
    Service {
        health: Health::new("producer"),
        registry: prometheus::Registry::new(),
        stop: CancellationToken::new(),
    }
}

/// The ids of a simulated folder's images.
pub(crate) fn images(folder: &str, count: usize) -> BTreeSet<String> {
    (0..count).map(|n| format!("{folder}-f{n}")).collect()
}

/// The items of `tasks`, each of which there must be once.
pub(crate) fn each_once(tasks: &[ImportImage]) -> BTreeSet<String> {
    let items: BTreeSet<String> = tasks
        .iter()
        .map(|task| task.file.item_id.to_string())
        .collect();
    assert_eq!(items.len(), tasks.len(), "some images are queued twice");
    items
}

/// What `events` say was listed: items queued and entries skipped, page by page.
pub(crate) fn listed(events: &[EventBody]) -> Vec<(BTreeSet<String>, Vec<SkippedEntry>)> {
    events
        .iter()
        .filter_map(|event| match event {
            EventBody::ImportListed {
                queued, skipped, ..
            } => Some((
                queued.iter().map(ToString::to_string).collect(),
                skipped.clone(),
            )),
            _ => None,
        })
        .collect()
}

/// The listing that `events` tell is whole: accepted, every page once and in order, completed; and
/// it queued `images`, each once.
pub(crate) fn assert_whole(events: &[EventBody], images: &BTreeSet<String>) {
    let kinds: Vec<&str> = events.iter().map(EventBody::kind).collect();
    let pages = kinds.len() - 2;
    assert_eq!(kinds[0], "import.accepted", "{kinds:?}");
    assert!(
        kinds[1..=pages].iter().all(|kind| *kind == "import.listed"),
        "{kinds:?}"
    );
    let numbers: Vec<u64> = events
        .iter()
        .filter_map(|event| match event {
            EventBody::ImportListed { page, .. } => Some(*page),
            _ => None,
        })
        .collect();
    assert_eq!(numbers, (1..=pages as u64).collect::<Vec<_>>());
    assert_eq!(
        events.last(),
        Some(&EventBody::ImportListingCompleted {
            pages: pages as u64
        })
    );
    let listed = listed(events);
    let announced: usize = listed.iter().map(|(queued, _)| queued.len()).sum();
    assert_eq!(announced, images.len());
    let all: BTreeSet<String> = listed.into_iter().flat_map(|(queued, _)| queued).collect();
    assert_eq!(all, *images);
}
