#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn photo() -> Value {
    json!({
        "id": "1aB_-", "name": "a/b\n.jpg", "mimeType": "image/jpeg", "size": "10240",
        "md5Checksum": "0CC175B9C0F1B6A831C399E269772661",
        "sha256Checksum": "CA978112CA1BBDCAFAC231B39A23DC4DA786EFF8147C4E72B9807785AFEE48BB",
        "modifiedTime": "2024-02-29T12:30:00.123Z", "resourceKey": "0-k",
        "capabilities": {"canDownload": false},
        "imageMediaMetadata": {"width": 640, "height": 480}, "unheardOf": [1, 2],
    })
}

fn read(value: Value) -> Result<Entry, Malformed> {
    Entry::read(value, Some("0Adrive"))
}

#[test]
fn every_field_of_a_file_is_read() {
    let Ok(Entry::File(file)) = read(photo()) else {
        panic!("not a file")
    };
    assert_eq!(file.id.as_str(), "1aB_-");
    assert_eq!(file.name, "a/b\n.jpg");
    assert_eq!(file.size, Some(10_240));
    assert_eq!(
        file.md5.as_deref(),
        Some("0cc175b9c0f1b6a831c399e269772661")
    );
    assert!(file.sha256.as_deref().unwrap().starts_with("ca978112"));
    assert_eq!(
        file.modified_time.unwrap().unix_timestamp_nanos(),
        1_709_209_800_123_000_000
    );
    assert_eq!(file.resource_key.as_deref(), Some("0-k"));
    assert_eq!((file.width, file.height), (Some(640), Some(480)));
    assert!(!file.can_download);
    assert!(!file.is_google_native());
}

#[test]
fn what_drive_leaves_out_is_absent_not_wrong() {
    let bare = json!({"id": "x", "name": "", "mimeType": "application/vnd.google-apps.document"});
    let Ok(Entry::File(file)) = read(bare) else {
        panic!("not a file")
    };
    assert_eq!(
        (file.size, file.md5.clone(), file.modified_time),
        (None, None, None)
    );
    assert!(file.can_download);
    assert!(file.is_google_native());
}

#[test]
fn folders_inherit_the_drive_and_shortcuts_name_their_target() {
    let folder = json!({"id": "f", "name": "sub", "mimeType": FOLDER, "resourceKey": ""});
    let Ok(Entry::Folder(folder)) = read(folder) else {
        panic!("not a folder")
    };
    assert_eq!(folder.drive_id.as_deref(), Some("0Adrive"));
    assert_eq!(folder.resource_key, None);

    let shortcut = json!({"id": "s", "name": "to", "mimeType": SHORTCUT, "shortcutDetails":
        {"targetId": "t", "targetMimeType": FOLDER, "targetResourceKey": "0-t"}});
    let Ok(Entry::Shortcut(shortcut)) = read(shortcut) else {
        panic!("not a shortcut")
    };
    assert_eq!(shortcut.target_id.as_str(), "t");
    assert_eq!(shortcut.target_resource_key.as_deref(), Some("0-t"));
    assert!(shortcut.targets_folder());
}

#[test]
fn a_malformed_entry_is_named_and_costs_only_itself() {
    let broken = [
        ("size", json!("-3")),
        ("size", json!("99999999999999999999999")),
        ("size", json!(3)),
        ("md5Checksum", json!("d41d8")),
        ("md5Checksum", json!("zz".repeat(16))),
        ("sha256Checksum", json!("é".repeat(32))),
        ("modifiedTime", json!("yesterday")),
        ("name", json!(null)),
        ("mimeType", json!(7)),
        ("mimeType", json!(SHORTCUT)),
    ];
    for (field, value) in broken {
        let mut entry = photo();
        entry[field] = value;
        let body = json!({"files": [photo(), entry, photo()], "nextPageToken": "t"}).to_string();
        let page = Page::read(body.as_bytes(), None).unwrap();
        assert_eq!(page.entries.len(), 2, "{field}");
        assert_eq!(page.malformed.len(), 1, "{field}");
        assert_eq!(page.malformed[0].id.as_ref().unwrap().as_str(), "1aB_-");
        assert_eq!(page.next.as_deref(), Some("t"));
    }
    for id in [json!("../../etc"), json!(""), json!(1), json!(null)] {
        let mut entry = photo();
        entry["id"] = id;
        assert_eq!(read(entry).unwrap_err().id, None);
    }
}

#[test]
fn strange_pixels_are_dropped_and_the_image_is_kept() {
    for metadata in [
        json!({"width": -1, "height": "x"}),
        json!([]),
        json!({"width": 1e40}),
    ] {
        let mut entry = photo();
        entry["imageMediaMetadata"] = metadata;
        let Ok(Entry::File(file)) = read(entry) else {
            panic!("not a file")
        };
        assert_eq!((file.width, file.height), (None, None));
    }
}

#[test]
fn an_empty_page_is_a_page_and_strange_json_is_not() {
    let page = Page::read(br#"{"files":[],"nextPageToken":""}"#, None).unwrap();
    assert_eq!((page.entries.len(), page.next), (0, None));
    assert!(
        Page::read(br#"{"incompleteSearch":true}"#, None)
            .unwrap()
            .incomplete
    );
    for body in [
        "{}",
        "[]",
        "",
        "<html>",
        r#"{"files":{}}"#,
        r#"{"files":[]"#,
    ] {
        let error = Page::read(body.as_bytes(), None).unwrap_err();
        assert!(matches!(error, DriveError::Protocol(_)), "{body}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,70}".prop_map(Value::from),
        "[0-9a-fA-F]{32}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        let field = prop_oneof![
            "width",
            "targetId",
            "targetMimeType",
            "canDownload",
            ".{0,5}"
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(field, inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_metadata_panics_and_what_is_accepted_is_valid(
        fields in prop::collection::vec((0usize..10, any_json()), 0..6),
    ) {
        let names = ["id", "name", "mimeType", "size", "md5Checksum", "sha256Checksum",
            "modifiedTime", "shortcutDetails", "capabilities", "imageMediaMetadata"];
        let mut entry = photo();
        for (field, value) in fields {
            entry[names[field]] = value;
        }
        if let Ok(Entry::File(file)) = read(entry) {
            prop_assert!(file.md5.is_none_or(|md5| md5.len() == 32 && md5 == md5.to_lowercase()));
            prop_assert!(!file.id.as_str().is_empty());
        }
    }
}
