//! What the tests share: a running simulator and a client for it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    dead_code,
    unreachable_pub
)]

use drive_sim::{DEFAULT_API_KEY, Faults, Options, Server};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;

pub struct Drive {
    pub server: Server,
    pub client: Client,
}

pub async fn start(options: Options) -> Drive {
    let server = drive_sim::serve(options).await.unwrap();
    let client = Client::builder().no_proxy().build().unwrap();
    Drive { server, client }
}

pub async fn start_with(faults: Faults) -> Drive {
    start(Options {
        faults,
        ..Options::default()
    })
    .await
}

pub async fn healthy() -> Drive {
    start(Options::default()).await
}

impl Drive {
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.server.url()))
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.bare(Method::GET, path)
            .header("x-goog-api-key", DEFAULT_API_KEY)
    }

    pub fn list(&self, folder: &str, params: &[(&str, &str)]) -> RequestBuilder {
        let q = format!("'{folder}' in parents and trashed=false");
        self.get("/drive/v3/files")
            .query(&[("q", q.as_str())])
            .query(params)
    }

    pub fn media(&self, id: &str) -> RequestBuilder {
        self.get(&format!("/drive/v3/files/{id}?alt=media"))
    }

    /// Every entry of a folder, and how many pages that took.
    pub async fn list_all(&self, folder: &str, params: &[(&str, &str)]) -> (Vec<Value>, usize) {
        let (mut files, mut pages, mut token) = (Vec::new(), 0, None::<String>);
        loop {
            let mut request = self.list(folder, params);
            if let Some(token) = &token {
                request = request.query(&[("pageToken", token)]);
            }
            let page = json(request, 200).await;
            pages += 1;
            files.extend(page["files"].as_array().unwrap().iter().cloned());
            match page["nextPageToken"].as_str() {
                Some(next) => token = Some(next.to_owned()),
                None => return (files, pages),
            }
            assert!(pages < 10_000, "listing never ends");
        }
    }
}

pub async fn json(request: RequestBuilder, status: u16) -> Value {
    let response = request.send().await.unwrap();
    let found = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(found, status, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Sends, expects an error answer and gives its reason.
pub async fn refused(request: RequestBuilder, status: u16) -> String {
    let error = json(request, status).await;
    assert_eq!(error["error"]["code"], status);
    assert_eq!(
        error["error"]["message"],
        error["error"]["errors"][0]["message"]
    );
    error["error"]["errors"][0]["reason"]
        .as_str()
        .unwrap()
        .to_owned()
}

pub fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap())
}

pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// Lower-case hex MD5.
pub fn md5(bytes: &[u8]) -> String {
    use md5::Digest as _;
    hex::encode(md5::Md5::digest(bytes))
}

/// Lower-case hex SHA-256.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}
