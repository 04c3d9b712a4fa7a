//! The gateway's HTTP API, as the command line uses it.

use std::collections::BTreeMap;
use std::time::Duration;

use contracts::ImportId;
use reqwest::{Method, RequestBuilder, StatusCode};
use runtime::{ConfigError, Env};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::exit::Exit;

const DEFAULT_URL: &str = "http://127.0.0.1:5000";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than the gateway takes at most for the head of an answer, which is 30 s.
const TIMEOUT: Duration = Duration::from_secs(40);
/// How long a gateway that is there but not ready is asked again.
const PATIENCE: Duration = Duration::from_secs(10);

/// A gateway.
pub(crate) struct Api {
    http: reqwest::Client,
    base: Url,
    key: Option<SecretString>,
}

/// Why the gateway gave no answer that helps.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error(
        "no gateway answers at {url}; start one with `imagefleet up`, or name it with --api or \
         IMAGEFLEET_URL"
    )]
    Unreachable {
        url: Url,
        #[source]
        source: reqwest::Error,
    },
    #[error("{detail}")]
    Refused {
        status: StatusCode,
        code: String,
        detail: String,
    },
    #[error("the gateway wants an API key; set API_KEY to one that it knows")]
    KeyWanted,
    #[error(
        "{url} answers {status}, but not as a gateway of Imagefleet does; check --api and \
         IMAGEFLEET_URL"
    )]
    Foreign { url: Url, status: StatusCode },
}

impl ApiError {
    /// The process's exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } | Self::Foreign { .. } => Exit::Unavailable,
            Self::KeyWanted => Exit::Configuration,
            Self::Refused { status, code, .. } => match (status.as_u16(), code.as_str()) {
                (404, _) | (_, "not_a_folder_url") => Exit::NotFound,
                (403 | 421, _) => Exit::Configuration,
                // The import's state does not allow it.
                (409, _) => Exit::Failure,
                (status, _) if status == 429 || status >= 500 => Exit::Unavailable,
                _ => Exit::Usage,
            },
        }
    }

    /// Whether asking again may help.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } | Self::Foreign { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::KeyWanted => false,
        }
    }
}

/// What to import.
#[derive(Debug, Serialize)]
pub(crate) struct NewImport {
    pub(crate) folder_url: String,
    pub(crate) recursive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) destination_prefix: Option<String>,
    pub(crate) skip_unchanged: bool,
    pub(crate) requested_by: &'static str,
}

/// What goes with a command to an import.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Wanted {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) item_id: Option<String>,
    pub(crate) requested_by: String,
}

/// How far an import is.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Progress {
    pub(crate) status: String,
    pub(crate) folder: Option<String>,
    pub(crate) folder_name: Option<String>,
    pub(crate) total: u64,
    pub(crate) imported_count: u64,
    pub(crate) skipped: u64,
    pub(crate) failed: u64,
    pub(crate) retrying: u64,
    pub(crate) listing: bool,
    pub(crate) bytes: u64,
    pub(crate) rate: f64,
    pub(crate) bytes_per_second: f64,
    pub(crate) eta_seconds: Option<f64>,
    pub(crate) error: Option<String>,
    pub(crate) cause: Option<String>,
    pub(crate) advice: Option<String>,
    pub(crate) waiting_for: BTreeMap<String, String>,
}

impl Progress {
    /// Whether nothing more happens.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "cancelled")
    }

    /// Entries that have an outcome.
    pub(crate) fn settled(&self) -> u64 {
        self.imported_count + self.skipped + self.failed
    }
}

/// Failed entries that share a cause.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct FailureGroup {
    pub(crate) cause: String,
    pub(crate) advice: String,
    pub(crate) count: u64,
    pub(crate) samples: Vec<FailureSample>,
}

/// One of them.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct FailureSample {
    pub(crate) name: Option<String>,
    pub(crate) message: Option<String>,
}

/// One stored image.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Image {
    pub(crate) google_drive_id: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) key: String,
}

impl Api {
    /// The gateway named by `flag`, else by `IMAGEFLEET_URL`; `API_KEY` opens it.
    pub(crate) fn from_env(env: &Env, flag: Option<&Url>) -> Result<Self, ConfigError> {
        let base = match flag {
            Some(url) => url.clone(),
            None => env.parse_or("IMAGEFLEET_URL", default_url()?)?,
        };
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(ConfigError::new(
                "IMAGEFLEET_URL",
                "(or --api) must begin with http:// or https:// and a host",
            ));
        }
        Self::new(base, env.secret("API_KEY"))
    }

    /// The gateway at `base`.
    pub(crate) fn new(base: Url, key: Option<SecretString>) -> Result<Self, ConfigError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("imagefleet-cli/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT);
        // A proxy's loopback is another machine's.
        if base
            .host_str()
            .is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"))
        {
            builder = builder.no_proxy();
        }
        let http = builder
            .build()
            .map_err(|error| ConfigError::new("HTTP client", error.to_string()))?;
        Ok(Self { http, base, key })
    }

    /// The page of the gateway.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// Ask for an import; gives the gateway's answer and the import's id.
    pub(crate) async fn submit(&self, import: &NewImport) -> Result<(Value, String), ApiError> {
        let path = ["api", "import", "google-drive"];
        let answer = self.post(&path, import).await?;
        let id = answer
            .get("job_id")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let id = id.ok_or_else(|| self.foreign(StatusCode::ACCEPTED))?;
        Ok((answer, id))
    }

    /// Ask for `action` on the import `id`; gives the gateway's answer.
    pub(crate) async fn command(
        &self,
        id: &str,
        action: &str,
        wanted: &Wanted,
    ) -> Result<Value, ApiError> {
        self.post(&["api", "imports", id, action], wanted).await
    }

    /// A gateway that is not ready is asked again for some seconds, under one key, so that nothing
    /// is done twice.
    async fn post(&self, path: &[&str], body: &impl Serialize) -> Result<Value, ApiError> {
        let key = ImportId::generate();
        let started = std::time::Instant::now();
        loop {
            let request = self
                .request(Method::POST, path)
                .header("Idempotency-Key", key.as_str())
                .json(body);
            match self.answer(request).await {
                Err(ApiError::Refused {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    ..
                }) if started.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                answer => return answer,
            }
        }
    }

    /// How far an import is, as the gateway says it and read.
    pub(crate) async fn progress(&self, id: &str) -> Result<(Value, Progress), ApiError> {
        let value: Value = self
            .answer(self.request(Method::GET, &["api", "import", "status", id]))
            .await?;
        let progress = Progress::deserialize(&value).map_err(|_| self.foreign(StatusCode::OK))?;
        Ok((value, progress))
    }

    /// Failed entries by cause, as the gateway says it and read.
    pub(crate) async fn failures(&self, id: &str) -> Result<(Value, Vec<FailureGroup>), ApiError> {
        let mut answer: Value = self
            .answer(self.request(Method::GET, &["api", "imports", id, "failures"]))
            .await?;
        let groups = answer
            .get_mut("failures")
            .map(Value::take)
            .unwrap_or_default();
        let read = Vec::deserialize(&groups).map_err(|_| self.foreign(StatusCode::OK))?;
        Ok((groups, read))
    }

    /// The newest imports.
    pub(crate) async fn imports(&self, limit: u32) -> Result<Value, ApiError> {
        let request = self
            .request(Method::GET, &["api", "imports"])
            .query(&[("per_page", limit.to_string())]);
        self.answer(request).await
    }

    /// Every image that an import stored last.
    pub(crate) async fn images_of(&self, import: &str) -> Result<Vec<Image>, ApiError> {
        #[derive(Deserialize)]
        struct Page {
            images: Vec<Image>,
            next_cursor: Option<Value>,
        }
        let mut images = Vec::new();
        let mut cursor = String::new();
        loop {
            let query = [("import", import), ("per_page", "100"), ("cursor", &cursor)];
            let request = self.request(Method::GET, &["api", "images"]).query(&query);
            let page: Page = self.answer(request).await?;
            images.extend(page.images);
            cursor = match page.next_cursor {
                None | Some(Value::Null) => return Ok(images),
                Some(Value::String(next)) => next,
                Some(next) => next.to_string(),
            };
        }
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        // Always Ok: http URLs have paths.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let request = self.http.request(method, url);
        match &self.key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        }
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ApiError> {
        let unreachable = |source: reqwest::Error| ApiError::Unreachable {
            url: self.base.clone(),
            source: source.without_url(),
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| self.foreign(status));
        }
        let problem: Problem = serde_json::from_slice(&body).map_err(|_| self.foreign(status))?;
        Err(if status == StatusCode::UNAUTHORIZED {
            ApiError::KeyWanted
        } else {
            ApiError::Refused {
                status,
                code: problem.code,
                detail: problem.detail,
            }
        })
    }

    fn foreign(&self, status: StatusCode) -> ApiError {
        ApiError::Foreign {
            url: self.base.clone(),
            status,
        }
    }
}

/// An error of the gateway (RFC 9457), as far as we read it.
#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
}

fn default_url() -> Result<Url, ConfigError> {
    Url::parse(DEFAULT_URL).map_err(|error| ConfigError::new("IMAGEFLEET_URL", error.to_string()))
}
