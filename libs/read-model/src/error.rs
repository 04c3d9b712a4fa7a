//! What can go wrong with the read model, told apart by what the caller does next.

use std::error::Error;

use rusqlite::ErrorCode;

/// Why a fold or a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadModelError {
    /// The checkpoint is not where the caller left it: another projector writes. Nothing was
    /// changed. Stand down, or read the checkpoint again and go on from there.
    #[error("the checkpoint {name:?} is no longer at {expected}: another projector has moved it")]
    Fenced {
        /// The checkpoint's name.
        name: String,
        /// Where the caller believed it to be.
        expected: u64,
    },
    /// The tables do not exist yet; the projector makes them when it starts. Ask again later.
    #[error("the read model has no tables yet; it is ready once the projector has started")]
    NotReady,
    /// The tables were made by a newer release. Upgrade this one.
    #[error(
        "the read model's schema is version {found}, this release knows {known}; upgrade this release"
    )]
    Newer {
        /// The version in the database.
        found: i64,
        /// The newest version this release knows.
        known: i64,
    },
    /// A fold was asked of a handle that was opened for reading only: a defect of the caller.
    #[error("this handle of the read model only reads")]
    ReadOnly,
    /// SQL Server does not let us in, or not do what we must. Somebody has to change something; ask
    /// again, it may have been done.
    #[error("{problem}: {source}")]
    Refused {
        /// What is wrong and what to do about it.
        problem: Refusal,
        /// What the server said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The database is busy or away, or its disk is full. Ask again later; nothing was changed.
    #[error("the read model is unavailable: {0}")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The database holds what this release cannot have written. Rebuild the read model.
    #[error("the read model is corrupt; rebuild it: {0}")]
    Corrupt(#[source] Box<dyn Error + Send + Sync>),
}

/// Why SQL Server does not serve us. Each text says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Errors 18452, 18456, 18470, 18486 to 18488.
    #[error("SQL Server refuses the login; check DB_USER and DB_PASSWORD")]
    Login,
    /// Errors 911, 916, 4060, 4063, 4064.
    #[error(
        "SQL Server does not open the database; check DB_NAME, and that DB_USER is a user of it"
    )]
    Database,
    /// Errors 229, 230, 262, 297, 300, 371, 2760, 3704, 15151.
    #[error(
        "the database user lacks a permission; the projector owns the schema, producer and gateway \
         need SELECT on it (README, \"SQL Server and Azure SQL\")"
    )]
    Permission,
    /// Errors 40532, 40615, 40914, 47073.
    #[error("the server's firewall refuses this address; allow it in the server's firewall rules")]
    Firewall,
    /// The TLS handshake failed.
    #[error(
        "the server's certificate is not trusted; name its authority in DB_CA_FILE, or in \
         development set DB_TRUST_SERVER_CERTIFICATE=true"
    )]
    Certificate,
    /// A replica that refuses to be read (errors 976, 978, 979), or a connection that may only read
    /// and was asked to write (3906).
    #[error(
        "this replica cannot be read, or the database is read-only; check DB_READ_SERVER and DB_SERVER"
    )]
    Replica,
}

impl ReadModelError {
    /// Whether waiting helps: work should wait and ask again, and count no failure.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::NotReady | Self::Refused { .. } | Self::Unavailable(_)
        )
    }
}

impl From<rusqlite::Error> for ReadModelError {
    fn from(error: rusqlite::Error) -> Self {
        if error.sqlite_error_code().is_some_and(is_outage) {
            Self::Unavailable(Box::new(error))
        } else {
            Self::Corrupt(Box::new(error))
        }
    }
}

/// Whether `SQLite`'s answer is about the file, its disk or its locks, and not about its contents.
pub(crate) fn is_outage(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::CannotOpen
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OperationInterrupted
            | ErrorCode::OutOfMemory
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    fn sqlite(code: i32) -> ReadModelError {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None).into()
    }

    #[test]
    fn a_full_disk_is_an_outage_and_a_damaged_file_is_not() {
        for code in [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_CANTOPEN,
        ] {
            assert!(sqlite(code).is_outage(), "{code}");
        }
        for code in [
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_NOTADB,
            ffi::SQLITE_CONSTRAINT,
        ] {
            assert!(!sqlite(code).is_outage(), "{code}");
        }
        assert!(ReadModelError::NotReady.is_outage());
        assert!(!ReadModelError::Newer { found: 2, known: 1 }.is_outage());
    }
}
