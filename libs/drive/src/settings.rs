//! Reading the settings from the environment.

use runtime::{ConfigError, Env};
use url::Url;

use crate::{Auth, DriveConfig};

/// Units per minute that Google grants a user of a project made since May 2026
/// (<https://developers.google.com/workspace/drive/api/guides/limits>).
const GOOGLE_UNITS_PER_MINUTE: u32 = 325_000;

impl DriveConfig {
    /// `GOOGLE_DRIVE_ENDPOINT` (default: Google's) and `GOOGLE_API_KEY`.
    ///
    /// # Errors
    /// When the endpoint is no URL, or Google's is used without a key.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let default = Self::default();
        let endpoint: Url = env.parse_or("GOOGLE_DRIVE_ENDPOINT", default.endpoint.clone())?;
        if !matches!(endpoint.scheme(), "http" | "https") {
            return Err(ConfigError::new(
                "GOOGLE_DRIVE_ENDPOINT",
                "must begin with https:// or http://",
            ));
        }
        let auth = match env.secret("GOOGLE_API_KEY") {
            Some(key) => Auth::ApiKey(key),
            None if endpoint == default.endpoint => {
                return Err(ConfigError::new(
                    "GOOGLE_API_KEY",
                    "is not set; create an API key with the Drive API enabled at \
                     https://console.cloud.google.com/apis/credentials and set it in the environment or .env",
                ));
            }
            None => Auth::Anonymous,
        };
        Ok(Self {
            endpoint,
            auth,
            ..default
        })
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
