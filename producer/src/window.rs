//! How many tasks of one import may wait on the queue.

use contracts::{ImportId, streams, subjects};
use futures::TryStreamExt as _;
use jetstream::Nats;
use std::time::Duration;

const POLL: Duration = Duration::from_millis(200);
/// However many imports are active, each may have this many tasks waiting.
const LEAST: u64 = 1_000;

/// Wait until fewer than this import's part of `window` tasks wait, retries included.
pub(crate) async fn wait_for_room(
    nats: &Nats,
    import: &ImportId,
    window: u64,
) -> anyhow::Result<()> {
    let stream = nats.context.get_stream_no_info(streams::TASKS).await?;
    loop {
        let mut waiting = 0;
        for filter in [subjects::task(import), subjects::retries_of(import)] {
            let counts = stream.info_with_subjects(filter).await?;
            waiting += counts
                .try_fold(0, async |sum, (_, count)| Ok(sum + count as u64))
                .await?;
        }
        // Cheap when there is plenty of room: the number of active imports is asked for only when
        // it could matter.
        if waiting < LEAST.min(window) {
            return Ok(());
        }
        let active = nats
            .context
            .get_stream_no_info(streams::IMPORTS)
            .await?
            .consumer_info(streams::PRODUCERS)
            .await?
            .num_ack_pending;
        if waiting < part(window, active) {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

fn part(window: u64, active: usize) -> u64 {
    (window / active.max(1) as u64).max(LEAST.min(window))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_shared_but_never_below_a_page() {
        assert_eq!(part(5_000, 0), 5_000);
        assert_eq!(part(5_000, 1), 5_000);
        assert_eq!(part(5_000, 2), 2_500);
        assert_eq!(part(5_000, 100), 1_000);
        assert_eq!(part(10, 100), 10);
    }
}
