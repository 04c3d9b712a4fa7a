//! Where Drive is, how to authenticate, how long to wait.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{Credentials, DriveError};

/// Settings of a [`crate::Drive`].
#[derive(Debug, Clone)]
pub struct DriveConfig {
    /// The API's root; `drive/v3/…` is appended.
    pub endpoint: Url,
    /// How requests are authenticated.
    pub auth: Auth,
    /// Download what Google flagged as malware or spam all the same. Google lets only the file's
    /// owner, or an organizer of its shared drive, do so.
    pub acknowledge_abuse: bool,
    /// Longest wait for a connection, DNS and TLS included. Reaching it means Drive is
    /// unreachable, so it must not exceed `header_timeout`.
    pub connect_timeout: Duration,
    /// Longest wait from the start of a request, connecting included, to the response's headers.
    pub header_timeout: Duration,
    /// Longest silence within a response's body. The body as a whole has no time limit.
    pub idle_timeout: Duration,
}

/// How requests are authenticated.
#[derive(Debug, Clone)]
pub enum Auth {
    /// An API key of a Google Cloud project: reads what "anyone with the link" may read. It travels
    /// in the `X-Goog-Api-Key` header, never in a URL.
    ApiKey(SecretString),
    /// A service account or a user: reads what was shared with them. Access tokens travel in the
    /// `Authorization` header, to the endpoint's origin only.
    Credentials(Box<Credentials>),
    /// Nothing. Google refuses this; simulators need not.
    Anonymous,
}

impl Default for DriveConfig {
    fn default() -> Self {
        Self {
            endpoint: google(),
            auth: Auth::Anonymous,
            acknowledge_abuse: false,
            connect_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
        }
    }
}

#[allow(clippy::expect_used)]
fn google() -> Url {
    Url::parse("https://www.googleapis.com").expect("a constant that parses")
}

impl Auth {
    /// The key, where there is one.
    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Self::ApiKey(key) => Some(key.expose_secret()),
            Self::Credentials(_) | Self::Anonymous => None,
        }
    }

    /// Whom requests are made as, where that is somebody.
    #[must_use]
    pub fn credentials(&self) -> Option<&Credentials> {
        match self {
            Self::Credentials(credentials) => Some(credentials),
            Self::ApiKey(_) | Self::Anonymous => None,
        }
    }
}

impl DriveConfig {
    /// Refuses settings that could never work.
    pub(crate) fn check(&self) -> Result<(), DriveError> {
        let refuse = |message: &str| Err(DriveError::Settings(message.to_owned()));
        if !matches!(self.endpoint.scheme(), "http" | "https") {
            return refuse("the Drive endpoint must be an http or https URL");
        }
        if self.endpoint.query().is_some() || self.endpoint.fragment().is_some() {
            return refuse("the Drive endpoint must be a bare URL, without '?' or '#'");
        }
        if [self.connect_timeout, self.header_timeout, self.idle_timeout].contains(&Duration::ZERO)
        {
            return refuse("Drive timeouts must be longer than zero");
        }
        if self.connect_timeout > self.header_timeout {
            return refuse(
                "the Drive connect timeout must not exceed the header timeout, \
                 else an unreachable Drive looks like a slow one",
            );
        }
        if self.auth.key().is_some_and(|key| key.trim().is_empty()) {
            return refuse("the Google API key is empty");
        }
        Ok(())
    }
}
