//! Credentials files, as Google's console and `gcloud` write them.
//!
//! A service account's file: <https://cloud.google.com/iam/docs/keys-create-delete>. A user's:
//! <https://cloud.google.com/docs/authentication/application-default-credentials>.

use std::path::{Path, PathBuf};

use jsonwebtoken::EncodingKey;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::http::is_loopback;

/// Where tokens come from if the file does not say.
const GOOGLE_TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// A file of Google's takes about 2.5 kB.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// Whom to sign in as: a service account or a user. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Credentials {
    path: PathBuf,
    /// The file as it was read, to tell whether it has changed.
    text: SecretString,
    account: Account,
    /// Whose access is asked for, if not the service account's own.
    subject: Option<String>,
    /// Where tokens are asked for.
    pub(crate) token_uri: Url,
    /// The project that requests are charged to, if the file names one.
    pub(crate) quota_project: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) enum Account {
    Service {
        email: String,
        key_id: Option<String>,
        key: EncodingKey,
    },
    User {
        client_id: String,
        client_secret: SecretString,
        refresh_token: SecretString,
    },
}

/// Why a credentials file is of no use. No variant carries anything of its content but names.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It is missing, or this process may not read it.
    #[error(
        "{} cannot be read ({source}); set it to the path of a service account's or a user's JSON file that this process may read",
        path.display()
    )]
    Unreadable {
        /// The path as it was given.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no JSON object, or far too large for one.
    #[error(
        "{} is no JSON file of Google's (line {line}); download it again",
        path.display()
    )]
    NotJson {
        /// The path as it was given.
        path: PathBuf,
        /// Where it stops making sense.
        line: usize,
    },
    /// An OAuth client, which is what users sign in through, not a user.
    #[error(
        "{} holds an OAuth client, and nobody has signed in with it yet; run `gcloud auth application-default login --client-id-file={} --scopes=https://www.googleapis.com/auth/drive.readonly,https://www.googleapis.com/auth/cloud-platform` and use the file that it writes",
        path.display(),
        path.display()
    )]
    OAuthClient {
        /// The path as it was given.
        path: PathBuf,
    },
    /// Another type of credentials.
    #[error(
        "{} is of the type {found:?}, which is not supported; use a key of a service account (\"service_account\") or the credentials of a user (\"authorized_user\")",
        path.display()
    )]
    Type {
        /// The path as it was given.
        path: PathBuf,
        /// What it says it is.
        found: String,
    },
    /// A field is missing or empty.
    #[error("{} lacks {field:?}; download it again", path.display())]
    Missing {
        /// The path as it was given.
        path: PathBuf,
        /// Its name.
        field: &'static str,
    },
    /// The private key cannot sign.
    #[error(
        "{}: private_key is no RSA key in PEM form; create a new key of the service account and download it",
        path.display()
    )]
    Key {
        /// The path as it was given.
        path: PathBuf,
    },
    /// Secrets would travel in the open.
    #[error("{}: token_uri must be an https URL", path.display())]
    TokenUri {
        /// The path as it was given.
        path: PathBuf,
    },
    /// Only service accounts can act for somebody else.
    #[error(
        "a user's credentials cannot act for somebody else; use a service account with domain-wide delegation, or unset GOOGLE_IMPERSONATE_SUBJECT"
    )]
    UserCannotImpersonate,
}

/// Every field that any supported type has.
#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "type")]
    kind: Option<String>,
    client_email: Option<String>,
    private_key: Option<String>,
    private_key_id: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    refresh_token: Option<String>,
    token_uri: Option<String>,
    quota_project_id: Option<String>,
    installed: Option<serde::de::IgnoredAny>,
    web: Option<serde::de::IgnoredAny>,
}

impl Credentials {
    /// Read the file at `path`.
    ///
    /// # Errors
    /// [`CredentialsError`] says what is wrong with it and what to do.
    pub fn read(path: &Path) -> Result<Self, CredentialsError> {
        let unreadable = |source| CredentialsError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        if length > MAX_FILE_BYTES {
            return Err(CredentialsError::NotJson {
                path: path.to_owned(),
                line: 1,
            });
        }
        let text = std::fs::read(path).map_err(unreadable)?;
        // What is no UTF-8 is no JSON, either; the replacement makes it fail as such.
        Self::parse(path, String::from_utf8_lossy(&text).into_owned().into())
    }

    fn parse(path: &Path, text: SecretString) -> Result<Self, CredentialsError> {
        let path = path.to_owned();
        let raw: Raw = match serde_json::from_str(text.expose_secret()) {
            Ok(raw) => raw,
            // Its own words may quote a secret.
            Err(error) => {
                let line = error.line();
                return Err(CredentialsError::NotJson { path, line });
            }
        };
        let missing = |field| CredentialsError::Missing {
            path: path.clone(),
            field,
        };
        let account = match raw.kind.as_deref() {
            Some("service_account") => {
                let key = named(raw.private_key).ok_or_else(|| missing("private_key"))?;
                Account::Service {
                    email: named(raw.client_email).ok_or_else(|| missing("client_email"))?,
                    key_id: named(raw.private_key_id),
                    key: EncodingKey::from_rsa_pem(key.as_bytes())
                        .map_err(|_| CredentialsError::Key { path: path.clone() })?,
                }
            }
            Some("authorized_user") => Account::User {
                client_id: named(raw.client_id).ok_or_else(|| missing("client_id"))?,
                client_secret: named(raw.client_secret)
                    .ok_or_else(|| missing("client_secret"))?
                    .into(),
                refresh_token: named(raw.refresh_token)
                    .ok_or_else(|| missing("refresh_token"))?
                    .into(),
            },
            Some(other) => {
                let found = other.chars().take(80).collect();
                return Err(CredentialsError::Type { path, found });
            }
            None if raw.installed.is_some() || raw.web.is_some() => {
                return Err(CredentialsError::OAuthClient { path });
            }
            None => return Err(missing("type")),
        };
        let token_uri = raw.token_uri.as_deref().unwrap_or(GOOGLE_TOKEN_URI);
        let token_uri = Url::parse(token_uri)
            .ok()
            .filter(|url| url.scheme() == "https" || url.scheme() == "http" && is_loopback(url))
            .ok_or_else(|| CredentialsError::TokenUri { path: path.clone() })?;
        let credentials = Self {
            path: path.clone(),
            text,
            account,
            subject: None,
            token_uri,
            quota_project: named(raw.quota_project_id)
                .filter(|project| project.bytes().all(|byte| byte.is_ascii_graphic())),
        };
        // A key can be well-formed and still unable to sign: better told now than at the first use.
        if let Account::Service { .. } = credentials.account {
            crate::assertion::sign(&credentials, time::OffsetDateTime::UNIX_EPOCH)
                .map_err(|_| CredentialsError::Key { path })?;
        }
        Ok(credentials)
    }

    /// These credentials, acting for the user `subject` by domain-wide delegation.
    ///
    /// # Errors
    /// [`CredentialsError::UserCannotImpersonate`] unless they are a service account's.
    pub fn acting_for(mut self, subject: &str) -> Result<Self, CredentialsError> {
        match self.account {
            Account::User { .. } => Err(CredentialsError::UserCannotImpersonate),
            Account::Service { .. } => {
                self.subject = Some(subject.to_owned());
                Ok(self)
            }
        }
    }

    /// The file as it is now, if that is not what these were read from and makes sense.
    pub(crate) fn renewed(&self) -> Option<Self> {
        let mut now = Self::read(&self.path).ok()?;
        now.subject.clone_from(&self.subject);
        (now.text.expose_secret() != self.text.expose_secret()).then_some(now)
    }

    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    pub(crate) fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The address that folders must be shared with; of a user it is not known.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        match (&self.subject, &self.account) {
            (Some(subject), _) => Some(subject),
            (None, Account::Service { email, .. }) => Some(email),
            (None, Account::User { .. }) => None,
        }
    }
}

/// For people: whose credentials they are.
impl std::fmt::Display for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.account, &self.subject) {
            (Account::Service { email, .. }, None) => write!(f, "service account {email}"),
            (Account::Service { email, .. }, Some(subject)) => {
                write!(f, "service account {email} acting for {subject}")
            }
            (Account::User { .. }, _) => write!(f, "the user in {}", self.path.display()),
        }
    }
}

fn named(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.trim().is_empty())
}
