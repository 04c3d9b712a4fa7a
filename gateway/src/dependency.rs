//! What the gateway leans on: asked while it answers, and refused at once while it is away.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime::health::Health;
use runtime::{Breaker, breaker::Permit};
use tokio::time::MissedTickBehavior;

use crate::problem::{Code, Problem, Result};

/// NATS, the database or the store.
///
/// A request that finds it away opens the breaker; those after it are answered at once. No request
/// waits to find out whether it is back: [`Self::watch`] does.
pub(crate) struct Dependency {
    name: &'static str,
    breaker: Breaker,
    health: Health,
    patience: Duration,
    silence: Code,
    unanswered: &'static str,
    /// What was wrong last.
    last: Mutex<Code>,
}

/// Why a call brought nothing.
pub(crate) enum Failed {
    /// The dependency is away, for everybody.
    Away(Problem),
    /// It answered, and something else is wrong.
    Refused(Problem),
}

impl Dependency {
    /// A request waits for its answer no longer than `patience`, and is told `unanswered` then.
    pub(crate) fn new(
        name: &'static str,
        silence: Code,
        unanswered: &'static str,
        patience: Duration,
        health: Health,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            breaker: Breaker::new(name, health.clone()),
            health,
            patience,
            silence,
            unanswered,
            last: Mutex::new(silence),
        })
    }

    /// What is wrong with it right now, for people.
    pub(crate) fn trouble(&self) -> Option<&'static str> {
        self.breaker.is_open().then(|| self.last().title())
    }

    /// The answer to one request, or why there is none.
    pub(crate) async fn ask<T>(&self, call: impl Future<Output = Result<T, Failed>>) -> Result<T> {
        let Some(permit) = self.breaker.try_admit() else {
            return Err(refusal(self.last()));
        };
        self.settle(permit, self.in_time(self.patience, call).await)
    }

    /// Keeps the breaker and readiness true, for ever: probes at once and after every `pause`, and
    /// while the breaker is open as often as that one says. Without a pause, only while it is open.
    pub(crate) async fn watch<P: Future<Output = Result<(), Failed>>>(
        &self,
        pause: Option<Duration>,
        patience: Duration,
        probe: impl Fn() -> P,
    ) {
        let mut told = String::new();
        let mut due = tokio::time::interval(pause.unwrap_or(Duration::from_secs(3600)));
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.breaker.opened() => {}
                _ = due.tick(), if pause.is_some() => {}
            }
            let permit = self.breaker.admit().await;
            let answer = self.in_time(patience, probe()).await;
            match self.settle(permit, answer) {
                Ok(()) => {
                    self.health.ready(self.name);
                    told.clear();
                }
                // It answers, but is not what it should be: readiness waits, requests do not.
                Err(problem) if !self.breaker.is_open() => {
                    let why = problem.reason();
                    if why != told {
                        tracing::warn!(
                            dependency = self.name,
                            why,
                            "dependency is not as it should be"
                        );
                        told.clone_from(&why);
                    }
                    self.health.waiting(self.name, why);
                }
                Err(_) => {}
            }
        }
    }

    async fn in_time<T>(
        &self,
        patience: Duration,
        call: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, Failed> {
        match tokio::time::timeout(patience, call).await {
            Ok(answer) => answer,
            Err(_) => {
                let problem = Problem::new(self.silence, self.unanswered);
                let cause = anyhow::anyhow!("no answer from {} within {patience:?}", self.name);
                Err(Failed::Away(problem.caused_by(cause)))
            }
        }
    }

    fn settle<T>(&self, permit: Permit, answer: Result<T, Failed>) -> Result<T> {
        match answer {
            Ok(answer) => {
                permit.answered();
                Ok(answer)
            }
            Err(Failed::Refused(problem)) => {
                permit.answered();
                Err(problem)
            }
            Err(Failed::Away(problem)) => {
                *self.lock() = problem.code;
                permit.away(&problem.reason());
                Err(problem)
            }
        }
    }

    fn last(&self) -> Code {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Code> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request is told that was not even begun.
fn refusal(why: Code) -> Problem {
    let detail = match why {
        Code::QueueUnavailable => {
            "NATS does not answer right now. Nothing was accepted; ask again in a few seconds."
        }
        Code::DatabaseUnavailable => {
            "The database is not ready. Imports go on meanwhile; ask again."
        }
        Code::StoreCredentials => STORE_CREDENTIALS,
        _ => "The store cannot be read right now. Ask again.",
    };
    Problem::new(why, detail)
}

/// What to do when the store knows us not.
pub(crate) const STORE_CREDENTIALS: &str = "The store refuses the gateway's credentials: they are wrong or have expired. Imports may go on \
     with other credentials; whoever runs this gateway must renew its own.";
