//! How many tasks of one import may go to the queue now.
//!
//! Workers take tasks in the order of their arrival, so the queue is kept short: a small import must
//! not wait behind the backlog of a huge one. Within that each import has its part.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use contracts::{ImportId, streams, subjects};
use futures::TryStreamExt as _;
use jetstream::Nats;
use tokio::time::Instant;

/// Between two looks at a full queue.
const POLL: Duration = Duration::from_millis(50);
/// The rate is measured over at least this.
const MEASURED_OVER: Duration = Duration::from_millis(250);

/// What bounds the queue, for every import of this process.
pub(crate) struct Window {
    /// Tasks of one import, waiting, held or scheduled again.
    limit: u64,
    /// Tasks that wait for a worker, of all imports, are at least this many before the queue is full.
    least: u64,
    rate: Mutex<Rate>,
}

/// The queue as all workers and producers share it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Queue {
    /// Tasks that no worker has been handed yet.
    waiting: u64,
    /// Tasks that workers hold.
    held: u64,
    /// When it is full, in waiting tasks.
    depth: u64,
}

impl Window {
    pub(crate) fn new(limit: u64, least: u64) -> Self {
        Self {
            limit,
            least,
            rate: Mutex::default(),
        }
    }

    /// Wait until there is room for tasks of `import`; for how many.
    pub(crate) async fn wait_for_room(
        &self,
        nats: &Nats,
        import: &ImportId,
    ) -> anyhow::Result<usize> {
        let tasks = nats.context.get_stream_no_info(streams::TASKS).await?;
        let imports = nats.context.get_stream_no_info(streams::IMPORTS).await?;
        loop {
            let workers = tasks.consumer_info(streams::WORKERS).await?;
            let queue = Queue {
                waiting: workers.num_pending,
                held: workers.num_ack_pending as u64,
                depth: self.depth(workers.delivered.consumer_sequence),
            };
            let mut room = 0;
            if queue.waiting < queue.depth {
                let active = imports
                    .consumer_info(streams::PRODUCERS)
                    .await?
                    .num_ack_pending as u64;
                let mut own = 0;
                for filter in [subjects::task(import), subjects::retries_of(import)] {
                    let counts = tasks.info_with_subjects(filter).await?;
                    own += counts
                        .try_fold(0, async |sum, (_, count)| Ok(sum + count as u64))
                        .await?;
                }
                room = part(queue, own, active).min(self.limit.saturating_sub(own));
            }
            if room > 0 {
                return Ok(usize::try_from(room).unwrap_or(usize::MAX));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// About one second of what the fleet takes, `delivered` being the tasks handed out so far.
    fn depth(&self, delivered: u64) -> u64 {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        let per_second = rate.measure(delivered, Instant::now());
        self.least.max(per_second)
    }
}

/// How many tasks of an import with `own` outstanding ones may be added, `active` imports being
/// listed; all or nothing, so that batches do not become tiny.
fn part(queue: Queue, own: u64, active: u64) -> u64 {
    let free = queue.depth.saturating_sub(queue.waiting);
    let least = (queue.depth / 4).max(1);
    let mine = ((queue.held + queue.depth) / active.max(1)).saturating_sub(own);
    // Some that count as active publish nothing: they are paused, or wait for Drive. The workers
    // must not starve for them.
    let mine = if queue.waiting < least {
        mine.max(least)
    } else {
        mine
    };
    match mine.min(free) {
        room if room < least => 0,
        room => room,
    }
}

/// Tasks handed out per second, smoothed.
#[derive(Default)]
struct Rate {
    last: Option<(Instant, u64)>,
    per_second: f64,
}

impl Rate {
    fn measure(&mut self, delivered: u64, now: Instant) -> u64 {
        match self.last {
            None => self.last = Some((now, delivered)),
            Some((at, before)) if now - at >= MEASURED_OVER => {
                let new = delivered.saturating_sub(before) as f64 / (now - at).as_secs_f64();
                self.per_second = (self.per_second + new) / 2.0;
                self.last = Some((now, delivered));
            }
            Some(_) => {}
        }
        self.per_second as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(waiting: u64, held: u64, depth: u64) -> Queue {
        Queue {
            waiting,
            held,
            depth,
        }
    }

    #[test]
    fn alone_an_import_fills_the_queue() {
        assert_eq!(part(queue(0, 0, 64), 0, 1), 64);
        assert_eq!(part(queue(40, 64, 64), 104, 1), 24);
        assert_eq!(
            part(queue(60, 64, 64), 124, 1),
            0,
            "a batch of 4 is not worth it"
        );
        assert_eq!(part(queue(64, 64, 64), 128, 1), 0);
    }

    #[test]
    fn two_imports_get_half_each() {
        // The first has filled the queue; the second comes.
        assert_eq!(part(queue(40, 64, 64), 104, 2), 0);
        assert_eq!(part(queue(40, 64, 64), 0, 2), 24);
        // The first goes on when it has no more than its half.
        assert_eq!(part(queue(32, 64, 64), 40, 2), 24);
    }

    #[test]
    fn the_workers_never_starve() {
        for active in [1, 2, 10, 10_000] {
            for (held, own) in [(0, 0), (64, 64), (640, 640)] {
                assert!(
                    part(queue(0, held, 64), own, active) >= 16,
                    "{active} {held} {own}"
                );
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_deepens_with_the_rate() {
        let window = Window::new(5_000, 64);
        let mut delivered = 0;
        assert_eq!(window.depth(delivered), 64);
        for _ in 0..20 {
            tokio::time::advance(Duration::from_millis(500)).await;
            delivered += 250;
            window.depth(delivered);
        }
        let depth = window.depth(delivered);
        assert!((450..=500).contains(&depth), "{depth}");
        for _ in 0..20 {
            tokio::time::advance(Duration::from_millis(500)).await;
            window.depth(delivered);
        }
        assert_eq!(window.depth(delivered), 64, "and becomes short again");
    }
}
