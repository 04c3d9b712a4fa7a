//! Live tables read in the order of their keys, for a comparison with rebuilt ones.

use rusqlite::types::Value;
use tiberius::{ColumnData, Row, ToSql};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::connect::Connection;
use super::fault::{Fault, unavailable};
use super::rebuild::Held;
use super::statements::{ALL_IMAGES, ALL_IMPORTS, ALL_ITEMS, ALL_STATISTICS};
use super::text::original;
use crate::compare::{Comparison, Fed, Live, TABLES, compare};
use crate::sqlite::open_reader;
use crate::{ReadModelError, Result};

/// Rows read at a time.
const ROWS: i64 = 1_000;

/// The statement that reads rows of each of [`TABLES`] after the one with a key: texts @P1 and @P2, or
/// the number @P3.
const AFTER: [&str; TABLES.len()] = [ALL_IMPORTS, ALL_ITEMS, ALL_IMAGES, ALL_STATISTICS];

impl Held {
    pub(crate) async fn compare(mut self, limit: usize) -> Result<Comparison> {
        self.check().await?;
        let path = self.fresh_path.clone();
        let (pages, mut fed) = mpsc::channel(2);
        let comparing =
            spawn_blocking(move || compare(Live::Fed(&mut fed), &open_reader(&path)?, limit));
        for statement in AFTER {
            let sql = self.store.sql(statement).into_owned();
            let connection = self.lease.connection().map_err(Fault::into_error)?;
            if let Err(error) = feed(connection, &sql, &pages).await {
                let _ = pages.send(Err(error)).await;
                break;
            }
        }
        drop(pages);
        comparing.await.map_err(unavailable)?
    }
}

/// Send every row that `sql` reads, page by page.
async fn feed(
    connection: &mut Connection,
    sql: &str,
    pages: &mpsc::Sender<Result<Fed>>,
) -> Result<()> {
    let mut after: (String, String, i64) = (String::new(), String::new(), i64::MIN);
    loop {
        let parameters: [&dyn ToSql; 4] = [&after.0, &after.1, &after.2, &ROWS];
        let answer = connection.query(sql, &parameters).await;
        let answer = answer.map_err(|error| Fault::from(error).into_error())?;
        let found = answer.into_iter().next().unwrap_or_default();
        let Some(last) = found.last() else {
            let _ = pages.send(Ok(Fed::End)).await;
            return Ok(());
        };
        let columns = last.columns().iter();
        let columns = columns.map(|column| column.name().to_owned()).collect();
        let rows: Vec<Vec<Value>> = found.iter().map(values).collect::<Result<_>>()?;
        if let Some(last) = rows.last() {
            match last.as_slice() {
                [Value::Integer(id), ..] => after.2 = *id,
                [Value::Text(first), Value::Text(second), ..] => {
                    after.0.clone_from(first);
                    after.1.clone_from(second);
                }
                [Value::Text(first), ..] => after.0.clone_from(first),
                _ => {}
            }
        }
        if pages.send(Ok(Fed::Page { columns, rows })).await.is_err() {
            return Ok(()); // The comparison has failed, and says why.
        }
    }
}

/// The cells of a row as SQLite has them.
fn values(row: &Row) -> Result<Vec<Value>> {
    let value = |(_, cell): (_, &ColumnData<'_>)| {
        Ok(match cell {
            ColumnData::Bit(Some(bit)) => Value::Integer((*bit).into()),
            ColumnData::U8(Some(number)) => Value::Integer((*number).into()),
            ColumnData::I16(Some(number)) => Value::Integer((*number).into()),
            ColumnData::I32(Some(number)) => Value::Integer((*number).into()),
            ColumnData::I64(Some(number)) => Value::Integer(*number),
            ColumnData::String(Some(text)) => Value::Text(original(text)),
            ColumnData::Bit(None)
            | ColumnData::U8(None)
            | ColumnData::I16(None)
            | ColumnData::I32(None)
            | ColumnData::I64(None)
            | ColumnData::String(None) => Value::Null,
            other => {
                let found = format!("{other:?}");
                return Err(ReadModelError::Corrupt(Box::new(UnknownType(found))));
            }
        })
    };
    row.cells().map(value).collect()
}

#[derive(Debug, thiserror::Error)]
#[error("a cell holds {0}")]
struct UnknownType(String);
