//! Entries of imports: where they stand, and what became of them.

use contracts::{Cause, SkipReason};
use read_model::{FailedItem, FoundItem, Item, ItemState, Reason, Step};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// Where an entry stands.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EntryState {
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

impl From<ItemState> for EntryState {
    fn from(state: ItemState) -> Self {
        match state {
            ItemState::Queued => Self::Queued,
            ItemState::Retrying => Self::Retrying,
            ItemState::Imported => Self::Imported,
            ItemState::Skipped => Self::Skipped,
            ItemState::Failed => Self::Failed,
        }
    }
}

/// What became of an entry.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StepState {
    /// An execution failed and another was scheduled.
    Retrying,
    /// It was given up.
    Failed,
    /// It was stored.
    Imported,
    /// It turned out to need no import.
    Skipped,
    /// It was queued again.
    Requeued,
}

impl From<ItemState> for StepState {
    fn from(state: ItemState) -> Self {
        match state {
            ItemState::Queued => Self::Requeued,
            ItemState::Retrying => Self::Retrying,
            ItemState::Imported => Self::Imported,
            ItemState::Skipped => Self::Skipped,
            ItemState::Failed => Self::Failed,
        }
    }
}

/// One entry of an import.
#[derive(Serialize, ToSchema)]
#[schema(as = Entry)]
pub(crate) struct EntryView {
    /// Its id in Drive: the file's own, or the shortcut's.
    #[schema(example = "1AbC-dEf_GhIjKlMnOpQ")]
    item_id: String,
    /// Its name in Drive; null while only a listing has named it.
    #[schema(required, example = "IMG_0042.jpg")]
    name: Option<String>,
    /// Bytes, once known.
    #[schema(required)]
    size: Option<u64>,
    state: EntryState,
    /// Rises with each retry that somebody asked for; 1 at first.
    run: u32,
    /// Executions spent in this run; 0 before the first report.
    attempt: u32,
    /// Why it is retried, failed or skipped, for programs.
    #[schema(required, example = "network_error")]
    cause: Option<&'static str>,
    /// The same for people.
    #[schema(required)]
    message: Option<String>,
    /// What to do about it.
    #[schema(required)]
    advice: Option<&'static str>,
    /// The image that is stored of it.
    #[schema(required, example = 4711)]
    image_id: Option<i64>,
    /// When it came to this state.
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
    /// What became of it, the oldest first, where it stands now included: the latest 32 steps.
    history: Vec<StepView>,
}

/// One step of an entry's way.
#[derive(Serialize, ToSchema)]
#[schema(as = EntryStep)]
struct StepView {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    run: u32,
    attempt: u32,
    state: StepState,
    /// Why, for programs.
    #[schema(required, example = "network_error")]
    cause: Option<&'static str>,
    /// Why, for people; at most 200 characters.
    #[schema(required)]
    message: Option<String>,
}

impl From<Step> for StepView {
    fn from(step: Step) -> Self {
        Self {
            at: step.at,
            run: step.run,
            attempt: step.attempt,
            state: step.state.into(),
            cause: step.reason.map(Reason::code),
            message: step.message,
        }
    }
}

impl From<FoundItem> for EntryView {
    fn from(found: FoundItem) -> Self {
        let FoundItem { item, image_id } = found;
        let history = item.timeline().into_iter().map(StepView::from).collect();
        let advice = item.reason.map(|reason| match reason {
            Reason::Cause(cause) => Cause::advice(cause),
            Reason::Skip(reason) => SkipReason::advice(reason),
        });
        let stored = matches!(item.state, ItemState::Imported | ItemState::Skipped);
        Self {
            item_id: item.item_id.into(),
            name: item.name,
            size: item.size,
            state: item.state.into(),
            run: item.run,
            attempt: item.attempt,
            cause: item.reason.map(Reason::code),
            message: item.message,
            advice,
            // What an earlier import stored is not what became of an entry that failed.
            image_id: image_id.filter(|_| stored),
            updated_at: item.updated_at,
            history,
        }
    }
}

/// One entry of an import, in short.
#[derive(Serialize, ToSchema)]
#[schema(as = EntrySummary)]
pub(crate) struct EntryLine {
    /// Its id in Drive.
    pub(crate) item_id: String,
    #[schema(required, example = "IMG_0042.jpg")]
    name: Option<String>,
    /// Bytes, once known.
    #[schema(required)]
    size: Option<u64>,
    state: EntryState,
    #[schema(required, example = "network_error")]
    cause: Option<&'static str>,
    /// When it came to this state.
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

impl From<Item> for EntryLine {
    fn from(item: Item) -> Self {
        Self {
            item_id: item.item_id.into(),
            name: item.name,
            size: item.size,
            state: item.state.into(),
            cause: item.reason.map(Reason::code),
            updated_at: item.updated_at,
        }
    }
}

/// Some entries of an import, in the order of their ids.
#[derive(Serialize, ToSchema)]
pub(crate) struct EntryPage {
    pub(crate) items: Vec<EntryLine>,
    /// The `cursor` of the next page; null on the last one.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
}

/// One entry that was given up.
#[derive(Serialize, ToSchema)]
#[schema(as = FailedEntry)]
pub(crate) struct FailedEntryView {
    /// Its id in Drive.
    pub(crate) item_id: String,
    #[schema(example = "IMG_0042.jpg")]
    pub(crate) name: String,
    /// Names of the folders from the import's own down to the file, `/` between them.
    pub(crate) path: String,
    /// Why, for programs.
    #[schema(example = "not_an_image")]
    pub(crate) cause: &'static str,
    /// Why, for people.
    pub(crate) message: String,
    /// Executions spent in its last run.
    pub(crate) attempts: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) failed_at: OffsetDateTime,
    /// What to do about it.
    pub(crate) advice: &'static str,
}

impl From<FailedItem> for FailedEntryView {
    fn from(failed: FailedItem) -> Self {
        Self {
            item_id: failed.item_id.into(),
            name: failed.name,
            path: failed.task.file.path,
            cause: failed.cause.code(),
            message: failed.message,
            attempts: failed.attempts,
            failed_at: failed.failed_at,
            advice: failed.cause.advice(),
        }
    }
}

/// Some entries that were given up, in the order of their ids.
#[derive(Serialize, ToSchema)]
pub(crate) struct FailedEntryPage {
    pub(crate) items: Vec<FailedEntryView>,
    /// The `cursor` of the next page; null on the last one.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
}
