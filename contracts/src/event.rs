//! What happened. Events are the source of truth; SQL is folded from them.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{Cause, FileId, ImportId, ImportImage, ImportRequest, Message, SkipReason, SourceFile};

/// One event, published to `events.<import>.<kind>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The import it belongs to.
    pub import_id: ImportId,
    /// When it happened, by the publisher's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}

impl Event {
    /// `body`, now.
    #[must_use]
    pub fn now(import_id: ImportId, body: EventBody) -> Self {
        Self {
            import_id,
            at: OffsetDateTime::now_utc(),
            body,
        }
    }
}

impl Message for Event {
    const NAME: &'static str = "event";
    const VERSION: u32 = 1;
}

/// The kinds of event. The tag is also the end of the subject.
// Nearly every event is of the largest kind, so boxing it would only add an allocation to each.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum EventBody {
    /// A producer took the request and will list the folder.
    #[serde(rename = "import.accepted")]
    ImportAccepted {
        /// What was asked for.
        request: ImportRequest,
        /// The folder's name in Drive.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        folder_name: Option<String>,
    },
    /// A page of the listing, or a part of one, is on the queue. It names every entry, so that
    /// folding it again, or folding a second listing of the same folder, counts nothing twice.
    #[serde(rename = "import.listed")]
    ImportListed {
        /// Batches so far, this one included: a page goes out in one or several.
        page: u64,
        /// Entries queued as tasks.
        queued: Vec<FileId>,
        /// Entries that will not be imported.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        skipped: Vec<SkippedEntry>,
    },
    /// Every page is listed.
    #[serde(rename = "import.listing_completed")]
    ImportListingCompleted {
        /// Batches published.
        pages: u64,
    },
    /// The import cannot go on: no folder, no access, a request that makes no sense.
    #[serde(rename = "import.failed")]
    ImportFailed {
        /// Why, for programs.
        cause: Cause,
        /// Why and what to do, for people.
        message: String,
        /// What was asked for, when it could be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<ImportRequest>,
    },
    /// Somebody gave the import up.
    #[serde(rename = "import.cancelled")]
    ImportCancelled {},
    /// Somebody paused it.
    #[serde(rename = "import.paused")]
    ImportPaused {},
    /// Somebody resumed it.
    #[serde(rename = "import.resumed")]
    ImportResumed {},
    /// Failed entries are on the queue again.
    #[serde(rename = "import.redriven")]
    ImportRedriven {
        /// Each with the run that begins.
        items: Vec<RedrivenItem>,
    },
    /// One image is whole in the store.
    #[serde(rename = "image.imported")]
    ImageImported {
        /// The run of the task.
        run: u32,
        /// The execution that succeeded.
        attempt: u32,
        /// What Drive listed (or, if the file changed meanwhile, what it says now).
        file: SourceFile,
        /// Where it is and what it is.
        object: Object,
        /// How long each phase took.
        timings: Timings,
        /// Which worker did it.
        worker: String,
    },
    /// One entry turned out to need no import.
    #[serde(rename = "image.skipped")]
    ImageSkipped {
        /// The run of the task.
        run: u32,
        /// The entry.
        file: SourceFile,
        /// Why.
        reason: SkipReason,
    },
    /// One execution failed and another is scheduled.
    #[serde(rename = "image.retrying")]
    ImageRetrying {
        /// The run of the task.
        run: u32,
        /// The execution that failed.
        attempt: u32,
        /// The entry.
        item_id: FileId,
        /// Its name.
        name: String,
        /// Why, for programs.
        cause: Cause,
        /// Why, for people.
        message: String,
        /// When the next execution is due.
        #[serde(with = "time::serde::rfc3339")]
        due: OffsetDateTime,
    },
    /// The dead letter: it holds the task, so re-driving needs nothing else.
    #[serde(rename = "image.failed")]
    ImageFailed {
        /// Why, for programs.
        cause: Cause,
        /// Why, for people.
        message: String,
        /// Executions spent.
        attempts: u32,
        /// The task as it was last delivered.
        task: Box<ImportImage>,
    },
    /// A delivered task or command could not be read, so nothing can be done about it; kept for
    /// people.
    #[serde(rename = "task.unreadable")]
    TaskUnreadable {
        /// `malformed_task`, `malformed_command` or `unknown_version`.
        cause: Cause,
        /// What the reader said.
        message: String,
        /// The start of the payload, as text.
        payload: String,
    },
    /// An object and its row are gone, as asked.
    #[serde(rename = "image.deleted")]
    ImageDeleted {
        /// The Drive file it came from.
        file_id: FileId,
        /// The key that was removed: a later import of the same file is not undone by a late echo.
        key: String,
    },
}

impl EventBody {
    /// The kind, as in the tag and the subject.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ImportAccepted { .. } => "import.accepted",
            Self::ImportListed { .. } => "import.listed",
            Self::ImportListingCompleted { .. } => "import.listing_completed",
            Self::ImportFailed { .. } => "import.failed",
            Self::ImportCancelled {} => "import.cancelled",
            Self::ImportPaused {} => "import.paused",
            Self::ImportResumed {} => "import.resumed",
            Self::ImportRedriven { .. } => "import.redriven",
            Self::ImageImported { .. } => "image.imported",
            Self::ImageSkipped { .. } => "image.skipped",
            Self::ImageRetrying { .. } => "image.retrying",
            Self::ImageFailed { .. } => "image.failed",
            Self::TaskUnreadable { .. } => "task.unreadable",
            Self::ImageDeleted { .. } => "image.deleted",
        }
    }
}

/// A failed entry that is queued again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedrivenItem {
    /// The entry.
    pub item_id: FileId,
    /// The run that begins.
    pub run: u32,
}

/// A listed entry that is not queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedEntry {
    /// The entry.
    pub item_id: FileId,
    /// Its name.
    pub name: String,
    /// Why it is not queued.
    pub reason: SkipReason,
}

/// An image in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// `aws`, `azure` or `local`, as in the old system's `storage_provider`.
    pub provider: String,
    /// Bucket, container, or directory.
    pub bucket: String,
    /// Key within it.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Lower-case hex MD5 of the bytes.
    pub md5: String,
    /// Lower-case hex SHA-256 of the bytes.
    pub sha256: String,
    /// What the bytes are, by their first bytes.
    pub content_type: String,
    /// Pixels, when the header tells: as stored, before `orientation` is applied. (HEIF turns images
    /// by a property of its own, `irot`; that one is applied.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels, when the header tells; see `width`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// When it was taken, by the camera's clock (EXIF `DateTimeOriginal`): `2024-05-01T12:00:00`, and
    /// `+02:00` behind it where the camera knew (`OffsetTimeOriginal`). A date that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<String>,
    /// How to turn it for display (EXIF `Orientation`), 1 to 8; 1 is upright.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orientation: Option<u8>,
}

/// Milliseconds per phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// Waiting for the shared Drive quota.
    pub quota_ms: u64,
    /// From the request to the last byte.
    pub download_ms: u64,
    /// Storing.
    pub upload_ms: u64,
}
