//! Tasks whose workers died. Which of the tasks that died together killed the others is found out by
//! working on them one at a time: the rest, untouched, come again later.

use std::time::Duration;

use async_nats::HeaderMap;
use contracts::{ImportImage, streams, subjects};
use jetstream::{Delivery, PublishError, at_schedule};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::Worker;

/// So many deaths may be those of somebody else's neighbour.
pub(crate) const SUSPECT: i64 = 2;
/// How long a suspect rests while another one is worked on.
const REST: Duration = Duration::from_secs(1);
/// Within this time those that came with a fetch have been looked at.
const LOOKED_AT: Duration = Duration::from_millis(100);
/// How long they may take to be gone; longer means that NATS is away.
const GONE: Duration = Duration::from_secs(10);

/// Which suspects this worker has, and whether more may come.
pub(crate) struct Suspects {
    /// One of them is worked on.
    alone: watch::Sender<bool>,
    /// Suspects in this worker's hands.
    held: watch::Sender<usize>,
    /// Tasks may be on their way to this worker.
    fetching: watch::Sender<bool>,
}

/// A suspect is worked on, as long as this is.
pub(crate) struct Alone<'a>(&'a watch::Sender<bool>);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

/// A suspect is in this worker's hands as long as this is.
pub(crate) struct Held<'a>(&'a watch::Sender<usize>);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|held| *held -= 1);
    }
}

/// What a task's past deaths mean for it.
pub(crate) enum Standing<'a> {
    /// Nothing speaks against it.
    Clear,
    /// It is worked on with no other suspect beside it, as long as this is held.
    Alone(Alone<'a>),
    /// Another suspect is being worked on.
    Later,
    /// It is not touched again.
    Hopeless,
}

impl Suspects {
    pub(crate) fn new() -> Self {
        Self {
            alone: watch::Sender::new(false),
            held: watch::Sender::new(0),
            fetching: watch::Sender::new(false),
        }
    }

    /// Notes a suspect until it is settled; `None` if it is none.
    pub(crate) fn hold(&self, deaths: i64) -> Option<Held<'_>> {
        (deaths >= SUSPECT).then(|| {
            self.held.send_modify(|held| *held += 1);
            Held(&self.held)
        })
    }

    /// For the one that is to be worked on: waits until the suspects that came along with it, or are
    /// on their way, are put off and settled. They would die with it, once more, untouched.
    pub(crate) async fn others_gone(&self) {
        let (mut held, mut fetching) = (self.held.subscribe(), self.fetching.subscribe());
        let gone = async {
            let _ = fetching.wait_for(|fetching| !fetching).await;
            sleep(LOOKED_AT).await;
            let _ = held.wait_for(|held| *held <= 1).await;
        };
        // Whoever cannot be put off dies along, if it comes to that: nobody waits for ever.
        let _ = timeout(GONE, gone).await;
    }

    /// The last fetch is over: what it brought is here.
    pub(crate) fn fetched(&self) {
        self.fetching.send_replace(false);
    }

    /// Leave to fetch, until [`Self::fetched`]: given while no suspect is worked on.
    pub(crate) async fn may_fetch(&self) {
        let mut alone = self.alone.subscribe();
        loop {
            // First said, then looked, as the suspect does: one of the two sees the other.
            self.fetching.send_replace(true);
            if !*alone.borrow_and_update() {
                return;
            }
            self.fetching.send_replace(false);
            let _ = alone.wait_for(|alone| !alone).await;
        }
    }

    pub(crate) fn judge(&self, deaths: i64) -> Standing<'_> {
        if deaths >= streams::MAX_CRASH_DELIVERIES {
            return Standing::Hopeless;
        }
        if deaths < SUSPECT {
            return Standing::Clear;
        }
        let first = self.alone.send_if_modified(|alone| {
            let first = !*alone;
            *alone = true;
            first
        });
        if first {
            Standing::Alone(Alone(&self.alone))
        } else {
            Standing::Later
        }
    }
}

/// How often a worker died, or fell silent, while it held this task: those of the copies before this
/// message included.
pub(crate) fn deaths(delivery: &Delivery) -> i64 {
    let before: i64 = delivery
        .headers()
        .and_then(|headers| headers.get(streams::DEATHS))
        .and_then(|value| value.as_str().parse().ok())
        .unwrap_or(0);
    before.saturating_add(delivery.delivered() - 1)
}

impl Worker {
    /// A copy of the delivery's task that comes later and knows of its past. To wait while holding
    /// it would not do: it would die along with the one that is worked on.
    pub(crate) async fn put_off(
        &self,
        task: &ImportImage,
        delivery: &Delivery,
    ) -> Result<u64, PublishError> {
        let due = OffsetDateTime::now_utc() + REST;
        let mut headers: HeaderMap = at_schedule(due, &subjects::task(&task.import_id));
        headers.insert(streams::DEATHS, deaths(delivery).to_string());
        let subject = subjects::retry(&task.import_id, &task.file.item_id);
        self.nats
            .publish_with_headers(subject, headers, delivery.payload().clone())
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[test]
    fn suspects_take_turns_and_the_rest_go_on() {
        let suspects = Suspects::new();
        assert!(matches!(suspects.judge(0), Standing::Clear));
        let first = suspects.judge(SUSPECT);
        assert!(matches!(first, Standing::Alone(_)));
        assert!(matches!(suspects.judge(4), Standing::Later));
        assert!(matches!(suspects.judge(1), Standing::Clear));
        assert!(matches!(suspects.judge(5), Standing::Hopeless));
        drop(first);
        assert!(matches!(suspects.judge(4), Standing::Alone(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_worked_on_waits_until_the_others_are_settled() {
        let suspects = Suspects::new();
        assert!(suspects.hold(1).is_none());
        let _chosen = suspects.hold(SUSPECT);
        suspects.others_gone().await;
        let other = suspects.hold(4);
        let mut waiting = pin!(suspects.others_gone());
        assert!(timeout(GONE / 2, &mut waiting).await.is_err());
        drop(other);
        assert!(timeout(LOOKED_AT, waiting).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_fetched_beside_one_that_is_worked_on() {
        let suspects = Suspects::new();
        suspects.may_fetch().await;
        let alone = suspects.judge(SUSPECT);
        let mut waiting = pin!(suspects.others_gone());
        let late = timeout(GONE / 2, &mut waiting).await;
        assert!(late.is_err(), "more may come of the fetch under way");
        suspects.fetched();
        assert!(timeout(GONE / 2, waiting).await.is_ok());
        let mut next = pin!(suspects.may_fetch());
        assert!(timeout(GONE, &mut next).await.is_err());
        drop(alone);
        assert!(timeout(GONE, next).await.is_ok());
    }
}
