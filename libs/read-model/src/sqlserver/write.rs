//! One fold: move the checkpoint, load what the batch touches, fold it in memory, write back what
//! changed, all in one transaction.

use std::hash::Hash;

use contracts::Event;
use serde::Serialize;
use tiberius::ToSql;
use tiberius::error::Error;

use super::SqlServer;
use super::connect::Connection;
use super::fault::{Fault, unavailable};
use super::json::{
    Id, ImageCells, ImportCells, ItemCells, ItemKey, ObjectKey, RemovalCells, StatisticsCells, json,
};
use super::rows::{image, import, item_of_import, statistics};
use super::statements::{
    BEGIN, CHECKPOINT, COMMIT, DELETE_IMAGES, DELETE_REMOVALS, INSERT_IMAGES, INSERT_IMPORTS,
    INSERT_ITEMS, INSERT_REMOVALS, INSERT_STATISTICS, LOAD, LOAD_ITEMS, MAKE_CHECKPOINT,
    MOVE_CHECKPOINT, UPDATE_IMAGES, UPDATE_IMPORTS, UPDATE_ITEMS, UPDATE_STATISTICS,
};
use super::text::kept;
use crate::fold::{State, number};
use crate::table::Table;
use crate::touched::Touched;
use crate::{Folded, ReadModelError};

/// Rows that go over in one statement.
const ROWS: usize = 2_000;

/// What one fold is asked to do.
pub(super) struct Batch<'b> {
    pub(super) name: &'b str,
    pub(super) expected: u64,
    pub(super) events: &'b [(u64, Event)],
    pub(super) new_checkpoint: u64,
}

impl SqlServer {
    /// Fold the batch, or change nothing.
    pub(super) async fn fold_once(&self, batch: &Batch<'_>) -> Result<Folded, Fault> {
        let mut lease = self.shared.pool.lease().await?;
        let connection = lease.connection()?;
        connection.batch(BEGIN).await?;
        self.move_checkpoint(connection, batch).await?;

        let new = batch
            .events
            .iter()
            .filter(|(sequence, _)| *sequence > batch.expected);
        let events: Vec<&(u64, Event)> = new.collect();
        let mut state = self.load(connection, &events).await?;
        let folded = state.apply_all(&events);
        self.write(connection, &state).await?;
        commit(connection).await?;
        lease.give_back();
        Ok(folded)
    }

    async fn move_checkpoint(
        &self,
        connection: &mut Connection,
        batch: &Batch<'_>,
    ) -> Result<(), Fault> {
        let (from, to) = (number(batch.expected), number(batch.new_checkpoint));
        let parameters: [&dyn ToSql; 3] = [&batch.name, &from, &to];
        let mut moved = connection
            .execute(&self.sql(MOVE_CHECKPOINT), &parameters)
            .await?;
        if moved == 0 && batch.expected == 0 {
            let found = connection
                .query(&self.sql(CHECKPOINT), &[&batch.name])
                .await?;
            if found.iter().flatten().next().is_none() {
                let parameters: [&dyn ToSql; 2] = [&batch.name, &to];
                moved = connection
                    .execute(&self.sql(MAKE_CHECKPOINT), &parameters)
                    .await?;
            }
        }
        if moved == 0 {
            return Err(Fault::Final(ReadModelError::Fenced {
                name: batch.name.to_owned(),
                expected: batch.expected,
            }));
        }
        Ok(())
    }

    async fn load(
        &self,
        connection: &mut Connection,
        events: &[&(u64, Event)],
    ) -> Result<State, Fault> {
        let touched = Touched::by(events.iter().map(|(_, event)| event));
        let mut state = State::default();

        let imports = touched.imports.iter().map(|id| Id { id: id.as_str() });
        let images = touched.images.iter().map(|id| Id { id: id.as_str() });
        let imports = json(&imports.collect::<Vec<_>>())?;
        let images = json(&images.collect::<Vec<_>>())?;
        let parameters: [&dyn ToSql; 2] = [&imports, &images];
        let mut answer = connection
            .query(&self.sql(LOAD), &parameters)
            .await?
            .into_iter();
        for row in answer.next().unwrap_or_default() {
            let row = statistics(&row)?;
            state.statistics.load(row.provider.clone(), row);
        }
        for row in answer.next().unwrap_or_default() {
            let row = import(&row)?;
            state.imports.load(row.id.clone(), row);
        }
        for row in answer.next().unwrap_or_default() {
            let row = image(&row)?;
            state.images.load(row.image.google_drive_id.clone(), row);
        }

        let items = touched.items.iter().map(|(import, item)| ItemKey {
            import_id: import.as_str(),
            item_id: item.as_str(),
        });
        let items: Vec<_> = items.collect();
        for keys in items.chunks(ROWS) {
            let keys = json(&keys)?;
            let answer = connection.query(&self.sql(LOAD_ITEMS), &[&keys]).await?;
            for row in answer.into_iter().next().unwrap_or_default() {
                let (import, row) = item_of_import(&row)?;
                state.items.load((import, row.item_id.clone()), row);
            }
        }
        Ok(state)
    }

    async fn write(&self, connection: &mut Connection, state: &State) -> Result<(), Fault> {
        let (new, changed) = split(&state.statistics, |_, row| Ok(StatisticsCells::from(row)))?;
        self.put(connection, UPDATE_STATISTICS, &changed).await?;
        self.put(connection, INSERT_STATISTICS, &new).await?;

        let (new, changed) = split(&state.imports, |_, row| Ok(ImportCells::from(row)))?;
        self.put(connection, UPDATE_IMPORTS, &changed).await?;
        self.put(connection, INSERT_IMPORTS, &new).await?;

        let (new, changed) = split(&state.items, |(import, _), row| ItemCells::of(import, row))?;
        self.put(connection, UPDATE_ITEMS, &changed).await?;
        self.put(connection, INSERT_ITEMS, &new).await?;

        let gone = state.images.changes().filter(|(_, row)| row.is_none());
        let gone: Vec<_> = gone.map(|(file, _)| Id { id: file.as_str() }).collect();
        self.remove(connection, DELETE_IMAGES, &gone).await?;
        let (new, changed) = split(&state.images, |_, row| Ok(ImageCells::from(row)))?;
        self.put(connection, UPDATE_IMAGES, &changed).await?;
        self.put(connection, INSERT_IMAGES, &new).await?;

        // Removals are not loaded: whatever is noted under a key gives way.
        let keys = state.removals.changes().map(|(key, _)| ObjectKey {
            object_key: kept(key),
        });
        let keys: Vec<_> = keys.collect();
        self.remove(connection, DELETE_REMOVALS, &keys).await?;
        let noted = state.removals.changes().filter_map(|(_, row)| row);
        let noted: Vec<_> = noted.map(RemovalCells::from).collect();
        self.put(connection, INSERT_REMOVALS, &noted).await
    }

    /// Write `rows`, each of which the statement must find or make.
    async fn put(
        &self,
        connection: &mut Connection,
        statement: &str,
        rows: &[impl Serialize],
    ) -> Result<(), Fault> {
        let sql = self.sql(statement);
        for rows in rows.chunks(ROWS) {
            let put = connection.execute(&sql, &[&json(&rows)?]).await?;
            if put != rows.len() as u64 {
                // Somebody edits the tables by hand. Load them again.
                let error = Error::Protocol("rows changed while they were folded into".into());
                return Err(Fault::Passing(error));
            }
        }
        Ok(())
    }

    /// Delete the rows with these keys, where there are any.
    async fn remove(
        &self,
        connection: &mut Connection,
        statement: &str,
        keys: &[impl Serialize],
    ) -> Result<(), Fault> {
        let sql = self.sql(statement);
        for keys in keys.chunks(ROWS) {
            connection.query(&sql, &[&json(&keys)?]).await?;
        }
        Ok(())
    }
}

/// Changed rows that the store does not hold, and those that it holds.
fn split<'t, K: Eq + Hash + Clone, V, C>(
    table: &'t Table<K, V>,
    cells: impl Fn(&'t K, &'t V) -> crate::Result<C>,
) -> crate::Result<(Vec<C>, Vec<C>)> {
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for (key, row) in table.changes() {
        if let Some(row) = row {
            let rows = if table.is_stored(key) {
                &mut changed
            } else {
                &mut new
            };
            rows.push(cells(key, row)?);
        }
    }
    Ok((new, changed))
}

/// Commit. If the connection breaks before the answer, nobody knows whether it was done: doing all
/// of it again would find a checkpoint that has moved, and blame another projector.
pub(super) async fn commit(connection: &mut Connection) -> Result<(), Fault> {
    match connection.batch(COMMIT).await {
        Ok(_) => Ok(()),
        Err(error @ Error::Server(_)) => Err(error.into()),
        Err(error) => Err(Fault::Final(unavailable(error))),
    }
}
