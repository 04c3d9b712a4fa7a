//! Images arrive whole, and what is odd gets the cause it deserves.

use std::collections::BTreeMap;

use contracts::EventBody;
use drive_sim::{Expect, Faults, LOCAL_FOLDER, MUSEUM, Options, museum};

use crate::support::{self, no_prefix};

#[tokio::test]
async fn two_hundred_images_arrive_byte_for_byte() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n200-s20k").await;
    it.publish_all(files.clone()).await;
    let worker = it.work();
    it.assert_imported(&files, 1).await;
    it.assert_nothing_failed().await;
    for file in &files {
        assert_eq!(it.downloads(&file.id), 1, "{}", file.name);
    }
    assert_eq!(worker.metric("imagefleet_worker_images_total"), 200.0);
    assert_eq!(
        worker.metric("imagefleet_worker_bytes_total"),
        200.0 * 20_480.0
    );
}

#[tokio::test]
async fn events_tell_what_the_bytes_are() {
    let it = support::start(Faults::default()).await;
    let file = it.listed("sim-n1-s20k").await.remove(0);
    let mut task = it.task(file.clone());
    task.destination_prefix = no_prefix();
    it.publish(task).await;
    let _worker = it.work();
    let object = it
        .event("it is imported", |body| match body {
            EventBody::ImageImported { object, .. } => Some(object.clone()),
            _ => None,
        })
        .await;
    assert_eq!(object.provider, "local");
    assert_eq!(object.bucket, it.bucket().display().to_string());
    assert_eq!(object.content_type, "image/jpeg");
    assert!(
        !object.key.contains('/') && object.key.ends_with(".jpg"),
        "{}",
        object.key
    );
    assert!(object.width.is_some() && object.height.is_some());
    let head = it
        .store
        .head(&object.key.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(head.content_type, "image/jpeg");
    assert_eq!(
        (head.source_name, head.drive_id),
        (file.name, file.id.to_string())
    );
}

#[tokio::test]
async fn events_tell_when_an_image_was_taken_and_how_it_is_turned() {
    // A JPEG's beginning: an EXIF block with a directory for the orientation, and one for the date.
    let photograph = b"\xff\xd8\xff\xe1\0\x54Exif\0\0MM\0\x2a\0\0\0\x08\
        \0\x02\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\x87\x69\0\x04\0\0\0\x01\0\0\0\x26\0\0\0\0\
        \0\x01\x90\x03\0\x02\0\0\0\x14\0\0\0\x38\0\0\0\x002024:05:01 12:00:00\0\
        \xff\xd9";
    let photographs = tempfile::tempdir().unwrap();
    std::fs::write(photographs.path().join("turned.jpg"), photograph).unwrap();
    let mut it = support::start(Faults::default()).await;
    let options = Options {
        folder: Some(photographs.path().to_owned()),
        ..Options::default()
    };
    it.sim = drive_sim::serve(options).await.unwrap();
    let file = it.listed(LOCAL_FOLDER).await.remove(0);
    it.publish(it.task(file)).await;
    let _worker = it.work();
    let object = it
        .event("it is imported", |body| match body {
            EventBody::ImageImported { object, .. } => Some(object.clone()),
            _ => None,
        })
        .await;
    assert_eq!(object.taken_at.as_deref(), Some("2024-05-01T12:00:00"));
    assert_eq!(object.orientation, Some(6));
}

#[tokio::test]
async fn everything_odd_ends_as_it_must() {
    let it = support::start(Faults::default()).await;
    // Described before anything is downloaded: one file changes once it was listed.
    let listed: BTreeMap<String, _> = it
        .listed(MUSEUM)
        .await
        .into_iter()
        .map(|file| (file.item_id.to_string(), file))
        .collect();
    let mut expected = BTreeMap::new();
    for exhibit in museum() {
        if matches!(exhibit.expect, Expect::Skipped(_)) {
            continue;
        }
        it.publish(it.task(listed[&exhibit.item_id].clone())).await;
        expected.insert(exhibit.item_id, exhibit.expect);
    }
    let _worker = it.work();
    it.all_done().await;
    let mut found = BTreeMap::new();
    for event in it.events().await {
        let (item, ended) = match event.body {
            EventBody::ImageImported { file, object, .. } => {
                let (md5, size) = (object.md5, object.size);
                (file.item_id, Ok((md5, size)))
            }
            EventBody::ImageFailed {
                cause,
                task,
                attempts,
                ..
            } => {
                assert_eq!(attempts, 1, "{}", task.file.name);
                (task.file.item_id, Err(cause.code()))
            }
            other => panic!("{other:?}"),
        };
        let twice = found.insert(item.to_string(), ended);
        assert!(twice.is_none(), "two outcomes of {item}");
    }
    for (item, expect) in &expected {
        match (expect, &found[item]) {
            (Expect::Imported { md5, size }, Ok(imported)) => {
                assert_eq!((md5, *size), (&imported.0, imported.1), "{item}");
            }
            (Expect::Failed(cause), Err(code)) => assert_eq!(cause, code, "{item}"),
            (expect, found) => panic!("{item} must be {expect:?} and is {found:?}"),
        }
    }
    assert_eq!(found.len(), expected.len());
    let imported = found.values().filter(|ended| ended.is_ok()).count();
    assert_eq!(it.objects().await.len(), imported, "one object per file");
    assert_no_leftovers(&it);
    assert_eq!(
        it.downloads(&"museum-forged".parse().unwrap()),
        2,
        "a wrong checksum is looked at twice"
    );
}

/// Unfinished objects of the local store.
pub(crate) fn assert_no_leftovers(it: &support::Fixture) {
    let left = std::fs::read_dir(it.bucket().join(".tmp")).unwrap().count();
    assert_eq!(left, 0, "unfinished objects are left");
}
