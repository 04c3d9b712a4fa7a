//! What can go wrong with Drive, and what a caller does about it.

use std::error::Error as _;
use std::time::Duration;

use crate::SignInError;

/// Why a call to Drive did not succeed. No variant carries a URL, a key or a token.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// 404: the id is unknown, not shared with these credentials, or (folders) in the trash. Drive
    /// does not tell these apart.
    #[error("Drive does not know this id, or it is not shared with these credentials")]
    NotFound,
    /// The id is a file's where a folder's was wanted.
    #[error("this id belongs to a file, not to a folder")]
    NotAFolder,
    /// 401: no credentials, or expired ones. With [`crate::Auth::Credentials`] a new token was
    /// tried.
    #[error(
        "Drive does not accept the credentials; check GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_API_KEY: {message}"
    )]
    Unauthorized {
        /// Drive's words.
        message: String,
    },
    /// There is no access token to ask Drive with.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// The Drive API is switched off in the project, or the project itself is.
    #[error("the Google Cloud project does not allow the Drive API: {message}")]
    ApiDisabled {
        /// Drive's words, the key removed.
        message: String,
    },
    /// The user signed in without allowing to read Drive.
    #[error(
        "the sign-in does not cover Google Drive; sign in again with the scope https://www.googleapis.com/auth/drive.readonly: {message}"
    )]
    ScopeMissing {
        /// Drive's words.
        message: String,
    },
    /// The API key is missing, wrong or restricted.
    #[error("Drive does not accept the API key; check GOOGLE_API_KEY: {message}")]
    KeyInvalid {
        /// Drive's words, the key removed.
        message: String,
    },
    /// 403 for this one file or folder.
    #[error("Drive refuses access ({reason}): {message}")]
    Forbidden {
        /// Drive's reason code, such as `insufficientFilePermissions`; `forbidden` if it gave none.
        reason: String,
        /// Drive's words.
        message: String,
    },
    /// A Google document or the like: there are no bytes.
    #[error("this is a Google document without bytes to download")]
    NotDownloadable,
    /// Google holds the file for malware or spam; only its owner may download it.
    #[error("Google flagged this file as malware or spam")]
    Abusive,
    /// The rate limit of the project or user.
    #[error("Drive's rate limit is reached ({reason})")]
    Throttled {
        /// What Drive asked for.
        retry_after: Option<Duration>,
        /// Drive's reason code, such as `userRateLimitExceeded`.
        reason: String,
    },
    /// The file's own download quota is used up; Drive lifts it after hours.
    #[error("this file was downloaded too often lately")]
    DownloadQuotaExceeded,
    /// Drive does not deliver the rest of a file: it ignores ranges, or the file is another now.
    #[error("Drive does not go on with the download where it broke off")]
    NotResumable,
    /// The page token is stale; tokens live for hours.
    #[error("Drive no longer accepts this page token")]
    PageTokenRejected,
    /// Any other 4xx.
    #[error("Drive rejected the request with {status} ({reason}): {message}")]
    Rejected {
        /// HTTP status.
        status: u16,
        /// Drive's reason code; `unknown` if it gave none.
        reason: String,
        /// Drive's words.
        message: String,
    },
    /// 5xx, or 408: Drive's own trouble.
    #[error("Drive answered {status}")]
    Server {
        /// HTTP status.
        status: u16,
        /// What Drive asked for.
        retry_after: Option<Duration>,
    },
    /// Connected, but then silence.
    #[error("Drive was silent for too long while {phase} was awaited")]
    Timeout {
        /// What was awaited.
        phase: Phase,
    },
    /// No connection: DNS, refused, no route, TLS, or no answer within the connect timeout. Drive
    /// never saw the request.
    #[error("Drive cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The connection broke after the request was sent.
    #[error("the connection to Drive broke")]
    Transport(#[source] reqwest::Error),
    /// The body ended early.
    #[error("Drive promised {expected} bytes and delivered {received}")]
    Truncated {
        /// `Content-Length`.
        expected: u64,
        /// Bytes seen before the end.
        received: u64,
    },
    /// An answer that is not Drive's: no JSON, an unexpected status, metadata that makes no sense.
    #[error("Drive's answer makes no sense: {0}")]
    Protocol(String),
    /// The settings could never work.
    #[error("{0}")]
    Settings(String),
    /// The HTTP client could not be set up, for instance because there are no root certificates.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}

/// What was awaited when time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The response's headers.
    Headers,
    /// The next part of its body.
    Body,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Headers => "the response",
            Self::Body => "its body",
        })
    }
}

/// What to do about a [`DriveError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A passing fault of this one request: try again, after `after` if given. It counts as an
    /// attempt.
    Retry {
        /// What Drive asked for.
        after: Option<Duration>,
    },
    /// Every caller is too fast: slow the fleet down, then try again.
    Throttled {
        /// What Drive asked for.
        after: Option<Duration>,
    },
    /// Drive is away for everyone: wait, probe, resume. Nothing is wrong with the item.
    Outage,
    /// Every call fails until someone mends key, credentials or settings. Nothing is wrong with the item.
    Credentials,
    /// This file or folder will not work, however often it is tried.
    Item,
    /// The page token is spent: list the folder from its first page.
    Page,
}

impl DriveError {
    /// What to do now.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound
            | Self::NotAFolder
            | Self::Forbidden { .. }
            | Self::NotDownloadable
            | Self::Abusive
            | Self::DownloadQuotaExceeded
            | Self::Rejected { .. } => ErrorKind::Item,
            Self::SignIn(error) if !error.is_refusal() => ErrorKind::Outage,
            Self::SignIn(_)
            | Self::Unauthorized { .. }
            | Self::ApiDisabled { .. }
            | Self::ScopeMissing { .. }
            | Self::KeyInvalid { .. }
            | Self::Settings(_)
            | Self::Client(_) => ErrorKind::Credentials,
            Self::Throttled { retry_after, .. } => ErrorKind::Throttled {
                after: *retry_after,
            },
            Self::Server { retry_after, .. } => ErrorKind::Retry {
                after: *retry_after,
            },
            Self::PageTokenRejected => ErrorKind::Page,
            Self::Unreachable(_) => ErrorKind::Outage,
            Self::Timeout { .. }
            | Self::Transport(_)
            | Self::Truncated { .. }
            | Self::NotResumable
            | Self::Protocol(_) => ErrorKind::Retry { after: None },
        }
    }

    /// A failure to send a request, or to receive its headers.
    pub(crate) fn from_send(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_connect() {
            Self::Unreachable(error)
        } else {
            Self::Transport(error)
        }
    }

    /// A failure within a body of which `received` bytes had arrived.
    pub(crate) fn from_body(error: reqwest::Error, expected: Option<u64>, received: u64) -> Self {
        match expected {
            Some(expected) if ended_early(&error) => Self::Truncated { expected, received },
            _ => Self::Transport(error.without_url()),
        }
    }
}

/// Whether the peer closed the connection in an orderly way before the body was complete. hyper
/// reports that as an I/O error of this kind.
fn ended_early(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return io.kind() == std::io::ErrorKind::UnexpectedEof;
        }
        source = cause.source();
    }
    false
}
