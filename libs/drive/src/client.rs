//! The requests.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contracts::FileId;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use serde_json::Value;
use url::Url;

use crate::body::Body;
use crate::entry::{self, read_json};
use crate::folder_url::is_resource_key;
use crate::refusal::Refusal;
use crate::{Auth, Download, DriveConfig, DriveError, Entry, Folder, FolderRef, Page, Phase};

const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const RESOURCE_KEYS: HeaderName = HeaderName::from_static("x-goog-drive-resource-keys");

/// Drive's maximum is 1,000; one less leaves room for a checkpoint in a batch of 1,000 messages.
const PAGE_SIZE: &str = "999";
/// A page of 999 files takes about 1 MB.
const MAX_METADATA_BYTES: usize = 32 << 20;
const MAX_ERROR_BYTES: usize = 64 << 10;
const MAX_REDIRECTS: usize = 5;
/// As many connections as the largest worker has slots; a connection costs a TLS handshake.
const MAX_IDLE_CONNECTIONS: usize = 512;
/// Below the 240 s after which Google's front ends close idle connections.
const CONNECTION_IDLE: Duration = Duration::from_secs(90);

/// A client of Google Drive. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Drive {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    config: DriveConfig,
    /// Shared drives whose folders are readable though the credentials are no member's.
    foreign_drives: Mutex<HashSet<String>>,
}

impl std::fmt::Debug for Drive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drive")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}

impl Drive {
    /// A client. Connects to nothing yet.
    ///
    /// # Errors
    /// [`DriveError::Settings`], [`DriveError::KeyInvalid`] or [`DriveError::Client`] if the
    /// settings could never work.
    pub fn new(config: DriveConfig) -> Result<Self, DriveError> {
        config.check()?;
        let http = http_client(&config)?;
        let foreign_drives = Mutex::default();
        Ok(Self {
            inner: Arc::new(Inner {
                http,
                config,
                foreign_drives,
            }),
        })
    }

    /// Looks a folder up. A shortcut to a folder is followed once, which is a second request.
    /// Costs [`crate::cost::GET`] each.
    ///
    /// # Errors
    /// [`DriveError::NotAFolder`] for a file, [`DriveError::NotFound`] also for a folder in the
    /// trash; else as Drive or the network fails.
    pub async fn folder(&self, folder: &FolderRef) -> Result<Folder, DriveError> {
        let shortcut = match self.get(&folder.id, folder.resource_key.as_deref()).await? {
            Entry::Folder(folder) => return Ok(folder),
            Entry::Shortcut(shortcut) if shortcut.targets_folder() => shortcut,
            Entry::Shortcut(_) | Entry::File(_) => return Err(DriveError::NotAFolder),
        };
        match self
            .get(&shortcut.target_id, shortcut.target_resource_key.as_deref())
            .await?
        {
            Entry::Folder(folder) => Ok(folder),
            Entry::Shortcut(_) | Entry::File(_) => Err(DriveError::NotAFolder),
        }
    }

    /// One page of a folder's direct content, of every type, without what is in the trash; at most
    /// 999 entries. Costs [`crate::cost::LIST`].
    ///
    /// A folder of a shared drive is listed within that drive. Only members may do that, but
    /// anyone may be given a single folder of it: such a drive is then remembered and listed the
    /// general way, which costs one request more the first time.
    ///
    /// # Errors
    /// [`DriveError::PageTokenRejected`] if `page_token` is stale; else as Drive or the network
    /// fails. A malformed entry is no error: see [`Page::malformed`].
    pub async fn list(
        &self,
        folder: &Folder,
        page_token: Option<&str>,
    ) -> Result<Page, DriveError> {
        let drive = folder
            .drive_id
            .as_deref()
            .filter(|drive| !self.is_foreign(drive));
        match (drive, self.list_within(folder, drive, page_token).await) {
            (Some(drive), Err(DriveError::NotFound | DriveError::Forbidden { .. })) => {
                let page = self.list_within(folder, None, page_token).await?;
                self.foreign_drives().insert(drive.to_owned());
                Ok(page)
            }
            (_, result) => result,
        }
    }

    /// Metadata of a file, folder or shortcut. Costs [`crate::cost::GET`].
    ///
    /// # Errors
    /// [`DriveError::NotFound`] if it is gone or not shared; [`DriveError::Protocol`] if its
    /// metadata is malformed; else as Drive or the network fails.
    pub async fn file(&self, id: &FileId, resource_key: Option<&str>) -> Result<Entry, DriveError> {
        self.get(id, resource_key).await
    }

    /// Starts to download a file's bytes. Costs [`crate::cost::DOWNLOAD`].
    ///
    /// # Errors
    /// [`DriveError::NotDownloadable`], [`DriveError::Abusive`] and
    /// [`DriveError::DownloadQuotaExceeded`] as Drive says; else as Drive or the network fails.
    pub async fn download(
        &self,
        id: &FileId,
        resource_key: Option<&str>,
    ) -> Result<Download, DriveError> {
        let mut url = self.url(Some(id));
        url.query_pairs_mut()
            .extend_pairs([("alt", "media"), ("supportsAllDrives", "true")]);
        Ok(Download::new(
            self.send(url, id, resource_key, false).await?,
        ))
    }

    async fn get(&self, id: &FileId, resource_key: Option<&str>) -> Result<Entry, DriveError> {
        let mut url = self.url(Some(id));
        url.query_pairs_mut()
            .append_pair("fields", &format!("{},driveId,trashed", entry::FIELDS))
            .append_pair("supportsAllDrives", "true");
        let body = self.send(url, id, resource_key, false).await?;
        let value: Value = read_json(&body.whole(MAX_METADATA_BYTES).await?)?;
        let trashed = value
            .get("trashed")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        let drive_id = value
            .get("driveId")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let mut entry = Entry::read(value, drive_id.as_deref())?;
        match &mut entry {
            // Everything in it is in the trash too: it would pass for an empty folder.
            Entry::Folder(_) if trashed => return Err(DriveError::NotFound),
            // Drive does not always repeat the key that opened the file.
            Entry::Folder(Folder {
                resource_key: key, ..
            })
            | Entry::File(crate::File {
                resource_key: key, ..
            }) => {
                *key = key.take().or_else(|| resource_key.map(str::to_owned));
            }
            Entry::Shortcut(_) => {}
        }
        Ok(entry)
    }

    async fn list_within(
        &self,
        folder: &Folder,
        drive: Option<&str>,
        page_token: Option<&str>,
    ) -> Result<Page, DriveError> {
        let url = self.list_url(folder, drive, page_token);
        let key = folder.resource_key.as_deref();
        let body = self
            .send(url, &folder.id, key, page_token.is_some())
            .await?;
        Page::read(
            &body.whole(MAX_METADATA_BYTES).await?,
            folder.drive_id.as_deref(),
        )
    }

    fn list_url(&self, folder: &Folder, drive: Option<&str>, page_token: Option<&str>) -> Url {
        let mut url = self.url(None);
        let mut query = url.query_pairs_mut();
        // One parent per request: for several, Drive silently drops some of their content. An id
        // has no quotes in it, so it needs no escaping here.
        query.append_pair(
            "q",
            &format!("'{}' in parents and trashed = false", folder.id),
        );
        let files = entry::FIELDS;
        query.append_pair(
            "fields",
            &format!("nextPageToken,incompleteSearch,files({files})"),
        );
        query.append_pair("pageSize", PAGE_SIZE);
        query.append_pair("supportsAllDrives", "true");
        query.append_pair("includeItemsFromAllDrives", "true");
        if let Some(drive) = drive {
            query
                .append_pair("corpora", "drive")
                .append_pair("driveId", drive);
        }
        if let Some(token) = page_token {
            query.append_pair("pageToken", token);
        }
        drop(query);
        url
    }

    /// Sends one GET and returns once its headers say 200.
    async fn send(
        &self,
        url: Url,
        id: &FileId,
        resource_key: Option<&str>,
        with_page_token: bool,
    ) -> Result<Body, DriveError> {
        let Inner { http, config, .. } = &*self.inner;
        let mut request = http.get(url);
        if let Some(key) = resource_key {
            request = request.header(RESOURCE_KEYS, resource_key_header(id, key)?);
        }
        let response = tokio::time::timeout(config.header_timeout, request.send())
            .await
            .map_err(|_| DriveError::Timeout {
                phase: Phase::Headers,
            })?
            .map_err(DriveError::from_send)?;
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(Body::new(response, config.idle_timeout));
        }
        let headers = response.headers().clone();
        let body = Body::new(response, config.idle_timeout)
            .beginning(MAX_ERROR_BYTES)
            .await;
        let key = config.auth.key();
        Err(Refusal {
            status,
            headers: &headers,
            body: &body,
            with_page_token,
            key,
        }
        .into_error())
    }

    fn url(&self, id: Option<&FileId>) -> Url {
        let mut url = self.inner.config.endpoint.clone();
        // Always Ok: only http and https endpoints pass the check of the settings.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty()
                .extend(["drive", "v3", "files"])
                .extend(id.map(FileId::as_str));
        }
        url
    }

    fn is_foreign(&self, drive: &str) -> bool {
        self.foreign_drives().contains(drive)
    }

    fn foreign_drives(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.inner
            .foreign_drives
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn http_client(config: &DriveConfig) -> Result<reqwest::Client, DriveError> {
    let mut headers = HeaderMap::new();
    // Checksums are of the bytes as stored.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(key) = api_key(&config.auth)? {
        headers.insert(API_KEY, key);
    }
    // Another host must not see the key.
    let same_host = Policy::custom(|attempt| {
        let origin = attempt.previous().first().map(Url::origin);
        if attempt.previous().len() <= MAX_REDIRECTS && origin == Some(attempt.url().origin()) {
            attempt.follow()
        } else {
            attempt.stop()
        }
    });
    let mut builder = reqwest::Client::builder()
        .default_headers(headers)
        .user_agent(concat!("imagefleet/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(30))
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        .pool_idle_timeout(CONNECTION_IDLE)
        .connect_timeout(config.connect_timeout)
        .redirect(same_host)
        .referer(false)
        .retry(reqwest::retry::never());
    if is_loopback(&config.endpoint) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(DriveError::Client)
}

/// The key as a header that neither logs nor debug output show.
fn api_key(auth: &Auth) -> Result<Option<HeaderValue>, DriveError> {
    let Some(key) = auth.key() else {
        return Ok(None);
    };
    let mut value = HeaderValue::from_str(key.trim()).map_err(|_| DriveError::KeyInvalid {
        message: "it has characters that no key has".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// A proxy's loopback is another machine's.
fn is_loopback(endpoint: &Url) -> bool {
    match endpoint.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// <https://developers.google.com/workspace/drive/api/guides/resource-keys>
fn resource_key_header(id: &FileId, key: &str) -> Result<HeaderValue, DriveError> {
    let damaged = || DriveError::Protocol("the resource key has characters of no key".to_owned());
    if !is_resource_key(key) {
        return Err(damaged());
    }
    HeaderValue::from_str(&format!("{id}/{key}")).map_err(|_| damaged())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_hidden_from_debug_output() {
        let value = api_key(&Auth::ApiKey(" AIza-secret\n".into()))
            .unwrap()
            .unwrap();
        assert_eq!(value.as_bytes(), b"AIza-secret");
        assert_eq!(format!("{value:?}"), "Sensitive");
        assert_eq!(api_key(&Auth::Anonymous).unwrap(), None);
    }
}
