//! Imports: how far they are, and what failed in them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use contracts::kv::Submission;
use contracts::{Cause, ImportId};
use read_model::{FailureGroup, ImportRow, ImportStatus, ImportsQuery, Paged};
use serde::Serialize;
use time::{Duration, OffsetDateTime};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::cursor::Of;
use crate::view::ImageView;

/// Where an import stands.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ImportState)]
pub(crate) enum Status {
    /// Listing, or waiting for outcomes.
    Processing,
    /// Every page is listed and every entry has an outcome.
    Completed,
    /// The folder could not be listed.
    Failed,
    /// Given up by somebody, for good.
    Cancelled,
    /// Held by somebody.
    Paused,
}

impl From<ImportStatus> for Status {
    fn from(status: ImportStatus) -> Self {
        match status {
            ImportStatus::Processing => Self::Processing,
            ImportStatus::Completed => Self::Completed,
            ImportStatus::Failed => Self::Failed,
            ImportStatus::Cancelled => Self::Cancelled,
            ImportStatus::Paused => Self::Paused,
        }
    }
}

/// How far an import is. Everything here changes only when an event of the import was folded, so
/// that its hash can serve as an entity tag.
#[derive(Serialize, ToSchema)]
pub(crate) struct Progress {
    /// The import's id.
    #[schema(example = "01932e4b-7c1e-7c3a-9d50-0b6f3f1f9a10")]
    job_id: String,
    status: Status,
    /// The folder as it was submitted.
    #[schema(
        required,
        example = "https://drive.google.com/drive/folders/1AbC-dEf_GhIjKlMnOpQ"
    )]
    folder: Option<String>,
    /// Its name in Drive, once that is known.
    #[schema(required, example = "Holidays")]
    folder_name: Option<String>,
    /// Entries known so far; all of them once `listing` is false.
    total: u64,
    /// The same.
    total_images: u64,
    /// Entries that are stored or were skipped.
    processed: u64,
    /// Entries whole in the store.
    imported_count: u64,
    /// Entries that needed no import.
    skipped: u64,
    /// Entries given up.
    failed: u64,
    /// Entries that wait for another attempt.
    retrying: u64,
    /// Whether there may be entries that are not counted yet.
    listing: bool,
    /// Pages of the folder listed so far.
    pages: u64,
    /// Bytes of the imported entries.
    bytes: u64,
    /// Entries settled in a second, from the start until the latest event.
    rate: f64,
    /// Bytes stored in a second, likewise.
    bytes_per_second: f64,
    /// Seconds left at that rate; null while it cannot be told.
    #[schema(required)]
    eta_seconds: Option<f64>,
    /// Why the import as a whole failed, for people.
    #[schema(required)]
    error: Option<String>,
    /// The same, for programs.
    #[schema(required, example = "folder_forbidden")]
    cause: Option<String>,
    /// What to do about it.
    #[schema(required)]
    advice: Option<String>,
    /// When it was submitted.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When the work began.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    started_at: Option<OffsetDateTime>,
    /// When the status became final.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    finished_at: Option<OffsetDateTime>,
    /// The latest event.
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

impl Progress {
    pub(crate) fn new(row: &ImportRow) -> Self {
        let until = row.finished_at.unwrap_or(row.last_event_at);
        let seconds = row.started_at.map_or(0.0, |from| {
            (until - from).max(Duration::ZERO).as_seconds_f64()
        });
        let per_second = |n: u64| {
            if seconds > 0.0 {
                rounded(n as f64 / seconds)
            } else {
                0.0
            }
        };
        let rate = per_second(row.settled());
        let left = row.total.saturating_sub(row.settled());
        let open = !row.status.is_final() && row.listing_completed;
        Self {
            job_id: row.id.as_str().to_owned(),
            status: row.status.into(),
            folder: row.folder.clone(),
            folder_name: row.folder_name.clone(),
            total: row.total,
            total_images: row.total,
            processed: row.imported + row.skipped,
            imported_count: row.imported,
            skipped: row.skipped,
            failed: row.failed,
            retrying: row.retrying,
            listing: !row.status.is_final() && !row.listing_completed,
            pages: row.pages,
            bytes: row.bytes,
            rate,
            bytes_per_second: per_second(row.bytes),
            eta_seconds: (open && rate > 0.0).then(|| (left as f64 / rate).ceil()),
            error: row.message.clone(),
            cause: row.cause.map(|cause| cause.code().to_owned()),
            advice: advice(row),
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            updated_at: row.last_event_at,
        }
    }
}

/// What to do about an import that failed, or that found nothing: Drive lists a folder whose content
/// is not shared as empty.
fn advice(row: &ImportRow) -> Option<String> {
    let found_nothing = row.status == ImportStatus::Completed && row.total == 0;
    let advice = match row.cause {
        Some(cause) => cause.advice(),
        None if found_nothing => {
            "The folder is empty, or what it holds is not shared. Look at it in Google Drive, and share it with \"Anyone with the link\"."
        }
        None => return None,
    };
    Some(advice.to_owned())
}

/// The same for an import that was accepted and of which no event is folded yet.
pub(crate) fn accepted(submission: &Submission) -> Progress {
    Progress {
        job_id: submission.import_id.as_str().to_owned(),
        status: Status::Processing,
        folder: Some(submission.request.source.folder().to_owned()),
        folder_name: None,
        total: 0,
        total_images: 0,
        processed: 0,
        imported_count: 0,
        skipped: 0,
        failed: 0,
        retrying: 0,
        listing: true,
        pages: 0,
        bytes: 0,
        rate: 0.0,
        bytes_per_second: 0.0,
        eta_seconds: None,
        error: None,
        cause: None,
        advice: None,
        created_at: submission.accepted_at,
        started_at: None,
        finished_at: None,
        updated_at: submission.accepted_at,
    }
}

/// Progress with the images that arrived last.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportStatus)]
pub(crate) struct StatusView {
    #[serde(flatten)]
    pub(crate) progress: Progress,
    /// The latest 100 images, the newest first.
    pub(crate) imported: Vec<ImageView>,
    /// What keeps the work from going on, by dependency; absent once the status is final.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!({"drive": "the quota is used up"}))]
    pub(crate) waiting_for: Option<BTreeMap<String, String>>,
}

/// Progress and what was asked for.
#[derive(Serialize, ToSchema)]
#[schema(as = Import)]
pub(crate) struct ImportView {
    #[serde(flatten)]
    progress: Progress,
    /// As `job_id`.
    id: String,
    /// Whether subfolders are imported.
    recursive: bool,
    /// Whether files that are stored already are skipped.
    skip_unchanged: bool,
    /// Prepended to every object's key.
    destination_prefix: String,
    /// Who asked, in their own words.
    #[schema(required)]
    requested_by: Option<String>,
    links: ImportLinks,
}

impl ImportView {
    pub(crate) fn new(row: &ImportRow) -> Self {
        let id = &row.id;
        Self {
            progress: Progress::new(row),
            id: id.as_str().to_owned(),
            recursive: row.recursive,
            skip_unchanged: row.skip_unchanged,
            destination_prefix: row.prefix.as_str().to_owned(),
            requested_by: row.requested_by.clone(),
            links: ImportLinks::to(id),
        }
    }

    /// The same for an import that was accepted and of which no event is folded yet.
    pub(crate) fn accepted(submission: &Submission) -> Self {
        let (id, request) = (&submission.import_id, &submission.request);
        Self {
            progress: accepted(submission),
            id: id.as_str().to_owned(),
            recursive: request.recursive,
            skip_unchanged: request.skip_unchanged,
            destination_prefix: request.destination_prefix.as_str().to_owned(),
            requested_by: request.requested_by.clone(),
            links: ImportLinks::to(id),
        }
    }
}

/// Paths of what belongs to an import.
#[derive(Serialize, ToSchema)]
struct ImportLinks {
    #[serde(rename = "self")]
    own: String,
    status: String,
    failures: String,
    images: String,
    /// For people.
    page: String,
}

impl ImportLinks {
    fn to(id: &ImportId) -> Self {
        Self {
            own: format!("/api/imports/{id}"),
            status: format!("/api/import/status/{id}"),
            failures: format!("/api/imports/{id}/failures"),
            images: format!("/api/images?import={id}"),
            page: format!("/imports/{id}"),
        }
    }
}

/// Some imports, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportPage {
    imports: Vec<ImportView>,
    /// Imports on all pages together.
    total: u64,
    /// From 1; with a cursor it says nothing.
    page: u32,
    per_page: u32,
    total_pages: u64,
    /// The `cursor` of the next page; null on the last one.
    #[schema(required)]
    next_cursor: Option<String>,
}

impl ImportPage {
    pub(crate) fn new(found: &Paged<ImportRow>, query: &ImportsQuery) -> Self {
        let last = found.items.last().filter(|_| found.has_more);
        Self {
            imports: found.items.iter().map(ImportView::new).collect(),
            total: found.total,
            page: query.page,
            per_page: query.per_page,
            total_pages: found.total.div_ceil(u64::from(query.per_page)),
            next_cursor: last.map(|row| Of::Imports.after(&row.id)),
        }
    }
}

/// Why an entry failed, for programs. New releases add codes.
pub(crate) struct CauseCode;

impl PartialSchema for CauseCode {
    fn schema() -> RefOr<Schema> {
        let codes = Cause::ALL.iter().map(|cause| cause.code());
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("Why an entry failed. New releases add codes."))
            .enum_values(Some(codes));
        schema.into()
    }
}

impl ToSchema for CauseCode {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Cause")
    }
}

/// What failed in an import, by cause.
#[derive(Serialize, ToSchema)]
pub(crate) struct Failures {
    pub(crate) import_id: String,
    /// Entries given up.
    pub(crate) failed: u64,
    pub(crate) failures: Vec<FailureView>,
}

/// Failed entries that share a cause.
#[derive(Serialize, ToSchema)]
#[schema(as = FailureGroup)]
pub(crate) struct FailureView {
    /// Stable, for programs.
    #[schema(example = "not_an_image")]
    cause: &'static str,
    /// What to do about it.
    advice: &'static str,
    /// Entries.
    count: u64,
    /// When the first of them failed.
    #[serde(with = "time::serde::rfc3339")]
    first_seen: OffsetDateTime,
    /// When the last of them failed.
    #[serde(with = "time::serde::rfc3339")]
    last_seen: OffsetDateTime,
    /// At most five of them.
    samples: Vec<FailureSample>,
}

/// One failed entry.
#[derive(Serialize, ToSchema)]
struct FailureSample {
    /// The entry's id in Drive.
    item_id: String,
    name: String,
    /// Why, for people.
    message: String,
}

pub(crate) fn failure(group: FailureGroup) -> FailureView {
    let samples = group.samples.into_iter().map(|sample| FailureSample {
        item_id: sample.item_id.into(),
        name: sample.name,
        message: sample.message,
    });
    FailureView {
        cause: group.cause.code(),
        advice: group.cause.advice(),
        count: group.count,
        first_seen: group.first_seen,
        last_seen: group.last_seen,
        samples: samples.collect(),
    }
}

/// Two decimals are what people read.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
