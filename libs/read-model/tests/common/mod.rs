//! Events for the tests.

#![allow(dead_code, unreachable_pub)] // each test file uses its part

use std::path::PathBuf;

use contracts::event::SkippedEntry;
use contracts::{
    Cause, Event, EventBody, FileId, ImportId, ImportImage, ImportRequest, Object, Prefix,
    SkipReason, SourceFile, Timings, event::RedrivenItem,
};
use read_model::ReadModel;
use tempfile::TempDir;
use time::OffsetDateTime;

pub const PROJECTOR: &str = "projector";

/// A model in a folder of its own, which is removed with it.
pub async fn model() -> (ReadModel, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let model = ReadModel::open_sqlite(&file_in(&folder)).await.unwrap();
    (model, folder)
}

pub fn file_in(folder: &TempDir) -> PathBuf {
    folder.path().join("read-model.sqlite")
}

/// Fold `bodies` as events of `import`, one second apart, after what is already folded.
pub async fn fold(model: &ReadModel, import: &ImportId, bodies: Vec<EventBody>) {
    let from = model.checkpoint(PROJECTOR).await.unwrap();
    let events: Vec<(u64, Event)> = (from + 1..)
        .zip(bodies)
        .map(|(sequence, body)| (sequence, event(import, seconds(sequence), body)))
        .collect();
    let to = from + events.len() as u64;
    model.fold(PROJECTOR, from, events, to).await.unwrap();
}

pub fn seconds(after: u64) -> OffsetDateTime {
    let base = time::macros::datetime!(2026-05-01 12:00:00 UTC);
    base + time::Duration::seconds(i64::try_from(after).unwrap())
}

pub fn event(import: &ImportId, at: OffsetDateTime, body: EventBody) -> Event {
    Event {
        import_id: import.clone(),
        at,
        body,
    }
}

pub fn import_id(id: &str) -> ImportId {
    id.parse().unwrap()
}

pub fn file_id(id: &str) -> FileId {
    id.parse().unwrap()
}

pub fn source(item: &str) -> SourceFile {
    SourceFile {
        item_id: file_id(item),
        id: file_id(item),
        name: format!("{item}.jpg"),
        mime_type: "image/jpeg".to_owned(),
        size: Some(1000),
        md5: Some(format!("md5-of-{item}")),
        sha256: None,
        modified_time: Some(seconds(0)),
        resource_key: None,
        path: "holiday/2026".to_owned(),
    }
}

pub fn object(key: &str, size: u64) -> Object {
    Object {
        provider: "local".to_owned(),
        bucket: "images".to_owned(),
        key: key.to_owned(),
        size,
        md5: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        sha256: "e3b0c442".to_owned(),
        content_type: "image/jpeg".to_owned(),
        width: Some(4000),
        height: None,
        taken_at: Some("2024-05-01T12:00:00".to_owned()),
        orientation: Some(8),
    }
}

pub fn accepted() -> EventBody {
    EventBody::ImportAccepted {
        request: ImportRequest {
            destination_prefix: "a/b".parse::<Prefix>().unwrap(),
            requested_by: Some("tests".to_owned()),
            recursive: false,
            ..ImportRequest::google_drive("https://drive.google.com/drive/folders/F")
        },
        folder_name: Some("Holiday".to_owned()),
    }
}

pub fn listed<S: AsRef<str>>(page: u64, queued: &[S], skipped: &[S]) -> EventBody {
    EventBody::ImportListed {
        page,
        queued: queued.iter().map(|item| file_id(item.as_ref())).collect(),
        skipped: skipped
            .iter()
            .map(|item| SkippedEntry {
                item_id: file_id(item.as_ref()),
                name: format!("{}.txt", item.as_ref()),
                reason: SkipReason::NotAnImage,
            })
            .collect(),
    }
}

pub fn listing_completed(pages: u64) -> EventBody {
    EventBody::ImportListingCompleted { pages }
}

pub fn import_failed(cause: Cause) -> EventBody {
    EventBody::ImportFailed {
        cause,
        message: "no".to_owned(),
        request: None,
    }
}

/// Of `item`, as the file of the same id, stored under a key made of both.
pub fn imported(item: &str, run: u32) -> EventBody {
    imported_as(source(item), object(&format!("a/b/{item}"), 1000), run)
}

pub fn imported_as(file: SourceFile, object: Object, run: u32) -> EventBody {
    EventBody::ImageImported {
        run,
        attempt: 1,
        file,
        object,
        timings: Timings::default(),
        worker: "worker-1".to_owned(),
    }
}

pub fn skipped(item: &str, run: u32) -> EventBody {
    EventBody::ImageSkipped {
        run,
        file: source(item),
        reason: SkipReason::Unchanged,
    }
}

pub fn retrying(item: &str, run: u32, attempt: u32) -> EventBody {
    EventBody::ImageRetrying {
        run,
        attempt,
        item_id: file_id(item),
        name: format!("{item}.jpg"),
        cause: Cause::NetworkError,
        message: "connection reset".to_owned(),
        due: seconds(60),
    }
}

pub fn failed(item: &str, run: u32, cause: Cause) -> EventBody {
    EventBody::ImageFailed {
        cause,
        message: format!("{cause}: {item}"),
        attempts: 8,
        task: Box::new(ImportImage {
            import_id: import_id("any"),
            run,
            attempt: 8,
            file: source(item),
            destination_prefix: Prefix::default(),
        }),
    }
}

pub fn redriven(items: &[(&str, u32)]) -> EventBody {
    let item = |(item, run): &(&str, u32)| RedrivenItem {
        item_id: file_id(item),
        run: *run,
    };
    EventBody::ImportRedriven {
        items: items.iter().map(item).collect(),
    }
}

pub fn deleted(file: &str, key: &str) -> EventBody {
    EventBody::ImageDeleted {
        file_id: file_id(file),
        key: key.to_owned(),
    }
}

/// Every table with every row, as text, so that two databases can be compared whole.
pub fn dump(path: &std::path::Path) -> Vec<(String, Vec<String>)> {
    let sql = rusqlite::Connection::open(path).unwrap();
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table'
         AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'refinery_%' ORDER BY name";
    let mut names = sql.prepare(names).unwrap();
    let names: Vec<String> = names
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let rows = |table: &String| -> Vec<String> {
        let mut all = sql.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = all.column_count();
        let mut rows: Vec<String> = all
            .query_map([], |row| {
                let cells = (0..columns).map(|n| row.get::<_, rusqlite::types::Value>(n));
                Ok(format!("{:?}", cells.collect::<Result<Vec<_>, _>>()?))
            })
            .unwrap()
            .map(Result::unwrap)
            .collect();
        rows.sort();
        rows
    };
    names
        .iter()
        .map(|name| (name.clone(), rows(name)))
        .collect()
}
