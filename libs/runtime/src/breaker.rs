//! A breaker per dependency: while it is away, one caller at a time finds out whether it is back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Health;
use crate::backoff::Reconnect;

/// Shared by everything in the process that uses one dependency.
#[derive(Clone)]
pub struct Breaker {
    inner: Arc<Inner>,
}

struct Inner {
    dependency: &'static str,
    health: Health,
    state: Mutex<State>,
    changed: Notify,
}

enum State {
    Closed,
    Open(Open),
}

struct Open {
    backoff: Reconnect,
    next_probe: Instant,
    probing: bool,
}

/// Leave to use the dependency once. Report what came of it; a permit dropped without a word
/// counts as if it had never been given.
#[must_use]
pub struct Permit {
    breaker: Breaker,
    probe: bool,
}

impl Breaker {
    /// A closed breaker that reports to `health`.
    #[must_use]
    pub fn new(dependency: &'static str, health: Health) -> Self {
        health.ready(dependency);
        health.opened(dependency, 0);
        Self {
            inner: Arc::new(Inner {
                dependency,
                health,
                state: Mutex::new(State::Closed),
                changed: Notify::new(),
            }),
        }
    }

    /// Whether the dependency is held to be away.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(*self.state(), State::Open(_))
    }

    /// Wait until the breaker is closed. Does not probe: whoever holds work does.
    pub async fn closed(&self) {
        loop {
            let changed = self.inner.changed.notified();
            if !self.is_open() {
                return;
            }
            changed.await;
        }
    }

    /// Wait until the breaker is open.
    pub async fn opened(&self) {
        loop {
            let changed = self.inner.changed.notified();
            if self.is_open() {
                return;
            }
            changed.await;
        }
    }

    /// Leave to use the dependency unless it is held to be away. Does not probe: for callers who
    /// cannot wait, beside somebody who can and does.
    #[must_use]
    pub fn try_admit(&self) -> Option<Permit> {
        (!self.is_open()).then(|| Permit {
            breaker: self.clone(),
            probe: false,
        })
    }

    /// Wait for leave to use the dependency: at once while closed; while open, one caller at a time
    /// and no sooner than the backoff says.
    pub async fn admit(&self) -> Permit {
        loop {
            let changed = self.inner.changed.notified();
            let wait = match &mut *self.state() {
                State::Closed => {
                    return Permit {
                        breaker: self.clone(),
                        probe: false,
                    };
                }
                State::Open(open) if open.probing => None,
                State::Open(open) if Instant::now() >= open.next_probe => {
                    open.probing = true;
                    return Permit {
                        breaker: self.clone(),
                        probe: true,
                    };
                }
                State::Open(open) => Some(open.next_probe),
            };
            match wait {
                None => changed.await,
                Some(at) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(at) => {}
                },
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// It answered. Closes an open breaker.
    pub fn answered(mut self) {
        let was_open = {
            let mut state = self.breaker.state();
            // A straggler from before the outage proves nothing: only the probe closes.
            let closes = self.probe;
            if closes {
                *state = State::Closed;
            }
            closes
        };
        if was_open {
            let inner = &self.breaker.inner;
            inner.health.ready(inner.dependency);
            tracing::info!(dependency = inner.dependency, "dependency is back");
            self.probe = false;
            inner.changed.notify_waiters();
        }
    }

    /// It is away; `why` is for people. Opens the breaker, or keeps it open.
    pub fn away(mut self, why: &str) {
        let opened = {
            let mut state = self.breaker.state();
            match &mut *state {
                State::Closed => {
                    let mut backoff = Reconnect::default();
                    let delay = backoff.next_delay();
                    *state = State::Open(Open {
                        backoff,
                        next_probe: Instant::now() + delay,
                        probing: false,
                    });
                    Some(delay)
                }
                State::Open(open) => {
                    if self.probe {
                        let delay = open.backoff.next_delay();
                        open.next_probe = Instant::now() + delay;
                        open.probing = false;
                    }
                    None
                }
            }
        };
        self.probe = false;
        let inner = &self.breaker.inner;
        inner.health.waiting(inner.dependency, why);
        if let Some(delay) = opened {
            inner.health.opened(inner.dependency, 1);
            let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(
                dependency = inner.dependency,
                why,
                delay_ms,
                "dependency is away; work waits"
            );
        }
        inner.changed.notify_waiters();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.probe {
            return;
        }
        if let State::Open(open) = &mut *self.breaker.state() {
            open.probing = false;
            open.next_probe = Instant::now() + Duration::from_millis(100);
        }
        self.breaker.inner.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_prober_at_a_time_and_its_answer_frees_all() {
        let health = Health::new("worker");
        let breaker = Breaker::new("drive", health.clone());
        breaker.admit().await.away("connection refused");
        assert!(breaker.is_open() && !health.is_ready());

        let probe = breaker.admit().await;
        assert!(probe.probe);
        let waiters: Vec<_> = (0..8)
            .map(|_| {
                tokio::spawn({
                    let breaker = breaker.clone();
                    async move { breaker.admit().await.answered() }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(
            waiters.iter().all(|waiter| !waiter.is_finished()),
            "someone probed beside the prober"
        );

        probe.answered();
        for waiter in waiters {
            assert!(waiter.await.is_ok());
        }
        assert!(!breaker.is_open() && health.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_wait_is_refused_until_a_prober_was_answered() {
        let breaker = Breaker::new("drive", Health::new("gateway"));
        let opened = tokio::spawn({
            let breaker = breaker.clone();
            async move { breaker.opened().await }
        });
        let admitted = breaker.try_admit();
        assert!(admitted.is_some() && !opened.is_finished());
        if let Some(permit) = admitted {
            permit.away("no answer");
        }
        assert!(opened.await.is_ok());
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(breaker.try_admit().is_none(), "it probed");
        breaker.admit().await.answered();
        assert!(breaker.try_admit().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_prober_that_vanishes_is_replaced() {
        let breaker = Breaker::new("drive", Health::new("worker"));
        breaker.admit().await.away("down");
        drop(breaker.admit().await);
        breaker.admit().await.answered();
        breaker.closed().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_straggler_does_not_close_it() {
        let breaker = Breaker::new("drive", Health::new("worker"));
        let straggler = breaker.admit().await;
        breaker.admit().await.away("down");
        straggler.answered();
        assert!(breaker.is_open());
    }
}
