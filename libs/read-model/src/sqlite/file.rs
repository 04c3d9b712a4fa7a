//! A connection that knows whether its file is still the one at its path.
//!
//! SQLite keeps writing to a file that was removed or replaced under it, and nobody would ever see
//! what it writes.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::schema::unavailable;
use crate::{ReadModelError, Result};

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn at(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
        })
    }
}

/// An open connection to the file that was at `path` then.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    identity: Identity,
}

impl Opened {
    pub(super) fn new(path: &Path, open: Opener) -> Result<Self> {
        let connection = open(path)?;
        let identity = Identity::at(path).map_err(unavailable)?;
        Ok(Self {
            connection,
            identity,
        })
    }

    /// Whether this is still the file at `path`.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        Identity::at(path).is_ok_and(|found| found == self.identity)
    }

    /// Close a connection whose file is not at its path any more. Closing as usual would remove the
    /// companions at the path, and they may be another file's.
    pub(super) fn abandon(self) {
        if let Err(error) = self
            .connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        {
            tracing::warn!(error = %error, "a connection to a removed file is closed as usual");
        }
    }
}

/// How a connection is opened.
pub(super) type Opener = fn(&Path) -> Result<Connection>;

/// The writing connection, opened again after every error that may concern it.
#[derive(Debug)]
pub(super) struct Reopened {
    path: PathBuf,
    opener: Opener,
    open: Option<Opened>,
}

impl Reopened {
    /// Makes the file if it is not there.
    pub(super) fn new(path: PathBuf, opener: Opener) -> Result<Self> {
        let open = Some(Opened::new(&path, opener)?);
        Ok(Self { path, opener, open })
    }

    /// Run `work`. While the file is gone this is an outage: a new one in its place would show
    /// readers counters that begin at nothing.
    pub(super) fn run<T>(&mut self, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let mut opened = match self.open.take() {
            Some(opened) if opened.is_at(&self.path) => opened,
            moved => {
                if let Some(moved) = moved {
                    moved.abandon();
                }
                if !self.path.try_exists().map_err(unavailable)? {
                    return Err(unavailable(Gone(self.path.clone())));
                }
                Opened::new(&self.path, self.opener)?
            }
        };
        let done = work(&mut opened.connection);
        // After an error other than a lost race, nothing is assumed about the connection.
        if matches!(done, Ok(_) | Err(ReadModelError::Fenced { .. })) {
            self.open = Some(opened);
        } else if !opened.is_at(&self.path) {
            opened.abandon();
        }
        done
    }
}

impl Drop for Reopened {
    fn drop(&mut self) {
        if let Some(opened) = self.open.take()
            && !opened.is_at(&self.path)
        {
            opened.abandon();
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error(
    "{} is gone; put it back, or start the projector again to fold a new one from the first event",
    .0.display()
)]
struct Gone(PathBuf);
