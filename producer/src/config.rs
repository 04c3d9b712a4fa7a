//! Settings.

use std::net::SocketAddr;
use std::time::Duration;

use drive::DriveConfig;
use jetstream::NatsConfig;
use read_model::ReadModelConfig;
use runtime::{ConfigError, Env};

/// Settings of a producer.
#[derive(Clone, Debug)]
pub struct Config {
    /// How to reach NATS.
    pub nats: NatsConfig,
    /// How to reach Drive.
    pub drive: DriveConfig,
    /// `DRIVE_QUOTA_UNITS_PER_MINUTE` of the whole fleet; `None` is no limit.
    pub quota: Option<u32>,
    /// The read model, read for `skip_unchanged`.
    pub read_model: ReadModelConfig,
    /// `PRODUCER_CONCURRENCY`: imports listed at once; default 64.
    pub concurrency: usize,
    /// `PRODUCER_WINDOW`: tasks of one import that may be outstanding at most; default 5,000.
    pub window: u64,
    /// Tasks that wait for a worker are kept at about one second of the fleet's work, and never
    /// fewer than this; default 64.
    pub queue: u64,
    /// `SHUTDOWN_GRACE`: how long to finish what is held; default 25 s.
    pub grace: Duration,
    /// `PRODUCER_HEALTH_ADDR` for `/livez`, `/readyz`, `/metrics`; default `127.0.0.1:5001`.
    pub health_listen: Option<SocketAddr>,
}

impl Config {
    /// From the settings named at each field.
    ///
    /// # Errors
    /// When one makes no sense.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let drive = DriveConfig::from_env(env)?;
        let config = Self {
            nats: NatsConfig::from_env(env, "imagefleet-producer")?,
            quota: drive::quota_from_env(env, &drive)?,
            drive,
            read_model: ReadModelConfig::from_env(env)?,
            concurrency: env.parse_or("PRODUCER_CONCURRENCY", 64)?,
            window: env.parse_or("PRODUCER_WINDOW", 5_000)?,
            queue: 64,
            grace: env.duration_or("SHUTDOWN_GRACE", Duration::from_secs(25))?,
            health_listen: Some(env.parse_or(
                "PRODUCER_HEALTH_ADDR",
                SocketAddr::from(([127, 0, 0, 1], 5001)),
            )?),
        };
        if config.concurrency == 0 {
            return Err(ConfigError::new(
                "PRODUCER_CONCURRENCY",
                "must be at least 1",
            ));
        }
        if config.window == 0 {
            return Err(ConfigError::new("PRODUCER_WINDOW", "must be at least 1"));
        }
        Ok(config)
    }
}
