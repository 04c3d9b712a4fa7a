//! Making the tables and bringing them up to date.
//!
//! The migrations are refinery's, its table too. Refinery's own runner is not used: it takes no lock,
//! knows no schema, and does not read what the server answers to a migration.

use std::time::Duration;

use tiberius::{Row, ToSql};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::SqlServer;
use super::connect::Connection;
use super::fault::{Fault, unavailable};
use super::rows::Cells;
use super::statements::{
    BEGIN, LOCK_MIGRATIONS, MAKE_HISTORY, NOTE_MIGRATION, SCHEMA_ID, VERSIONS,
};
use super::write::commit;
use crate::settings::Schema;
use crate::{ReadModelError, Result};

pub(super) mod embedded {
    #![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]
    refinery::embed_migrations!("migrations/sqlserver");
}

/// How long to wait for another process that migrates, in milliseconds.
const PATIENCE: i32 = 30_000;

/// For one statement of a migration: tables may hold many millions of rows.
const LONG: Duration = Duration::from_secs(3600);

impl SqlServer {
    /// Apply what is missing, in one transaction. Processes that do so at once do it one after the
    /// other.
    pub(super) async fn migrate_once(&self) -> Result<(), Fault> {
        let mut lease = self.shared.pool.lease().await?;
        let runner = embedded::migrations::runner();
        let migrations = runner.get_migrations();
        // The usual start asks for no permission but to read.
        if let Ok(found) = self.version(lease.connection()?).await
            && found == known_version()
        {
            lease.give_back();
            return Ok(());
        }
        drop(lease);
        let mut connection = self.shared.pool.apart(LONG).await?;
        let connection = &mut connection;
        connection.batch(BEGIN).await?;
        let resource = format!("imagefleet.migrate.{}", self.shared.schema.as_str());
        let parameters: [&dyn ToSql; 2] = [&resource, &PATIENCE];
        lock(connection, LOCK_MIGRATIONS, &parameters, Migrating).await?;
        self.make_schema(connection).await?;
        connection.batch(&self.sql(MAKE_HISTORY)).await?;

        let found = self.version(connection).await?;
        let known = known_version();
        if found > known {
            return Err(Fault::Final(ReadModelError::Newer { found, known }));
        }
        let missing = migrations
            .iter()
            .filter(|migration| i64::from(migration.version()) > found);
        for migration in missing {
            let sql = migration.sql().unwrap_or_default();
            connection.batch(&self.sql(sql)).await?;
            let version = migration.version();
            let checksum = migration.checksum().to_string();
            let now = OffsetDateTime::now_utc();
            let now = now.format(&Rfc3339).map_err(unavailable)?;
            let parameters: [&dyn ToSql; 4] = [&version, &migration.name(), &now, &checksum];
            connection
                .query(&self.sql(NOTE_MIGRATION), &parameters)
                .await?;
            tracing::info!(version, "the read model's tables are brought up to date");
        }
        commit(connection).await
    }

    /// CREATE SCHEMA must be alone in its batch.
    pub(super) async fn make_schema(&self, connection: &mut Connection) -> Result<(), Fault> {
        let schema = self.shared.schema.as_str();
        let found = connection.query(SCHEMA_ID, &[&schema]).await?;
        if found.iter().flatten().next().is_none() {
            let create = create_schema(&self.shared.schema);
            connection.batch(&create).await?;
        }
        Ok(())
    }

    /// Refuse tables of a newer release, and those of an older one, which the projector migrates.
    pub(super) async fn look_at_version(&self, connection: &mut Connection) -> Result<(), Fault> {
        let (found, known) = (self.version(connection).await?, known_version());
        if found > known {
            return Err(Fault::Final(ReadModelError::Newer { found, known }));
        }
        if found < known {
            return Err(Fault::Final(ReadModelError::NotReady));
        }
        Ok(())
    }

    async fn version(&self, connection: &mut Connection) -> Result<i64, Fault> {
        let answer = connection.query(&self.sql(VERSIONS), &[]).await?;
        let rows = answer.into_iter().next().unwrap_or_default();
        let last: Option<Result<i32>> = rows.last().map(|row| Cells::of(row).plain());
        Ok(last.transpose()?.map_or(0, i64::from))
    }
}

pub(super) fn create_schema(schema: &Schema) -> String {
    format!("CREATE SCHEMA [{}]", schema.as_str())
}

fn known_version() -> i64 {
    let runner = embedded::migrations::runner();
    let versions = runner
        .get_migrations()
        .iter()
        .map(|migration| i64::from(migration.version()));
    versions.max().unwrap_or(0)
}

/// Take one of the server's application locks, or fail as an outage with `busy`.
pub(super) async fn lock(
    connection: &mut Connection,
    statement: &str,
    parameters: &[&dyn ToSql],
    busy: impl std::error::Error + Send + Sync + 'static,
) -> Result<(), Fault> {
    let answer = connection.query(statement, parameters).await?;
    let row: Option<&Row> = answer.iter().flatten().next();
    let taken: i32 = match row {
        Some(row) => Cells::of(row).plain()?,
        None => -999,
    };
    if taken < 0 {
        return Err(Fault::Final(unavailable(busy)));
    }
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error("another process has been bringing the tables up to date for 30 s")]
struct Migrating;
