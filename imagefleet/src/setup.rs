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
    let chosen = topology::setup(&nats, config).await?;
    topology::verify(&nats).await?;
    output::say(format!(
        "Streams {}, {} and {}, their consumers and buckets are in place ({} each; events are kept {}).",
        streams::IMPORTS,
        streams::TASKS,
        streams::EVENTS,
        match chosen.replicas {
            1 => "1 copy".to_owned(),
            copies => format!("{copies} copies"),
        },
        match chosen.events_retention.as_secs() {
            0 => "for good".to_owned(),
            seconds => format!("for {} days", seconds / (24 * 3600)),
        },
    ));
    Ok(Exit::Success)
}
