//! What every store promises.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use md5::{Digest, Md5};
use storage::{ErrorKind, Key, ObjectHead, ObjectInfo, Presign, Range, Store, StoreError};

/// Everything a store promises. `unfinished` lists what uploads that are neither complete nor gone
/// have left.
pub(crate) async fn suite(store: &Store, unfinished: impl AsyncFn() -> Vec<String>) {
    bytes_and_metadata_come_back(store).await;
    a_put_replaces(store).await;
    wrong_bytes_never_appear(store).await;
    ranges(store).await;
    missing_objects(store).await;
    uploads_appear_when_complete(store).await;
    given_up_uploads_leave_nothing(store, &unfinished).await;
    one_key_put_at_once_holds_one_of_them(store).await;
    keys_are_listed_beyond_a_page(store).await;
    signed_urls_are_for_one_object_and_say_what_it_is(store).await;
    store.check().await.unwrap();
    assert_eq!(store.keys("imagefleet-probe").await.unwrap(), [""; 0]);
    assert_eq!(unfinished().await, [""; 0]);
}

async fn bytes_and_metadata_come_back(store: &Store) {
    let long = "ä".repeat(127) + "x";
    assert_eq!(long.len(), 255);
    let names = [
        "IMG_0001.jpg",
        "",
        " two  spaces, both ends ",
        "sunset 🌅\u{200d} on\nthe\r\nroof\t100% of \"it\".png",
        "../../etc/passwd\0",
        "写真.jpeg",
        &long,
    ];
    for (number, name) in names.into_iter().enumerate() {
        let body = noise(number * 100_000, number);
        let key = key(&format!("round/trip-{number}_a.B"));
        let info = ObjectInfo {
            source_name: name.to_owned(),
            ..info(&body)
        };
        store.put(&key, body.clone(), &info).await.unwrap();
        let expected = ObjectHead {
            size: body.len() as u64,
            content_type: info.content_type,
            md5: info.md5,
            sha256: info.sha256,
            source_name: info.source_name,
            drive_id: info.drive_id,
            import_id: info.import_id,
        };
        assert_eq!(store.head(&key).await.unwrap(), Some(expected));
        let found = store.get(&key, None).await.unwrap().unwrap();
        let sizes = (found.offset, found.size, found.total_size);
        assert_eq!(sizes, (0, body.len() as u64, body.len() as u64));
        assert_eq!(found.content_type, "image/png");
        assert!(found.collect().await.unwrap() == body, "{name:?}");
    }

    // What a header cannot hold is cut, never refused.
    let body = noise(10, 1);
    let name = "🌅".repeat(3000);
    let unknown = ObjectInfo {
        source_name: name.clone(),
        md5: None,
        sha256: None,
        ..info(&body)
    };
    store
        .put(&key("round/long"), body.clone(), &unknown)
        .await
        .unwrap();
    let head = store.head(&key("round/long")).await.unwrap().unwrap();
    assert!(name.starts_with(&head.source_name) && head.source_name.len() >= 300);
    assert_eq!((head.md5, head.sha256), (info(&body).md5, None));
}

async fn a_put_replaces(store: &Store) {
    let key = key("replaced");
    for (size, seed) in [(1000, 1), (500, 2), (0, 3), (2000, 4)] {
        let body = noise(size, seed);
        let info = ObjectInfo {
            import_id: format!("import-{seed}"),
            ..info(&body)
        };
        store.put(&key, body.clone(), &info).await.unwrap();
        assert_holds(store, &key, &body).await;
        let head = store.head(&key).await.unwrap().unwrap();
        assert_eq!(head.import_id, info.import_id, "the last writer's");
    }
}

async fn wrong_bytes_never_appear(store: &Store) {
    let (good, damaged) = (noise(50_000, 5), noise(50_000, 6));
    for occupied in [false, true] {
        let key = key(&format!("damaged/{occupied}"));
        if occupied {
            store.put(&key, good.clone(), &info(&good)).await.unwrap();
        }
        let error = store
            .put(&key, damaged.clone(), &info(&good))
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::BadDigest), "{error}");
        assert_eq!(error.kind(), ErrorKind::Retry);
        match occupied {
            true => assert_holds(store, &key, &good).await,
            false => assert_eq!(store.head(&key).await.unwrap(), None),
        }
    }
}

async fn ranges(store: &Store) {
    let body = noise(1000, 7);
    let key = key("ranges");
    store.put(&key, body.clone(), &info(&body)).await.unwrap();
    for (range, expected) in [
        (Range::Between(0, 0), 0..1),
        (Range::Between(10, 19), 10..20),
        (Range::Between(990, 5000), 990..1000),
        (Range::From(0), 0..1000),
        (Range::From(999), 999..1000),
        (Range::Last(1), 999..1000),
        (Range::Last(5000), 0..1000),
    ] {
        let found = store.get(&key, Some(range)).await.unwrap().unwrap();
        assert_eq!(
            (found.offset, found.total_size),
            (expected.start as u64, 1000),
            "{range}"
        );
        assert_eq!(found.size, expected.len() as u64, "{range}");
        assert_eq!(found.collect().await.unwrap(), body[expected], "{range}");
    }
    for outside in [Range::From(1000), Range::Between(1000, 2000)] {
        let error = store.get(&key, Some(outside)).await.unwrap_err();
        assert!(
            matches!(error, StoreError::InvalidRange),
            "{outside}: {error}"
        );
    }
}

async fn missing_objects(store: &Store) {
    let (absent, body) = (key("absent/one"), noise(10, 8));
    assert_eq!(store.head(&absent).await.unwrap(), None);
    assert!(store.get(&absent, None).await.unwrap().is_none());
    assert!(
        store
            .get(&absent, Some(Range::From(3)))
            .await
            .unwrap()
            .is_none()
    );
    store.delete(&absent).await.unwrap();

    store
        .put(&absent, body.clone(), &info(&body))
        .await
        .unwrap();
    assert_eq!(
        store.head(&key("absent")).await.unwrap(),
        None,
        "a folder is no object"
    );
    assert!(
        store
            .get(&key("absent/one/two"), None)
            .await
            .unwrap()
            .is_none()
    );
    for _ in 0..2 {
        store.delete(&absent).await.unwrap();
        assert_eq!(store.head(&absent).await.unwrap(), None);
    }
    assert_eq!(store.keys("absent/").await.unwrap(), [""; 0]);
}

async fn uploads_appear_when_complete(store: &Store) {
    const MIB: usize = 1024 * 1024;
    // Less than a part, exactly two of them, and 20 MiB.
    for (size, chunk) in [(0, 1), (10, 3), (16 * MIB, 3 * MIB), (20 * MIB, 1_000_003)] {
        let body = noise(size, size);
        let key = key(&format!("uploads/{size}"));
        let info = ObjectInfo {
            sha256: None,
            ..info(&body)
        };
        let mut upload = store.upload(&key, &info).await.unwrap();
        let mut rest = body.clone();
        while !rest.is_empty() {
            upload
                .write(rest.split_to(chunk.min(rest.len())))
                .await
                .unwrap();
        }
        assert_eq!(
            store.head(&key).await.unwrap(),
            None,
            "{size} appeared too early"
        );
        upload.complete().await.unwrap();
        assert_holds(store, &key, &body).await;
        let head = store.head(&key).await.unwrap().unwrap();
        assert_eq!((head.sha256, head.import_id), (None, info.import_id));
    }
}

async fn given_up_uploads_leave_nothing(store: &Store, unfinished: &impl AsyncFn() -> Vec<String>) {
    let body = noise(20_000_000, 9);
    for dropped in [false, true] {
        let key = key(&format!("given-up/{dropped}"));
        let mut upload = store.upload(&key, &info(&body)).await.unwrap();
        upload.write(body.clone()).await.unwrap();
        // Azure has nothing to free: see below.
        assert_eq!(
            unfinished().await.len(),
            usize::from(store.provider() != "azure"),
            "the check below would prove nothing"
        );
        match dropped {
            true => drop(upload),
            false => upload.abort().await.unwrap(),
        }
        eventually(async || unfinished().await.is_empty()).await;
        assert_eq!(store.head(&key).await.unwrap(), None);
    }
    assert_eq!(store.keys("given-up").await.unwrap(), [""; 0]);
}

async fn one_key_put_at_once_holds_one_of_them(store: &Store) {
    let key = key("contended");
    let bodies: Vec<Bytes> = (0..24).map(|seed| noise(30_000, seed)).collect();
    let puts = bodies.iter().map(|body| {
        let info = info(body);
        async { store.put(&key, body.clone(), &{ info }).await }
    });
    stream::iter(puts)
        .buffer_unordered(24)
        .try_collect::<()>()
        .await
        .unwrap();
    let held = store
        .get(&key, None)
        .await
        .unwrap()
        .unwrap()
        .collect()
        .await
        .unwrap();
    assert!(bodies.contains(&held));
    assert_holds(store, &key, &held).await;
}

async fn keys_are_listed_beyond_a_page(store: &Store) {
    let names: Vec<String> = (0..1005)
        .map(|number| format!("many/{number:04}.jpg"))
        .collect();
    let puts = names.iter().map(|name| async {
        let body = Bytes::from(name.clone());
        store.put(&key(name), body.clone(), &info(&body)).await
    });
    stream::iter(puts)
        .buffer_unordered(64)
        .try_collect::<()>()
        .await
        .unwrap();
    assert_eq!(store.keys("many/").await.unwrap(), names);
    assert_eq!(store.keys("many/000").await.unwrap(), names[..10]);
    assert_eq!(store.keys("manx").await.unwrap(), [""; 0]);
    assert_eq!(store.keys("../").await.unwrap(), [""; 0]);
    assert!(store.keys("").await.unwrap().len() > 1005);
}

/// Whoever holds the URL reads this object, and nothing else, and the answer's type and disposition
/// are those that were signed.
async fn signed_urls_are_for_one_object_and_say_what_it_is(store: &Store) {
    let body = noise(1000, 11);
    for name in ["signed/one.svg", "signed/two.svg"] {
        store
            .put(&key(name), body.clone(), &info(&body))
            .await
            .unwrap();
    }
    let wanted = Presign {
        ttl: Duration::from_secs(300),
        content_type: "application/octet-stream".to_owned(),
        content_disposition:
            "attachment; filename=\"a b.svg\"; filename*=UTF-8''Z%C3%BCrich%20%26.svg".to_owned(),
    };
    let url = store
        .presign(&key("signed/one.svg"), &wanted)
        .await
        .unwrap();
    let Some(url) = url else {
        assert_eq!((store.provider(), store.origin()), ("local", None));
        return;
    };
    assert_eq!(store.origin(), Some(url.origin().ascii_serialization()));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let found = http.get(url.clone()).send().await.unwrap();
    assert_eq!(found.status(), 200);
    assert_eq!(found.headers()["content-type"], "application/octet-stream");
    assert_eq!(
        found.headers()["content-disposition"],
        wanted.content_disposition.as_str()
    );
    assert!(found.bytes().await.unwrap() == body);
    let part = http.get(url.clone()).header("range", "bytes=10-19");
    let part = part.send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.unwrap(), body[10..20]);

    let changed = |from: &str, to: &str| {
        let changed = url.as_str().replace(from, to);
        assert_ne!(changed, url.as_str(), "{from}");
        changed
    };
    for other in [
        changed("one.svg?", "two.svg?"),
        changed("octet-stream", "xhtml%2Bxml"),
        changed("attachment", "inline"),
    ] {
        let refused = http.get(&other).send().await.unwrap();
        assert_eq!(refused.status(), 403, "{other}");
    }
    let written = http
        .put(url)
        .header("x-ms-blob-type", "BlockBlob")
        .body("x");
    let written = written.send().await.unwrap();
    assert_eq!(written.status(), 403, "a URL to read with does not write");
}

pub(crate) async fn assert_holds(store: &Store, key: &Key, body: &Bytes) {
    let head = store.head(key).await.unwrap().expect("no object");
    assert_eq!(
        (head.size, head.md5),
        (body.len() as u64, Some(Md5::digest(body).into()))
    );
    let held = store
        .get(key, None)
        .await
        .unwrap()
        .expect("no object")
        .collect()
        .await
        .unwrap();
    assert!(held == body, "other bytes under {key}");
}

/// Waits until `condition` holds; panics after half a minute.
async fn eventually(condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition().await {
        assert!(Instant::now() < deadline, "still not so after 30 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

pub(crate) fn info(body: &Bytes) -> ObjectInfo {
    ObjectInfo {
        content_type: "image/png".to_owned(),
        source_name: "name.png".to_owned(),
        drive_id: "1AbC_-d".to_owned(),
        import_id: "0199-import-1".to_owned(),
        md5: Some(Md5::digest(body).into()),
        sha256: Some("ab".repeat(32)),
    }
}

/// Bytes that differ from place to place and from seed to seed.
pub(crate) fn noise(size: usize, seed: usize) -> Bytes {
    let mut state = seed as u64;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(size).collect()
}
