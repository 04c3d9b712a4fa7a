//! How far the tables are behind the stream, measured apart from folding: the figures must be true
//! above all while folding stands still.

use std::time::Duration;

use contracts::{streams, subjects};
use jetstream::Nats;
use read_model::ReadModel;
use time::OffsetDateTime;

use crate::CHECKPOINT;
use crate::metrics::Metrics;

const EVERY: Duration = Duration::from_secs(2);

/// Keep the metrics current, for ever.
pub(crate) async fn watch(nats: &Nats, read_model: &ReadModel, metrics: &Metrics) {
    let mut ticks = tokio::time::interval(EVERY);
    let mut folded = 0;
    loop {
        ticks.tick().await;
        // While the database is away the last known checkpoint is still the right one.
        if let Ok(now) = read_model.checkpoint(CHECKPOINT).await {
            folded = now;
        }
        match behind(nats, folded).await {
            Ok((events, age)) => metrics.behind(events, age),
            Err(error) => tracing::debug!(error = %format!("{error:#}"), "lag is not known"),
        }
    }
}

/// Events not folded yet, and the age of the oldest of them.
async fn behind(nats: &Nats, folded: u64) -> anyhow::Result<(u64, Duration)> {
    let stream = nats.context.get_stream(streams::EVENTS).await?;
    let state = &stream.cached_info().state;
    let unfolded = state
        .last_sequence
        .saturating_sub(folded)
        .min(state.messages);
    if unfolded == 0 {
        return Ok((0, Duration::ZERO));
    }
    let oldest = stream
        .direct_get_next_for_subject(subjects::EVENTS, Some(folded + 1))
        .await?;
    let age = OffsetDateTime::now_utc() - oldest.time;
    Ok((unfolded, age.try_into().unwrap_or_default()))
}
