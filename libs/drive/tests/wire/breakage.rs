//! Connections that fail, and when.

use std::time::Duration;

use drive::{DriveError, ErrorKind, Phase};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket};
use url::Url;

use crate::server::{KEY, Reply, client, raw, serve};
use crate::{folder, id, whole_chain};

const PROMISE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";

/// The error that ends the download of `reply`.
async fn download(reply: Reply) -> DriveError {
    let server = serve([reply]).await;
    let mut download = server.client().download(&id("f"), None).await.unwrap();
    loop {
        match download.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a broken body ended as if it were whole"),
            Err(error) => return error,
        }
    }
}

fn leaks_nothing(error: &DriveError) {
    let text = whole_chain(error);
    assert!(!text.contains("drive/v3") && !text.contains(KEY), "{text}");
}

#[tokio::test]
async fn a_body_that_ends_early_is_truncated() {
    let error = download(Reply::Close(raw(PROMISE))).await;
    assert!(
        matches!(
            error,
            DriveError::Truncated {
                expected: 100,
                received: 10
            }
        ),
        "{error:?}"
    );
    assert_eq!(error.kind(), ErrorKind::Retry { after: None });
}

#[tokio::test]
async fn a_body_that_breaks_without_a_known_length_is_a_transport_error() {
    let error = download(Reply::Close(raw(CHUNKED))).await;
    assert!(matches!(error, DriveError::Transport(_)), "{error:?}");
    leaks_nothing(&error);
}

#[tokio::test]
async fn a_reset_within_the_body_is_a_transport_error() {
    let error = download(Reply::Reset(raw(PROMISE))).await;
    assert!(matches!(error, DriveError::Transport(_)), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Retry { after: None });
    leaks_nothing(&error);
}

#[tokio::test]
async fn a_connection_closed_before_the_answer_is_a_transport_error() {
    for reply in [
        Reply::Close(Vec::new()),
        Reply::Close(raw("HTTP/1.1 200 O")),
    ] {
        let server = serve([reply]).await;
        let error = server.client().list(&folder(None), None).await.unwrap_err();
        assert!(matches!(error, DriveError::Transport(_)), "{error:?}");
        leaks_nothing(&error);
        assert_eq!(server.requests().len(), 1, "nothing is sent twice");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_a_transport_error() {
    let server = serve([Reply::Close(raw("220 ftp.example.com ready\r\n"))]).await;
    let error = server.client().list(&folder(None), None).await.unwrap_err();
    assert!(matches!(error, DriveError::Transport(_)), "{error:?}");
}

#[tokio::test]
async fn silence_is_a_timeout_that_says_what_was_awaited() {
    let server = serve([
        Reply::Stall(raw("HTTP/1.1 200 OK\r\n")),
        Reply::Stall(raw(PROMISE)),
        Reply::Stall(raw(PROMISE)),
    ])
    .await;
    let client = client(server.url.clone(), |config| {
        config.connect_timeout = Duration::from_millis(300);
        config.header_timeout = Duration::from_millis(300);
        config.idle_timeout = Duration::from_millis(300);
    });
    let error = client.download(&id("f"), None).await.unwrap_err();
    assert!(
        matches!(
            error,
            DriveError::Timeout {
                phase: Phase::Headers
            }
        ),
        "{error:?}"
    );

    let mut download = client.download(&id("f"), None).await.unwrap();
    assert_eq!(download.chunk().await.unwrap().unwrap(), "0123456789");
    let error = download.chunk().await.unwrap_err();
    assert!(
        matches!(error, DriveError::Timeout { phase: Phase::Body }),
        "{error:?}"
    );

    let error = client.list(&folder(None), None).await.unwrap_err();
    assert!(
        matches!(error, DriveError::Timeout { phase: Phase::Body }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_refusal_whose_body_never_ends_is_typed_by_its_status() {
    let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\nhalf";
    let server = serve([Reply::Stall(raw(head))]).await;
    let client = client(server.url.clone(), |config| {
        config.idle_timeout = Duration::from_millis(100);
    });
    let error = client.list(&folder(None), None).await.unwrap_err();
    assert!(
        matches!(error, DriveError::Server { status: 503, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_refused_connection_is_an_outage() {
    // Bound and not listening: nobody else gets the port, and connections are refused.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let client = client(Url::parse(&format!("http://{address}")).unwrap(), |_| {});
    let error = client.list(&folder(None), None).await.unwrap_err();
    assert!(matches!(error, DriveError::Unreachable(_)), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Outage);
    assert!(
        whole_chain(&error).to_lowercase().contains("refused"),
        "{}",
        whole_chain(&error)
    );
    leaks_nothing(&error);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_an_outage() {
    // RFC 6761: `.invalid` never resolves.
    let client = client(Url::parse("http://drive.invalid").unwrap(), |config| {
        config.connect_timeout = Duration::from_secs(3);
    });
    let error = client.list(&folder(None), None).await.unwrap_err();
    assert!(matches!(error, DriveError::Unreachable(_)), "{error:?}");
    leaks_nothing(&error);
}

#[tokio::test]
async fn a_failed_or_endless_tls_handshake_is_an_outage() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Url::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        let (silent, _) = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
        drop((stream, silent));
    });
    let client = client(endpoint, |config| {
        config.connect_timeout = Duration::from_millis(500)
    });
    for _ in 0..2 {
        let error = client.list(&folder(None), None).await.unwrap_err();
        assert!(matches!(error, DriveError::Unreachable(_)), "{error:?}");
        leaks_nothing(&error);
    }
    server.abort();
}
