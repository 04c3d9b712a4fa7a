//! Tasks that are no image: deletions, and what nobody can read.

use contracts::{Cause, DeleteObject, EventBody, ImportId, Task};
use drive_sim::Faults;

use crate::support;

#[tokio::test]
async fn what_cannot_be_read_is_kept_and_the_rest_goes_on() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n1-s4k").await;
    it.publish_raw("garbage", b"\xff\0 no task".to_vec()).await;
    it.publish_raw("newer", br#"{"v":2,"type":"import_image"}"#.to_vec())
        .await;
    it.publish_raw("unknown", br#"{"v":1,"type":"paint_image"}"#.to_vec())
        .await;
    it.publish_all(files.clone()).await;
    let _worker = it.work();
    it.assert_imported(&files, 1).await;
    let mut unreadable = Vec::new();
    for event in it.events().await {
        if let EventBody::TaskUnreadable { cause, payload, .. } = event.body {
            assert_eq!(event.import_id, it.import);
            unreadable.push((cause, payload));
        }
    }
    unreadable.sort();
    let expected = [
        (Cause::MalformedTask, r#"{"v":1,"type":"paint_image"}"#),
        (Cause::MalformedTask, "\u{fffd}\0 no task"),
        (Cause::UnknownVersion, r#"{"v":2,"type":"import_image"}"#),
    ];
    let mut expected: Vec<_> = expected
        .map(|(cause, text)| (cause, text.to_owned()))
        .into();
    expected.sort();
    assert_eq!(unreadable, expected);
}

#[tokio::test]
async fn an_object_can_be_deleted_imported_again_and_deleted_again() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n2-s4k").await;
    let _worker = it.work();
    for round in 1..=2 {
        it.publish_all(files.clone()).await;
        it.all_done().await;
        assert_eq!(it.objects().await.len(), 2);
        let object = it
            .event("it is imported", |body| match body {
                EventBody::ImageImported { object, file, .. } if file.id == files[0].id => {
                    Some(object.clone())
                }
                _ => None,
            })
            .await;
        let task = Task::DeleteObject(DeleteObject {
            import_id: it.import.clone(),
            file_id: files[0].id.clone(),
            bucket: object.bucket,
            key: object.key.clone(),
            written_by: None,
        });
        // Twice: the second finds nothing, which is no error.
        for n in 0..2 {
            let payload = contracts::encode(&task).unwrap();
            it.publish_raw(&format!("{round}.{n}"), payload).await;
        }
        it.all_done().await;
        assert_eq!(it.objects().await.len(), 1, "only the other one is left");
        let deleted = it.events().await.into_iter().filter(|event| {
            matches!(&event.body, EventBody::ImageDeleted { file_id, key }
                if *file_id == files[0].id && *key == object.key)
        });
        assert_eq!(deleted.count(), round * 2, "each deletion is told");
    }
}

#[tokio::test]
async fn an_object_elsewhere_stays_but_its_row_goes() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n1-s4k").await;
    it.publish_all(files.clone()).await;
    let _worker = it.work();
    it.assert_imported(&files, 1).await;
    let key = it.objects().await.into_keys().next().unwrap();
    for (bucket, key) in [
        ("another-bucket".to_owned(), key),
        (it.bucket().display().to_string(), "../no key".to_owned()),
    ] {
        let task = Task::DeleteObject(DeleteObject {
            import_id: it.import.clone(),
            file_id: files[0].id.clone(),
            bucket,
            key: key.clone(),
            written_by: None,
        });
        it.publish_raw(&key, contracts::encode(&task).unwrap())
            .await;
        it.event("the row goes", |body| {
            matches!(body, EventBody::ImageDeleted { key: gone, .. } if *gone == key).then_some(())
        })
        .await;
    }
    assert_eq!(it.objects().await.len(), 1);
}

#[tokio::test]
async fn a_replaced_object_goes_only_if_nobody_stored_it_again() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n1-s4k").await;
    it.publish_all(files.clone()).await;
    let worker = it.work();
    it.assert_imported(&files, 1).await;
    let key = it.objects().await.into_keys().next().unwrap();
    let delete = |writer: &ImportId| DeleteObject {
        import_id: it.import.clone(),
        file_id: files[0].id.clone(),
        bucket: it.bucket().display().to_string(),
        key: key.clone(),
        written_by: Some(writer.clone()),
    };
    let deletions = || async {
        let events = it.events().await;
        let deleted = |body: &EventBody| matches!(body, EventBody::ImageDeleted { .. });
        events.iter().filter(|event| deleted(&event.body)).count()
    };
    for (writer, objects) in [(ImportId::generate(), 1), (it.import.clone(), 0)] {
        let task = Task::DeleteObject(delete(&writer));
        it.publish_raw(writer.as_str(), contracts::encode(&task).unwrap())
            .await;
        it.all_done().await;
        assert_eq!(it.objects().await.len(), objects);
        assert_eq!(deletions().await, 0, "no row is meant");
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_deletion_waits_while_the_store_is_away() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n1-s4k").await;
    it.publish_all(files.clone()).await;
    let worker = it.work();
    it.assert_imported(&files, 1).await;
    let key = it.objects().await.into_keys().next().unwrap();
    // A folder that cannot be reached, although it is there: a loop of links.
    let (photos, aside) = (it.bucket().join("photos"), it.bucket().join("aside"));
    std::fs::rename(&photos, &aside).unwrap();
    std::os::unix::fs::symlink(&photos, &photos).unwrap();
    let task = Task::DeleteObject(DeleteObject {
        import_id: it.import.clone(),
        file_id: files[0].id.clone(),
        bucket: it.bucket().display().to_string(),
        key,
        written_by: None,
    });
    it.publish_raw("delete", contracts::encode(&task).unwrap())
        .await;
    worker.waits_for("store").await;
    std::fs::remove_file(&photos).unwrap();
    std::fs::rename(&aside, &photos).unwrap();
    it.all_done().await;
    assert_eq!(it.objects().await.len(), 0);
    worker.is_ready().await;
}
