//! How to reach NATS.

use std::path::PathBuf;

use runtime::{ConfigError, Env};
use secrecy::SecretString;

/// How to reach and log in to NATS.
#[derive(Clone, Debug)]
pub struct NatsConfig {
    /// `NATS_URL`, comma-separated for a cluster; default `nats://127.0.0.1:4222`.
    pub url: String,
    /// `NATS_USER`.
    pub user: Option<String>,
    /// `NATS_PASSWORD`.
    pub password: Option<SecretString>,
    /// `NATS_CREDS`: a credentials file (JWT and nkey).
    pub creds: Option<PathBuf>,
    /// How this process shows in the server's connection list.
    pub name: String,
}

impl NatsConfig {
    /// From the settings named at each field.
    ///
    /// # Errors
    /// When they contradict each other.
    pub fn from_env(env: &Env, name: &str) -> Result<Self, ConfigError> {
        let config = Self {
            url: env
                .get("NATS_URL")
                .unwrap_or("nats://127.0.0.1:4222")
                .to_owned(),
            user: env.get("NATS_USER").map(str::to_owned),
            password: env.secret("NATS_PASSWORD"),
            creds: env.get("NATS_CREDS").map(PathBuf::from),
            name: name.to_owned(),
        };
        let known = ["nats://", "tls://", "ws://", "wss://"];
        for url in config.url.split(',').map(str::trim) {
            let bare = !url.contains("://");
            if url.is_empty() || !(bare || known.iter().any(|scheme| url.starts_with(scheme))) {
                return Err(ConfigError::new(
                    "NATS_URL",
                    "must be nats://HOST:PORT, several separated by commas",
                ));
            }
        }
        if config.creds.is_some() && config.user.is_some() {
            return Err(ConfigError::new(
                "NATS_CREDS",
                "is set beside NATS_USER; set one of them",
            ));
        }
        if config.user.is_some() != config.password.is_some() {
            return Err(ConfigError::new(
                "NATS_USER",
                "and NATS_PASSWORD must be set together",
            ));
        }
        Ok(config)
    }
}
