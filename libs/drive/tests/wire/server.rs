//! A TCP server that answers each connection with the next scripted reply, right or wrong.

use std::sync::{Arc, Mutex};

use drive::{Auth, Drive, DriveConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

pub(crate) const KEY: &str = "AIza-wire-test";

pub(crate) enum Reply {
    /// These bytes, then an orderly close.
    Close(Vec<u8>),
    /// These bytes, then silence.
    Stall(Vec<u8>),
    /// These bytes, then a reset.
    Reset(Vec<u8>),
    /// These bytes, then spaces without end.
    Endless(Vec<u8>),
}

pub(crate) struct Server {
    pub(crate) url: Url,
    requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer with a body of known length.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Reply {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
    Reply::Close((head + body).into_bytes())
}

pub(crate) fn json(body: &serde_json::Value) -> Reply {
    answer(
        "200 OK",
        "Content-Type: application/json\r\n",
        &body.to_string(),
    )
}

/// Bytes as they stand.
pub(crate) fn raw(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

pub(crate) async fn serve(replies: impl IntoIterator<Item = Reply>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let replies: Vec<Reply> = replies.into_iter().collect();
    let seen = Arc::clone(&requests);
    let task = tokio::spawn(async move {
        let mut stalled = Vec::new();
        for reply in replies {
            let (mut stream, _) = listener.accept().await.unwrap();
            let head = read_head(&mut stream).await;
            seen.lock().unwrap().push(head);
            // The client may hang up at any time; that is its right.
            match reply {
                Reply::Close(bytes) => {
                    let _ = stream.write_all(&bytes).await;
                    let _ = stream.shutdown().await;
                }
                Reply::Stall(bytes) => {
                    let _ = stream.write_all(&bytes).await;
                    stalled.push(stream);
                }
                Reply::Reset(bytes) => {
                    let _ = stream.write_all(&bytes).await;
                    stream.set_zero_linger().unwrap();
                }
                Reply::Endless(bytes) => {
                    let _ = stream.write_all(&bytes).await;
                    while stream.write_all(&[b' '; 16 << 10]).await.is_ok() {}
                }
            }
        }
        std::future::pending::<()>().await;
    });
    Server {
        url,
        requests,
        task,
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0u8; 1];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

impl Server {
    pub(crate) fn client(&self) -> Drive {
        client(self.url.clone(), |_| {})
    }

    /// The requests so far: request line and headers, names in lower case.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// The query of one request, decoded.
    pub(crate) fn query(&self, request: usize) -> Vec<(String, String)> {
        let requests = self.requests();
        let target = requests[request].split(' ').nth(1).unwrap().to_owned();
        self.url
            .join(&target)
            .unwrap()
            .query_pairs()
            .into_owned()
            .collect()
    }
}

pub(crate) fn client(endpoint: Url, change: impl FnOnce(&mut DriveConfig)) -> Drive {
    let mut config = DriveConfig {
        endpoint,
        auth: Auth::ApiKey(KEY.into()),
        ..DriveConfig::default()
    };
    change(&mut config);
    Drive::new(config).unwrap()
}
