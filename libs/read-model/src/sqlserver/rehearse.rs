//! Whether the tables can be made and written to: found out by doing so, and taken back.

use super::SqlServer;
use super::fault::Fault;
use super::statements::{BEGIN, ROLLBACK, WRITE_PROBE};
use crate::Result;
use crate::settings::SqlServerConfig;

impl SqlServer {
    /// Write in a transaction that is rolled back.
    pub(crate) async fn rehearse(config: &SqlServerConfig) -> Result<()> {
        Self::new(config, true)
            .rehearse_once()
            .await
            .map_err(Fault::into_error)
    }

    async fn rehearse_once(&self) -> Result<(), Fault> {
        let mut lease = self.shared.pool.lease().await?;
        let connection = lease.connection()?;
        connection.batch(BEGIN).await?;
        self.make_schema(connection).await?;
        connection.batch(&self.sql(WRITE_PROBE)).await?;
        connection.batch(ROLLBACK).await?;
        lease.give_back();
        Ok(())
    }
}
