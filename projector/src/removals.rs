//! Asking workers to remove the objects that the fold saw replaced.

use std::time::Duration;

use anyhow::Context as _;
use contracts::subjects;
use futures::{StreamExt as _, TryStreamExt as _};
use jetstream::Nats;
use read_model::{ReadModel, Removal};
use runtime::backoff::Reconnect;
use tokio::sync::Notify;

use crate::metrics::Metrics;

/// Removals asked for before they are forgotten together.
const MAX_BATCH: u32 = 256;
/// Of these, as many wait for the server at a time.
const IN_FLIGHT: usize = 32;
/// How often it is looked without being told.
const LOOK: Duration = Duration::from_secs(30);

/// Ask for every removal that is noted, and for further ones when `noted` says so, for ever; while
/// NATS or the database is away it waits. Dying between asking and forgetting asks again, which
/// changes nothing: a worker removes only what the import of the replaced row stored.
pub(crate) async fn ask_for(
    nats: &Nats,
    read_model: &ReadModel,
    noted: &Notify,
    metrics: &Metrics,
) {
    let mut pause = Reconnect::default();
    loop {
        match ask_for_some(nats, read_model).await {
            Ok(0) => {
                let _ = tokio::time::timeout(LOOK, noted.notified()).await;
            }
            Ok(asked) => {
                metrics.removals(asked);
                pause.reset();
            }
            Err(error) => {
                tracing::warn!(error = %format!("{error:#}"), "removals of replaced objects wait");
                pause.wait().await;
            }
        }
    }
}

async fn ask_for_some(nats: &Nats, read_model: &ReadModel) -> anyhow::Result<u64> {
    let removals = read_model.removals(MAX_BATCH).await?;
    if removals.is_empty() {
        return Ok(0);
    }
    let publishing: Vec<_> = removals
        .iter()
        .map(|removal| publish(nats, removal))
        .collect();
    futures::stream::iter(publishing)
        .buffer_unordered(IN_FLIGHT)
        .try_collect::<()>()
        .await?;
    let sequences: Vec<u64> = removals.iter().map(|removal| removal.sequence).collect();
    let asked = sequences.len() as u64;
    read_model.forget_removals(sequences).await?;
    Ok(asked)
}

async fn publish(nats: &Nats, removal: &Removal) -> anyhow::Result<()> {
    let payload = contracts::encode(&removal.task()).context("a deletion cannot be written")?;
    nats.publish(
        subjects::task(&removal.import_id),
        &removal.message_id(),
        payload.into(),
    )
    .await?;
    Ok(())
}
