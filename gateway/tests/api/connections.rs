use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{FOLDER, Fixture, PATIENCE, start, start_with};

/// A POST that its handler has begun to read, and whose body has not been sent.
async fn half_sent(gateway: &Fixture, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = format!(
        "POST /api/import/google-drive HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let expected = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut go_on = vec![0; expected.len()];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut go_on))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(go_on, expected);
    stream
}

async fn rest(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    answer
}

async fn open_connections(gateway: &Fixture) -> String {
    let metrics = gateway
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let line = metrics
        .lines()
        .find(|line| line.starts_with("imagefleet_http_connections "));
    line.unwrap().rsplit(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_body_that_does_not_come_is_a_408() {
    let gateway = start_with(|config| config.limits.body = Duration::from_millis(50)).await;
    let answer = rest(half_sent(&gateway, "{\"folder_url\"").await).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("\"code\":\"request_timeout\""), "{answer}");
}

#[tokio::test]
async fn headers_that_do_not_come_end_the_connection() {
    let gateway = start_with(|config| config.limits.headers = Duration::from_millis(50)).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: localh")
        .await
        .unwrap();
    let answer = rest(stream).await;
    assert!(!answer.contains("200"), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_their_turn() {
    let gateway = start_with(|config| config.limits.connections = 2).await;
    // One slot may be held by the client's idle connection, the other is taken here.
    let first = half_sent(&gateway, "{}").await;
    testkit::until("the slot is taken", PATIENCE, || async {
        (open_connections(&gateway).await == "2").then_some(())
    })
    .await;
    let mut second = TcpStream::connect(gateway.address).await.unwrap();
    second
        .write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    for _ in 0..5 {
        assert_eq!(
            open_connections(&gateway).await,
            "2",
            "no third connection is open"
        );
    }
    drop(first);
    assert!(rest(second).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn shutdown_lets_a_request_finish() {
    let gateway = start().await;
    let body = json!({ "folder_url": FOLDER }).to_string();
    let mut stream = half_sent(&gateway, &body).await;
    gateway.stop.cancel();
    testkit::until("no new connection is taken", PATIENCE, || async {
        TcpStream::connect(gateway.address)
            .await
            .is_err()
            .then_some(())
    })
    .await;
    stream.write_all(body.as_bytes()).await.unwrap();
    assert!(rest(stream).await.starts_with("HTTP/1.1 202"));
    tokio::time::timeout(PATIENCE, gateway.serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn shutdown_has_an_end() {
    let gateway = start_with(|config| {
        config.limits.drain = Duration::from_millis(50);
        config.limits.body = PATIENCE * 10;
        config.limits.request = PATIENCE * 10;
    })
    .await;
    let _held = half_sent(&gateway, "{}").await;
    gateway.stop.cancel();
    tokio::time::timeout(PATIENCE, gateway.serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}
