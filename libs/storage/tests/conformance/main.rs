//! One suite for every store.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod suite;

use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use md5::{Digest, Md5};
use storage::{Cleaned, ErrorKind, Presign, S3Config, Store, StoreConfig};
use suite::{assert_holds, info, key, noise, suite};
use testkit::azurite::Azurite;
use testkit::weed::Weed;

fn temporary_files(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root.join(".tmp")).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

async fn local(root: &Path) -> Store {
    Store::open(StoreConfig::Local {
        root: root.to_path_buf(),
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_directory() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().join("created/on/the/way");
    let store = local(&root).await;
    assert_eq!(
        (store.provider(), store.bucket()),
        ("local", root.to_str().unwrap())
    );
    store.create_bucket().await.unwrap();
    suite(&store, async || temporary_files(&root)).await;

    // Another process sees the same.
    let body = noise(2000, 4);
    assert_holds(&local(&root).await, &key("replaced"), &body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seaweedfs() {
    let weed = Weed::shared().await.unwrap();
    let bucket = "conformance";
    let config = S3Config::new(bucket, "us-east-1", weed.endpoint().parse().ok())
        .with_key(weed.access_key(), weed.secret_key());
    let store = Store::open(StoreConfig::S3(config)).await.unwrap();
    assert_eq!((store.provider(), store.bucket()), ("aws", bucket));
    for _ in 0..2 {
        store.create_bucket().await.unwrap();
    }

    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(weed.endpoint())
        .force_path_style(true)
        .credentials_provider(Credentials::new(
            weed.access_key(),
            weed.secret_key(),
            None,
            None,
            "test",
        ))
        .build();
    let client = aws_sdk_s3::Client::from_conf(config);
    let unfinished = async || {
        let listed = client
            .list_multipart_uploads()
            .bucket(bucket)
            .send()
            .await
            .unwrap();
        listed
            .uploads()
            .iter()
            .map(|upload| upload.key().unwrap().to_owned())
            .collect()
    };
    suite(&store, &unfinished).await;

    // Of uploads whose workers died, those are aborted that are old and named as ours are.
    let (ours, other) = ("a/c6cbb8e0-8ad8-5b4f-9c5c-0b7f0a7f6c11.jpg", "a/backup.tar");
    for key in [ours, other] {
        let begun = client.create_multipart_upload().bucket(bucket).key(key);
        begun.send().await.unwrap();
    }
    let old = Duration::from_secs(60 * 60);
    assert_eq!(store.clean(old).await.unwrap(), Cleaned::default());
    assert_eq!(unfinished().await.len(), 2);
    let cleaned = store.clean(Duration::ZERO).await.unwrap();
    assert_eq!((cleaned.removed, cleaned.more), (1, false));
    assert_eq!(unfinished().await, [other]);

    // A process that is about to end waits for what it dropped.
    let body = noise(6_000_000, 1);
    let mut upload = store.upload(&key("settled"), &info(&body)).await.unwrap();
    upload.write(body).await.unwrap();
    assert_eq!(unfinished().await.len(), 2);
    drop(upload);
    store.settled().await;
    assert_eq!(unfinished().await, [other]);
}

#[tokio::test(flavor = "multi_thread")]
async fn azurite() {
    let azurite = Azurite::shared().await.unwrap();
    let store = azure(&azurite.connection_string(), "conformance").await;
    let provider = (store.provider(), store.bucket());
    assert_eq!(provider, ("azure", "conformance"));
    for _ in 0..2 {
        store.create_bucket().await.unwrap();
    }
    // Blocks without a commit are visible to nobody and removed by Azure itself.
    suite(&store, async || Vec::new()).await;
    assert_eq!(
        store.clean(Duration::ZERO).await.unwrap(),
        Cleaned::default()
    );

    // The account's own check sees the same; so does Azure's idea of the whole object's MD5.
    let body = noise(20 * 1024 * 1024, 3);
    let mut upload = store.upload(&key("whole"), &info(&body)).await.unwrap();
    upload.write(body.clone()).await.unwrap();
    upload.complete().await.unwrap();
    let url = store
        .presign(&key("whole"), &reading())
        .await
        .unwrap()
        .unwrap();
    let found = reqwest::get(url).await.unwrap();
    let md5 = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        Md5::digest(&body),
    );
    assert_eq!(found.headers()["content-md5"], md5.as_str());

    // Of two uploads to one key the first to commit wins; the other is sent again.
    // Two parts of each are on their way at once, so when a third has begun, one is there.
    let (one, two) = (noise(6_000_000, 4), noise(17_000_000, 5));
    let contended = key("contended-upload");
    let mut first = store.upload(&contended, &info(&one)).await.unwrap();
    first.write(one.clone()).await.unwrap();
    let mut second = store.upload(&contended, &info(&two)).await.unwrap();
    second.write(two).await.unwrap();
    first.complete().await.unwrap();
    let error = second.complete().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    assert_holds(&store, &contended, &one).await;
}

/// A SAS of the container does everything but sign another one.
#[tokio::test(flavor = "multi_thread")]
async fn azurite_by_sas() {
    let azurite = Azurite::shared().await.unwrap();
    let owner = azure(&azurite.connection_string(), "by-sas").await;
    owner.create_bucket().await.unwrap();
    let body = noise(100, 1);
    owner
        .put(&key("a"), body.clone(), &info(&body))
        .await
        .unwrap();

    // A SAS for one object is one, too.
    let url = owner.presign(&key("a"), &reading()).await.unwrap().unwrap();
    let string = format!(
        "BlobEndpoint={};AccountName={};SharedAccessSignature={}",
        azurite.endpoint(),
        azurite.account(),
        url.query().unwrap()
    );
    let store = azure(&string, "by-sas").await;
    assert_holds(&store, &key("a"), &body).await;
    assert!(
        store
            .presign(&key("a"), &reading())
            .await
            .unwrap()
            .is_none()
    );
    let error = store
        .put(&key("b"), body.clone(), &info(&body))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Outage, "{error}");
    assert!(
        !format!("{error} {error:?} {store:?}").contains("sig="),
        "{error:?}"
    );
}

fn reading() -> Presign {
    Presign {
        ttl: Duration::from_secs(300),
        content_type: "image/png".to_owned(),
        content_disposition: "inline".to_owned(),
    }
}

async fn azure(connection_string: &str, container: &str) -> Store {
    let env = runtime::Env::from_pairs([
        ("STORAGE_PROVIDER", "azure"),
        ("AZURE_STORAGE_CONNECTION_STRING", connection_string),
        ("AZURE_STORAGE_CONTAINER_NAME", container),
    ]);
    Store::open(StoreConfig::from_env(&env).unwrap())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_leftovers_of_the_dead_are_removed() {
    let root = tempfile::tempdir().unwrap();
    let store = local(root.path()).await;
    let body = noise(100, 1);
    let mut upload = store.upload(&key("a"), &info(&body)).await.unwrap();
    upload.write(body.clone()).await.unwrap();
    let dead = root.path().join(".tmp/dead");
    let file = std::fs::File::create(&dead).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(25 * 60 * 60))
        .unwrap();

    let _another = local(root.path()).await;
    assert!(!dead.exists());
    upload.complete().await.unwrap();
    assert_holds(&store, &key("a"), &body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn local_keys_never_touch_the_stores_own_files() {
    let root = tempfile::tempdir().unwrap();
    let store = local(root.path()).await;
    let body = noise(100, 1);
    store
        .put(&key("a/b"), body.clone(), &info(&body))
        .await
        .unwrap();
    for bad in [".meta/a/b.json", ".tmp/x", "a", "a/b/c", &"n".repeat(300)] {
        let error = store
            .put(&key(bad), body.clone(), &info(&body))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Object, "{bad}: {error}");
        assert_eq!(store.head(&key(bad)).await.unwrap(), None, "{bad}");
        store.delete(&key(bad)).await.unwrap();
    }
    assert_holds(&store, &key("a/b"), &body).await;
    assert_eq!(store.keys("").await.unwrap(), ["a/b"]);
    assert_eq!(temporary_files(root.path()), [""; 0]);
}
