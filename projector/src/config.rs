//! Settings.

use std::net::SocketAddr;

use jetstream::NatsConfig;
use read_model::ReadModelConfig;
use runtime::{ConfigError, Env};

/// Settings of a projector.
#[derive(Clone, Debug)]
pub struct Config {
    /// How to reach NATS.
    pub nats: NatsConfig,
    /// The read model.
    pub read_model: ReadModelConfig,
    /// `PROJECTOR_HEALTH_ADDR` for `/livez`, `/readyz`, `/metrics`; default `127.0.0.1:5002`.
    pub health_listen: Option<SocketAddr>,
}

impl Config {
    /// From the settings named at each field.
    ///
    /// # Errors
    /// When one makes no sense.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            nats: NatsConfig::from_env(env, "imagefleet-projector")?,
            read_model: ReadModelConfig::from_env(env)?,
            health_listen: Some(env.parse_or(
                "PROJECTOR_HEALTH_ADDR",
                SocketAddr::from(([127, 0, 0, 1], 5002)),
            )?),
        })
    }
}
