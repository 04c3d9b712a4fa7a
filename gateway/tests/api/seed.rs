//! Events as producers and workers publish them.

use contracts::event::SkippedEntry;
use contracts::{
    Cause, Event, EventBody, FileId, ImportId, ImportImage, ImportRequest, Object, Prefix,
    SkipReason, SourceFile, Timings,
};
use time::{Duration, OffsetDateTime};

use crate::support::FOLDER;

/// Distinct and rising, so that "newest" has one meaning.
fn at(second: u32) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::days(20_000) + Duration::seconds(i64::from(second))
}

pub(crate) fn import_id(name: &str) -> ImportId {
    name.parse().unwrap()
}

pub(crate) fn file_id(n: u32) -> FileId {
    format!("file-{n}").parse().unwrap()
}

fn event(import: &ImportId, second: u32, body: EventBody) -> Event {
    Event {
        import_id: import.clone(),
        at: at(second),
        body,
    }
}

pub(crate) fn accepted(import: &ImportId) -> Event {
    let request = ImportRequest::google_drive(FOLDER);
    event(
        import,
        0,
        EventBody::ImportAccepted {
            request,
            folder_name: Some("Holidays".into()),
        },
    )
}

pub(crate) fn listed(
    import: &ImportId,
    queued: impl IntoIterator<Item = u32>,
    skipped: &[u32],
) -> Event {
    let skipped = skipped.iter().map(|n| SkippedEntry {
        item_id: file_id(*n),
        name: format!("notes-{n}.txt"),
        reason: SkipReason::NotAnImage,
    });
    let queued = queued.into_iter().map(file_id).collect();
    event(
        import,
        1,
        EventBody::ImportListed {
            page: 1,
            queued,
            skipped: skipped.collect(),
        },
    )
}

pub(crate) fn listing_completed(import: &ImportId) -> Event {
    event(import, 2, EventBody::ImportListingCompleted { pages: 1 })
}

pub(crate) fn import_failed(import: &ImportId) -> Event {
    let body = EventBody::ImportFailed {
        cause: Cause::FolderForbidden,
        message: "403 from Drive".into(),
        request: None,
    };
    event(import, 3, body)
}

pub(crate) fn file(n: u32, name: &str) -> SourceFile {
    SourceFile {
        item_id: file_id(n),
        id: file_id(n),
        name: name.into(),
        mime_type: "image/jpeg".into(),
        size: Some(1000 + u64::from(n)),
        md5: Some(format!("{n:032x}")),
        sha256: None,
        modified_time: None,
        resource_key: None,
        path: "2024/summer".into(),
    }
}

pub(crate) fn object(n: u32) -> Object {
    Object {
        provider: "local".into(),
        bucket: "bucket".into(),
        key: format!("photos/{n}.jpg"),
        size: 1000 + u64::from(n),
        md5: format!("{n:032x}"),
        sha256: format!("{n:064x}"),
        content_type: "image/jpeg".into(),
        width: Some(640),
        height: Some(480),
        taken_at: Some("2024-05-01T12:00:00+02:00".into()),
        orientation: Some(6),
    }
}

/// `n`, one second after `n - 1`.
pub(crate) fn imported(import: &ImportId, n: u32) -> Event {
    imported_as(import, n, file(n, &format!("cat-{n}.jpg")), object(n))
}

pub(crate) fn imported_as(import: &ImportId, n: u32, file: SourceFile, object: Object) -> Event {
    let body = EventBody::ImageImported {
        run: 1,
        attempt: 1,
        file,
        object,
        timings: Timings::default(),
        worker: "worker-1".into(),
    };
    event(import, 3 + n, body)
}

pub(crate) fn failed(import: &ImportId, n: u32, cause: Cause) -> Event {
    let task = ImportImage {
        import_id: import.clone(),
        run: 1,
        attempt: 8,
        file: file(n, &format!("broken-{n}.jpg")),
        destination_prefix: Prefix::default(),
    };
    let body = EventBody::ImageFailed {
        cause,
        message: format!("message {n}"),
        attempts: 8,
        task: Box::new(task),
    };
    event(import, 3 + n, body)
}

pub(crate) fn paused(import: &ImportId) -> Event {
    event(import, 100, EventBody::ImportPaused {})
}

pub(crate) fn cancelled(import: &ImportId) -> Event {
    event(import, 101, EventBody::ImportCancelled {})
}

pub(crate) fn deleted(import: &ImportId, n: u32) -> Event {
    let body = EventBody::ImageDeleted {
        file_id: file_id(n),
        key: object(n).key,
    };
    event(import, 102, body)
}

pub(crate) fn retrying(import: &ImportId, n: u32, attempt: u32) -> Event {
    let body = EventBody::ImageRetrying {
        run: 1,
        attempt,
        item_id: file_id(n),
        name: format!("broken-{n}.jpg"),
        cause: Cause::NetworkError,
        message: "connection reset".into(),
        due: at(1000),
    };
    event(import, 3 + n, body)
}

pub(crate) fn skipped_unchanged(import: &ImportId, n: u32, run: u32) -> Event {
    let body = EventBody::ImageSkipped {
        run,
        file: file(n, &format!("cat-{n}.jpg")),
        reason: SkipReason::Unchanged,
    };
    event(import, 3 + n, body)
}
