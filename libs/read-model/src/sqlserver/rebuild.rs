//! Tables folded anew into an SQLite file, and live ones that are compared with them or give way to
//! them.

use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use serde_json::{Map, Value};
use tempfile::TempDir;
use tiberius::ToSql;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::SqlServer;
use super::fault::{Fault, unavailable};
use super::json::json;
use super::migrate::lock;
use super::pool::Lease;
use super::rows::only_number;
use super::statements::{
    BEGIN, CHECKPOINT, DELETE_ALL, HOLD_CHECKPOINT, INSERT_IMAGES, INSERT_IMPORTS, INSERT_ITEMS,
    INSERT_STATISTICS, LOCK_REBUILD, MAKE_CHECKPOINT,
};
use super::text::kept;
use super::write::commit;
use crate::compare::TABLES;
use crate::settings::SqlServerConfig;
use crate::sqlite::{Sqlite, open_reader};
use crate::{ReadModel, ReadModelError, Result};

/// Rows that go over in one statement.
const ROWS: usize = 1_000;
/// The statement that writes rows of each of [`TABLES`].
const INSERT: [&str; TABLES.len()] = [
    INSERT_IMPORTS,
    INSERT_ITEMS,
    INSERT_IMAGES,
    INSERT_STATISTICS,
];

/// See [`crate::Rebuild`].
#[derive(Debug)]
pub(crate) struct Rebuild {
    store: SqlServer,
    fresh: ReadModel,
    fresh_path: PathBuf,
    _folder: TempDir,
    /// Keeps other rebuilds off for as long as it is open.
    _session: Lease,
}

impl Rebuild {
    pub(crate) async fn begin(config: &SqlServerConfig) -> Result<Self> {
        let store = SqlServer::new(config, true);
        let mut session = store.current_lease().await.map_err(Fault::into_error)?;
        let resource = format!("imagefleet.rebuild.{}", config.schema.as_str());
        let locked = async { lock(session.connection()?, LOCK_REBUILD, &[&resource], Busy).await };
        locked.await.map_err(Fault::into_error)?;
        let folder = tempfile::tempdir().map_err(unavailable)?;
        let fresh_path = folder.path().join("rebuild.db");
        let fresh = ReadModel::Sqlite(Sqlite::scratch(&fresh_path).await?);
        Ok(Self {
            store,
            fresh,
            fresh_path,
            _folder: folder,
            _session: session,
        })
    }

    pub(crate) fn fresh(&self) -> &ReadModel {
        &self.fresh
    }

    pub(crate) async fn hold(&self, name: &str) -> Result<Held> {
        self.hold_once(name).await.map_err(Fault::into_error)
    }

    async fn hold_once(&self, name: &str) -> Result<Held, Fault> {
        let store = &self.store;
        let mut lease = store.shared.pool.lease().await?;
        let connection = lease.connection()?;
        connection.batch(BEGIN).await?;
        let held = connection
            .execute(&store.sql(HOLD_CHECKPOINT), &[&name])
            .await?;
        if held == 0 {
            let parameters: [&dyn ToSql; 2] = [&name, &0_i64];
            connection
                .execute(&store.sql(MAKE_CHECKPOINT), &parameters)
                .await?;
        }
        let rows = connection.query(&store.sql(CHECKPOINT), &[&name]).await?;
        let checkpoint = only_number(rows.first().map_or(&[], Vec::as_slice))?.unwrap_or(0);
        Ok(Held {
            store: store.clone(),
            lease,
            fresh: self.fresh.clone(),
            fresh_path: self.fresh_path.clone(),
            name: name.to_owned(),
            checkpoint,
        })
    }
}

/// Live tables whose checkpoint nobody else can move: folding waits, and nobody is fenced.
#[derive(Debug)]
pub(crate) struct Held {
    pub(super) store: SqlServer,
    pub(super) lease: Lease,
    fresh: ReadModel,
    pub(super) fresh_path: PathBuf,
    name: String,
    checkpoint: u64,
}

impl Held {
    pub(crate) fn checkpoint(&self) -> u64 {
        self.checkpoint
    }

    /// Refuse fresh tables at another checkpoint.
    pub(super) async fn check(&self) -> Result<()> {
        if self.fresh.checkpoint(&self.name).await? == self.checkpoint {
            return Ok(());
        }
        Err(ReadModelError::Fenced {
            name: self.name.clone(),
            expected: self.checkpoint,
        })
    }

    pub(crate) async fn replace(mut self) -> Result<()> {
        self.check().await?;
        self.replace_now().await.map_err(Fault::into_error)
    }

    async fn replace_now(&mut self) -> Result<(), Fault> {
        let connection = self.lease.connection()?;
        for (table, (delete, insert)) in TABLES.into_iter().zip(DELETE_ALL.into_iter().zip(INSERT))
        {
            connection.query(&self.store.sql(delete), &[]).await?;
            let (sender, mut batches) = mpsc::channel(2);
            let path = self.fresh_path.clone();
            let reading = spawn_blocking(move || read(&path, table, &sender));
            let insert = self.store.sql(insert);
            while let Some((rows, count)) = batches.recv().await {
                if connection.execute(&insert, &[&rows]).await? != count {
                    return Err(Fault::Final(unavailable(Lost(table))));
                }
            }
            reading.await.map_err(unavailable)??;
        }
        commit(connection).await?;
        self.lease.give_back();
        Ok(())
    }
}

/// Send all rows of a fresh table as JSON, with their number.
fn read(path: &Path, table: &str, batches: &mpsc::Sender<(String, u64)>) -> Result<()> {
    let sql = open_reader(path)?;
    let mut all = sql.prepare(&format!("SELECT * FROM {table}"))?;
    let columns: Vec<String> = all.column_names().map(str::to_owned).collect();
    let mut rows = all.query([])?;
    let mut batch: Vec<Map<String, Value>> = Vec::new();
    loop {
        let row = rows.next()?;
        let ended = row.is_none();
        if let Some(row) = row {
            let mut cells = Map::new();
            for (place, column) in columns.iter().enumerate() {
                let value = match row.get_ref(place)? {
                    ValueRef::Integer(number) => Value::from(number),
                    ValueRef::Text(text) => kept(&String::from_utf8_lossy(text)).into(),
                    _ => Value::Null,
                };
                cells.insert(column.clone(), value);
            }
            batch.push(cells);
        }
        if batch.len() == ROWS || (ended && !batch.is_empty()) {
            let sent = batches.blocking_send((json(&batch)?, batch.len() as u64));
            if sent.is_err() {
                return Ok(()); // Nobody waits for it any more.
            }
            batch.clear();
        }
        if ended {
            return Ok(());
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("another rebuild works on it")]
struct Busy;

#[derive(Debug, thiserror::Error)]
#[error("SQL Server did not take every row of {0}")]
struct Lost(&'static str);
