//! What errors are called, and that none that concerns every object is blamed on one.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use storage::{ErrorKind, Key, ObjectInfo, S3Config, Store, StoreConfig, StoreError};
use testkit::azurite::Azurite;
use testkit::weed::Weed;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

async fn s3(endpoint: &str, bucket: &str, access_key: &str, secret_key: &str) -> Store {
    let config = S3Config::new(bucket, "eu-central-1", endpoint.parse().ok())
        .with_key(access_key, secret_key);
    Store::open(StoreConfig::S3(config)).await.unwrap()
}

async fn azure(connection_string: &str, container: &str) -> Store {
    let env = runtime::Env::from_pairs([
        ("STORAGE_PROVIDER", "azure"),
        ("AZURE_STORAGE_CONNECTION_STRING", connection_string),
        ("AZURE_STORAGE_CONTAINER_NAME", container),
    ]);
    let config = StoreConfig::from_env(&env).unwrap();
    Store::open(config).await.unwrap()
}

fn key() -> Key {
    Key::new("some/image.png").unwrap()
}

async fn put(store: &Store) -> Result<(), StoreError> {
    let info = ObjectInfo {
        content_type: "image/png".to_owned(),
        ..ObjectInfo::default()
    };
    store
        .put(&key(), Bytes::from_static(b"some bytes"), &info)
        .await
}

/// What each operation that can say so answers.
async fn every_error(store: &Store) -> Vec<StoreError> {
    vec![
        put(store).await.unwrap_err(),
        store.get(&key(), None).await.unwrap_err(),
        store
            .upload(&key(), &ObjectInfo::default())
            .await
            .map(|_| ())
            .unwrap_err(),
        store.keys("").await.unwrap_err(),
        store.check().await.unwrap_err(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_an_outage_and_says_what_to_do() {
    let weed = Weed::shared().await.unwrap();
    let store = s3(
        &weed.endpoint(),
        "nowhere",
        weed.access_key(),
        weed.secret_key(),
    )
    .await;
    for error in every_error(&store).await {
        assert!(
            matches!(error, StoreError::BucketMissing { .. }),
            "{error:?}"
        );
        assert_eq!(error.kind(), ErrorKind::Outage);
        let text = error.to_string();
        let advice = "bucket nowhere does not exist: create it in region eu-central-1 or set AWS_BUCKET_NAME";
        assert_eq!(text, advice);
    }
    // An outage ends: the very same store works once the bucket is there.
    for _ in 0..2 {
        weed.create_bucket("nowhere").await.unwrap();
    }
    store.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_an_outage_and_never_shown() {
    let weed = Weed::shared().await.unwrap();
    weed.create_bucket("guarded").await.unwrap();
    for (id, secret, advice) in [
        (
            weed.access_key(),
            "hunter2hunter2",
            "check AWS_SECRET_ACCESS_KEY",
        ),
        ("nobody", "hunter2hunter2", "check AWS_ACCESS_KEY_ID"),
    ] {
        let store = s3(&weed.endpoint(), "guarded", id, secret).await;
        for error in every_error(&store).await {
            assert!(
                matches!(error, StoreError::BadCredentials { .. }),
                "{error:?}"
            );
            assert_eq!(error.kind(), ErrorKind::Outage);
            assert!(error.to_string().contains(advice), "{error}");
            assert!(!format!("{error} {error:?} {store:?}").contains("hunter2"));
        }
        // The answer to a HEAD has no body, so the reason is unknown; it must not read as absent.
        assert_eq!(
            store.head(&key()).await.unwrap_err().kind(),
            ErrorKind::Outage
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_dies_and_returns_is_an_outage() {
    let mut weed = Weed::start().await.unwrap();
    weed.create_bucket("mortal").await.unwrap();
    let store = s3(
        &weed.endpoint(),
        "mortal",
        weed.access_key(),
        weed.secret_key(),
    )
    .await;
    put(&store).await.unwrap();
    weed.stop();
    for error in every_error(&store).await {
        assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Outage);
        assert!(error.to_string().contains(&weed.endpoint()), "{error}");
    }
    weed.resume().await.unwrap();
    assert_eq!(store.head(&key()).await.unwrap().unwrap().size, 10);
    store.check().await.unwrap();
}

/// As [`every_error`], and HEAD, whose answers name their reason at Azure; an upload sends nothing
/// before there is a block to send.
async fn every_error_of_azure(store: &Store) -> Vec<StoreError> {
    let mut upload = store.upload(&key(), &ObjectInfo::default()).await.unwrap();
    upload.write(Bytes::from_static(b"bytes")).await.unwrap();
    vec![
        put(store).await.unwrap_err(),
        store.get(&key(), None).await.unwrap_err(),
        store.head(&key()).await.unwrap_err(),
        upload.complete().await.unwrap_err(),
        store.delete(&key()).await.unwrap_err(),
        store.keys("").await.unwrap_err(),
        store.check().await.unwrap_err(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_at_azure_is_an_outage_and_says_what_to_do() {
    let mut azurite = Azurite::start().await.unwrap();
    let store = azure(&azurite.connection_string(), "nowhere").await;
    for error in every_error_of_azure(&store).await {
        assert!(
            matches!(error, StoreError::ContainerMissing { .. }),
            "{error:?}"
        );
        assert_eq!(error.kind(), ErrorKind::Outage);
        let advice = format!(
            "container nowhere does not exist in storage account {}: create it or set \
             AZURE_STORAGE_CONTAINER_NAME",
            azurite.account()
        );
        assert_eq!(error.to_string(), advice);
    }
    store.create_bucket().await.unwrap();
    store.check().await.unwrap();

    // "hunter2hunter2hunter2", base64.
    let wrong = "aHVudGVyMmh1bnRlcjJodW50ZXIy";
    let wrong_key = azurite.connection_string().replace(azurite.key(), wrong);
    let stranger = azure(&wrong_key, "nowhere").await;
    for error in every_error_of_azure(&stranger).await {
        assert_eq!(error.kind(), ErrorKind::Outage, "{error:?}");
        // Azure says AuthenticationFailed, see the unit tests.
        assert!(
            error.to_string().contains("from Azurite: the key is wrong"),
            "{error}"
        );
        let text = format!("{error} {error:?} {stranger:?}");
        assert!(!text.contains("hunter2") && !text.contains(wrong), "{text}");
    }

    // An outage ends: the very same store works again.
    azurite.stop();
    for error in every_error_of_azure(&store).await {
        assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Outage);
    }
    azurite.resume().await.unwrap();
    store.create_bucket().await.unwrap();
    store.check().await.unwrap();
}

/// Answers every request alike and keeps what was sent.
async fn server(status: &str, headers: &str, body: &str) -> (String, Arc<Mutex<Vec<u8>>>) {
    let answer = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let received = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&received);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"some bytes") && !request.starts_with(b"GET") {
                if socket.read_buf(&mut request).await.unwrap() == 0 {
                    break;
                }
            }
            log.lock().unwrap().extend_from_slice(&request);
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (endpoint, received)
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_concern_every_object_are_outages() {
    let xml = |code: &str| format!("<Error><Code>{code}</Code><Message>hm</Message></Error>");
    let region = "x-amz-bucket-region: us-west-2\r\n";
    for (status, headers, body, expected) in [
        (
            "301 Moved Permanently",
            region,
            xml("PermanentRedirect"),
            "set AWS_REGION to us-west-2",
        ),
        ("503 Slow Down", "", xml("SlowDown"), "503 SlowDown"),
        ("502 Bad Gateway", "", "<html>oops</html>".to_owned(), "502"),
        ("400 Bad Request", "", "no S3 here".to_owned(), "400"),
        (
            "403 Forbidden",
            "",
            xml("AccessDenied"),
            "grant them s3:PutObject",
        ),
    ] {
        let (endpoint, _) = server(status, headers, &body).await;
        let error = put(&s3(&endpoint, "photos", "id", "secret").await)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Outage, "{status}: {error:?}");
        assert!(error.to_string().contains(expected), "{status}: {error}");
    }
    let (endpoint, _) = server("400 Bad Request", "", &xml("InvalidArgument")).await;
    let error = put(&s3(&endpoint, "photos", "id", "secret").await)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Object, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_is_guarded_by_its_md5_and_never_public() {
    let (endpoint, received) = server("200 OK", "", "").await;
    put(&s3(&endpoint, "photos", "id", "secret").await)
        .await
        .unwrap();
    let request = String::from_utf8(received.lock().unwrap().clone())
        .unwrap()
        .to_lowercase();
    assert!(
        request.starts_with("put /photos/some/image.png"),
        "{request}"
    );
    assert!(
        request.contains("content-md5: nqvorp0gbbrt8bcfevr0va==\r\n"),
        "{request}"
    );
    assert!(!request.contains("x-amz-acl"), "{request}");
    // The signature covers the MD5, and with it the bytes.
    let signed = request
        .split("signedheaders=")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    assert!(signed.contains("content-md5;"), "{signed}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_an_outage() {
    // Not even root may create directories in sysfs.
    let root = "/sys/kernel/imagefleet".into();
    let error = Store::open(StoreConfig::Local { root }).await.unwrap_err();
    assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
    assert!(
        error.to_string().contains("set LOCAL_STORAGE_PATH"),
        "{error}"
    );

    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    std::fs::write(&file, "").unwrap();
    let root = file.join("store");
    let error = Store::open(StoreConfig::Local { root }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Outage, "{error:?}");

    let root = parent.path().join("unmounted");
    let store = Store::open(StoreConfig::Local { root: root.clone() })
        .await
        .unwrap();
    std::fs::remove_dir_all(&root).unwrap();
    let error = put(&store).await.unwrap_err();
    assert!(
        matches!(error, StoreError::DirectoryMissing(_)),
        "{error:?}"
    );
    assert_eq!(error.kind(), ErrorKind::Outage);
}
