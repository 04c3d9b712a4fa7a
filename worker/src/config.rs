//! Settings.

use std::net::SocketAddr;
use std::time::Duration;

use drive::DriveConfig;
use jetstream::NatsConfig;
use runtime::backoff::RetryPolicy;
use runtime::{ConfigError, Env};
use storage::StoreConfig;

/// Settings of a worker.
#[derive(Clone, Debug)]
pub struct Config {
    /// How to reach NATS.
    pub nats: NatsConfig,
    /// How to reach Drive.
    pub drive: DriveConfig,
    /// `DRIVE_QUOTA_UNITS_PER_MINUTE` of the whole fleet; `None` is no limit.
    pub quota: Option<u32>,
    /// Where images go.
    pub store: StoreConfig,
    /// `WORKER_CONCURRENCY`: tasks held at once; default 64. Each holds at most 8 MiB of a small
    /// image, or 16 MiB of a large one that is uploaded in parts.
    pub concurrency: usize,
    /// `WORKER_MAX_ATTEMPTS` (default 8), `WORKER_RETRY_BASE` (default 3 s): see [`RetryPolicy`].
    pub retry: RetryPolicy,
    /// `SHUTDOWN_GRACE`: how long to finish what is held; default 25 s.
    pub grace: Duration,
    /// `WORKER_HEALTH_ADDR` for `/livez`, `/readyz`, `/metrics`; default `127.0.0.1:5004`.
    pub health_listen: Option<SocketAddr>,
}

impl Config {
    /// From the settings named at each field.
    ///
    /// # Errors
    /// When one makes no sense.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let drive = DriveConfig::from_env(env)?;
        let retry = RetryPolicy::default();
        let config = Self {
            nats: NatsConfig::from_env(env, "imagefleet-worker")?,
            quota: drive::quota_from_env(env, &drive)?,
            drive,
            store: StoreConfig::from_env(env)?,
            concurrency: env.parse_or("WORKER_CONCURRENCY", 64)?,
            retry: RetryPolicy {
                max_attempts: env.parse_or("WORKER_MAX_ATTEMPTS", retry.max_attempts)?,
                base: env.duration_or("WORKER_RETRY_BASE", retry.base)?,
                ..retry
            },
            grace: env.duration_or("SHUTDOWN_GRACE", Duration::from_secs(25))?,
            health_listen: Some(env.parse_or(
                "WORKER_HEALTH_ADDR",
                SocketAddr::from(([127, 0, 0, 1], 5004)),
            )?),
        };
        if !(1..=1024).contains(&config.concurrency) {
            return Err(ConfigError::new(
                "WORKER_CONCURRENCY",
                "must be 1 to 1024; start more workers for more",
            ));
        }
        if config.retry.max_attempts == 0 {
            return Err(ConfigError::new(
                "WORKER_MAX_ATTEMPTS",
                "must be at least 1",
            ));
        }
        Ok(config)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let endpoint = ("GOOGLE_DRIVE_ENDPOINT", "http://127.0.0.1:1");
        Config::from_env(&Env::from_pairs(pairs.iter().copied().chain([endpoint])))
    }

    #[test]
    fn what_is_not_set_has_a_default() {
        let config = read(&[]).unwrap();
        assert_eq!(config.concurrency, 64);
        assert_eq!(config.retry, RetryPolicy::default());
        assert_eq!(config.grace, Duration::from_secs(25));
        assert_eq!(config.quota, None, "only Google has a quota");
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_name() {
        for (name, value) in [
            ("WORKER_CONCURRENCY", "0"),
            ("WORKER_CONCURRENCY", "1025"),
            ("WORKER_CONCURRENCY", "many"),
            ("WORKER_MAX_ATTEMPTS", "0"),
            ("WORKER_RETRY_BASE", "soon"),
            ("WORKER_HEALTH_ADDR", "5004"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
