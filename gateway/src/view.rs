//! The shapes of answers. The old system's fields keep their names and meanings.

use contracts::kv::Submission;
use read_model::{FailureGroup, ImageRow, ImportRow, ImportStatus};
use serde::Serialize;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::links::Links;

/// One image.
#[derive(Serialize)]
pub(crate) struct ImageView<'a> {
    pub(crate) id: i64,
    pub(crate) name: &'a str,
    pub(crate) google_drive_id: &'a str,
    pub(crate) size: u64,
    pub(crate) mime_type: &'a str,
    pub(crate) storage_path: String,
    pub(crate) storage_provider: &'a str,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) updated_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub(crate) modified_time: Option<OffsetDateTime>,
    pub(crate) width: Option<u32>,
    pub(crate) height: Option<u32>,
    pub(crate) taken_at: Option<&'a str>,
    pub(crate) orientation: Option<u8>,
    pub(crate) md5: &'a str,
    pub(crate) sha256: &'a str,
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    pub(crate) path: &'a str,
    pub(crate) import_id: &'a str,
}

impl<'a> ImageView<'a> {
    pub(crate) fn new(row: &'a ImageRow, links: &Links) -> Self {
        let image = &row.image;
        Self {
            id: row.id,
            name: &image.name,
            google_drive_id: image.google_drive_id.as_str(),
            size: image.size,
            mime_type: &image.mime_type,
            storage_path: links.image(row.id, &image.object_key),
            storage_provider: &image.provider,
            created_at: image.created_at,
            updated_at: image.updated_at,
            modified_time: image.modified_time,
            width: image.width,
            height: image.height,
            taken_at: image.taken_at.as_deref(),
            orientation: image.orientation,
            md5: &image.md5,
            sha256: &image.sha256,
            bucket: &image.bucket,
            key: &image.object_key,
            path: &image.path,
            import_id: image.import_id.as_str(),
        }
    }
}

/// How far an import is. Everything here changes only when an event of the import was folded, so
/// that its hash can serve as an entity tag.
pub(crate) fn progress(row: &ImportRow) -> Value {
    let processed = row.imported + row.skipped;
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
    json!({
        "job_id": row.id.as_str(),
        "status": row.status.code(),
        "folder": row.folder,
        "folder_name": row.folder_name,
        "total": row.total,
        "total_images": row.total,
        "processed": processed,
        "imported_count": row.imported,
        "skipped": row.skipped,
        "failed": row.failed,
        "retrying": row.retrying,
        "listing": !row.status.is_final() && !row.listing_completed,
        "pages": row.pages,
        "bytes": row.bytes,
        "rate": rate,
        "bytes_per_second": per_second(row.bytes),
        "eta_seconds": (open && rate > 0.0).then(|| (left as f64 / rate).ceil()),
        "error": row.message,
        "cause": row.cause.map(|cause| cause.code()),
        "advice": advice(row),
        "created_at": stamp(row.created_at),
        "started_at": row.started_at.map(stamp),
        "finished_at": row.finished_at.map(stamp),
        "updated_at": stamp(row.last_event_at),
    })
}

/// What to do about an import that failed, or that found nothing: Drive lists a folder whose content
/// is not shared as empty.
fn advice(row: &ImportRow) -> Option<&'static str> {
    let found_nothing = row.status == ImportStatus::Completed && row.total == 0;
    match row.cause {
        Some(cause) => Some(cause.advice()),
        None if found_nothing => Some(
            "The folder is empty, or what it holds is not shared. Look at it in Google Drive, and share it with \"Anyone with the link\".",
        ),
        None => None,
    }
}

/// The same for an import that was accepted and of which no event is folded yet.
pub(crate) fn accepted(submission: &Submission) -> Value {
    json!({
        "job_id": submission.import_id.as_str(),
        "status": "processing",
        "folder": submission.request.source.folder(),
        "folder_name": null,
        "total": 0,
        "total_images": 0,
        "processed": 0,
        "imported_count": 0,
        "skipped": 0,
        "failed": 0,
        "retrying": 0,
        "listing": true,
        "pages": 0,
        "bytes": 0,
        "rate": 0.0,
        "bytes_per_second": 0.0,
        "eta_seconds": null,
        "error": null,
        "cause": null,
        "advice": null,
        "created_at": stamp(submission.accepted_at),
        "started_at": null,
        "finished_at": null,
        "updated_at": stamp(submission.accepted_at),
    })
}

/// Progress and what was asked for.
pub(crate) fn import(row: &ImportRow) -> Value {
    let mut view = progress(row);
    let id = &row.id;
    view["id"] = json!(id.as_str());
    view["recursive"] = json!(row.recursive);
    view["skip_unchanged"] = json!(row.skip_unchanged);
    view["destination_prefix"] = json!(row.prefix.as_str());
    view["requested_by"] = json!(row.requested_by);
    view["links"] = json!({
        "self": format!("/api/imports/{id}"),
        "status": format!("/api/import/status/{id}"),
        "failures": format!("/api/imports/{id}/failures"),
        "images": format!("/api/images?import={id}"),
        "page": format!("/imports/{id}"),
    });
    view
}

/// Failed entries that share a cause.
pub(crate) fn failure(group: &FailureGroup) -> Value {
    let samples = group.samples.iter().map(|sample| {
        json!({ "item_id": sample.item_id.as_str(), "name": sample.name, "message": sample.message })
    });
    json!({
        "cause": group.cause.code(),
        "advice": group.cause.advice(),
        "count": group.count,
        "first_seen": stamp(group.first_seen),
        "last_seen": stamp(group.last_seen),
        "samples": samples.collect::<Vec<_>>(),
    })
}

fn stamp(at: OffsetDateTime) -> String {
    at.format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_default()
}

/// Two decimals are what people read.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
