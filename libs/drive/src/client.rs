//! The requests.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use contracts::FileId;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_RANGE, HeaderName, HeaderValue, RANGE};
use runtime::trace;
use serde_json::Value;
use url::Url;

use crate::body::Body;
use crate::entry::{self, read_json};
use crate::folder_url::is_resource_key;
use crate::http::http_client;
use crate::refusal::Refusal;
use crate::spans;
use crate::tokens::Tokens;
use crate::{Auth, Download, DriveConfig, DriveError, Entry, Folder, FolderRef, Page, Phase};

const RESOURCE_KEYS: HeaderName = HeaderName::from_static("x-goog-drive-resource-keys");
/// Whose quota a user's requests are charged to.
const USER_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

/// Drive's maximum is 1,000; one less leaves room for a checkpoint in a batch of 1,000 messages.
const PAGE_SIZE: &str = "999";
/// A page of 999 files takes about 1 MB.
const MAX_METADATA_BYTES: usize = 32 << 20;
const MAX_ERROR_BYTES: usize = 64 << 10;

/// A client of Google Drive. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Drive {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    config: DriveConfig,
    /// With [`Auth::Credentials`] only.
    tokens: Option<Tokens>,
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
        let tokens = match config.auth.credentials() {
            Some(credentials) => Some(Tokens::new(&config, credentials.clone())?),
            None => None,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                http,
                config,
                tokens,
                foreign_drives: Mutex::default(),
            }),
        })
    }

    /// How requests are authenticated.
    #[must_use]
    pub fn auth(&self) -> &Auth {
        &self.inner.config.auth
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
    /// A flagged file is asked for a second time with [`DriveConfig::acknowledge_abuse`]: Drive
    /// refuses the acknowledgement for any other file.
    ///
    /// # Errors
    /// [`DriveError::NotDownloadable`], [`DriveError::Abusive`] and
    /// [`DriveError::DownloadQuotaExceeded`] as Drive says; else as Drive or the network fails.
    pub async fn download(
        &self,
        id: &FileId,
        resource_key: Option<&str>,
    ) -> Result<Download, DriveError> {
        let response = self.media(id, resource_key, None).await?;
        Ok(Download::new(Body::new(
            response,
            self.inner.config.idle_timeout,
        )))
    }

    /// Goes on with a download that broke off: the bytes from `offset` to the end of a file of
    /// `total` bytes. Nothing tells that the file is still the same; whoever puts the parts together
    /// must check the whole. Costs [`crate::cost::DOWNLOAD`].
    ///
    /// # Errors
    /// [`DriveError::NotResumable`] if Drive sends anything but these bytes; else like
    /// [`Drive::download`].
    pub async fn download_from(
        &self,
        id: &FileId,
        resource_key: Option<&str>,
        offset: u64,
        total: u64,
    ) -> Result<Download, DriveError> {
        let response = self.media(id, resource_key, Some(offset)).await?;
        let expected = format!("bytes {offset}-{}/{total}", total.saturating_sub(1));
        let range = response.headers().get(CONTENT_RANGE);
        let continues = response.status() == StatusCode::PARTIAL_CONTENT
            && range.is_some_and(|range| range.as_bytes() == expected.as_bytes());
        if !continues {
            return Err(DriveError::NotResumable);
        }
        Ok(Download::new(Body::new(
            response,
            self.inner.config.idle_timeout,
        )))
    }

    async fn media(
        &self,
        id: &FileId,
        resource_key: Option<&str>,
        offset: Option<u64>,
    ) -> Result<reqwest::Response, DriveError> {
        let mut url = self.url(Some(id));
        url.query_pairs_mut()
            .extend_pairs([("alt", "media"), ("supportsAllDrives", "true")]);
        let mut ask = Ask {
            offset,
            ..Ask::new(url, id, resource_key)
        };
        match self.response(&ask).await {
            Err(DriveError::Abusive) if self.inner.config.acknowledge_abuse => {
                ask.url
                    .query_pairs_mut()
                    .append_pair("acknowledgeAbuse", "true");
                self.response(&ask).await
            }
            answer => answer,
        }
    }

    async fn get(&self, id: &FileId, resource_key: Option<&str>) -> Result<Entry, DriveError> {
        let mut url = self.url(Some(id));
        url.query_pairs_mut()
            .append_pair("fields", &format!("{},driveId,trashed", entry::FIELDS))
            .append_pair("supportsAllDrives", "true");
        let body = self.send(&Ask::new(url, id, resource_key)).await?;
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
        let ask = Ask {
            with_page_token: page_token.is_some(),
            ..Ask::new(url, &folder.id, folder.resource_key.as_deref())
        };
        let body = self.send(&ask).await?;
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

    async fn send(&self, ask: &Ask<'_>) -> Result<Body, DriveError> {
        let response = self.response(ask).await?;
        Ok(Body::new(response, self.inner.config.idle_timeout))
    }

    /// Sends one GET and returns once its headers say yes. If Drive does not take the access token,
    /// one new token is tried.
    async fn response(&self, ask: &Ask<'_>) -> Result<reqwest::Response, DriveError> {
        let Some(tokens) = &self.inner.tokens else {
            return self.attempt(ask, None).await;
        };
        let token = tokens.bearer().await?;
        match self.attempt(ask, Some(&token)).await {
            Err(DriveError::Unauthorized { .. }) => {
                tokens.refused(&token);
                let token = tokens.bearer().await?;
                self.attempt(ask, Some(&token)).await
            }
            answer => answer,
        }
    }

    async fn attempt(
        &self,
        ask: &Ask<'_>,
        token: Option<&HeaderValue>,
    ) -> Result<reqwest::Response, DriveError> {
        spans::get(&ask.url).is(self.attempt_now(ask, token)).await
    }

    async fn attempt_now(
        &self,
        ask: &Ask<'_>,
        token: Option<&HeaderValue>,
    ) -> Result<reqwest::Response, DriveError> {
        let Inner { http, config, .. } = &*self.inner;
        let mut request = http.get(ask.url.clone());
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token);
        }
        if let Some(project) = config
            .auth
            .credentials()
            .and_then(|credentials| credentials.quota_project.as_deref())
        {
            request = request.header(USER_PROJECT, project);
        }
        if let Some(key) = ask.resource_key {
            request = request.header(RESOURCE_KEYS, resource_key_header(ask.id, key)?);
        }
        if let Some(offset) = ask.offset {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        let response = tokio::time::timeout(config.header_timeout, request.send())
            .await
            .map_err(|_| DriveError::Timeout {
                phase: Phase::Headers,
            })?
            .map_err(DriveError::from_send)?;
        let status = response.status();
        trace::note("http.response.status_code", i64::from(status.as_u16()));
        if status == StatusCode::OK || status == StatusCode::PARTIAL_CONTENT && ask.offset.is_some()
        {
            return Ok(response);
        }
        let headers = response.headers().clone();
        let body = Body::new(response, config.idle_timeout)
            .beginning(MAX_ERROR_BYTES)
            .await;
        Err(Refusal {
            status,
            headers: &headers,
            body: &body,
            with_page_token: ask.with_page_token,
            secret: config.auth.key(),
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

/// One request.
struct Ask<'a> {
    url: Url,
    /// The file or folder it is about.
    id: &'a FileId,
    resource_key: Option<&'a str>,
    with_page_token: bool,
    /// The first byte wanted.
    offset: Option<u64>,
}

impl<'a> Ask<'a> {
    fn new(url: Url, id: &'a FileId, resource_key: Option<&'a str>) -> Self {
        Self {
            url,
            id,
            resource_key,
            with_page_token: false,
            offset: None,
        }
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
