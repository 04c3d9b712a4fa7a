//! What an `Idempotency-Key` stands for: one request, and its answer.
//!
//! A request claims its key before it changes anything, so that of two with the same key one is first.
//! Once it is done, its answer is kept with the claim. A key that is claimed and not answered is that of
//! a request under way, or of one that ended halfway: whoever repeats it does it again, under the
//! same message ids, and the first answer that is kept is everybody's. Messages are known again within the
//! stream's duplicate window only (two minutes): after that a command is sent a second time.

use async_nats::jetstream::kv::UpdateErrorKind;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use contracts::ImportId;
use contracts::kv::IdempotencyRecord;
use serde::Serialize;
use serde_json::Value;

use super::{Broker, Link, away, create, defect};
use crate::dependency::Failed;
use crate::problem::{Code, Problem, Result};

/// An `Idempotency-Key` and what came with it.
#[derive(Clone)]
pub(crate) struct Key {
    /// Its key in KV.
    pub(crate) record: String,
    /// Hex SHA-256 of the request.
    pub(crate) body_sha256: String,
}

/// What a request is about, as of when its key is claimed: what comes later is not meant.
#[derive(Default)]
pub(crate) struct Meant {
    /// The sequence of the last event that was folded.
    pub(crate) seen: Option<u64>,
    /// How many images or failed entries match.
    pub(crate) matching: Option<u64>,
    /// The imports that match.
    pub(crate) imports: Vec<ImportId>,
}

/// A key that stands for this request from now on.
pub(crate) struct Claim {
    pub(crate) key: Key,
    pub(crate) record: IdempotencyRecord,
    /// The key was used before.
    pub(crate) repeated: bool,
    revision: u64,
}

impl Key {
    /// The id of the message that the request becomes.
    pub(super) fn message_id(&self) -> String {
        format!("{}.{}", self.record, self.body_sha256)
    }
}

impl Broker {
    /// What `key` stands for: the first to use a key decides, with `import` and `meant`.
    pub(crate) async fn claim(&self, key: Key, import: ImportId, meant: Meant) -> Result<Claim> {
        let link = self.link()?;
        let fresh = IdempotencyRecord {
            v: 1,
            import_id: import,
            body_sha256: key.body_sha256.clone(),
            seen: meant.seen,
            matching: meant.matching,
            imports: meant.imports,
            answer: None,
        };
        self.dependency
            .ask(async {
                if let Some(revision) = create(&link, &key.record, &fresh).await? {
                    return Ok(Claim {
                        key,
                        record: fresh,
                        repeated: false,
                        revision,
                    });
                }
                // None: its time was up just now, between the two calls. That is no outage.
                let (record, revision) = known(&link, &key).await?.ok_or_else(|| {
                    let detail = "The key's record is gone just now. Send the request again.";
                    Failed::Refused(Problem::new(Code::QueueUnavailable, detail))
                })?;
                Ok(Claim {
                    key,
                    record,
                    repeated: true,
                    revision,
                })
            })
            .await
    }

    /// The claim of a request that was sent before, whether it is done or not.
    pub(crate) async fn begun(&self, key: &Key) -> Result<Option<Claim>> {
        let link = self.link()?;
        let known = self.dependency.ask(known(&link, key)).await?;
        Ok(known.map(|(record, revision)| Claim {
            key: key.clone(),
            record,
            repeated: true,
            revision,
        }))
    }

    /// Keeps `answer` with the claim and gives it back; or the one that another request with the same
    /// key kept first.
    pub(crate) async fn answer(&self, claim: Claim, answer: &impl Serialize) -> Result<Value> {
        let link = self.link()?;
        let answer = serde_json::to_value(answer).map_err(Problem::internal)?;
        let done = IdempotencyRecord {
            answer: Some(answer.clone()),
            // Thousands, and nobody asks for them any more.
            imports: Vec::new(),
            ..claim.record
        };
        let done = serde_json::to_vec(&done).map_err(Problem::internal)?;
        let key = &claim.key;
        self.dependency
            .ask(async {
                let kept = link
                    .submissions
                    .update(&key.record, done.into(), claim.revision);
                match kept.await {
                    Ok(_) => Ok(answer),
                    Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                        let first = known(&link, key).await?;
                        Ok(first
                            .and_then(|(record, _)| record.answer)
                            .unwrap_or(answer))
                    }
                    Err(error) => Err(away(error)),
                }
            })
            .await
    }
}

/// What `key` stands for, if it was used for the same before, and the record's revision.
async fn known(link: &Link, key: &Key) -> Result<Option<(IdempotencyRecord, u64)>, Failed> {
    // Not by `entry`, which any replica answers: one that lags knows no record, or not its answer.
    let bucket = &link.submissions;
    let subject = format!("{}{}", bucket.prefix, key.record);
    let last = bucket.stream.get_last_raw_message_by_subject(&subject);
    let last = match last.await {
        Ok(last) => last,
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(None),
        Err(error) => return Err(away(error)),
    };
    // What marks a deletion is empty.
    if last.payload.is_empty() {
        return Ok(None);
    }
    let known: IdempotencyRecord = serde_json::from_slice(&last.payload).map_err(defect)?;
    if known.body_sha256 != key.body_sha256 {
        return Err(Failed::Refused(Problem::new(
            Code::KeyReused,
            "This Idempotency-Key was used for another request. Use a fresh key for each.",
        )));
    }
    Ok(Some((known, last.sequence)))
}
