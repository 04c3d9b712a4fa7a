//! Rows as the JSON that the statements read; the fields are named like the columns.

use std::borrow::Cow;

use contracts::{FileId, ImportId};
use serde::Serialize;
use time::OffsetDateTime;

use super::text::kept;
use crate::fold::number;
use crate::item::Item;
use crate::{ImageRow, ImportRow, ProviderStatistics, ReadModelError, Removal, Result};

pub(super) fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| ReadModelError::Corrupt(Box::new(error)))
}

pub(super) fn millis(at: OffsetDateTime) -> i64 {
    let millis = at.unix_timestamp_nanos().div_euclid(1_000_000);
    i64::try_from(millis).unwrap_or(i64::MAX)
}

fn kept_option(text: &Option<String>) -> Option<Cow<'_, str>> {
    text.as_deref().map(kept)
}

#[derive(Serialize)]
pub(super) struct ImportCells<'r> {
    id: &'r str,
    status: &'static str,
    folder: Option<Cow<'r, str>>,
    folder_name: Option<Cow<'r, str>>,
    prefix: &'r str,
    requested_by: Option<Cow<'r, str>>,
    recursive: u8,
    skip_unchanged: u8,
    total: i64,
    imported: i64,
    skipped: i64,
    failed: i64,
    retrying: i64,
    bytes: i64,
    listing_completed: u8,
    pages: i64,
    cause: Option<&'static str>,
    message: Option<Cow<'r, str>>,
    created_at: i64,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    last_event_at: i64,
    revision: i64,
}

impl<'r> From<&'r ImportRow> for ImportCells<'r> {
    fn from(row: &'r ImportRow) -> Self {
        Self {
            id: row.id.as_str(),
            status: row.status.code(),
            folder: kept_option(&row.folder),
            folder_name: kept_option(&row.folder_name),
            prefix: row.prefix.as_str(),
            requested_by: kept_option(&row.requested_by),
            recursive: row.recursive.into(),
            skip_unchanged: row.skip_unchanged.into(),
            total: number(row.total),
            imported: number(row.imported),
            skipped: number(row.skipped),
            failed: number(row.failed),
            retrying: number(row.retrying),
            bytes: number(row.bytes),
            listing_completed: row.listing_completed.into(),
            pages: number(row.pages),
            cause: row.cause.map(contracts::Cause::code),
            message: kept_option(&row.message),
            created_at: millis(row.created_at),
            started_at: row.started_at.map(millis),
            finished_at: row.finished_at.map(millis),
            last_event_at: millis(row.last_event_at),
            revision: number(row.revision),
        }
    }
}

#[derive(Serialize)]
pub(super) struct ItemCells<'r> {
    import_id: &'r str,
    item_id: &'r str,
    file_id: Option<&'r str>,
    state: &'static str,
    run: u32,
    attempt: u32,
    name: Option<Cow<'r, str>>,
    size: Option<i64>,
    cause: Option<&'static str>,
    message: Option<Cow<'r, str>>,
    /// A text that is JSON itself: U+0000 is escaped in it.
    task: Option<String>,
    updated_at: i64,
    /// As `task`.
    history: Option<String>,
}

impl<'r> ItemCells<'r> {
    pub(super) fn of(import: &'r ImportId, row: &'r Item) -> Result<Self> {
        let history = (!row.history.is_empty()).then(|| json(&row.history));
        Ok(Self {
            import_id: import.as_str(),
            item_id: row.item_id.as_str(),
            file_id: row.file_id.as_ref().map(FileId::as_str),
            state: row.state.code(),
            run: row.run,
            attempt: row.attempt,
            name: kept_option(&row.name),
            size: row.size.map(number),
            cause: row.reason.map(crate::Reason::code),
            message: kept_option(&row.message),
            task: row.task.as_ref().map(json).transpose()?,
            updated_at: millis(row.updated_at),
            history: history.transpose()?,
        })
    }
}

#[derive(Serialize)]
pub(super) struct ImageCells<'r> {
    id: i64,
    google_drive_id: &'r str,
    name: Cow<'r, str>,
    name_search: String,
    path: Cow<'r, str>,
    size: i64,
    mime_type: Cow<'r, str>,
    provider: &'r str,
    bucket: Cow<'r, str>,
    object_key: Cow<'r, str>,
    md5: &'r str,
    sha256: &'r str,
    content_tag: Cow<'r, str>,
    width: Option<u32>,
    height: Option<u32>,
    taken_at: Option<Cow<'r, str>>,
    orientation: Option<u8>,
    modified_time: Option<i64>,
    import_id: &'r str,
    created_at: i64,
    updated_at: i64,
}

impl<'r> From<&'r ImageRow> for ImageCells<'r> {
    fn from(ImageRow { id, image: row }: &'r ImageRow) -> Self {
        Self {
            id: *id,
            google_drive_id: row.google_drive_id.as_str(),
            name: kept(&row.name),
            name_search: kept(&row.name.to_lowercase()).into_owned(),
            path: kept(&row.path),
            size: number(row.size),
            mime_type: kept(&row.mime_type),
            provider: &row.provider,
            bucket: kept(&row.bucket),
            object_key: kept(&row.object_key),
            md5: &row.md5,
            sha256: &row.sha256,
            content_tag: kept(&row.content_tag),
            width: row.width,
            height: row.height,
            taken_at: kept_option(&row.taken_at),
            orientation: row.orientation,
            modified_time: row.modified_time.map(millis),
            import_id: row.import_id.as_str(),
            created_at: millis(row.created_at),
            updated_at: millis(row.updated_at),
        }
    }
}

#[derive(Serialize)]
pub(super) struct RemovalCells<'r> {
    object_key: Cow<'r, str>,
    bucket: Cow<'r, str>,
    import_id: &'r str,
    file_id: &'r str,
    sequence: i64,
}

impl<'r> From<&'r Removal> for RemovalCells<'r> {
    fn from(row: &'r Removal) -> Self {
        Self {
            object_key: kept(&row.key),
            bucket: kept(&row.bucket),
            import_id: row.import_id.as_str(),
            file_id: row.file_id.as_str(),
            sequence: number(row.sequence),
        }
    }
}

#[derive(Serialize)]
pub(super) struct StatisticsCells<'r> {
    provider: &'r str,
    images: i64,
    bytes: i64,
}

impl<'r> From<&'r ProviderStatistics> for StatisticsCells<'r> {
    fn from(row: &'r ProviderStatistics) -> Self {
        Self {
            provider: &row.provider,
            images: number(row.images),
            bytes: number(row.bytes),
        }
    }
}

/// The key of an import, an image (its file), or a removal.
#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id<'r> {
    pub(super) id: &'r str,
}

#[derive(Serialize)]
pub(super) struct ObjectKey<'r> {
    pub(super) object_key: Cow<'r, str>,
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ItemKey<'r> {
    pub(super) import_id: &'r str,
    pub(super) item_id: &'r str,
}

/// A file with its content.
#[derive(Serialize)]
struct Listed<'r> {
    id: &'r str,
    tag: Cow<'r, str>,
}

pub(super) fn listed(files: &[(FileId, String)]) -> Result<String> {
    let listed = files.iter().map(|(file, tag)| Listed {
        id: file.as_str(),
        tag: kept(tag),
    });
    json(&listed.collect::<Vec<_>>())
}

/// Sequences of events, which are also the ids of images.
pub(super) fn sequences(sequences: impl IntoIterator<Item = i64>) -> Result<String> {
    #[derive(Serialize)]
    struct Sequence {
        sequence: i64,
    }
    let cells = sequences.into_iter().map(|sequence| Sequence { sequence });
    json(&cells.collect::<Vec<_>>())
}
