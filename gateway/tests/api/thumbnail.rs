use std::io::Cursor;

use bytes::Bytes;
use contracts::Object;
use gateway::Delivery;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use storage::{Key, ObjectInfo};

use crate::seed::{file, import_id, imported_as, object};
use crate::support::{Fixture, problem, start, start_with};

const PATH: &str = "/api/images/1/thumbnail";
const CONTENT: &str = "/api/images/1/content";

/// A photograph's shape, of one colour.
pub(crate) fn photograph(width: u32, height: u32) -> Vec<u8> {
    let image = RgbImage::from_pixel(width, height, Rgb([20, 120, 220]));
    let mut out = Cursor::new(Vec::new());
    DynamicImage::from(image)
        .write_to(&mut out, ImageFormat::Jpeg)
        .unwrap();
    out.into_inner()
}

/// `bytes` as image 1, which is said to be of this size in pixels.
async fn with(mut gateway: Fixture, bytes: Vec<u8>, pixels: Option<(u32, u32)>) -> Fixture {
    let row = Object {
        size: bytes.len() as u64,
        content_type: "image/jpeg".into(),
        width: pixels.map(|(width, _)| width),
        height: pixels.map(|(_, height)| height),
        orientation: None,
        ..object(1)
    };
    let key = Key::new(row.key.as_str()).unwrap();
    let info = ObjectInfo {
        content_type: "image/jpeg".into(),
        ..ObjectInfo::default()
    };
    gateway
        .store
        .put(&key, Bytes::from(bytes), &info)
        .await
        .unwrap();
    let event = imported_as(&import_id("one"), 1, file(1, "cat.jpg"), row);
    gateway.fold(vec![event]).await;
    gateway
}

/// As a browser's first step: redirects are not followed.
async fn ask(gateway: &Fixture) -> Response {
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    client.get(gateway.url(PATH)).send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

async fn assert_sent_on(gateway: &Fixture) {
    let response = ask(gateway).await;
    assert_eq!(response.status(), 302);
    assert_eq!(header(&response, "location"), CONTENT);
}

#[tokio::test]
async fn a_photograph_is_scaled_and_kept_by_the_browser() {
    let gateway = with(start().await, photograph(1600, 900), Some((1600, 900))).await;
    let response = gateway.get(PATH).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), "image/jpeg");
    assert_eq!(header(&response, "cache-control"), "private, max-age=86400");
    assert_eq!(
        header(&response, "content-security-policy"),
        "default-src 'none'; sandbox"
    );
    assert_eq!(header(&response, "vary"), "authorization, x-api-key");
    let tag = header(&response, "etag").to_owned();
    let bytes = response.bytes().await.unwrap();
    let image = image::load_from_memory_with_format(&bytes, ImageFormat::Jpeg).unwrap();
    assert_eq!((image.width(), image.height()), (400, 225));
    let colour = image.to_rgb8().get_pixel(200, 100).0;
    for (got, wanted) in colour.into_iter().zip([20_u8, 120, 220]) {
        assert!(got.abs_diff(wanted) < 10, "{colour:?}");
    }

    let known = gateway.get(PATH).header("if-none-match", &tag);
    let known = known.send().await.unwrap();
    assert_eq!(known.status(), 304);
    assert_eq!(header(&known, "vary"), "authorization, x-api-key");
    let head = gateway.client.head(gateway.url(PATH)).send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), header(&head, "etag")),
        (200, &*tag)
    );
}

#[tokio::test]
async fn a_smaller_one_for_small_tiles_and_no_other() {
    let gateway = with(start().await, photograph(1600, 900), Some((1600, 900))).await;
    let small = gateway
        .get(&format!("{PATH}?side=256"))
        .send()
        .await
        .unwrap();
    let tag = header(&small, "etag").to_owned();
    let bytes = small.bytes().await.unwrap();
    let image = image::load_from_memory_with_format(&bytes, ImageFormat::Jpeg).unwrap();
    assert_eq!((image.width(), image.height()), (256, 144));
    let large = gateway.get(PATH).send().await.unwrap();
    assert_ne!(header(&large, "etag"), tag);
    for other in ["0", "257", "4000", "x"] {
        let refused = gateway.get(&format!("{PATH}?side={other}"));
        problem(refused.send().await.unwrap(), 400, "invalid_parameter").await;
    }
}

#[tokio::test]
async fn what_was_made_last_is_kept() {
    let gateway = with(start().await, photograph(1600, 900), Some((1600, 900))).await;
    let made = gateway.get(PATH).send().await.unwrap().bytes();
    let made = made.await.unwrap();
    let key = Key::new(object(1).key.as_str()).unwrap();
    gateway.store.delete(&key).await.unwrap();
    let again = gateway.get(PATH).send().await.unwrap();
    assert_eq!(again.status(), 200);
    assert_eq!(again.bytes().await.unwrap(), made);
    // One of another size was not made yet.
    let small = gateway
        .get(&format!("{PATH}?side=256"))
        .send()
        .await
        .unwrap();
    problem(small, 404, "object_missing").await;
}

#[tokio::test]
async fn what_needs_none_or_can_have_none_is_sent_on() {
    // Small as it is, of unknown size, and too many pixels for the budget.
    for pixels in [Some((400, 300)), None, Some((20_000, 20_000))] {
        let gateway = with(start().await, photograph(400, 300), pixels).await;
        assert_sent_on(&gateway).await;
    }
    // Larger than was said, which nothing was set aside for.
    let gateway = with(start().await, photograph(1600, 900), Some((800, 450))).await;
    assert_sent_on(&gateway).await;
    // No picture at all.
    let noise = vec![0xff; 5_000];
    let gateway = with(start().await, noise, Some((1600, 900))).await;
    assert_sent_on(&gateway).await;
}

#[tokio::test]
async fn a_thumbnail_comes_through_here_where_content_is_redirected() {
    let gateway = start_with(|config| config.delivery = Delivery::Redirect).await;
    let gateway = with(gateway, photograph(1000, 1000), Some((1000, 1000))).await;
    assert_eq!(ask(&gateway).await.status(), 200);
}

#[tokio::test]
async fn an_object_that_is_gone_is_told() {
    let gateway = with(start().await, photograph(1000, 1000), Some((1000, 1000))).await;
    let key = Key::new(object(1).key.as_str()).unwrap();
    gateway.store.delete(&key).await.unwrap();
    problem(ask(&gateway).await, 404, "object_missing").await;
    let unknown = gateway.get("/api/images/2/thumbnail").send().await.unwrap();
    problem(unknown, 404, "not_found").await;
}

#[tokio::test]
async fn many_at_once_share_the_budget() {
    // Each takes more than half of it.
    let gateway = with(start().await, photograph(4000, 3300), Some((4000, 3300))).await;
    let asked = (0..6).map(|_| gateway.get(PATH).send());
    for answer in futures::future::join_all(asked).await {
        let bytes = answer.unwrap().error_for_status().unwrap().bytes();
        assert!(bytes.await.unwrap().len() > 500);
    }
}
