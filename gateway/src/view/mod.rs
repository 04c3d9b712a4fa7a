//! The shapes of answers. The old system's fields keep their names and meanings.

mod image;
mod import;
mod item;
mod matching;
mod overview;

pub(crate) use image::{Deleted, ImageExport, ImagePage, ImageView, Stats};
pub(crate) use import::{
    CauseCode, Failures, ImportPage, ImportView, Progress, Status, StatusView, accepted, failure,
};
pub(crate) use item::{
    EntryLine, EntryPage, EntryState, EntryView, FailedEntryPage, FailedEntryView,
};
pub(crate) use matching::Matching;
pub(crate) use overview::{
    ImportCounts, MemberView, Overview, ProjectorView, QueueView, QuotaView,
};
