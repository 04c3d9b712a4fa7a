//! An S3 server that says what a test tells it to.

use std::net::SocketAddr;

use storage::{S3Config, StoreConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Says {
    /// It accepts, reads, and never answers.
    Nothing,
    /// The access key is unknown.
    WrongKey,
    /// There is no such object.
    NoSuchKey,
}

pub(crate) struct FakeS3 {
    address: SocketAddr,
    says: watch::Sender<Says>,
}

impl FakeS3 {
    pub(crate) async fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (says, told) = watch::channel(says);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer(connection, told.clone()));
            }
        });
        Self { address, says }
    }

    pub(crate) fn now_says(&self, says: Says) {
        self.says.send_replace(says);
    }

    pub(crate) fn config(&self) -> StoreConfig {
        let endpoint = format!("http://{}", self.address).parse().ok();
        let config = S3Config::new("bucket", "us-east-1", endpoint);
        StoreConfig::S3(config.with_key("an-id", "hunter2-secret"))
    }
}

async fn answer(mut connection: TcpStream, mut says: watch::Receiver<Says>) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match connection.read_buf(&mut request).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let Ok(says) = says
        .wait_for(|says| *says != Says::Nothing)
        .await
        .map(|says| *says)
    else {
        return;
    };
    let (status, code) = match says {
        Says::WrongKey => ("403 Forbidden", "InvalidAccessKeyId"),
        Says::Nothing | Says::NoSuchKey => ("404 Not Found", "NoSuchKey"),
    };
    let body = format!("<Error><Code>{code}</Code><Message>so it is</Message></Error>");
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = connection.write_all((head + &body).as_bytes()).await;
}
