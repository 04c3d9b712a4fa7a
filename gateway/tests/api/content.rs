use bytes::Bytes;
use contracts::Object;
use gateway::Delivery;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use storage::{Key, ObjectInfo, S3Config, Store, StoreConfig};
use testkit::weed::Weed;

use crate::seed::{file, import_id, imported_as, object};
use crate::support::{Fixture, problem, start, start_with};

const BYTES: &[u8] = b"0123456789abcdefghij";

/// Image 1, named `name`, of the type `mime_type`, in the store.
async fn with_image(name: &str, mime_type: &str) -> Fixture {
    let gateway = start().await;
    let info = ObjectInfo {
        content_type: mime_type.into(),
        ..ObjectInfo::default()
    };
    let key = Key::new("photos/1.jpg").unwrap();
    gateway
        .store
        .put(&key, Bytes::from_static(BYTES), &info)
        .await
        .unwrap();
    let size = BYTES.len() as u64;
    with_row(
        gateway,
        name,
        Object {
            size,
            content_type: mime_type.into(),
            ..object(1)
        },
    )
    .await
}

async fn with_row(mut gateway: Fixture, name: &str, object: Object) -> Fixture {
    gateway
        .fold(vec![imported_as(
            &import_id("one"),
            1,
            file(1, name),
            object,
        )])
        .await;
    gateway
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

const PATH: &str = "/api/images/1/content";

#[tokio::test]
async fn an_image_is_streamed_and_may_do_nothing() {
    let gateway = with_image("cat.jpg", "image/jpeg").await;
    let response = gateway.get(PATH).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), "image/jpeg");
    assert_eq!(header(&response, "content-length"), "20");
    assert_eq!(header(&response, "x-content-type-options"), "nosniff");
    assert_eq!(
        header(&response, "content-security-policy"),
        "default-src 'none'; sandbox"
    );
    assert_eq!(header(&response, "cache-control"), "private, max-age=3600");
    assert_eq!(header(&response, "etag"), format!("\"{:064x}\"", 1));
    assert!(header(&response, "content-disposition").starts_with("inline; filename=\"cat.jpg\""));
    assert_eq!(response.bytes().await.unwrap(), BYTES);

    let head = gateway.client.head(gateway.url(PATH)).send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), header(&head, "content-length")),
        (200, "20")
    );
    assert!(head.bytes().await.unwrap().is_empty());

    let known = gateway
        .get(PATH)
        .header("if-none-match", format!("\"{:064x}\"", 1))
        .send()
        .await
        .unwrap();
    assert_eq!(known.status(), 304);
}

#[tokio::test]
async fn ranges_are_served() {
    let gateway = with_image("cat.jpg", "image/jpeg").await;
    for (range, expected, content_range) in [
        ("bytes=0-4", "01234", "bytes 0-4/20"),
        ("bytes=15-", "fghij", "bytes 15-19/20"),
        ("bytes=-3", "hij", "bytes 17-19/20"),
        ("bytes=10-99", "abcdefghij", "bytes 10-19/20"),
    ] {
        let response = gateway
            .get(PATH)
            .header("range", range)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 206, "{range}");
        assert_eq!(header(&response, "content-range"), content_range);
        assert_eq!(
            header(&response, "content-length"),
            expected.len().to_string()
        );
        assert_eq!(response.text().await.unwrap(), expected);
    }
    let beyond = gateway
        .get(PATH)
        .header("range", "bytes=20-")
        .send()
        .await
        .unwrap();
    assert_eq!(header(&beyond, "content-range"), "bytes */20");
    problem(beyond, 416, "range_not_satisfiable").await;
    for ignored in ["bytes=5-1", "lines=1-2", "bytes=0-1,3-4"] {
        let response = gateway
            .get(PATH)
            .header("range", ignored)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{ignored}");
    }
    let part = gateway.get(PATH).header("range", "bytes=0-4");
    let stale = part
        .try_clone()
        .unwrap()
        .header("if-range", "\"other\"")
        .send()
        .await
        .unwrap();
    assert_eq!(stale.status(), 200);
    let fresh = part
        .header("if-range", format!("\"{:064x}\"", 1))
        .send()
        .await
        .unwrap();
    assert_eq!(fresh.status(), 206);
}

fn vary(response: &Response) -> String {
    let values = response.headers().get_all("vary").iter();
    let values: Vec<&str> = values.map(|value| value.to_str().unwrap()).collect();
    values.join(", ")
}

#[tokio::test]
async fn what_could_run_is_a_download() {
    for mime_type in [
        "image/svg+xml",
        "text/html",
        "image/tiff",
        "image/heic",
        "application/pdf",
    ] {
        let gateway = with_image("evil.svg", mime_type).await;
        let response = gateway.get(PATH).send().await.unwrap();
        assert!(
            header(&response, "content-disposition").starts_with("attachment;"),
            "{mime_type}"
        );
        assert_eq!(
            header(&response, "content-security-policy"),
            "default-src 'none'; sandbox"
        );
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn any_name_fits_into_the_header() {
    let gateway = with_image("Zürich \"1\"/\r\nx: y €.jpg", "image/jpeg").await;
    let response = gateway.get(PATH).send().await.unwrap();
    assert_eq!(
        header(&response, "content-disposition"),
        "inline; filename=\"Z_rich _1____x_ y _.jpg\"; \
         filename*=UTF-8''Z%C3%BCrich%20%221%22%2F%0D%0Ax%3A%20y%20%E2%82%AC.jpg"
    );
    assert!(!response.headers().contains_key("x"));
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let gateway = with_row(start().await, "gone.jpg", object(1)).await;
    problem(
        gateway.get(PATH).send().await.unwrap(),
        404,
        "object_missing",
    )
    .await;
    problem(
        gateway.get("/api/images/9/content").send().await.unwrap(),
        404,
        "not_found",
    )
    .await;

    let elsewhere = Object {
        provider: "aws".into(),
        bucket: "old-bucket".into(),
        ..object(1)
    };
    let gateway = with_row(start().await, "cat.jpg", elsewhere).await;
    let answer = problem(gateway.get(PATH).send().await.unwrap(), 409, "other_store").await;
    assert!(answer["detail"].as_str().unwrap().contains("old-bucket"));
}

/// Image 1, named `name`, of the type `mime_type`, in a bucket of an S3 server that browsers reach.
async fn in_s3(bucket: &str, name: &str, mime_type: &str) -> (Fixture, String) {
    let weed = Weed::shared().await.unwrap();
    let endpoint = weed.endpoint();
    let config = S3Config::new(bucket, "us-east-1", endpoint.parse().ok());
    let config = StoreConfig::S3(config.with_key(weed.access_key(), weed.secret_key()));
    let store = Store::open(config.clone()).await.unwrap();
    store.create_bucket().await.unwrap();
    let info = ObjectInfo {
        content_type: mime_type.into(),
        ..ObjectInfo::default()
    };
    let key = Key::new("photos/1.jpg").unwrap();
    let body = Bytes::from_static(BYTES);
    store.put(&key, body, &info).await.unwrap();
    let gateway = start_with(|gateway| {
        gateway.store = config;
        gateway.delivery = Delivery::Redirect;
    })
    .await;
    let object = Object {
        provider: "aws".into(),
        bucket: bucket.into(),
        content_type: mime_type.into(),
        ..object(1)
    };
    (with_row(gateway, name, object).await, endpoint)
}

#[tokio::test]
async fn a_store_that_can_sign_serves_its_images_itself() {
    let (gateway, endpoint) = in_s3("redirected", "cat.jpg", "image/jpeg").await;
    let careful = Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .build()
        .unwrap();
    let redirect = careful.get(gateway.url(PATH)).send().await.unwrap();
    assert_eq!(redirect.status(), 302);
    assert_eq!(header(&redirect, "cache-control"), "private, max-age=120");
    assert_eq!(header(&redirect, "referrer-policy"), "no-referrer");
    let target = header(&redirect, "location").to_owned();
    assert!(target.starts_with(&endpoint), "{target}");
    assert!(target.contains("X-Amz-Expires=900"), "{target}");
    assert!(redirect.bytes().await.unwrap().is_empty());

    // The page may show what it is sent to.
    let page = gateway.get("/").send().await.unwrap();
    let policy = header(&page, "content-security-policy");
    let allowed = format!("img-src 'self' blob: {endpoint};");
    assert!(policy.contains(&allowed), "{policy}");

    // As an <img> would: it follows, also with a range.
    let shown = gateway.get(PATH).send().await.unwrap();
    assert!(
        shown.url().as_str().starts_with(&endpoint),
        "{}",
        shown.url()
    );
    assert_eq!(header(&shown, "content-type"), "image/jpeg");
    assert!(header(&shown, "content-disposition").starts_with("inline; filename=\"cat.jpg\""));
    assert_eq!(shown.bytes().await.unwrap(), BYTES);
    let part = gateway.get(PATH).header("range", "bytes=15-");
    let part = part.send().await.unwrap();
    assert_eq!(
        (part.status().as_u16(), part.text().await.unwrap()),
        (206, "fghij".into())
    );

    // A script may not read another origin's answer, and a signed URL is for GET: both stay here.
    let script = careful
        .get(gateway.url(PATH))
        .header("sec-fetch-mode", "cors");
    let script = script.send().await.unwrap();
    assert_eq!(script.status(), 200);
    assert_eq!(vary(&script), "sec-fetch-mode, authorization, x-api-key");
    assert_eq!(script.bytes().await.unwrap(), BYTES);
    let head = careful.head(gateway.url(PATH)).send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), header(&head, "content-length")),
        (200, "20")
    );
    let known = careful.get(gateway.url(PATH));
    let known = known.header("if-none-match", format!("\"{:064x}\"", 1));
    let known = known.send().await.unwrap();
    let sent_on = careful.get(gateway.url(PATH)).send().await.unwrap();
    for (answer, status) in [(known, 304), (sent_on, 302)] {
        assert_eq!(answer.status(), status);
        // Who has forgotten the key is not shown what the browser still has.
        assert_eq!(vary(&answer), "sec-fetch-mode, authorization, x-api-key");
    }
}

#[tokio::test]
async fn what_could_run_is_a_download_at_the_store_too() {
    let (gateway, endpoint) = in_s3("downloads", "evil.svg", "image/svg+xml").await;
    let found = gateway.get(PATH).send().await.unwrap();
    assert!(
        found.url().as_str().starts_with(&endpoint),
        "{}",
        found.url()
    );
    assert_eq!(found.status(), 200);
    assert_eq!(header(&found, "content-type"), "application/octet-stream");
    let disposition = header(&found, "content-disposition");
    assert!(disposition.starts_with("attachment;"), "{disposition}");
    assert_eq!(found.bytes().await.unwrap(), BYTES);
}
