//! Fresh tables in a file beside the live one: to be compared with it, or to take its place.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};
use tokio::task::spawn_blocking;

use super::Sqlite;
use super::imports::CHECKPOINT;
use super::rows::Cells;
use super::schema::{open_reader, open_writer, unavailable};
use crate::compare::{Comparison, Live, TABLES, compare};
use crate::{ReadModel, ReadModelError, Result};

/// What SQLite and we put beside a database file.
const COMPANIONS: [&str; 5] = ["", "-wal", "-shm", "-journal", ".migrate.lock"];

/// See [`crate::Rebuild`]. The file of the fresh tables is removed on drop, or by the next rebuild if
/// this process dies.
#[derive(Debug)]
pub(crate) struct Rebuild {
    live: PathBuf,
    fresh_path: PathBuf,
    fresh: ReadModel,
    /// Held as long as the fresh file is in use.
    _lock: File,
}

impl Rebuild {
    /// Make fresh tables for the live ones at `live`.
    ///
    /// # Errors
    /// [`ReadModelError::NotReady`] if there are no live tables,
    /// [`ReadModelError::Unavailable`] while another rebuild works on them.
    pub(crate) async fn begin(live: &Path) -> Result<Self> {
        let live = live.to_owned();
        let fresh_path = beside(&live, ".rebuild");
        let made = {
            let (live, fresh_path) = (live.clone(), fresh_path.clone());
            spawn_blocking(move || -> Result<File> {
                drop(open_reader(&live)?);
                let lock = lock(&beside(&live, ".rebuild.lock"))?;
                // What a rebuild that died left behind.
                remove(&fresh_path)?;
                Ok(lock)
            })
        };
        let lock = made.await.map_err(unavailable)??;
        let fresh = ReadModel::Sqlite(Sqlite::scratch(&fresh_path).await?);
        Ok(Self {
            live,
            fresh_path,
            fresh,
            _lock: lock,
        })
    }

    /// The fresh tables, to be folded into.
    pub(crate) fn fresh(&self) -> &ReadModel {
        &self.fresh
    }

    /// Keep everybody from writing to the live tables. Readers read on.
    ///
    /// # Errors
    /// As every fold.
    pub(crate) async fn hold(&self, name: &str) -> Result<Held> {
        let (live, fresh_path, name) =
            (self.live.clone(), self.fresh_path.clone(), name.to_owned());
        let hold = move || {
            let connection = open_writer(&live)?;
            connection.execute_batch("BEGIN IMMEDIATE")?;
            let checkpoint = checkpoint(&connection, &name)?;
            Ok(Held {
                connection,
                fresh_path,
                name,
                checkpoint,
            })
        };
        spawn_blocking(hold).await.map_err(unavailable)?
    }

    /// The live tables as they are now, whatever is folded into them meanwhile.
    ///
    /// # Errors
    /// As every query.
    pub(crate) async fn look(&self, name: &str) -> Result<Look> {
        let (live, fresh_path, name) =
            (self.live.clone(), self.fresh_path.clone(), name.to_owned());
        let look = move || {
            let connection = open_reader(&live)?;
            connection.execute_batch("BEGIN")?;
            // A transaction sees what is there at its first statement.
            let checkpoint = checkpoint(&connection, &name)?;
            Ok(Look {
                connection,
                fresh_path,
                name,
                checkpoint,
            })
        };
        spawn_blocking(look).await.map_err(unavailable)?
    }
}

impl Drop for Rebuild {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.fresh_path) {
            tracing::warn!(error = %error, "the files of a rebuild stay; the next one removes them");
        }
    }
}

/// Live tables that nobody else writes to. Dropped, they are as they were.
#[derive(Debug)]
pub(crate) struct Held {
    connection: Connection,
    fresh_path: PathBuf,
    name: String,
    checkpoint: u64,
}

impl Held {
    /// The live tables' checkpoint.
    pub(crate) fn checkpoint(&self) -> u64 {
        self.checkpoint
    }

    /// Put the fresh tables in the place of the live ones, in one transaction. What is noted for
    /// removal stays: the fresh notes were carried out when they were first made.
    ///
    /// # Errors
    /// [`ReadModelError::Fenced`] if the fresh tables are not at the same checkpoint. After any error
    /// the live tables are as they were.
    pub(crate) async fn replace(self) -> Result<()> {
        spawn_blocking(move || self.replace_now())
            .await
            .map_err(unavailable)?
    }

    fn replace_now(self) -> Result<()> {
        let sql = &self.connection;
        let fresh = self.fresh_path.to_str().ok_or(ReadModelError::ReadOnly)?;
        sql.execute("ATTACH DATABASE ?1 AS fresh", [fresh])?;
        let found: Option<u64> = sql
            .query_row(
                "SELECT seq FROM fresh.checkpoints WHERE name = ?1",
                [&self.name],
                |row| Cells::of(row).number(),
            )
            .optional()?;
        if found.unwrap_or(0) != self.checkpoint {
            return Err(ReadModelError::Fenced {
                name: self.name,
                expected: self.checkpoint,
            });
        }
        for table in TABLES {
            sql.execute_batch(&format!(
                "DELETE FROM main.{table}; INSERT INTO main.{table} SELECT * FROM fresh.{table};"
            ))?;
        }
        Ok(sql.execute_batch("COMMIT")?)
    }
}

/// One state of the live tables.
#[derive(Debug)]
pub(crate) struct Look {
    connection: Connection,
    fresh_path: PathBuf,
    name: String,
    checkpoint: u64,
}

impl Look {
    /// Its checkpoint.
    pub(crate) fn checkpoint(&self) -> u64 {
        self.checkpoint
    }

    /// Compare every row with the fresh tables, and name the first `limit` differences.
    ///
    /// # Errors
    /// [`ReadModelError::Fenced`] if the fresh tables are not at the same checkpoint; else as every
    /// query.
    pub(crate) async fn compare(self, limit: usize) -> Result<Comparison> {
        let compare = move || {
            let fresh = open_reader(&self.fresh_path)?;
            if checkpoint(&fresh, &self.name)? != self.checkpoint {
                return Err(ReadModelError::Fenced {
                    name: self.name,
                    expected: self.checkpoint,
                });
            }
            compare(Live::Sqlite(&self.connection), &fresh, limit)
        };
        spawn_blocking(compare).await.map_err(unavailable)?
    }
}

fn checkpoint(sql: &Connection, name: &str) -> Result<u64> {
    let found = sql
        .query_row(CHECKPOINT, [name], |row| Cells::of(row).number())
        .optional()?;
    Ok(found.unwrap_or(0))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// The system frees the lock with the process. The file stays, as nobody can tell whether another
/// process is about to lock it.
fn lock(path: &Path) -> Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(unavailable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(unavailable(Busy)),
        Err(TryLockError::Error(error)) => Err(unavailable(error)),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("another rebuild works on it")]
struct Busy;

fn remove(path: &Path) -> Result<()> {
    for companion in COMPANIONS {
        match fs::remove_file(beside(path, companion)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(unavailable(error)),
            _ => {}
        }
    }
    Ok(())
}
