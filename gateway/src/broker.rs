//! The gateway's side of NATS: connected in the background, so that the API serves without it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::kv;
use contracts::kv::{IdempotencyRecord, Submission};
use contracts::{ImportId, ImportRequest, Task, streams, subjects};
use jetstream::{Members, Nats, NatsConfig};
use runtime::health::Health;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::problem::{Code, Problem, Result};

const DEPENDENCY: &str = "nats";
/// Between two attempts to connect, and between two looks at the connection.
const RETRY: Duration = Duration::from_secs(1);

/// A connection that was made once; the client mends it by itself.
#[derive(Clone)]
struct Link {
    nats: Nats,
    submissions: kv::Store,
}

/// Hands requests and deletions to NATS.
pub(crate) struct Broker {
    link: watch::Receiver<Option<Link>>,
    members: Members,
    patience: Duration,
}

/// What an `Idempotency-Key` stands for.
pub(crate) struct Claim {
    pub(crate) import: ImportId,
    /// The key was used before.
    pub(crate) repeated: bool,
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
        health.waiting(DEPENDENCY, "connecting");
        background.spawn(async move { keep_connected(config, &sender, &health).await });
        let members = Members::default();
        background.spawn(follow(link.clone(), members.clone()));
        Self {
            link,
            members,
            patience,
        }
    }

    /// What the fleet waits for right now: dependency and reason.
    pub(crate) fn waiting(&self) -> BTreeMap<String, String> {
        self.members.waiting()
    }

    /// The import that `key` stands for: the first to use a key decides.
    pub(crate) async fn claim(&self, key: &str, body_sha256: String) -> Result<Claim> {
        let link = self.link()?;
        let fresh = IdempotencyRecord {
            v: 1,
            import_id: ImportId::generate(),
            body_sha256,
        };
        let bytes = serde_json::to_vec(&fresh).map_err(Problem::internal)?;
        let create = link.submissions.create(key, bytes.into());
        match tokio::time::timeout(self.patience, create)
            .await
            .map_err(away)?
        {
            Ok(_) => {
                return Ok(Claim {
                    import: fresh.import_id,
                    repeated: false,
                });
            }
            Err(error) if error.kind() == kv::CreateErrorKind::AlreadyExists => {}
            Err(error) => return Err(away(error)),
        }
        let stored = self.read(&link, key).await?;
        // Gone between the two calls: the record's time was up just now.
        let stored = stored.ok_or_else(|| away(anyhow::anyhow!("the key's record vanished")))?;
        let known: IdempotencyRecord =
            serde_json::from_slice(&stored).map_err(Problem::internal)?;
        if known.body_sha256 == fresh.body_sha256 {
            Ok(Claim {
                import: known.import_id,
                repeated: true,
            })
        } else {
            Err(Problem::new(
                Code::KeyReused,
                "This Idempotency-Key was used with another body. Use a fresh key for another import.",
            ))
        }
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
        let record = serde_json::to_vec(&record).map_err(Problem::internal)?;
        let create = link.submissions.create(import.as_str(), record.into());
        match tokio::time::timeout(self.patience, create)
            .await
            .map_err(away)?
        {
            Ok(_) => {}
            Err(error) if error.kind() == kv::CreateErrorKind::AlreadyExists => {}
            Err(error) => return Err(away(error)),
        }
        self.publish(
            &link,
            subjects::REQUESTS.to_owned(),
            import.as_str(),
            payload,
        )
        .await
    }

    /// What was accepted as `import`, while its record is kept.
    pub(crate) async fn submission(&self, import: &ImportId) -> Result<Option<Submission>> {
        let link = self.link()?;
        let Some(bytes) = self.read(&link, import.as_str()).await? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(Problem::internal)
    }

    /// Queues a task durably; the same `message_id` within the duplicate window is queued once.
    pub(crate) async fn queue(&self, task: &Task, message_id: &str) -> Result<()> {
        let link = self.link()?;
        let payload = contracts::encode(task).map_err(Problem::internal)?;
        self.publish(&link, subjects::task(task.import_id()), message_id, payload)
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

    async fn read(&self, link: &Link, key: &str) -> Result<Option<bytes::Bytes>> {
        let get = link.submissions.get(key);
        tokio::time::timeout(self.patience, get)
            .await
            .map_err(away)?
            .map_err(away)
    }

    async fn publish(
        &self,
        link: &Link,
        subject: String,
        message_id: &str,
        payload: Vec<u8>,
    ) -> Result<()> {
        let published = link.nats.publish(subject, message_id, payload.into());
        tokio::time::timeout(self.patience, published)
            .await
            .map_err(away)?
            .map_err(away)?;
        Ok(())
    }
}

fn away(cause: impl Into<anyhow::Error>) -> Problem {
    Problem::new(
        Code::QueueUnavailable,
        "NATS did not confirm the request. Repeat it with the same Idempotency-Key; it will not run twice.",
    )
    .caused_by(cause)
}

async fn keep_connected(config: NatsConfig, sender: &watch::Sender<Option<Link>>, health: &Health) {
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
                health.waiting(DEPENDENCY, why);
                tokio::time::sleep(RETRY).await;
            }
        }
    };
    let client = link.nats.client.clone();
    sender.send_replace(Some(link));
    loop {
        match client.connection_state() {
            State::Connected => health.ready(DEPENDENCY),
            State::Pending | State::Disconnected => {
                health.waiting(DEPENDENCY, "disconnected; reconnecting")
            }
        }
        tokio::time::sleep(RETRY).await;
    }
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
