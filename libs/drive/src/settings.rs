//! Reading the settings from the environment.

use std::path::Path;

use runtime::{ConfigError, Env};
use url::Url;

use crate::{Auth, Credentials, CredentialsError, DriveConfig};

/// Units per minute that Google grants a user of a project made since May 2026
/// (<https://developers.google.com/workspace/drive/api/guides/limits>).
const GOOGLE_UNITS_PER_MINUTE: u32 = 325_000;

impl DriveConfig {
    /// `GOOGLE_DRIVE_ENDPOINT` (default: Google's), `GOOGLE_APPLICATION_CREDENTIALS` (with
    /// `GOOGLE_IMPERSONATE_SUBJECT`) or else `GOOGLE_API_KEY`, `GOOGLE_DRIVE_ACKNOWLEDGE_ABUSE`.
    ///
    /// Credentials win over a key, and then the key is not sent at all: Google refuses the two
    /// together when they belong to different projects.
    ///
    /// # Errors
    /// When the endpoint is no URL, the credentials file is of no use, or Google's Drive is used
    /// without either.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let default = Self::default();
        let endpoint: Url = env.parse_or("GOOGLE_DRIVE_ENDPOINT", default.endpoint.clone())?;
        if !matches!(endpoint.scheme(), "http" | "https") {
            return Err(ConfigError::new(
                "GOOGLE_DRIVE_ENDPOINT",
                "must begin with https:// or http://",
            ));
        }
        let auth = match (credentials(env)?, env.secret("GOOGLE_API_KEY")) {
            (Some(credentials), _) => Auth::Credentials(Box::new(credentials)),
            (None, Some(key)) => Auth::ApiKey(key),
            (None, None) if endpoint == default.endpoint => {
                return Err(ConfigError::new(
                    "GOOGLE_API_KEY",
                    "is not set, nor is GOOGLE_APPLICATION_CREDENTIALS; create an API key with the \
                     Drive API enabled at https://console.cloud.google.com/apis/credentials, or a \
                     service account for private folders, and set one of them in the environment \
                     or .env (docs/google-drive.md)",
                ));
            }
            (None, None) => Auth::Anonymous,
        };
        Ok(Self {
            endpoint,
            auth,
            acknowledge_abuse: env.flag("GOOGLE_DRIVE_ACKNOWLEDGE_ABUSE")?,
            ..default
        })
    }
}

/// Whom to sign in as, if that is set.
fn credentials(env: &Env) -> Result<Option<Credentials>, ConfigError> {
    let file = env.get("GOOGLE_APPLICATION_CREDENTIALS");
    let subject = env.get("GOOGLE_IMPERSONATE_SUBJECT");
    let refused = |name: &str, error: CredentialsError| ConfigError::new(name, error.to_string());
    let Some(file) = file else {
        return match subject {
            None => Ok(None),
            Some(_) => Err(ConfigError::new(
                "GOOGLE_IMPERSONATE_SUBJECT",
                "needs the key of a service account in GOOGLE_APPLICATION_CREDENTIALS",
            )),
        };
    };
    let credentials = Credentials::read(Path::new(file))
        .map_err(|error| refused("GOOGLE_APPLICATION_CREDENTIALS", error))?;
    match subject {
        None => Ok(Some(credentials)),
        Some(subject) => credentials
            .acting_for(subject)
            .map(Some)
            .map_err(|error| refused("GOOGLE_IMPERSONATE_SUBJECT", error)),
    }
}

/// `DRIVE_QUOTA_UNITS_PER_MINUTE`: what the whole fleet may spend; 0 is no limit. The default is
/// Google's per-user quota at Google, and no limit anywhere else.
///
/// # Errors
/// When it is no number, or too small for a single download a minute.
pub fn quota_from_env(env: &Env, config: &DriveConfig) -> Result<Option<u32>, ConfigError> {
    let google = config.endpoint == DriveConfig::default().endpoint;
    let default = if google { GOOGLE_UNITS_PER_MINUTE } else { 0 };
    match env.parse_or("DRIVE_QUOTA_UNITS_PER_MINUTE", default)? {
        0 => Ok(None),
        units if units < 1_000 => Err(ConfigError::new(
            "DRIVE_QUOTA_UNITS_PER_MINUTE",
            "must be 0 (no limit) or at least 1000",
        )),
        units => Ok(Some(units)),
    }
}
