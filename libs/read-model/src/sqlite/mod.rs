//! The read model in one `SQLite` file: WAL, one writer on a thread of its own, a few readers.

mod file;
mod images;
mod imports;
mod readers;
mod rebuild;
mod rehearse;
mod rows;
mod schema;
mod write;
mod writer;

#[cfg(test)]
mod plans;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use contracts::Event;

use crate::metrics::{Connections, Waits};
use crate::{Folded, ReadModelError, Result};
use readers::Readers;
pub(crate) use rebuild::{Held, Look, Rebuild};
pub(crate) use rehearse::rehearse;
pub(crate) use schema::open_reader;
use schema::{open_scratch, open_writer};
use writer::{Batch, Writer};

/// How long a statement waits for another connection's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The `SQLite` store; use it through [`crate::ReadModel`].
#[derive(Clone, Debug)]
pub struct Sqlite {
    readers: Arc<Readers>,
    writer: Option<Writer>,
}

impl Sqlite {
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            readers: Readers::new(path),
            writer: Some(Writer::start(path.to_owned(), open_writer).await?),
        })
    }

    /// A file that is thrown away if anything goes wrong, and so need not survive it.
    pub(crate) async fn scratch(path: &Path) -> Result<Self> {
        Ok(Self {
            readers: Readers::new(path),
            writer: Some(Writer::start(path.to_owned(), open_scratch).await?),
        })
    }

    pub(crate) fn read_only(path: &Path) -> Self {
        Self {
            readers: Readers::new(path),
            writer: None,
        }
    }

    pub(crate) fn waits(&self) -> &Waits {
        &self.readers.waits
    }

    pub(crate) fn connections(&self) -> Connections {
        self.readers.connections()
    }

    pub(crate) async fn fold(
        &self,
        name: &str,
        expected: u64,
        events: Vec<(u64, Event)>,
        new_checkpoint: u64,
    ) -> Result<Folded> {
        let writer = self.writer.as_ref().ok_or(ReadModelError::ReadOnly)?;
        writer
            .fold(Batch {
                name: name.to_owned(),
                expected,
                events,
                new_checkpoint,
            })
            .await
    }

    pub(crate) async fn forget_removals(&self, sequences: Vec<u64>) -> Result<()> {
        let writer = self.writer.as_ref().ok_or(ReadModelError::ReadOnly)?;
        writer.forget_removals(sequences).await
    }
}
