//! A few read-only connections, opened when they are first needed.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::schema::{open_reader, unavailable};
use crate::{ReadModelError, Result};

/// Connections at most; further queries wait for one.
const READERS: usize = 4;

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Idle>,
    slots: Arc<Semaphore>,
}

/// Connections that nobody uses right now, and the file they were opened on.
#[derive(Debug, Default)]
struct Idle {
    file: Option<FileIdentity>,
    connections: Vec<Connection>,
}

/// Device and inode: a file that was moved away, or replaced by a backup, is another one.
type FileIdentity = (u64, u64);

impl Readers {
    pub(super) fn new(path: &Path) -> Arc<Self> {
        Arc::new(Self {
            path: path.to_owned(),
            idle: Mutex::default(),
            slots: Arc::new(Semaphore::new(READERS)),
        })
    }

    /// Run `query` on a thread that may block; all its statements see one state of the database.
    pub(super) async fn read<T, Q>(self: &Arc<Self>, query: Q) -> Result<T>
    where
        T: Send + 'static,
        Q: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(unavailable)?;
        let readers = Arc::clone(self);
        let answer = spawn_blocking(move || {
            let answer = readers.run(query);
            drop(slot);
            answer
        });
        answer.await.map_err(unavailable)?
    }

    /// A connection that has failed is not used again.
    fn run<T>(&self, query: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let file = self.identity()?;
        let idle = {
            let mut idle = self.idle();
            if idle.file != Some(file) {
                *idle = Idle {
                    file: Some(file),
                    connections: Vec::new(),
                };
            }
            idle.connections.pop()
        };
        let connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        let snapshot = connection.unchecked_transaction()?;
        let answer = query(&snapshot)?;
        snapshot.finish()?;
        let mut idle = self.idle();
        if idle.file == Some(file) {
            idle.connections.push(connection);
        }
        Ok(answer)
    }

    /// Which file is there now.
    fn identity(&self) -> Result<FileIdentity> {
        match std::fs::metadata(&self.path) {
            Ok(found) => Ok((found.dev(), found.ino())),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(ReadModelError::NotReady),
            Err(error) => Err(unavailable(error)),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
