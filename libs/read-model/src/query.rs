//! What can be asked of the read model, and the shapes of the answers.

use contracts::{Cause, FileId, ImportId, ImportImage};
use time::OffsetDateTime;

use crate::import::ImportStatus;
use crate::item::Item;

/// Rows that one page holds at most.
pub const MAX_PER_PAGE: u32 = 1000;
/// Characters of a search that are compared; the rest is ignored.
pub const MAX_SEARCH_CHARS: usize = 256;
/// Samples of each cause in [`FailureGroup`].
pub(crate) const SAMPLES: u32 = 5;
/// Rows read at a time when all are read.
pub(crate) const EXPORT_BATCH: u32 = 500;

/// Which images to list, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagesQuery {
    /// From 1; ignored with `after`.
    pub page: u32,
    /// 1 to [`MAX_PER_PAGE`]; other values are brought into this range.
    pub per_page: u32,
    /// Only those at this provider.
    pub provider: Option<String>,
    /// Only those whose name contains this, whatever the case. Reads every name.
    pub q: Option<String>,
    /// Only those that this import stored last.
    pub import: Option<ImportId>,
    /// Only those of this type, `image/jpeg` for example.
    pub mime_type: Option<String>,
    /// Only those older than the row with this id. Costs the same on every page, unlike `page`.
    pub after: Option<i64>,
}

impl Default for ImagesQuery {
    fn default() -> Self {
        Self {
            page: 1,
            per_page: 20,
            provider: None,
            q: None,
            import: None,
            mime_type: None,
            after: None,
        }
    }
}

/// Which imports to list, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportsQuery {
    /// From 1; ignored with `after`.
    pub page: u32,
    /// 1 to [`MAX_PER_PAGE`]; other values are brought into this range.
    pub per_page: u32,
    /// Only those with this status.
    pub status: Option<ImportStatus>,
    /// Only those whose folder (its address or its name) or id contains this, whatever the case. Reads
    /// every import.
    pub q: Option<String>,
    /// Only those older than this import; none, if it is unknown.
    pub after: Option<ImportId>,
}

impl Default for ImportsQuery {
    fn default() -> Self {
        Self {
            page: 1,
            per_page: 20,
            status: None,
            q: None,
            after: None,
        }
    }
}

/// One page of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paged<T> {
    /// The rows of this page.
    pub items: Vec<T>,
    /// Rows on all pages together, exactly.
    pub total: u64,
    /// Whether there are rows after these; the last row's id is then the next `after`.
    pub has_more: bool,
}

/// What is stored at one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderStatistics {
    /// `aws`, `azure` or `local`.
    pub provider: String,
    /// Images with a row.
    pub images: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl ProviderStatistics {
    pub(crate) fn none(provider: String) -> Self {
        Self {
            provider,
            images: 0,
            bytes: 0,
        }
    }
}

/// The failed entries of an import that share a cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureGroup {
    /// The cause.
    pub cause: Cause,
    /// Entries.
    pub count: u64,
    /// The first of them failed at.
    pub first_seen: OffsetDateTime,
    /// The last of them failed at.
    pub last_seen: OffsetDateTime,
    /// At most five of them.
    pub samples: Vec<FailureSample>,
}

/// A failed entry, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureSample {
    /// The entry.
    pub item_id: FileId,
    /// Its name.
    pub name: String,
    /// Why, for people.
    pub message: String,
}

/// A failed entry with what it takes to queue it again.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedItem {
    /// The entry.
    pub item_id: FileId,
    /// Its name.
    pub name: String,
    /// Why, for programs.
    pub cause: Cause,
    /// Why, for people.
    pub message: String,
    /// Executions spent in its last run.
    pub attempts: u32,
    /// The task as it was last delivered.
    pub task: ImportImage,
    /// When it was given up.
    pub failed_at: OffsetDateTime,
}

/// One entry with what became of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundItem {
    /// The entry.
    pub item: Item,
    /// The row of its file's image, whichever import stored it.
    pub image_id: Option<i64>,
}

/// What one fold did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folded {
    /// Events folded, repetitions included.
    pub events: u64,
    /// Imports that became completed, failed or cancelled.
    pub finished: Vec<crate::ImportRow>,
    /// Objects that were replaced and are to be removed.
    pub removals: u64,
}
