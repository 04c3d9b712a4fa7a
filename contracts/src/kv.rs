//! Values of the KV buckets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{ImportId, ImportRequest};

/// `SUBMISSIONS`, key = import id: what was accepted, before any event exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    /// Record version.
    pub v: u32,
    /// The import.
    pub import_id: ImportId,
    /// What was asked for.
    pub request: ImportRequest,
    /// When it was accepted.
    #[serde(with = "time::serde::rfc3339")]
    pub accepted_at: OffsetDateTime,
}

/// `SUBMISSIONS`, key = `key-<sha256 of the Idempotency-Key>`: the request a key stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyRecord {
    /// Record version.
    pub v: u32,
    /// The import that the first request with this key made, or that its command is about. Of a command
    /// to many and of a deletion, which are about none in particular: an id that no import has.
    pub import_id: ImportId,
    /// Hex SHA-256 of that request: of a new import its body, of others with what they are about before
    /// it. Another request under the same key is refused.
    pub body_sha256: String,
    /// The sequence of the last event that was folded then, of requests that are about what there is:
    /// what came later is not meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
    /// How many images a deletion by filter matched then, or failed entries a retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<u64>,
    /// The imports that matched then, of a command to many that is not answered yet: to repeat it is
    /// about them, whatever matches by now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<ImportId>,
    /// What it was answered, once it is done. A new import has its id for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<serde_json::Value>,
}

/// `FLEET`, key = process instance: one process, its part in the Drive quota, and what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Record version.
    pub v: u32,
    /// `producer` or `worker`, which share the Drive quota, or `projector`, which has no part in it.
    pub role: String,
    /// Whether it has work for its share of the quota right now.
    pub busy: bool,
    /// What a busy producer weighs when the quota is divided, in thousandths of a busy worker; 20
    /// unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Tasks that a worker holds, by import.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub holds: BTreeMap<ImportId, u32>,
    /// What it waits for: dependency and reason, for people.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waiting: BTreeMap<String, String>,
    /// What it spent of the Drive quota; absent without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<QuotaUse>,
}

/// One process's part in spending the Drive quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaUse {
    /// Units per minute that the whole fleet may spend, by this process's settings.
    pub units_per_minute: u32,
    /// Units that this process spent in its last minute.
    pub used: u64,
}

/// `CONTROL`, key = import id: the last command that changed whether the import goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlRecord {
    /// Record version.
    pub v: u32,
    /// Whether it goes on.
    pub state: Control,
    /// The command's sequence in `IMPORTS`: of two commands the later one counts, whichever is
    /// carried out last.
    pub command: u64,
}

/// Whether an import goes on. Without a record, it does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// It goes on.
    #[default]
    Running,
    /// Nothing more of it is started.
    Paused,
    /// What is left of it is given up, for good.
    Cancelled,
}
