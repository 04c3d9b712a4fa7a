//! The gateway's side of the store: whether it answers, and what its errors are to clients.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use runtime::health::Health;
use storage::{Key, KeyError, Store, StoreError};
use tokio::task::JoinSet;

use crate::config::Delivery;
use crate::dependency::{Dependency, Failed, STORE_CREDENTIALS};
use crate::problem::{Code, Problem, Result};

/// No object of ours: asking for it costs the store nothing, and any answer shows that it is there.
const PROBE: &str = "imagefleet-probe";

/// The bucket, as handlers read it.
pub(crate) struct Objects {
    pub(crate) store: Store,
    pub(crate) delivery: Delivery,
    link: Arc<Dependency>,
}

impl Objects {
    /// Looks out for a store that went away, in a task of its own, for as long as `background` runs.
    pub(crate) fn start(
        store: Store,
        delivery: Delivery,
        patience: Duration,
        health: Health,
        background: &mut JoinSet<()>,
    ) -> Result<Self, KeyError> {
        let unanswered = "The store did not answer in time. Ask again.";
        let link = Dependency::new(
            "store",
            Code::StoreUnavailable,
            unanswered,
            patience,
            health,
        );
        let key = Key::new(PROBE)?;
        background.spawn({
            let (store, link) = (store.clone(), Arc::clone(&link));
            async move {
                let probe = || async {
                    match store.get(&key, None).await.map_err(failed) {
                        Err(Failed::Away(problem)) => Err(Failed::Away(problem)),
                        // Even a refusal is an answer: without s3:ListBucket, S3 refuses to say
                        // that there is no such object.
                        Ok(_) | Err(Failed::Refused(_)) => Ok(()),
                    }
                };
                link.watch(None, patience, probe).await;
            }
        });
        Ok(Self {
            store,
            delivery,
            link,
        })
    }

    /// Where redirects lead, if there are any.
    pub(crate) fn redirect_origin(&self) -> Option<String> {
        match self.delivery {
            Delivery::Redirect => self.store.origin(),
            Delivery::Stream => None,
        }
    }

    /// The answer to a call of [`Self::store`].
    pub(crate) async fn ask<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T> {
        self.link.ask(async { call.await.map_err(failed) }).await
    }

    /// All bytes of an object. Slow ones say nothing of the store, so the breaker is not asked: who
    /// waits has a deadline.
    pub(crate) async fn read_whole(&self, body: storage::Body) -> Result<Bytes> {
        let read = body.collect().await.map_err(failed);
        read.map_err(|error| match error {
            Failed::Away(problem) | Failed::Refused(problem) => problem,
        })
    }
}

/// Away is what concerns every object. One that cannot be read does not close the others off.
fn failed(error: StoreError) -> Failed {
    let (away, code, detail) = match &error {
        StoreError::BadCredentials { .. } => (true, Code::StoreCredentials, STORE_CREDENTIALS),
        StoreError::Denied { .. } => (
            false,
            Code::StoreCredentials,
            "The gateway's credentials may not read this object. Whoever runs this gateway must grant s3:GetObject.",
        ),
        StoreError::Unreachable { .. }
        | StoreError::Unavailable { status: None, .. }
        | StoreError::BucketMissing { .. }
        | StoreError::ContainerMissing { .. }
        | StoreError::WrongRegion { .. }
        | StoreError::DirectoryMissing(_) => (true, Code::StoreUnavailable, UNREADABLE),
        _ => (false, Code::StoreUnavailable, UNREADABLE),
    };
    let problem = match &error {
        StoreError::InvalidRange => Problem::new(
            Code::RangeNotSatisfiable,
            "The range lies outside of the image.",
        ),
        _ => Problem::new(code, detail).caused_by(error),
    };
    if away {
        Failed::Away(problem)
    } else {
        Failed::Refused(problem)
    }
}

const UNREADABLE: &str = "The store cannot be read right now. Ask again.";
