//! How much one client may ask, and how large a request may be.

use std::time::{Duration, Instant};

use contracts::streams;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::seed::{accepted, import_id, imported, listed};
use crate::support::{Fixture, problem, start, start_with};

/// Five times the rate may come at once.
const BURST: usize = 5;

async fn limited(per_second: u32) -> Fixture {
    start_with(|config| {
        config.rate_limit = per_second;
        config.api_keys = vec!["one".into(), "two".into()];
        config.trusted_proxies = 1;
    })
    .await
}

/// Asks until it is refused.
async fn exhaust(ask: impl AsyncFn() -> Response) -> (usize, Response) {
    let mut answered = 0;
    loop {
        let answer = ask().await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            return (answered, answer);
        }
        answered += 1;
        assert!(answered < 1000, "it is never too much");
    }
}

#[tokio::test]
async fn a_client_that_asks_too_much_is_told_when_to_come_back() {
    let gateway = limited(1).await;
    let ask = async |key: &'static str| {
        let request = gateway.get("/api/stats").bearer_auth(key);
        request.send().await.unwrap()
    };
    let began = Instant::now();
    let (answered, refused) = exhaust(async || ask("one").await).await;
    let refilled = usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!((BURST..=BURST + refilled).contains(&answered), "{answered}");
    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    problem(refused, 429, "rate_limited").await;

    // Nobody else is held up by it, and nothing but the API is counted.
    assert_eq!(ask("two").await.status(), 200);
    for path in [
        "/",
        "/favicon.svg",
        "/livez",
        "/problems/rate_limited",
        "/api/openapi.json",
    ] {
        for _ in 0..=BURST {
            let answer = gateway.get(path).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
        }
    }
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(ask("one").await.status(), 200, "it was worth the wait");
}

#[tokio::test]
async fn guessing_keys_is_limited_by_address() {
    let gateway = limited(1).await;
    let guess = async |from: &'static str, key: &str| {
        let request = gateway.get("/api/stats").bearer_auth(key);
        let request = request.header("x-forwarded-for", from);
        request.send().await.unwrap()
    };
    let (wrong, refused) = exhaust(async || guess("6.6.6.6, 203.0.113.7", "guess").await).await;
    assert!(wrong >= BURST);
    problem(refused, 429, "rate_limited").await;
    // Another name for oneself, before the one the proxy saw, does not help.
    let again = guess("7.7.7.7, 203.0.113.7", "guess").await;
    problem(again, 429, "rate_limited").await;
    let other = guess("203.0.113.8", "guess").await;
    problem(other, 401, "unauthorized").await;
    // A key counts for itself, whatever was tried from its address.
    assert_eq!(guess("203.0.113.7", "one").await.status(), 200);
}

#[tokio::test]
async fn without_a_proxy_its_header_is_anybodys_word() {
    let gateway = start_with(|config| config.rate_limit = 1).await;
    let mut turn = 0_u8;
    let mut refused = None;
    while refused.is_none() && turn < 100 {
        turn += 1;
        let from = format!("203.0.113.{turn}");
        let request = gateway.get("/api/stats").header("x-forwarded-for", from);
        let answer = request.send().await.unwrap();
        refused = (answer.status() == 429).then_some(answer);
    }
    problem(refused.expect("a limit"), 429, "rate_limited").await;
}

#[tokio::test]
async fn a_gallery_that_is_scrolled_is_not_held_up() {
    let mut gateway = start_with(|config| config.rate_limit = 1).await;
    let import = import_id("gallery");
    let events = vec![
        accepted(&import),
        listed(&import, [1], &[]),
        imported(&import, 1),
    ];
    gateway.fold(events).await;
    let content = async || {
        let request = gateway.get("/api/images/3/content");
        request.send().await.unwrap()
    };
    let (answered, refused) = exhaust(content).await;
    assert!(answered >= 10 * BURST, "only {answered} images");
    problem(refused, 429, "rate_limited").await;
    assert_eq!(
        gateway.get("/api/stats").send().await.unwrap().status(),
        200
    );
}

#[tokio::test]
async fn headers_are_bounded_in_size_and_number() {
    let gateway = start().await;
    let lines = |count: usize, bytes: usize| {
        (0..count)
            .map(|n| format!("x-{n}: {}\r\n", "v".repeat(bytes)))
            .collect::<String>()
    };
    for (headers, status) in [
        (lines(90, 100), "200"),
        (lines(1, 32 * 1024), "200"),
        (lines(120, 1), "431"),
        (lines(2, 64 * 1024), "431"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(gateway.address)
            .await
            .unwrap();
        let request = format!(
            "GET /api/stats HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n"
        );
        // The gateway may hang up before it has heard everything.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(
            answer,
            format!("HTTP/1.1 {status}").as_bytes(),
            "{}",
            headers.len()
        );
    }
}

#[tokio::test]
async fn more_imports_than_one_request_commands_are_neither_counted_nor_commanded() {
    let mut gateway = start().await;
    let import = |n: u32| accepted(&import_id(&format!("many-{n}")));
    gateway.fold((0..5_001).map(import).collect()).await;
    let mut body = json!({ "action": "cancel", "filter": {}, "all": true });
    for preview in [false, true] {
        body["preview"] = json!(preview);
        let request = gateway.client.post(gateway.url("/api/imports/commands"));
        let answer = request.json(&body).send().await.unwrap();
        let answer = problem(answer, 400, "invalid_parameter").await;
        assert!(answer["detail"].as_str().unwrap().contains("5001"));
    }
    assert_eq!(gateway.messages(streams::IMPORTS).await.len(), 0);
    // All of fewer are found, on however many pages.
    body["filter"] = json!({ "q": "many-4" });
    let request = gateway.client.post(gateway.url("/api/imports/commands"));
    let answer = request.json(&body).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer, json!({ "matching": 1_111, "able": 1_111 }));
}
