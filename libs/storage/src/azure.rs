//! Azure Blob Storage over its REST API: the few calls we need, each guarded by an MD5.

pub(crate) mod config;
mod error;
mod identity;
mod presign;
mod request;
mod sign;
mod upload;
mod xml;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::StreamExt;
use md5::{Digest, Md5};
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, RANGE};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::object::content_range;
use crate::patience::PATIENCE;
use crate::{Body, Key, ObjectHead, ObjectInfo, Range, StoreError, metadata};
use config::{AzureConfig, AzureCredential};
use error::{Login, Place};
use identity::Identity;
use presign::DelegationKeys;
use request::Request;
use sign::SigningKey;
pub(crate) use upload::AzureUpload;

/// Of the REST API; the newest that Azurite 3.35 and the storage emulators know is later.
const VERSION: &str = "2023-11-03";
/// As many connections as the largest worker has slots; a connection costs a TLS handshake.
const MAX_IDLE_CONNECTIONS: usize = 512;
/// Below the 4 min after which Azure's load balancers forget idle connections.
const CONNECTION_IDLE: Duration = Duration::from_secs(90);

/// One container of Azure Blob Storage.
#[derive(Debug, Clone)]
pub struct AzureStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    place: Place,
    auth: Auth,
    delegation: DelegationKeys,
}

/// How requests show who sends them.
#[derive(Debug)]
enum Auth {
    Key(SigningKey),
    /// Appended to each URL.
    Sas(SecretString),
    Identity(Box<Identity>),
}

impl AzureStore {
    pub(crate) fn open(config: AzureConfig) -> Result<Self, StoreError> {
        // What is on this machine or beside it is never asked through a proxy.
        let direct = matches!(config.credential, AzureCredential::ManagedIdentity { .. });
        let (auth, login) = match config.credential {
            AzureCredential::Key(key) => {
                let Some(key) = SigningKey::new(key.expose_secret()) else {
                    return Err(StoreError::BadCredentials {
                        reason: "the account key is not base64".to_owned(),
                        advice: "copy AZURE_STORAGE_CONNECTION_STRING again",
                    });
                };
                (Auth::Key(key), Login::Key)
            }
            AzureCredential::Sas(sas) => {
                let mut pairs = url::form_urlencoded::parse(sas.expose_secret().as_bytes());
                let expiry = pairs
                    .find(|(name, _)| name == "se")
                    .map(|(_, end)| end.into_owned());
                (Auth::Sas(sas), Login::Sas { expiry })
            }
            identity => (
                Auth::Identity(Box::new(Identity::new(identity, client(direct)?))),
                Login::Identity,
            ),
        };
        let place = Place {
            account: config.account,
            container: config.container,
            endpoint: config.endpoint,
            login,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                http: client(false)?,
                place,
                auth,
                delegation: DelegationKeys::default(),
            }),
        })
    }

    pub(crate) fn container(&self) -> &str {
        &self.inner.place.container
    }

    pub(crate) async fn put(
        &self,
        key: &Key,
        body: Bytes,
        info: &ObjectInfo,
    ) -> Result<(), StoreError> {
        let md5 = info.md5.unwrap_or_else(|| Md5::digest(&body).into());
        // Azure checks the body against Content-MD5 and keeps it as the blob's ("Put Blob").
        let request = Request::new(Method::PUT, self.blob(key))
            .header("x-ms-blob-type", "BlockBlob")
            .header("content-md5", BASE64.encode(md5))
            .body(body);
        self.ask(describe(request, info, Some(md5)))
            .await
            .map(|_| ())
    }

    pub(crate) fn upload(&self, key: &Key, info: &ObjectInfo) -> AzureUpload {
        upload::begin(self.clone(), key, info)
    }

    pub(crate) async fn head(&self, key: &Key) -> Result<Option<ObjectHead>, StoreError> {
        let request = Request::new(Method::HEAD, self.blob(key));
        let Some(answer) = self.ask_for_blob(request).await? else {
            return Ok(None);
        };
        let headers = answer.headers();
        let entry = |name: &str| {
            let name = HeaderName::try_from(metadata_header(name)).ok()?;
            headers.get(name)?.to_str().ok()
        };
        let head = metadata::decode(entry, length(headers), content_type(headers));
        Ok(Some(head))
    }

    pub(crate) async fn get(
        &self,
        key: &Key,
        range: Option<Range>,
    ) -> Result<Option<Body>, StoreError> {
        let range = match range {
            // Azure knows no ranges that count from the end ("Specifying the range header").
            Some(Range::Last(count)) => {
                let Some(head) = self.head(key).await? else {
                    return Ok(None);
                };
                let (first, length) = Range::Last(count)
                    .within(head.size)
                    .ok_or(StoreError::InvalidRange)?;
                Some(Range::Between(first, first + length - 1))
            }
            range => range,
        };
        let mut request = Request::new(Method::GET, self.blob(key));
        if let Some(range) = range {
            request = request.header(RANGE.as_str(), range.to_string());
        }
        let Some(answer) = self.ask_for_blob(request).await? else {
            return Ok(None);
        };
        let headers = answer.headers();
        let size = length(headers);
        let part = headers
            .get(CONTENT_RANGE)
            .and_then(|part| part.to_str().ok());
        let (offset, total_size) = part.and_then(content_range).unwrap_or((0, size));
        // Azure refuses a range that begins at the end of the blob; Azurite answers with no bytes.
        if range.is_some() && size == 0 {
            return Err(StoreError::InvalidRange);
        }
        let content_type = content_type(headers).to_owned();
        let place = self.inner.place.clone();
        let stream = answer
            .bytes_stream()
            .map(move |chunk| chunk.map_err(|error| place.unreachable(error)));
        Ok(Some(Body {
            offset,
            size,
            total_size,
            content_type,
            stream: Box::pin(stream),
        }))
    }

    pub(crate) async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let request = Request::new(Method::DELETE, self.blob(key))
            // Else a blob with snapshots would stay.
            .header("x-ms-delete-snapshots", "include");
        self.ask_for_blob(request).await.map(|_| ())
    }

    pub(crate) async fn keys(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut keys = Vec::new();
        let mut marker = String::new();
        loop {
            let mut url = self.container_url();
            url.query_pairs_mut()
                .append_pair("restype", "container")
                .append_pair("comp", "list")
                .append_pair("prefix", prefix)
                .append_pair("marker", &marker);
            let page = self.ask(Request::new(Method::GET, url)).await?;
            let page = page.text().await;
            let page = page.map_err(|error| self.inner.place.unreachable(error))?;
            keys.extend(xml::elements(&page, "Name"));
            marker = xml::elements(&page, "NextMarker")
                .next()
                .unwrap_or_default();
            if marker.is_empty() {
                return Ok(keys);
            }
        }
    }

    pub(crate) async fn create_container(&self) -> Result<(), StoreError> {
        let mut url = self.container_url();
        url.query_pairs_mut().append_pair("restype", "container");
        match self.send(Request::new(Method::PUT, url)).await? {
            Ok(_) => Ok(()),
            Err(answer) if error::code(answer.headers()) == "ContainerAlreadyExists" => Ok(()),
            Err(answer) => Err(self.explain(&answer).await),
        }
    }

    fn container_url(&self) -> Url {
        let place = &self.inner.place;
        self.at(&place.container)
    }

    /// Keys hold nothing that a URL must escape.
    fn blob(&self, key: &Key) -> Url {
        self.at(&format!("{}/{key}", self.inner.place.container))
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.inner.place.endpoint.clone();
        let path = format!("{}/{path}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }
}

fn client(direct: bool) -> Result<reqwest::Client, StoreError> {
    let mut client = reqwest::Client::builder()
        .user_agent(concat!("imagefleet/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(PATIENCE)
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        .pool_idle_timeout(CONNECTION_IDLE)
        .redirect(Policy::none());
    if direct {
        client = client.no_proxy();
    }
    client.build().map_err(|error| StoreError::Unavailable {
        status: None,
        reason: format!("no TLS: {error}"),
    })
}

/// Adds what is said about an object.
fn describe(mut request: Request, info: &ObjectInfo, md5: Option<[u8; 16]>) -> Request {
    if !info.content_type.is_empty() {
        request = request.header("x-ms-blob-content-type", &info.content_type);
    }
    for (name, value) in metadata::encode(info, md5) {
        if !value.is_empty() {
            request = request.header(metadata_header(name), value);
        }
    }
    request
}

/// Names of Azure's metadata are identifiers of C#, which have no `-`.
fn metadata_header(name: &str) -> &'static str {
    match name {
        metadata::SOURCE_NAME => "x-ms-meta-source_name",
        metadata::DRIVE_ID => "x-ms-meta-drive_id",
        metadata::IMPORT_ID => "x-ms-meta-import_id",
        metadata::MD5 => "x-ms-meta-md5",
        _ => "x-ms-meta-sha256",
    }
}

fn length(headers: &HeaderMap) -> u64 {
    let length = headers.get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    length.unwrap_or_default()
}

fn content_type(headers: &HeaderMap) -> &str {
    let kind = headers.get(CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok())
        .unwrap_or("application/octet-stream")
}
