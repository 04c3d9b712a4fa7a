//! A server that will not do is refused at once, and the error says what to do.

use jetstream::{ConnectError, NatsConfig, connect};
use testkit::NatsServer;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

fn config(url: String) -> NatsConfig {
    NatsConfig::new(url, "test")
}

/// A server that greets with `info` and answers pings; nothing else.
async fn greeter(info: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let _ = write.write_all(format!("INFO {info}\r\n").as_bytes()).await;
                let mut lines = BufReader::new(read).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line.starts_with("PING") {
                        let _ = write.write_all(b"PONG\r\n").await;
                    }
                }
            });
        }
    });
    format!("nats://{address}")
}

#[tokio::test]
async fn an_old_server_is_named_with_the_version_that_is_needed() {
    let url = greeter(r#"{"server_id":"S","version":"2.9.25","max_payload":1048576,"jetstream":true,"headers":true}"#).await;
    let error = connect(&config(url)).await.err().unwrap();
    assert!(
        matches!(&error, ConnectError::ServerTooOld { found } if found == "2.9.25"),
        "{error}"
    );
    let text = error.to_string();
    assert!(text.contains("2.12") && text.contains("upgrade"), "{text}");
    assert!(!error.is_outage());
}

#[tokio::test]
async fn a_server_without_jetstream_is_told_apart() {
    let url =
        greeter(r#"{"server_id":"S","version":"2.15.1","max_payload":1048576,"headers":true}"#)
            .await;
    let error = connect(&config(url)).await.err().unwrap();
    assert!(matches!(error, ConnectError::NoJetStream), "{error}");
}

#[tokio::test]
async fn nobody_there_is_an_outage_and_shows_no_password() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let error = connect(&config(format!("nats://user:secret@{free}")))
        .await
        .err()
        .unwrap();
    assert!(error.is_outage());
    let text = format!("{error:?} {error}");
    assert!(
        text.contains("NATS_URL") && !text.contains("secret"),
        "{text}"
    );
}

#[tokio::test]
async fn a_real_server_is_accepted() {
    let server = NatsServer::start().await.unwrap();
    connect(&server.config()).await.unwrap();
}
