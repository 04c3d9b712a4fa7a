//! The whole system at one look.

use std::collections::BTreeMap;

use contracts::kv::Presence;
use read_model::ImportStatus;
use serde::Serialize;
use utoipa::ToSchema;

use crate::view::Stats;

/// What is stored, what is under way, who works on it, and what is waited for.
#[derive(Serialize, ToSchema)]
pub(crate) struct Overview {
    /// As `GET /api/stats`; null while the database has not been read.
    #[schema(required)]
    pub(crate) stats: Option<Stats>,
    /// Imports by status; null while the database has not been read.
    #[schema(required)]
    pub(crate) imports: Option<ImportCounts>,
    /// What waits on NATS; null while that cannot be told.
    #[schema(required)]
    pub(crate) queue: Option<QueueView>,
    /// The processes that are alive, by role and name.
    pub(crate) fleet: Vec<MemberView>,
    /// How much of the Drive quota is used; null without one, or while nobody tells.
    #[schema(required)]
    pub(crate) quota: Option<QuotaView>,
    /// How far the tables are behind; null while that cannot be told.
    #[schema(required)]
    pub(crate) projector: Option<ProjectorView>,
    /// What keeps the work from going on, by dependency.
    #[schema(example = json!({"drive": "the quota is used up"}))]
    pub(crate) waiting_for: BTreeMap<String, String>,
}

/// Imports by status.
#[derive(Clone, Default, Serialize, ToSchema)]
pub(crate) struct ImportCounts {
    processing: u64,
    paused: u64,
    completed: u64,
    failed: u64,
    cancelled: u64,
}

impl ImportCounts {
    pub(crate) fn new(counts: &[(ImportStatus, u64)]) -> Self {
        let mut all = Self::default();
        for (status, count) in counts {
            *match status {
                ImportStatus::Processing => &mut all.processing,
                ImportStatus::Paused => &mut all.paused,
                ImportStatus::Completed => &mut all.completed,
                ImportStatus::Failed => &mut all.failed,
                ImportStatus::Cancelled => &mut all.cancelled,
            } = *count;
        }
        all
    }
}

/// What waits on NATS.
#[derive(Serialize, ToSchema)]
#[schema(as = Queue)]
pub(crate) struct QueueView {
    /// Tasks that no worker has taken. Those that wait for another attempt are not among them.
    pub(crate) pending: u64,
    /// Tasks that workers hold.
    pub(crate) in_flight: u64,
    /// Imports that wait for a producer, or are being listed.
    pub(crate) requests: u64,
}

/// One live process.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub(crate) struct MemberView {
    /// `producer`, `worker` or `projector`.
    #[schema(example = "worker")]
    role: String,
    /// Its name.
    instance: String,
    /// Whether it has work right now.
    busy: bool,
    /// Images that it works on, by import: of workers.
    #[schema(example = json!({"01998f1e-6f0a-7b1e-8c55-0f2f3b4c5d6e": 48}))]
    holds: BTreeMap<String, u32>,
    /// What it waits for, by dependency.
    waiting: BTreeMap<String, String>,
}

impl MemberView {
    pub(crate) fn new(instance: String, presence: Presence) -> Self {
        Self {
            role: presence.role,
            instance,
            busy: presence.busy,
            holds: presence
                .holds
                .into_iter()
                .map(|(import, count)| (import.into(), count))
                .collect(),
            waiting: presence.waiting,
        }
    }
}

/// The Drive quota.
#[derive(Serialize, ToSchema)]
#[schema(as = Quota)]
pub(crate) struct QuotaView {
    /// Units that the fleet may spend in a minute.
    #[schema(example = 325_000)]
    pub(crate) units_per_minute: u32,
    /// Units that its live processes spent in the last one.
    pub(crate) used_per_minute: u64,
}

/// How far the tables are behind.
#[derive(Serialize, ToSchema)]
#[schema(as = Projector)]
pub(crate) struct ProjectorView {
    /// Events that are not in the tables yet.
    pub(crate) lag_events: u64,
}
