//! Whether the file can be written to: found out by writing, and taken back.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio::task::spawn_blocking;

use super::BUSY_TIMEOUT;
use super::schema::unavailable;
use crate::{ReadModelError, Result};

const WRITE: &str =
    "CREATE TABLE write_probe (n INTEGER NOT NULL); INSERT INTO write_probe VALUES (1);";

/// Write in a transaction that is rolled back.
pub(crate) async fn rehearse(path: &Path) -> Result<()> {
    let path = path.to_owned();
    let write = move || {
        if !path.try_exists().map_err(unavailable)? {
            return Err(ReadModelError::NotReady);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(WRITE)?;
        Ok(transaction.rollback()?)
    };
    spawn_blocking(write).await.map_err(unavailable)?
}
