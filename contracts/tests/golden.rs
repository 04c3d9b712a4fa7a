//! What is on the wire today must be readable for ever: one file per message and version.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use contracts::event::{RedrivenItem, SkippedEntry, Timings};
use contracts::kv::{Control, ControlRecord, IdempotencyRecord, Presence, QuotaUse, Submission};
use contracts::{
    Action, Cause, Command, DecodeError, DeleteObject, Event, EventBody, ImportImage,
    ImportRequest, Message, Object, SkipReason, SourceFile, Task, decode, encode,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::macros::datetime;

fn request() -> ImportRequest {
    ImportRequest {
        import_id: Some("0192f0c1-0000-7000-8000-000000000001".parse().unwrap()),
        destination_prefix: "photos/2026".parse().unwrap(),
        skip_unchanged: false,
        requested_by: Some("nightly".into()),
        ..ImportRequest::google_drive("https://drive.google.com/drive/folders/1AbC")
    }
}

fn file() -> SourceFile {
    SourceFile {
        item_id: "shortcut-1".parse().unwrap(),
        id: "1AbC_d-E".parse().unwrap(),
        name: "Grüße 🌅/1\n.jpg".into(),
        mime_type: "image/jpeg".into(),
        size: Some(5_000_000_000),
        md5: Some("d41d8cd98f00b204e9800998ecf8427e".into()),
        sha256: Some("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".into()),
        modified_time: Some(datetime!(2026-01-02 03:04:05.678 UTC)),
        resource_key: Some("0-key".into()),
        path: "Iceland/Day 1".into(),
    }
}

fn image() -> ImportImage {
    ImportImage {
        import_id: "import-1".parse().unwrap(),
        run: 2,
        attempt: 3,
        file: file(),
        destination_prefix: "photos".parse().unwrap(),
    }
}

fn events() -> Vec<Event> {
    let at = datetime!(2026-01-02 03:04:05 UTC);
    let bodies = vec![
        EventBody::ImportAccepted {
            request: request(),
            folder_name: Some("Iceland".into()),
        },
        EventBody::ImportListed {
            page: 3,
            queued: vec!["a".parse().unwrap(), "b".parse().unwrap()],
            skipped: vec![SkippedEntry {
                item_id: "c".parse().unwrap(),
                name: "Plan".into(),
                reason: SkipReason::GoogleNative,
            }],
        },
        EventBody::ImportListingCompleted { pages: 3 },
        EventBody::ImportFailed {
            cause: Cause::FolderNotFound,
            message: "gone".into(),
            request: Some(request()),
        },
        EventBody::ImportCancelled {},
        EventBody::ImportPaused {},
        EventBody::ImportResumed {},
        EventBody::ImportRedriven {
            items: vec![RedrivenItem {
                item_id: "a".parse().unwrap(),
                run: 2,
            }],
        },
        EventBody::ImageImported {
            run: 1,
            attempt: 2,
            file: file(),
            object: Object {
                provider: "aws".into(),
                bucket: "images".into(),
                key: "photos/k.jpg".into(),
                size: 5_000_000_000,
                md5: "d41d8cd98f00b204e9800998ecf8427e".into(),
                sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".into(),
                content_type: "image/jpeg".into(),
                width: Some(4000),
                height: Some(3000),
                taken_at: Some("2024-05-01T12:00:00+02:00".into()),
                orientation: Some(6),
            },
            timings: Timings {
                quota_ms: 1,
                download_ms: 2,
                upload_ms: 3,
            },
            worker: "worker-1".into(),
        },
        EventBody::ImageSkipped {
            run: 1,
            file: file(),
            reason: SkipReason::Unchanged,
        },
        EventBody::ImageRetrying {
            run: 1,
            attempt: 1,
            item_id: "a".parse().unwrap(),
            name: "a.jpg".into(),
            cause: Cause::NetworkError,
            message: "reset".into(),
            due: at,
        },
        EventBody::ImageFailed {
            cause: Cause::SourceGone,
            message: "404".into(),
            attempts: 3,
            task: Box::new(image()),
        },
        EventBody::TaskUnreadable {
            cause: Cause::MalformedTask,
            message: "no JSON".into(),
            payload: "?".into(),
        },
        EventBody::ImageDeleted {
            file_id: "a".parse().unwrap(),
            key: "k".into(),
        },
    ];
    bodies
        .into_iter()
        .map(|body| Event {
            import_id: "import-1".parse().unwrap(),
            at,
            body,
        })
        .collect()
}

/// `message` encodes to what stands in the file, and the file decodes to `message`.
fn check<T: Message + PartialEq + std::fmt::Debug>(name: &str, message: &T) {
    let golden = golden(
        &format!("{name}.v{}", T::VERSION),
        &encode(message).unwrap(),
    );
    assert_eq!(
        &decode::<T>(&golden).unwrap(),
        message,
        "{name}: the golden file reads differently"
    );
}

/// The same for a value of a KV bucket, which carries its version as a field.
fn check_value<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    name: &str,
    value: &T,
) {
    let golden = golden(&format!("{name}.v1"), &serde_json::to_vec(value).unwrap());
    assert_eq!(&serde_json::from_slice::<T>(&golden).unwrap(), value);
}

fn golden_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.json"))
}

fn golden_file(name: &str) -> Vec<u8> {
    let path = golden_path(name);
    std::fs::read(&path).unwrap_or_else(|_| {
        panic!(
            "{} is missing; a new message needs one: WRITE_GOLDEN=1",
            path.display()
        )
    })
}

/// The golden file, after a look that `written` says the same. `WRITE_GOLDEN=1` makes missing ones.
fn golden(name: &str, written: &[u8]) -> Vec<u8> {
    let path = golden_path(name);
    let written: serde_json::Value = serde_json::from_slice(written).unwrap();
    if std::env::var_os("WRITE_GOLDEN").is_some() && !path.exists() {
        let text = serde_json::to_string_pretty(&written).unwrap() + "\n";
        std::fs::write(&path, text).unwrap();
    }
    let golden = golden_file(name);
    let kept: serde_json::Value = serde_json::from_slice(&golden).unwrap();
    assert_eq!(
        written, kept,
        "{name}: what is written today differs from the golden file"
    );
    golden
}

#[test]
fn every_message_reads_and_writes_its_golden_file() {
    check("import_request", &request());
    check("task.import_image", &Task::ImportImage(image()));
    let delete = DeleteObject {
        import_id: "import-1".parse().unwrap(),
        file_id: "a".parse().unwrap(),
        bucket: "images".into(),
        key: "photos/k.jpg".into(),
        written_by: Some("import-1".parse().unwrap()),
    };
    check("task.delete_object", &Task::DeleteObject(delete));
    for action in [
        Action::Cancel,
        Action::Pause,
        Action::Resume,
        Action::Retry {
            cause: Some(Cause::NetworkError),
            item_id: Some("a".parse().unwrap()),
        },
    ] {
        let command = Command {
            import_id: "import-1".parse().unwrap(),
            action,
            requested_by: Some("night shift".into()),
        };
        check(&format!("command.{}", command.action.code()), &command);
    }
    for event in events() {
        check(&format!("event.{}", event.body.kind()), &event);
    }
}

#[test]
fn every_kv_value_reads_and_writes_its_golden_file() {
    let submission = Submission {
        v: 1,
        import_id: "import-1".parse().unwrap(),
        request: request(),
        accepted_at: datetime!(2026-01-02 03:04:05 UTC),
    };
    check_value("kv.submission", &submission);
    let record = IdempotencyRecord {
        v: 1,
        import_id: "import-1".parse().unwrap(),
        body_sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".into(),
        seen: None,
        matching: None,
        imports: Vec::new(),
        answer: None,
    };
    check_value("kv.idempotency_record", &record);
    let bulk = IdempotencyRecord {
        matching: Some(2),
        imports: vec!["import-1".parse().unwrap(), "import-2".parse().unwrap()],
        ..record.clone()
    };
    check_value("kv.idempotency_record_bulk", &bulk);
    let done = IdempotencyRecord {
        seen: Some(4711),
        answer: Some(serde_json::json!({ "matching": 3, "queued": 3 })),
        ..record
    };
    check_value("kv.idempotency_record_done", &done);
    let presence = Presence {
        v: 1,
        role: "worker".into(),
        busy: true,
        weight: None,
        holds: BTreeMap::new(),
        waiting: [("store".to_owned(), "bucket missing".to_owned())].into(),
        quota: None,
    };
    check_value("kv.presence", &presence);
    let spending = Presence {
        role: "producer".into(),
        weight: Some(640),
        quota: Some(QuotaUse {
            units_per_minute: 325_000,
            used: 120_000,
        }),
        ..presence.clone()
    };
    check_value("kv.presence_spending", &spending);
    let holding = Presence {
        holds: [("import-1".parse().unwrap(), 48)].into(),
        ..presence
    };
    check_value("kv.presence_holding", &holding);
    for (name, state) in [
        ("running", Control::Running),
        ("paused", Control::Paused),
        ("cancelled", Control::Cancelled),
    ] {
        let record = ControlRecord {
            v: 1,
            state,
            command: 7,
        };
        check_value(&format!("kv.control_{name}"), &record);
    }
}

#[test]
fn an_image_of_before_dates_and_orientations_is_still_read() {
    let golden = golden_file("event.image.imported.v1");
    let mut older: serde_json::Value = serde_json::from_slice(&golden).unwrap();
    let object = older["object"].as_object_mut().unwrap();
    assert!(object.remove("taken_at").is_some() && object.remove("orientation").is_some());
    let event: Event = decode(&serde_json::to_vec(&older).unwrap()).unwrap();
    let EventBody::ImageImported { object, .. } = &event.body else {
        panic!("{event:?}");
    };
    assert_eq!((&object.taken_at, object.orientation), (&None, None));
    let written: serde_json::Value = serde_json::from_slice(&encode(&event).unwrap()).unwrap();
    assert_eq!(written, older);
}

#[test]
fn the_kind_in_the_json_is_the_kind_in_the_subject() {
    for event in events() {
        let json: serde_json::Value = serde_json::from_slice(&encode(&event).unwrap()).unwrap();
        assert_eq!(json["kind"], event.body.kind());
        assert_eq!(json["v"], 1);
    }
}

#[test]
fn unknown_fields_are_ignored_and_unknown_versions_are_named() {
    let newer = br#"{"v":1,"source":{"google_drive":{"folder":"x"}},"colour":"blue"}"#;
    assert_eq!(
        decode::<ImportRequest>(newer).unwrap(),
        ImportRequest::google_drive("x")
    );
    let unversioned = br#"{"source":{"google_drive":{"folder":"x"}}}"#;
    assert_eq!(
        decode::<ImportRequest>(unversioned).unwrap(),
        ImportRequest::google_drive("x")
    );
    let future = decode::<ImportRequest>(br#"{"v":2,"anything":true}"#).unwrap_err();
    assert!(
        matches!(future, DecodeError::UnknownVersion { found: 2, .. }),
        "{future}"
    );
    for bad in [
        &b""[..],
        b"[]",
        b"{}",
        b"\xff",
        br#"{"v":"one"}"#,
        br#"{"source":{"ftp":{}}}"#,
    ] {
        assert!(
            matches!(
                decode::<ImportRequest>(bad),
                Err(DecodeError::Malformed { .. })
            ),
            "{bad:?}"
        );
    }
}
