//! One entry of one import, and the rule by which it changes.
//!
//! The rule, in order:
//! 1. An entry heard of for the first time is what the event says it is.
//! 2. An event of an older run changes nothing.
//! 3. An event of a newer run is believed, whatever the entry was: a re-drive opens it again.
//! 4. Within a run the first outcome stands. A second one comes from a delivery that was handed to
//!    two workers; believing it would turn counters back. If the first said *failed* and the second
//!    *imported*, the entry stays failed and the image has its row all the same: it is there.
//! 5. A re-drive queues a failed entry, and nothing else: a worker may have been faster than it.
//! 6. Of two retries the one with more attempts is the later one.
//!
//! Whatever changes an entry adds the state it leaves to its history; what changes nothing adds nothing.

use contracts::{Cause, EventBody, FileId, ImportImage, SkipReason, event::SkippedEntry};
use serde::Serialize;
use time::OffsetDateTime;

use crate::history::Step;

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// Listed; no worker has reported on it.
    Queued,
    /// An execution failed and another is scheduled.
    Retrying,
    /// Whole in the store.
    Imported,
    /// Needs no import.
    Skipped,
    /// Given up.
    Failed,
}

impl ItemState {
    const ALL: [Self; 5] = [
        Self::Queued,
        Self::Retrying,
        Self::Imported,
        Self::Skipped,
        Self::Failed,
    ];

    /// The code in SQL.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Retrying => "retrying",
            Self::Imported => "imported",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }

    /// The reverse of [`Self::code`].
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    /// Whether this is an outcome, final within its run.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Imported | Self::Skipped | Self::Failed)
    }
}

/// Why an entry is retried, failed or skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// What failed.
    Cause(Cause),
    /// Why nothing had to be done.
    Skip(SkipReason),
}

impl Reason {
    /// The code in SQL and on the wire.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Cause(cause) => cause.code(),
            Self::Skip(reason) => reason.code(),
        }
    }

    /// The reverse of [`Self::code`], for an entry in `state`.
    pub(crate) fn from_code(state: ItemState, code: &str) -> Self {
        match state {
            ItemState::Skipped => Self::Skip(SkipReason::from_code(code)),
            _ => Self::Cause(Cause::from_code(code)),
        }
    }
}

/// One entry of one import.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The entry: the file's own id, or the shortcut's.
    pub item_id: FileId,
    /// The file whose bytes are wanted; unknown until a worker reports.
    pub file_id: Option<FileId>,
    /// Where it stands.
    pub state: ItemState,
    /// The run that this state belongs to; 1 unless it was re-driven.
    pub run: u32,
    /// Executions spent in this run; 0 before the first report.
    pub attempt: u32,
    /// Its name in Drive; unknown while only a listing has named it.
    pub name: Option<String>,
    /// Bytes: what the store holds once imported, else what Drive says.
    pub size: Option<u64>,
    /// Why it is retried, failed or skipped.
    pub reason: Option<Reason>,
    /// The same for people.
    pub message: Option<String>,
    /// The task of a failed entry, which is all that re-driving it needs.
    pub task: Option<Box<ImportImage>>,
    /// When it came to this state, by the publisher's clock.
    pub updated_at: OffsetDateTime,
    /// The states before this one, the oldest first; see [`Item::timeline`].
    pub history: Vec<Step>,
}

impl Item {
    /// An entry that a listing queued.
    pub(crate) fn queued(item_id: FileId, at: OffsetDateTime) -> Self {
        Self {
            item_id,
            file_id: None,
            state: ItemState::Queued,
            run: 1,
            attempt: 0,
            name: None,
            size: None,
            reason: None,
            message: None,
            task: None,
            updated_at: at,
            history: Vec::new(),
        }
    }

    /// An entry that a listing passed over.
    pub(crate) fn passed_over(entry: &SkippedEntry, at: OffsetDateTime) -> Self {
        Self {
            state: ItemState::Skipped,
            name: Some(entry.name.clone()),
            reason: Some(Reason::Skip(entry.reason)),
            ..Self::queued(entry.item_id.clone(), at)
        }
    }

    /// What a worker's event says about an entry; `None` for events that speak of none.
    #[must_use]
    pub fn reported(body: &EventBody, at: OffsetDateTime) -> Option<Self> {
        match body {
            EventBody::ImageImported {
                run,
                attempt,
                file,
                object,
                ..
            } => Some(Self {
                file_id: Some(file.id.clone()),
                state: ItemState::Imported,
                run: *run,
                attempt: *attempt,
                name: Some(file.name.clone()),
                size: Some(object.size),
                ..Self::queued(file.item_id.clone(), at)
            }),
            EventBody::ImageSkipped { run, file, reason } => Some(Self {
                file_id: Some(file.id.clone()),
                state: ItemState::Skipped,
                run: *run,
                name: Some(file.name.clone()),
                size: file.size,
                reason: Some(Reason::Skip(*reason)),
                ..Self::queued(file.item_id.clone(), at)
            }),
            EventBody::ImageRetrying {
                run,
                attempt,
                item_id,
                name,
                cause,
                message,
                ..
            } => Some(Self {
                state: ItemState::Retrying,
                run: *run,
                attempt: *attempt,
                name: Some(name.clone()),
                reason: Some(Reason::Cause(*cause)),
                message: Some(message.clone()),
                ..Self::queued(item_id.clone(), at)
            }),
            EventBody::ImageFailed {
                cause,
                message,
                attempts,
                task,
            } => Some(Self {
                file_id: Some(task.file.id.clone()),
                state: ItemState::Failed,
                run: task.run,
                attempt: *attempts,
                name: Some(task.file.name.clone()),
                size: task.file.size,
                reason: Some(Reason::Cause(*cause)),
                message: Some(message.clone()),
                task: Some(task.clone()),
                ..Self::queued(task.file.item_id.clone(), at)
            }),
            _ => None,
        }
    }
}

/// The entry after a worker's report, or `None` if the report changes nothing.
#[must_use]
pub fn fold_item(current: Option<&Item>, report: Item) -> Option<Item> {
    let Some(current) = current else {
        return Some(report);
    };
    let stale = report.run < current.run
        || (report.run == current.run
            && (current.state.is_final()
                || (report.state == ItemState::Retrying && report.attempt <= current.attempt)));
    if stale {
        return None;
    }
    Some(Item {
        file_id: report.file_id.or_else(|| current.file_id.clone()),
        name: report.name.or_else(|| current.name.clone()),
        size: report.size.or(current.size),
        history: current.passed(),
        ..report
    })
}

/// The entry after a re-drive that begins `run`, or `None` if that changes nothing.
#[must_use]
pub fn redrive_item(current: Option<&Item>, run: u32, at: OffsetDateTime) -> Option<Item> {
    let failed = current.filter(|item| item.state == ItemState::Failed && item.run < run)?;
    Some(Item {
        file_id: failed.file_id.clone(),
        name: failed.name.clone(),
        size: failed.size,
        run,
        history: failed.passed(),
        ..Item::queued(failed.item_id.clone(), at)
    })
}
