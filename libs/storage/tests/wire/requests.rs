//! Requests and refusals.

use std::time::Duration;

use crate::fake::{Fake, answer, header};
use bytes::Bytes;
use storage::{
    Encryption, ErrorKind, Key, ObjectInfo, Presign, S3Config, Store, StoreConfig, StoreError,
};

fn key() -> Key {
    Key::new("some/image.png").unwrap()
}

fn at(endpoint: &str) -> S3Config {
    S3Config::new("photos", "eu-central-1", endpoint.parse().ok()).with_key("id", "secret")
}

async fn s3(config: S3Config) -> Store {
    Store::open(StoreConfig::S3(config)).await.unwrap()
}

async fn azure(endpoint: &str, rest: &str) -> Store {
    let string = format!("BlobEndpoint={endpoint}/alice;AccountName=alice;{rest}");
    let env = runtime::Env::from_pairs([
        ("STORAGE_PROVIDER", "azure"),
        ("AZURE_STORAGE_CONNECTION_STRING", string.as_str()),
        ("AZURE_STORAGE_CONTAINER_NAME", "photos"),
    ]);
    Store::open(StoreConfig::from_env(&env).unwrap())
        .await
        .unwrap()
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

fn reading() -> Presign {
    Presign {
        ttl: Duration::from_secs(300),
        content_type: "image/png".to_owned(),
        content_disposition: "inline".to_owned(),
    }
}

/// Whether the bucket stands in the path or in the host, at Amazon's and elsewhere.
#[tokio::test]
async fn buckets_are_addressed_as_told() {
    let elsewhere = at("https://s3.example.com");
    let in_host = S3Config {
        path_style: false,
        ..elsewhere.clone()
    };
    let amazon = S3Config {
        endpoint_url: None,
        ..in_host.clone()
    };
    let dotted = S3Config {
        bucket: "my.photos".to_owned(),
        ..amazon.clone()
    };
    let first = S3Config {
        region: "us-east-1".to_owned(),
        ..amazon.clone()
    };
    let china = S3Config {
        region: "cn-north-1".to_owned(),
        ..amazon.clone()
    };
    for (config, origin, path) in [
        (
            first,
            "https://photos.s3.us-east-1.amazonaws.com",
            "/some/image.png",
        ),
        (
            china,
            "https://photos.s3.cn-north-1.amazonaws.com.cn",
            "/some/image.png",
        ),
        (
            elsewhere,
            "https://s3.example.com",
            "/photos/some/image.png",
        ),
        (in_host, "https://photos.s3.example.com", "/some/image.png"),
        (
            amazon,
            "https://photos.s3.eu-central-1.amazonaws.com",
            "/some/image.png",
        ),
        (
            dotted,
            "https://s3.eu-central-1.amazonaws.com",
            "/my.photos/some/image.png",
        ),
    ] {
        let store = s3(config).await;
        let url = store.presign(&key(), &reading()).await.unwrap().unwrap();
        assert_eq!(url.origin().ascii_serialization(), origin);
        assert_eq!(url.path(), path);
        // The page's policy names the same origin.
        assert_eq!(store.origin().unwrap(), origin);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_is_told_how_to_encrypt() {
    for (encryption, algorithm, kms_key) in [
        (None, None, None),
        (Some(Encryption::S3), Some("AES256"), None),
        (Some(Encryption::Kms(None)), Some("aws:kms"), None),
        (
            Some(Encryption::Kms(Some("a-key".to_owned()))),
            Some("aws:kms"),
            Some("a-key"),
        ),
    ] {
        let fake = Fake::start(|request| {
            let body = if !request.starts_with("POST") {
                ""
            } else if request.contains("uploadId=") {
                "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>"
            } else {
                "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
            };
            // With KMS an ETag is no MD5.
            answer("200 OK", "etag: \"not-a-hash\"\n", body)
        })
        .await;
        let store = s3(S3Config {
            encryption,
            ..at(&fake.endpoint)
        })
        .await;
        put(&store).await.unwrap();
        let mut upload = store.upload(&key(), &ObjectInfo::default()).await.unwrap();
        upload
            .write(Bytes::from_static(b"some bytes"))
            .await
            .unwrap();
        upload.complete().await.unwrap();
        let asked = fake.asked();
        let (begun, parts): (Vec<_>, Vec<_>) = asked
            .iter()
            .partition(|request| !request.contains("uploadId="));
        assert_eq!(
            (begun.len(), parts.len()),
            (2, 2),
            "put and begin; part and end"
        );
        for request in begun {
            let header = |name| header(request, name);
            assert_eq!(header("x-amz-server-side-encryption"), algorithm);
            assert_eq!(
                header("x-amz-server-side-encryption-aws-kms-key-id"),
                kms_key
            );
        }
        for request in parts {
            assert_eq!(header(request, "x-amz-server-side-encryption"), None);
        }
    }
}

/// Other servers know no checksums beyond MD5, nor bodies in chunks with trailers.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_md5_guards_a_put() {
    let fake = Fake::start(|_| answer("200 OK", "", "")).await;
    put(&s3(at(&fake.endpoint)).await).await.unwrap();
    let request = fake.asked().pop().unwrap().to_lowercase();
    assert_eq!(
        header(&request, "content-md5"),
        Some("nqvorp0gbbrt8bcfevr0va==")
    );
    for unknown in [
        "x-amz-checksum",
        "x-amz-trailer",
        "aws-chunked",
        "x-amz-sdk-checksum",
    ] {
        assert!(!request.contains(unknown), "{request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sas_never_leaves_the_request() {
    let fake = Fake::start(|_| {
        let echo = "<Error><AuthenticationErrorDetail>sig=hunter2 did not match</AuthenticationErrorDetail></Error>";
        answer("403 Forbidden", "x-ms-error-code: AuthenticationFailed\n", echo)
    })
    .await;
    let sas = "SharedAccessSignature=sv=2022-11-02&se=2020-01-01T00%3A00%3A00Z&sig=hunter2%3D";
    let store = azure(&fake.endpoint, sas).await;
    let error = put(&store).await.unwrap_err();
    let asked = fake.asked().pop().unwrap();
    assert!(asked.contains("&sig=hunter2%3D "), "{asked}");
    let text = format!("{error} {error:?} {store:?}");
    assert!(
        text.contains("2020-01-01"),
        "the end of its validity is told: {text}"
    );
    assert!(!text.contains("hunter2"), "{text}");

    // Nor when nobody answers.
    let store = azure("http://127.0.0.1:1", sas).await;
    let error = put(&store).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    assert!(
        !format!("{error} {error:?}").contains("hunter2"),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hiccups_of_azure_are_bridged_and_no_more() {
    let count = std::sync::atomic::AtomicU32::new(0);
    let fake = Fake::start(move |_| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if number % 5 < 2 {
            answer("503 Busy", "x-ms-error-code: ServerBusy\n", "")
        } else {
            answer("201 Created", "", "")
        }
    })
    .await;
    let store = azure(&fake.endpoint, "AccountKey=a2V5").await;
    put(&store).await.unwrap();
    assert_eq!(fake.asked().len(), 3);

    let fake = Fake::start(|_| answer("503 Busy", "x-ms-error-code: ServerBusy\n", "")).await;
    let store = azure(&fake.endpoint, "AccountKey=a2V5").await;
    let error = put(&store).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Outage, "{error}");
    assert_eq!(fake.asked().len(), 3);
}

/// Each names what is wrong and what to do, over HTTP as over the wire.
#[tokio::test(flavor = "multi_thread")]
async fn every_failed_check_names_its_fix() {
    let xml = |code: &str| format!("<Error><Code>{code}</Code><Message>hm</Message></Error>");
    let region = "x-amz-bucket-region: us-west-2\n";
    for (status, headers, code, expected) in [
        (
            "403 Forbidden",
            "",
            "InvalidAccessKeyId",
            "check AWS_ACCESS_KEY_ID",
        ),
        (
            "403 Forbidden",
            "",
            "SignatureDoesNotMatch",
            "check AWS_SECRET_ACCESS_KEY",
        ),
        (
            "403 Forbidden",
            "",
            "RequestTimeTooSkewed",
            "clock of this machine is wrong",
        ),
        (
            "403 Forbidden",
            "",
            "AccessDenied",
            "while writing a probe object",
        ),
        ("404 Not Found", "", "NoSuchBucket", "set AWS_BUCKET_NAME"),
        (
            "301 Moved Permanently",
            region,
            "PermanentRedirect",
            "set AWS_REGION to us-west-2",
        ),
        (
            "400 Bad Request",
            region,
            "AuthorizationHeaderMalformed",
            "set AWS_REGION to us-west-2",
        ),
    ] {
        let body = xml(code);
        let fake = Fake::start(move |_| answer(status, headers, &body)).await;
        let error = s3(at(&fake.endpoint)).await.check().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Outage, "{code}");
        assert!(error.to_string().contains(expected), "{error}");
    }

    let skewed = "date: Tue, 01 Jan 2019 00:00:00 GMT\n";
    for (status, headers, code, expected) in [
        (
            "403 Forbidden",
            "",
            "AuthenticationFailed",
            "check AccountName and AccountKey",
        ),
        (
            "403 Forbidden",
            skewed,
            "AuthenticationFailed",
            "clock of this machine is wrong",
        ),
        (
            "404 Not Found",
            "",
            "ContainerNotFound",
            "set AZURE_STORAGE_CONTAINER_NAME",
        ),
        ("403 Forbidden", "", "AuthorizationFailure", "firewall"),
        (
            "403 Forbidden",
            "",
            "AuthorizationPermissionMismatch",
            "Storage Blob Data Contributor",
        ),
    ] {
        let headers = format!("{headers}x-ms-error-code: {code}\n");
        let fake = Fake::start(move |_| answer(status, &headers, "")).await;
        let store = azure(&fake.endpoint, "AccountKey=a2V5").await;
        let error = store.check().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Outage, "{code}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    // An account that does not exist has no address.
    let env = runtime::Env::from_pairs([
        ("STORAGE_PROVIDER", "azure"),
        (
            "AZURE_STORAGE_CONNECTION_STRING",
            "AccountName=alice;AccountKey=a2V5;BlobEndpoint=http://alice.invalid",
        ),
        ("AZURE_STORAGE_CONTAINER_NAME", "photos"),
    ]);
    let store = Store::open(StoreConfig::from_env(&env).unwrap())
        .await
        .unwrap();
    let error = store.check().await.unwrap_err().to_string();
    assert!(
        error.contains("the account's name in AZURE_STORAGE_CONNECTION_STRING"),
        "{error}"
    );

    // What may be written and read, but not deleted.
    let fake = Fake::start(move |request| match request.split(' ').next() {
        Some("DELETE") => answer("403 Forbidden", "", &xml("AccessDenied")),
        _ => answer("200 OK", "", ""),
    })
    .await;
    let error = s3(at(&fake.endpoint)).await.check().await.unwrap_err();
    assert!(
        error.to_string().contains("while deleting a probe object"),
        "{error}"
    );
}
