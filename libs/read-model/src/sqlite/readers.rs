//! A few read-only connections, opened when they are first needed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::file::Opened;
use super::schema::{open_reader, unavailable};
use crate::Result;
use crate::metrics::{Connections, Waits};

/// Connections at most; further queries wait for one.
const READERS: usize = 4;

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Opened>>,
    slots: Arc<Semaphore>,
    pub(super) waits: Waits,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Arc<Self> {
        Arc::new(Self {
            path: path.to_owned(),
            idle: Mutex::new(Vec::new()),
            slots: Arc::new(Semaphore::new(READERS)),
            waits: Waits::default(),
        })
    }

    /// Run `query` on a thread that may block; all its statements see one state of the database.
    pub(super) async fn read<T, Q>(self: &Arc<Self>, query: Q) -> Result<T>
    where
        T: Send + 'static,
        Q: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let asked = Instant::now();
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(unavailable)?;
        self.waits.note(asked.elapsed());
        let readers = Arc::clone(self);
        let answer = spawn_blocking(move || {
            let answer = readers.run(query);
            drop(slot);
            answer
        });
        answer.await.map_err(unavailable)?
    }

    pub(super) fn connections(&self) -> Connections {
        Connections {
            idle: self
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .len(),
            busy: READERS - self.slots.available_permits().min(READERS),
            limit: READERS,
        }
    }

    /// A connection that has failed, or whose file is not at its path any more, is not used again.
    /// Connections that only read never remove a file's companions when they close.
    fn run<T>(&self, query: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let opened = match idle.filter(|opened| opened.is_at(&self.path)) {
            Some(opened) => opened,
            None => Opened::new(&self.path, open_reader)?,
        };
        let snapshot = opened.connection.unchecked_transaction()?;
        let answer = query(&snapshot)?;
        snapshot.finish()?;
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(opened);
        Ok(answer)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::ReadModel;

    #[tokio::test]
    async fn connections_in_use_are_busy_and_then_idle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("read-model.db");
        let _model = ReadModel::open_sqlite(&path).await.unwrap();
        let readers = Readers::new(&path);
        let counts = || {
            let now = readers.connections();
            (now.idle, now.busy, now.limit)
        };
        assert_eq!(counts(), (0, 0, READERS));
        let (began, begun) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let held = tokio::spawn({
            let readers = Arc::clone(&readers);
            async move {
                let query = move |_: &Connection| {
                    began.send(()).unwrap();
                    // An error is the end of the test.
                    let _ = wait.recv();
                    Ok(())
                };
                readers.read(query).await
            }
        });
        tokio::task::spawn_blocking(move || begun.recv().unwrap())
            .await
            .unwrap();
        assert_eq!(counts(), (0, 1, READERS));
        readers.read(|_| Ok(())).await.unwrap();
        assert_eq!(counts(), (1, 1, READERS));
        go.send(()).unwrap();
        held.await.unwrap().unwrap();
        assert_eq!(counts(), (2, 0, READERS));
    }
}
