//! The gateway's side of SQL: what the read model's errors are to clients.

use std::sync::Arc;
use std::time::Duration;

use read_model::{ReadModel, ReadModelError};
use runtime::health::Health;
use tokio::task::JoinSet;

use crate::dependency::{Dependency, Failed};
use crate::problem::{Code, Problem, Result};

const SQL: &str = "sql";
/// Between two looks while the database answers.
const LOOK: Duration = Duration::from_secs(5);
/// Longer than a statement waits for a lock, so that its own words are heard.
const PATIENCE: Duration = Duration::from_secs(10);

/// The tables, as handlers read them.
pub(crate) struct Reads {
    pub(crate) model: ReadModel,
    sql: Arc<Dependency>,
}

impl Reads {
    /// Watches the database in a task of its own, for as long as `background` runs. A query may take
    /// as long as a request: a slow one is no sign of an outage.
    pub(crate) fn start(
        model: ReadModel,
        request: Duration,
        health: Health,
        background: &mut JoinSet<()>,
    ) -> Self {
        let unanswered = "The database did not answer in time. Ask again.";
        let sql = Dependency::new(
            SQL,
            Code::DatabaseUnavailable,
            unanswered,
            request,
            health.clone(),
        );
        health.waiting(SQL, "not asked yet");
        background.spawn({
            let (model, sql) = (model.clone(), Arc::clone(&sql));
            async move {
                let probe = || async {
                    let counted = model.statistics().await;
                    counted.map(drop).map_err(failed)
                };
                sql.watch(Some(LOOK), PATIENCE, probe).await;
            }
        });
        Self { model, sql }
    }

    /// The answer to a query of [`Self::model`].
    pub(crate) async fn ask<T>(
        &self,
        query: impl Future<Output = Result<T, ReadModelError>>,
    ) -> Result<T> {
        self.sql.ask(async { query.await.map_err(failed) }).await
    }

    /// What is wrong with the database right now, for people.
    pub(crate) fn trouble(&self) -> Option<&'static str> {
        self.sql.trouble()
    }
}

fn failed(error: ReadModelError) -> Failed {
    if error.is_outage() {
        let detail = "The database is not ready. Imports go on meanwhile; ask again.";
        Failed::Away(Problem::new(Code::DatabaseUnavailable, detail).caused_by(error))
    } else {
        Failed::Refused(Problem::internal(error))
    }
}
