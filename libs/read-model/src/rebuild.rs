//! Fresh tables beside the live ones: to be compared with them, or to take their place.

use crate::compare::Comparison;
use crate::settings::ReadModelConfig;
use crate::{ReadModel, Result, sqlite, sqlserver};

/// Tables that are folded anew beside the live ones, in an SQLite file that is removed on drop.
#[derive(Debug)]
pub struct Rebuild(Of<sqlite::Rebuild, sqlserver::Rebuild>);

/// Live tables that nobody else folds into. Dropped, they are as they were.
#[derive(Debug)]
pub struct Held(Of<sqlite::Held, sqlserver::Held>);

/// One state of the live tables.
#[derive(Debug)]
pub struct Look(Of<sqlite::Look, sqlserver::Held>);

/// One of both.
#[derive(Debug)]
enum Of<L, S> {
    Sqlite(L),
    SqlServer(S),
}

impl Rebuild {
    /// Make fresh tables for the live ones.
    ///
    /// # Errors
    /// [`crate::ReadModelError::NotReady`] if there are no live tables,
    /// [`crate::ReadModelError::Unavailable`] while another rebuild works on them.
    pub async fn begin(live: &ReadModelConfig) -> Result<Self> {
        Ok(Self(match live {
            ReadModelConfig::Sqlite(path) => Of::Sqlite(sqlite::Rebuild::begin(path).await?),
            ReadModelConfig::SqlServer(config) => {
                Of::SqlServer(sqlserver::Rebuild::begin(config).await?)
            }
        }))
    }

    /// The fresh tables, to be folded into.
    #[must_use]
    pub fn fresh(&self) -> &ReadModel {
        match &self.0 {
            Of::Sqlite(rebuild) => rebuild.fresh(),
            Of::SqlServer(rebuild) => rebuild.fresh(),
        }
    }

    /// Keep everybody from folding into the live tables. Readers read on.
    ///
    /// # Errors
    /// As every fold.
    pub async fn hold(&self, name: &str) -> Result<Held> {
        Ok(Held(match &self.0 {
            Of::Sqlite(rebuild) => Of::Sqlite(rebuild.hold(name).await?),
            Of::SqlServer(rebuild) => Of::SqlServer(rebuild.hold(name).await?),
        }))
    }

    /// The live tables as they are now. In SQLite they may be folded into meanwhile; in SQL Server
    /// folding waits until the look is dropped.
    ///
    /// # Errors
    /// As every query.
    pub async fn look(&self, name: &str) -> Result<Look> {
        Ok(Look(match &self.0 {
            Of::Sqlite(rebuild) => Of::Sqlite(rebuild.look(name).await?),
            Of::SqlServer(rebuild) => Of::SqlServer(rebuild.hold(name).await?),
        }))
    }
}

impl Held {
    /// The live tables' checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> u64 {
        match &self.0 {
            Of::Sqlite(held) => held.checkpoint(),
            Of::SqlServer(held) => held.checkpoint(),
        }
    }

    /// Put the fresh tables in the place of the live ones, in one transaction. What is noted for
    /// removal stays: the fresh notes were carried out when they were first made.
    ///
    /// # Errors
    /// [`crate::ReadModelError::Fenced`] if the fresh tables are not at the same checkpoint. After
    /// any error the live tables are as they were.
    pub async fn replace(self) -> Result<()> {
        match self.0 {
            Of::Sqlite(held) => held.replace().await,
            Of::SqlServer(held) => held.replace().await,
        }
    }
}

impl Look {
    /// Its checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> u64 {
        match &self.0 {
            Of::Sqlite(look) => look.checkpoint(),
            Of::SqlServer(look) => look.checkpoint(),
        }
    }

    /// Compare every row with the fresh tables, and name the first `limit` differences.
    ///
    /// # Errors
    /// [`crate::ReadModelError::Fenced`] if the fresh tables are not at the same checkpoint; else as
    /// every query.
    pub async fn compare(self, limit: usize) -> Result<Comparison> {
        match self.0 {
            Of::Sqlite(look) => look.compare(limit).await,
            Of::SqlServer(look) => look.compare(limit).await,
        }
    }
}
