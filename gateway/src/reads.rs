//! The gateway's side of SQL: whether the read model answers, and what its errors are to clients.

use std::time::Duration;

use read_model::{ReadModel, ReadModelError};
use runtime::health::Health;

use crate::problem::{Code, Problem};

const DEPENDENCY: &str = "sql";
/// Between two looks while the database is away, and while it answers.
const RETRY: Duration = Duration::from_secs(1);
const PROBE: Duration = Duration::from_secs(5);

impl From<ReadModelError> for Problem {
    fn from(error: ReadModelError) -> Self {
        if error.is_outage() {
            Self::new(
                Code::DatabaseUnavailable,
                "The database is not ready. Imports go on meanwhile; ask again.",
            )
            .caused_by(error)
        } else {
            Self::internal(error)
        }
    }
}

/// Keeps `health` true to whether the read model answers; never ends.
pub(crate) async fn watch(model: ReadModel, health: Health) {
    let mut told = None;
    loop {
        let why = model
            .statistics()
            .await
            .err()
            .map(|error| error.to_string());
        if why != told {
            match &why {
                Some(error) => tracing::warn!(error, "the database is not ready"),
                None => tracing::info!("the database is ready"),
            }
            told.clone_from(&why);
        }
        let pause = match why {
            Some(why) => {
                health.waiting(DEPENDENCY, why);
                RETRY
            }
            None => {
                health.ready(DEPENDENCY);
                PROBE
            }
        };
        tokio::time::sleep(pause).await;
    }
}
