//! Opening connections, and bringing the tables up to date.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::BUSY_TIMEOUT;
use crate::{ReadModelError, Result};

mod embedded {
    #![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]
    refinery::embed_migrations!("migrations/sqlite");
}

/// Open the file for writing, made and migrated if need be.
pub(super) fn open_writer(path: &Path) -> Result<Connection> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(unavailable)?;
    }
    // SQLite's own locks do not cover a migration from its first look to its last statement, nor
    // the change to WAL.
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(lock_path(path))
        .map_err(unavailable)?;
    lock.lock().map_err(unavailable)?;

    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    use_wal(&connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "cache_size", -16_384)?; // KiB
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?; // pages
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?; // bytes
    connection.set_prepared_statement_cache_capacity(32);
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    add_functions(&connection)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// [`open_writer`] for a file that need not survive a crash.
pub(super) fn open_scratch(path: &Path) -> Result<Connection> {
    let connection = open_writer(path)?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    Ok(connection)
}

/// Open the file for reading; [`ReadModelError::NotReady`] while its tables are absent or those of
/// an older release.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    if !path.try_exists().map_err(unavailable)? {
        return Err(ReadModelError::NotReady);
    }
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "cache_size", -4_096)?; // KiB
    connection.set_prepared_statement_cache_capacity(32);
    add_functions(&connection)?;
    refuse_newer(&connection)?;
    if found_version(&connection)? < known_version() {
        return Err(ReadModelError::NotReady);
    }
    Ok(connection)
}

/// SQLite's own `lower` knows ASCII only.
fn add_functions(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    Ok(
        connection.create_scalar_function("lower_case", 1, flags, |context| {
            Ok(context.get::<String>(0)?.to_lowercase())
        })?,
    )
}

fn migrate(connection: &mut Connection) -> Result<()> {
    refuse_newer(connection)?;
    let report = embedded::migrations::runner()
        .set_grouped(true)
        .run(connection)
        .map_err(migration_error)?;
    if let Some(last) = report.applied_migrations().last() {
        tracing::info!(
            version = last.version(),
            "the read model's tables are up to date"
        );
    }
    Ok(())
}

fn refuse_newer(connection: &Connection) -> Result<()> {
    let (found, known) = (found_version(connection)?, known_version());
    if found > known {
        Err(ReadModelError::Newer { found, known })
    } else {
        Ok(())
    }
}

/// The schema's version, 0 if there is none.
fn found_version(connection: &Connection) -> Result<i64> {
    let exists: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'refinery_schema_history')",
        [],
        |row| row.get(0),
    )?;
    if !exists {
        return Ok(0);
    }
    let version = "SELECT coalesce(max(version), 0) FROM refinery_schema_history";
    Ok(connection.query_row(version, [], |row| row.get(0))?)
}

fn known_version() -> i64 {
    let runner = embedded::migrations::runner();
    runner
        .get_migrations()
        .iter()
        .map(|migration| i64::from(migration.version()))
        .max()
        .unwrap_or(0)
}

/// The change to WAL does not wait for readers by `busy_timeout`, so it is waited for here.
// Runs on a thread that may block.
#[allow(clippy::disallowed_methods)]
fn use_wal(connection: &Connection) -> Result<()> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                thread::sleep(Duration::from_millis(20));
            }
            result => return Ok(result?),
        }
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut lock = OsString::from(path);
    lock.push(".migrate.lock");
    PathBuf::from(lock)
}

fn migration_error(error: refinery::Error) -> ReadModelError {
    let outage = match error.kind() {
        refinery::error::Kind::Connection(_, source) => source
            .downcast_ref::<rusqlite::Error>()
            .and_then(rusqlite::Error::sqlite_error_code)
            .is_some_and(crate::error::is_outage),
        _ => false,
    };
    if outage {
        unavailable(error)
    } else {
        ReadModelError::Corrupt(Box::new(error))
    }
}

pub(super) fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> ReadModelError {
    ReadModelError::Unavailable(Box::new(error))
}
