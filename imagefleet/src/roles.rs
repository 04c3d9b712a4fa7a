//! One role per process.

use gateway::Gateway;
use runtime::{Env, Service};
use tokio_util::sync::CancellationToken;

use crate::cli::Role;
use crate::exit::Exit;
use crate::fleet;

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Worker => "worker",
            Self::Projector => "projector",
            Self::Gateway => "gateway",
        }
    }
}

/// Run one role until `stop`, then drain it.
pub(crate) async fn run(role: Role, env: &Env, stop: CancellationToken) -> anyhow::Result<Exit> {
    let service = Service::new(role.name(), stop)?;
    match role {
        Role::Producer => Box::pin(producer::run(producer::Config::from_env(env)?, service)).await,
        Role::Worker => Box::pin(worker::run(worker::Config::from_env(env)?, service)).await,
        Role::Projector => projector::run(projector::Config::from_env(env)?, service).await,
        Role::Gateway => {
            let config = fleet::gateway_config(env)?;
            let gateway = Gateway::bind(config, service.registry, service.health).await?;
            gateway.serve(service.stop).await
        }
    }?;
    Ok(Exit::Success)
}
