//! The gateway's side of NATS: connected in the background, so that the API serves without it.

mod claim;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::kv;
use contracts::kv::{Presence, Submission};
use contracts::{Command, ImportId, ImportRequest, Task, streams, subjects};
use jetstream::{Members, Nats, NatsConfig};
use runtime::health::Health;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::dependency::{Dependency, Failed};
use crate::problem::{Code, Problem, Result};
use crate::view::QueueView;

pub(crate) use claim::{Claim, Key, Meant};

const NATS: &str = "nats";
/// Between two attempts to connect.
const RETRY: Duration = Duration::from_secs(1);
/// Between two looks at the connection: one that is open may still be silent.
const LOOK: Duration = Duration::from_secs(2);
// NATS knows a message again for `streams::DUPLICATE_WINDOW`.
const UNCONFIRMED: &str = "NATS did not confirm the request. Repeat it with the same Idempotency-Key within two minutes; it will not run twice.";

/// A connection that was made once; the client mends it by itself.
#[derive(Clone)]
struct Link {
    nats: Nats,
    submissions: kv::Store,
}

/// Hands requests, commands and deletions to NATS.
pub(crate) struct Broker {
    link: watch::Receiver<Option<Link>>,
    dependency: Arc<Dependency>,
    members: Members,
}

/// What waits on NATS.
pub(crate) struct Depths {
    pub(crate) queue: QueueView,
    /// The sequence of the last event.
    pub(crate) last_event: u64,
}

impl Broker {
    /// Connects in a task of its own, for as long as `background` runs.
    pub(crate) fn start(
        config: NatsConfig,
        patience: Duration,
        health: Health,
        background: &mut JoinSet<()>,
    ) -> Self {
        let (sender, link) = watch::channel(None);
        let dependency = Dependency::new(
            NATS,
            Code::QueueUnavailable,
            UNCONFIRMED,
            patience,
            health.clone(),
        );
        health.waiting(NATS, "connecting");
        background.spawn({
            let dependency = Arc::clone(&dependency);
            async move { keep_connected(config, &sender, &dependency, patience, &health).await }
        });
        let members = Members::default();
        background.spawn(follow(link.clone(), members.clone()));
        Self {
            link,
            dependency,
            members,
        }
    }

    /// What the fleet waits for right now: dependency and reason.
    pub(crate) fn waiting(&self) -> BTreeMap<String, String> {
        self.members.waiting()
    }

    /// Every live process of the fleet, by role and name.
    pub(crate) fn members(&self) -> Vec<(String, Presence)> {
        self.members.all()
    }

    /// What waits right now, as the streams' leaders say: followers' numbers are old.
    pub(crate) async fn depths(&self) -> Result<Depths> {
        let link = self.link()?;
        let context = &link.nats.context;
        let waiting = async |stream: &str, consumer: &str| {
            let stream = context.get_stream_no_info(stream).await.map_err(untold)?;
            let info = stream.consumer_info(consumer).await.map_err(untold)?;
            Ok::<_, Failed>((info.num_pending, info.num_ack_pending as u64))
        };
        let last_event = async {
            let events = context.get_stream_no_info(streams::EVENTS).await;
            let info = events.map_err(untold)?.get_info().await.map_err(untold)?;
            Ok::<_, Failed>(info.state.last_sequence)
        };
        self.dependency
            .ask(Box::pin(async {
                let (workers, producers, last_event) = tokio::try_join!(
                    waiting(streams::TASKS, streams::WORKERS),
                    waiting(streams::IMPORTS, streams::PRODUCERS),
                    last_event,
                )?;
                Ok(Depths {
                    queue: QueueView {
                        pending: workers.0,
                        in_flight: workers.1,
                        requests: producers.0 + producers.1,
                    },
                    last_event,
                })
            }))
            .await
    }

    /// NATS, while it is connected.
    pub(crate) fn nats(&self) -> Option<Nats> {
        self.link().ok().map(|link| link.nats)
    }

    /// What is wrong with NATS right now, for people.
    pub(crate) fn trouble(&self) -> Option<&'static str> {
        let unconnected = || self.link().is_err().then(|| Code::QueueUnavailable.title());
        self.dependency.trouble().or_else(unconnected)
    }

    /// Records what was accepted, then queues it. Repeating both is harmless: the record stays the
    /// first one, and the broker or the producer recognises the import's id.
    pub(crate) async fn submit(&self, import: &ImportId, request: ImportRequest) -> Result<()> {
        let link = self.link()?;
        let payload = contracts::encode(&request).map_err(Problem::internal)?;
        let record = Submission {
            v: 1,
            import_id: import.clone(),
            request,
            accepted_at: OffsetDateTime::now_utc(),
        };
        self.dependency
            .ask(async {
                create(&link, import.as_str(), &record).await?;
                let subject = subjects::REQUESTS.to_owned();
                publish(&link, subject, import.as_str(), payload).await
            })
            .await
    }

    /// What was accepted as `import`, while its record is kept.
    pub(crate) async fn submission(&self, import: &ImportId) -> Result<Option<Submission>> {
        let link = self.link()?;
        self.dependency.ask(read(&link, import.as_str())).await
    }

    /// Queues a command durably and gives what to answer: `answer`, or what `key` was answered before.
    pub(crate) async fn command(
        &self,
        command: &Command,
        key: Option<Key>,
        meant: Meant,
        answer: &impl Serialize,
    ) -> Result<Value> {
        let Some(key) = key else {
            let message_id = format!("command.{}", Uuid::now_v7());
            self.queue_command(command, &message_id).await?;
            return serde_json::to_value(answer).map_err(Problem::internal);
        };
        let claim = self.claim(key, command.import_id.clone(), meant).await?;
        if let Some(answer) = claim.record.answer {
            return Ok(answer);
        }
        // Claimed and not answered: another request is about to queue it, or died before or after it
        // did. The id makes one command of all of them within the stream's duplicate window. Later it is
        // sent anew: whether it was on NATS then, nothing tells any more, and it must not be lost.
        self.queue_command(command, &claim.key.message_id()).await?;
        self.answer(claim, answer).await
    }

    async fn queue_command(&self, command: &Command, message_id: &str) -> Result<()> {
        let link = self.link()?;
        let payload = contracts::encode(command).map_err(Problem::internal)?;
        let subject = subjects::COMMANDS.to_owned();
        self.dependency
            .ask(publish(&link, subject, message_id, payload))
            .await
    }

    /// Queues a task durably; the same `message_id` within the duplicate window is queued once.
    pub(crate) async fn queue(&self, task: &Task, message_id: &str) -> Result<()> {
        let link = self.link()?;
        let payload = contracts::encode(task).map_err(Problem::internal)?;
        let subject = subjects::task(task.import_id());
        self.dependency
            .ask(publish(&link, subject, message_id, payload))
            .await
    }

    /// The connection, if it stands right now: a publish would otherwise wait for it in memory.
    fn link(&self) -> Result<Link> {
        let link = self.link.borrow().clone();
        link.filter(|link| link.nats.client.connection_state() == State::Connected)
            .ok_or_else(|| {
                Problem::new(
                    Code::QueueUnavailable,
                    "NATS is not connected right now. Ask again in a few seconds.",
                )
            })
    }
}

/// The record's revision; `None` if there is one already, which stays.
async fn create(link: &Link, key: &str, record: &impl Serialize) -> Result<Option<u64>, Failed> {
    let record = serde_json::to_vec(record).map_err(defect)?;
    match link.submissions.create(key, record.into()).await {
        Ok(revision) => Ok(Some(revision)),
        Err(error) if error.kind() == kv::CreateErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(away(error)),
    }
}

async fn read<T: DeserializeOwned>(link: &Link, key: &str) -> Result<Option<T>, Failed> {
    let found = link.submissions.get(key).await.map_err(away)?;
    let read = found.map(|bytes| serde_json::from_slice(&bytes));
    read.transpose().map_err(defect)
}

async fn publish(
    link: &Link,
    subject: String,
    message_id: &str,
    payload: Vec<u8>,
) -> Result<(), Failed> {
    let published = link.nats.publish(subject, message_id, payload.into());
    published.await.map(drop).map_err(away)
}

fn away(cause: impl Into<anyhow::Error>) -> Failed {
    Failed::Away(Problem::new(Code::QueueUnavailable, UNCONFIRMED).caused_by(cause))
}

/// It is no outage when NATS does not tell how much waits: whether there is one, others find out.
fn untold(cause: impl Into<anyhow::Error>) -> Failed {
    let problem = Problem::new(Code::QueueUnavailable, "NATS does not tell what waits.");
    Failed::Refused(problem.caused_by(cause))
}

fn defect(cause: serde_json::Error) -> Failed {
    Failed::Refused(Problem::internal(cause))
}

async fn keep_connected(
    config: NatsConfig,
    sender: &watch::Sender<Option<Link>>,
    dependency: &Dependency,
    patience: Duration,
    health: &Health,
) {
    let mut told = String::new();
    let link = loop {
        match connect(&config).await {
            Ok(link) => break link,
            Err(error) => {
                let why = format!("{error:#}");
                if why != told {
                    tracing::warn!(error = %why, "NATS is not ready; trying again every second");
                    told.clone_from(&why);
                }
                health.waiting(NATS, why);
                tokio::time::sleep(RETRY).await;
            }
        }
    };
    link.nats.show_denials(health);
    sender.send_replace(Some(link.clone()));
    let probe = || async {
        if link.nats.client.connection_state() != State::Connected {
            return Err(away(anyhow::anyhow!("disconnected; reconnecting")));
        }
        // The stream's leader answers this, and only while it can store.
        let info = link.submissions.stream.get_info().await;
        info.map(drop).map_err(away)
    };
    dependency.watch(Some(LOOK), patience, probe).await;
}

/// Keeps the list of the fleet's processes current, from the first connection on.
async fn follow(mut link: watch::Receiver<Option<Link>>, members: Members) {
    let nats = match link.wait_for(Option::is_some).await {
        Ok(link) => link.as_ref().map(|link| link.nats.clone()),
        Err(_) => None,
    };
    let Some(nats) = nats else { return };
    loop {
        if let Err(error) = members.follow(&nats).await {
            tracing::debug!(error = %error, "the fleet's processes cannot be followed; trying again");
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn connect(config: &NatsConfig) -> anyhow::Result<Link> {
    let nats = jetstream::connect(config).await?;
    let submissions = nats
        .context
        .get_key_value(streams::SUBMISSIONS)
        .await
        .map_err(|error| {
            anyhow::anyhow!(error).context(format!(
                "the KV bucket {} is not there; run `imagefleet setup`",
                streams::SUBMISSIONS
            ))
        })?;
    Ok(Link { nats, submissions })
}
