//! One import: its counters, and the rule by which its status changes.
//!
//! Every counter is a count of entries in a state, so whatever is folded twice counts once.
//! `completed` means: every page is listed and every entry has an outcome. It is final within a
//! run; a re-drive of a failed entry opens the import again. `failed` means that the folder could
//! not be listed to its end: what was queued before still counts. `cancelled` is final: what workers
//! report afterwards moves no counter.

use contracts::{Cause, ImportId, ImportRequest, Prefix};
use serde::Serialize;
use time::OffsetDateTime;

use crate::item::{Item, ItemState};

/// Where an import stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportStatus {
    /// Listing, or waiting for outcomes.
    Processing,
    /// Every page is listed and every entry has an outcome.
    Completed,
    /// The folder could not be listed.
    Failed,
    /// Given up by somebody.
    Cancelled,
    /// Held by somebody.
    Paused,
}

impl ImportStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [
        Self::Processing,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Paused,
    ];

    /// The code in SQL and in the API.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Paused => "paused",
        }
    }

    /// The reverse of [`Self::code`].
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }

    /// Whether nothing more happens to the import by itself.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// One import. Times are those of its events, by their publishers' clocks, to the millisecond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRow {
    /// The import.
    pub id: ImportId,
    /// Where it stands.
    pub status: ImportStatus,
    /// The folder as the requester wrote it; `None` while no event has told, or when the request
    /// could not be read.
    pub folder: Option<String>,
    /// The folder's name in Drive.
    pub folder_name: Option<String>,
    /// Prepended to every object key.
    pub prefix: Prefix,
    /// Who asked.
    pub requested_by: Option<String>,
    /// Whether subfolders are imported.
    pub recursive: bool,
    /// Whether unchanged files are skipped.
    pub skip_unchanged: bool,
    /// Entries known so far; all of them once `listing_completed`.
    pub total: u64,
    /// Entries whole in the store.
    pub imported: u64,
    /// Entries that needed no import.
    pub skipped: u64,
    /// Entries given up.
    pub failed: u64,
    /// Entries that wait for another execution right now.
    pub retrying: u64,
    /// Bytes of the imported entries.
    pub bytes: u64,
    /// Whether every page is listed.
    pub listing_completed: bool,
    /// Pages listed so far.
    pub pages: u64,
    /// Why the import as a whole failed.
    pub cause: Option<Cause>,
    /// The same for people.
    pub message: Option<String>,
    /// The earliest event.
    pub created_at: OffsetDateTime,
    /// The earliest sign of work: accepted, listed, or an entry's report.
    pub started_at: Option<OffsetDateTime>,
    /// The latest event at the time the status became final.
    pub finished_at: Option<OffsetDateTime>,
    /// The latest event.
    pub last_event_at: OffsetDateTime,
    /// The sequence of the last event that was folded into it.
    pub revision: u64,
}

impl ImportRow {
    /// An import of which nothing is known but that something happened to it.
    pub(crate) fn first_heard_of(id: ImportId, at: OffsetDateTime) -> Self {
        Self {
            id,
            status: ImportStatus::Processing,
            folder: None,
            folder_name: None,
            prefix: Prefix::default(),
            requested_by: None,
            recursive: true,
            skip_unchanged: true,
            total: 0,
            imported: 0,
            skipped: 0,
            failed: 0,
            retrying: 0,
            bytes: 0,
            listing_completed: false,
            pages: 0,
            cause: None,
            message: None,
            created_at: at,
            started_at: None,
            finished_at: None,
            last_event_at: at,
            revision: 0,
        }
    }

    /// Entries that have an outcome; never more than `total`.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.imported
            .saturating_add(self.skipped)
            .saturating_add(self.failed)
    }

    pub(crate) fn touch(&mut self, sequence: u64, at: OffsetDateTime) {
        self.revision = self.revision.max(sequence);
        self.created_at = self.created_at.min(at);
        self.last_event_at = self.last_event_at.max(at);
    }

    pub(crate) fn start(&mut self, at: OffsetDateTime) {
        self.started_at = Some(self.started_at.map_or(at, |started| started.min(at)));
    }

    /// The first request that is heard of stands, however late it comes.
    pub(crate) fn request(&mut self, request: &ImportRequest) {
        if self.folder.is_none() {
            self.folder = Some(request.source.folder().to_owned());
            self.prefix = request.destination_prefix.clone();
            self.requested_by = request.requested_by.clone();
            self.recursive = request.recursive;
            self.skip_unchanged = request.skip_unchanged;
        }
    }

    pub(crate) fn page_listed(&mut self, page: u64) {
        self.pages = self.pages.max(page);
    }

    /// Whether an entry in state `before` may move (`None`: may be added).
    ///
    /// After completion only known entries move, and only into a newer run: an entry that was not
    /// in the listing cannot undo `completed`. After a failure, too, only what was listed counts.
    pub(crate) fn admits(&self, before: Option<&Item>) -> bool {
        match self.status {
            ImportStatus::Processing | ImportStatus::Paused => true,
            ImportStatus::Completed | ImportStatus::Failed => before.is_some(),
            ImportStatus::Cancelled => false,
        }
    }

    /// Move one entry from state `before` (`None`: new) to `after`.
    pub(crate) fn count(&mut self, before: Option<&Item>, after: &Item) {
        match before {
            None => self.total = self.total.saturating_add(1),
            Some(before) => {
                if let Some(counter) = self.counter(before.state) {
                    *counter = counter.saturating_sub(1);
                }
                self.bytes = self.bytes.saturating_sub(stored_bytes(before));
            }
        }
        if let Some(counter) = self.counter(after.state) {
            *counter = counter.saturating_add(1);
        }
        self.bytes = self.bytes.saturating_add(stored_bytes(after));
        if self.status == ImportStatus::Completed {
            self.status = ImportStatus::Processing;
            self.finished_at = None;
        }
    }

    fn counter(&mut self, state: ItemState) -> Option<&mut u64> {
        match state {
            ItemState::Queued => None,
            ItemState::Retrying => Some(&mut self.retrying),
            ItemState::Imported => Some(&mut self.imported),
            ItemState::Skipped => Some(&mut self.skipped),
            ItemState::Failed => Some(&mut self.failed),
        }
    }

    pub(crate) fn pause(&mut self) {
        if self.status == ImportStatus::Processing {
            self.status = ImportStatus::Paused;
        }
    }

    pub(crate) fn resume(&mut self) {
        if self.status == ImportStatus::Paused {
            self.status = ImportStatus::Processing;
        }
    }

    pub(crate) fn fail(&mut self, cause: Cause, message: &str) {
        if !self.status.is_final() {
            self.cause = Some(cause);
            self.message = Some(message.to_owned());
            self.finish(ImportStatus::Failed);
        }
    }

    pub(crate) fn cancel(&mut self) {
        if !self.status.is_final() {
            self.finish(ImportStatus::Cancelled);
        }
    }

    /// Complete the import if nothing is left.
    pub(crate) fn complete_if_settled(&mut self) {
        if !self.status.is_final() && self.listing_completed && self.settled() == self.total {
            self.finish(ImportStatus::Completed);
        }
    }

    fn finish(&mut self, status: ImportStatus) {
        self.status = status;
        self.finished_at = Some(self.last_event_at);
    }
}

fn stored_bytes(item: &Item) -> u64 {
    if item.state == ItemState::Imported {
        item.size.unwrap_or(0)
    } else {
        0
    }
}
