//! `imagefleet setup`.

use contracts::streams;
use jetstream::NatsConfig;
use jetstream::topology::{self, TopologyConfig};
use runtime::Env;

use crate::cli::Setup;
use crate::exit::Exit;
use crate::output;

/// Create or update what must exist on NATS.
pub(crate) async fn run(env: Env, args: &Setup) -> anyhow::Result<Exit> {
    let env = match args.replicas {
        Some(replicas) => env.with("NATS_REPLICAS", replicas.to_string()),
        None => env,
    };
    let config = TopologyConfig::from_env(&env)?;
    let nats = jetstream::connect(&NatsConfig::from_env(&env, "imagefleet-setup")?).await?;
    topology::setup(&nats, config).await?;
    topology::verify(&nats).await?;
    output::say(format!(
        "Streams {}, {} and {}, their consumers and buckets are in place ({} each).",
        streams::IMPORTS,
        streams::TASKS,
        streams::EVENTS,
        if config.replicas == 1 {
            "1 copy".to_owned()
        } else {
            format!("{} copies", config.replicas)
        },
    ));
    Ok(Exit::Success)
}
