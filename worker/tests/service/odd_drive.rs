//! Answers that the simulator does not give.

use std::net::SocketAddr;

use contracts::{Cause, EventBody, SourceFile};
use drive_sim::Faults;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{self, Fixture, Running};

/// A server that answers each request for `path` with `answer(path)` and closes the connection.
async fn serve(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let request = String::from_utf8_lossy(&request);
            let path = request.split(' ').nth(1).unwrap_or_default();
            // The client may be gone.
            let _ = stream.write_all(&answer(path)).await;
        }
    });
    address
}

fn response(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into()
}

/// A file of which Drive tells next to nothing.
fn unknown(id: &str) -> SourceFile {
    SourceFile {
        item_id: id.parse().unwrap(),
        id: id.parse().unwrap(),
        name: "odd.gif".into(),
        mime_type: "image/gif".into(),
        size: None,
        md5: None,
        sha256: None,
        modified_time: None,
        resource_key: None,
        path: String::new(),
    }
}

fn work(it: &Fixture, drive: SocketAddr) -> Running {
    let mut config = it.config();
    config.drive.endpoint = format!("http://{drive}").parse().unwrap();
    config.retry.max_attempts = 2;
    Running::start(config)
}

#[tokio::test]
async fn a_file_that_drive_always_chokes_on_is_no_outage() {
    let drive = serve(|path| {
        if path.contains("/broken") {
            response("500 Internal Server Error", "{}")
        } else {
            response("404 Not Found", "{}")
        }
    })
    .await;
    let it = support::start(Faults::default()).await;
    it.publish(it.task(unknown("broken"))).await;
    let worker = work(&it, drive);
    let (cause, attempts) = it
        .event("it fails", |body| match body {
            EventBody::ImageFailed {
                cause, attempts, ..
            } => Some((*cause, *attempts)),
            _ => None,
        })
        .await;
    assert_eq!((cause, attempts), (Cause::DriveUnavailable, 2));
    worker.is_ready().await;
}

#[tokio::test]
async fn a_body_of_unknown_length_is_read_to_its_end() {
    // The first chunk is as long as the buffer of a body of unknown length.
    let image = [b"GIF89a".as_slice(), &[7; 65_530], &[9; 1_000]].concat();
    let sent = image.clone();
    let drive = serve(move |_| {
        let mut answer =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".to_vec();
        for chunk in [&sent[..65_536], &sent[65_536..]] {
            answer.extend(format!("{:x}\r\n", chunk.len()).bytes());
            answer.extend(chunk);
            answer.extend(b"\r\n");
        }
        answer.extend(b"0\r\n\r\n");
        answer
    })
    .await;
    let it = support::start(Faults::default()).await;
    it.publish(it.task(unknown("chunked"))).await;
    let _worker = work(&it, drive);
    it.all_done().await;
    it.assert_nothing_failed().await;
    let objects: Vec<_> = it.objects().await.into_values().collect();
    assert_eq!(objects, [image]);
}
