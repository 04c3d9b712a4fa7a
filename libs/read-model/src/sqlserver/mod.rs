//! The read model in SQL Server or Azure SQL.
//!
//! Every statement is set-based: what a batch of events touches goes over as one JSON parameter per
//! table and statement. The statements keep to what SQL Server, Azure SQL and compatible servers
//! have in common.

mod compare;
mod connect;
mod fault;
mod images;
mod imports;
mod json;
mod migrate;
mod pool;
mod rebuild;
mod rehearse;
mod rows;
mod statements;
mod text;
mod write;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use contracts::Event;
use tiberius::{Row, ToSql};

use crate::fold::number;
use crate::metrics::{Connections, Waits};
use crate::settings::{Schema, SqlServerConfig};
use crate::{Folded, ReadModelError, Result};
use connect::settings;
use fault::Fault;
use pool::{Lease, Pool};
pub(crate) use rebuild::{Held, Rebuild};

/// Tries of one thing, the first included.
const TRIES: u32 = 4;
/// The pause before the second; doubled before each further one.
const PAUSE: Duration = Duration::from_millis(50);
/// After this long nothing is begun again: whoever asked has better things to do.
const PATIENCE: Duration = Duration::from_secs(8);

/// The SQL Server store; use it through [`crate::ReadModel`].
#[derive(Clone, Debug)]
pub struct SqlServer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pool: Pool,
    schema: Schema,
    /// Whether it may be folded into.
    writes: bool,
    /// Whether the tables are known to be those of this release.
    current: AtomicBool,
}

impl SqlServer {
    /// Connect and bring the tables up to date.
    pub(crate) async fn open(config: &SqlServerConfig) -> Result<Self> {
        let store = Self::new(config, true);
        let mut tries = Tries::new();
        while let Err(fault) = Box::pin(store.migrate_once()).await {
            tries.another(fault).await.map_err(Fault::into_error)?;
        }
        store.shared.current.store(true, Ordering::Relaxed);
        Ok(store)
    }

    /// From the replica, if one is named. Nothing is waited for.
    pub(crate) fn read_only(config: &SqlServerConfig) -> Self {
        let store = Self::new(config, false);
        store.shared.pool.warm_up();
        store
    }

    fn new(config: &SqlServerConfig, writes: bool) -> Self {
        let replica = config.read_server.as_ref().filter(|_| !writes);
        let server = replica.unwrap_or(&config.server);
        let settings = settings(config, server, replica.is_some());
        let shared = Shared {
            pool: Pool::new(settings, config.pool_size, config.pool_overflow),
            schema: config.schema.clone(),
            writes,
            current: AtomicBool::new(false),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    pub(crate) fn waits(&self) -> &Waits {
        self.shared.pool.waits()
    }

    pub(crate) fn connections(&self) -> Connections {
        self.shared.pool.connections()
    }

    /// A statement with the tables' schema in it.
    fn sql<'s>(&self, statement: &'s str) -> Cow<'s, str> {
        statements::within(statement, &self.shared.schema)
    }

    /// The rows of each SELECT in `statement`.
    async fn ask(&self, statement: &str, parameters: &[&dyn ToSql]) -> Result<Vec<Vec<Row>>> {
        let sql = self.sql(statement);
        let mut tries = Tries::new();
        loop {
            let fault = match Box::pin(self.ask_once(&sql, parameters)).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            if matches!(fault, Fault::Absent(_)) {
                self.shared.current.store(false, Ordering::Relaxed);
            }
            tries.another(fault).await.map_err(Fault::into_error)?;
        }
    }

    async fn ask_once(&self, sql: &str, parameters: &[&dyn ToSql]) -> Result<Vec<Vec<Row>>, Fault> {
        let mut lease = self.current_lease().await?;
        let answer = lease.connection()?.query(sql, parameters).await?;
        lease.give_back();
        Ok(answer)
    }

    /// A connection to tables that are known to be those of this release.
    async fn current_lease(&self) -> Result<Lease, Fault> {
        let mut lease = self.shared.pool.lease().await?;
        if !self.shared.current.load(Ordering::Relaxed) {
            self.look_at_version(lease.connection()?).await?;
            self.shared.current.store(true, Ordering::Relaxed);
        }
        Ok(lease)
    }

    /// The rows of the only SELECT in `statement`.
    async fn rows(&self, statement: &str, parameters: &[&dyn ToSql]) -> Result<Vec<Row>> {
        let mut answer = self.ask(statement, parameters).await?.into_iter();
        Ok(answer.next().unwrap_or_default())
    }

    pub(crate) async fn fold(
        &self,
        name: &str,
        expected: u64,
        events: Vec<(u64, Event)>,
        new_checkpoint: u64,
    ) -> Result<Folded> {
        if !self.shared.writes {
            return Err(ReadModelError::ReadOnly);
        }
        let batch = write::Batch {
            name,
            expected,
            events: &events,
            new_checkpoint,
        };
        let mut tries = Tries::new();
        loop {
            match Box::pin(self.fold_once(&batch)).await {
                Ok(folded) => return Ok(folded),
                Err(fault) => tries.another(fault).await.map_err(Fault::into_error)?,
            }
        }
    }

    pub(crate) async fn forget_removals(&self, sequences: Vec<u64>) -> Result<()> {
        if !self.shared.writes {
            return Err(ReadModelError::ReadOnly);
        }
        let json = json::sequences(sequences.into_iter().map(number))?;
        let mut tries = Tries::new();
        while let Err(fault) = Box::pin(self.forget_once(&json)).await {
            tries.another(fault).await.map_err(Fault::into_error)?;
        }
        Ok(())
    }

    async fn forget_once(&self, sequences: &str) -> Result<(), Fault> {
        let mut lease = self.shared.pool.lease().await?;
        let sql = self.sql(statements::FORGET_REMOVALS);
        lease.connection()?.query(&sql, &[&sequences]).await?;
        lease.give_back();
        Ok(())
    }
}

/// How often and for how long one thing is tried.
struct Tries {
    begun: Instant,
    made: u32,
}

impl Tries {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            made: 0,
        }
    }

    /// Wait until all of it may be done again, or give the fault back: it does not pass by itself, or
    /// has not.
    async fn another(&mut self, fault: Fault) -> Result<(), Fault> {
        self.made += 1;
        if !matches!(fault, Fault::Passing(_) | Fault::Broken(_)) || self.made >= TRIES {
            return Err(fault);
        }
        let pause = PAUSE * 2u32.pow(self.made - 1);
        if self.begun.elapsed() + pause > PATIENCE {
            return Err(fault);
        }
        let code = fault.code().unwrap_or_default();
        let error = fault.into_error();
        tracing::warn!(code, tries = self.made, error = %error, "SQL Server is asked again");
        tokio::time::sleep(pause).await;
        Ok(())
    }
}
