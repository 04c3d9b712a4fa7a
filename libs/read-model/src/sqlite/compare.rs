//! Two databases held against each other, row by row.

use std::cmp::Ordering;

use rusqlite::types::Value;
use rusqlite::{Connection, Rows, Statement};
use serde::Serialize;

use super::rebuild::TABLES;
use crate::Result;

/// Characters of a value that a difference shows.
const SHOWN: usize = 60;

/// How the live tables differ from rebuilt ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Rows compared, in all tables together.
    pub rows: u64,
    /// Rows that differ.
    pub differences: u64,
    /// The first of them.
    pub first: Vec<Difference>,
}

/// A row that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The table.
    pub table: &'static str,
    /// The row's key.
    pub key: String,
    /// What is wrong with the live row.
    #[serde(flatten)]
    pub kind: DifferenceKind,
}

/// What is wrong with a live row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "difference", rename_all = "snake_case")]
pub enum DifferenceKind {
    /// It is not there.
    Missing,
    /// It should not be there.
    Extra,
    /// It says something else.
    Different {
        /// The first column that does.
        column: String,
        /// What it says.
        live: String,
        /// What the events say.
        rebuilt: String,
    },
}

/// Every row of `live` against the same row of `fresh`; at most `limit` differences are named.
pub(super) fn compare(live: &Connection, fresh: &Connection, limit: usize) -> Result<Comparison> {
    let mut comparison = Comparison::default();
    for table in TABLES {
        let (mut live, mut fresh) = (select(live, table)?, select(fresh, table)?);
        let columns: Vec<String> = live.column_names().into_iter().map(str::to_owned).collect();
        let (mut live, mut fresh) = (Cursor::on(&mut live)?, Cursor::on(&mut fresh)?);
        let keys = keys_of(table);
        loop {
            let order = match (&live.row, &fresh.row) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(live), Some(fresh)) => key_order(&live[..keys], &fresh[..keys]),
            };
            comparison.rows += 1;
            let difference = match order {
                Ordering::Less => Some(DifferenceKind::Extra),
                Ordering::Greater => Some(DifferenceKind::Missing),
                Ordering::Equal => different(&columns, &live.row, &fresh.row),
            };
            if let Some(kind) = difference {
                comparison.differences += 1;
                if comparison.first.len() < limit {
                    let row = if order.is_gt() { &fresh.row } else { &live.row };
                    let key = row.iter().flatten().take(keys).map(shown);
                    comparison.first.push(Difference {
                        table,
                        key: key.collect::<Vec<_>>().join(" "),
                        kind,
                    });
                }
            }
            if order.is_le() {
                live.step()?;
            }
            if order.is_ge() {
                fresh.step()?;
            }
        }
    }
    Ok(comparison)
}

/// How many of its first columns are a table's key.
fn keys_of(table: &str) -> usize {
    if table == "import_items" { 2 } else { 1 }
}

fn select<'c>(sql: &'c Connection, table: &str) -> Result<Statement<'c>> {
    let order = if keys_of(table) == 2 { "1, 2" } else { "1" };
    Ok(sql.prepare(&format!("SELECT * FROM {table} ORDER BY {order}"))?)
}

/// A table's rows, one at a time.
struct Cursor<'s> {
    rows: Rows<'s>,
    columns: usize,
    row: Option<Vec<Value>>,
}

impl<'s> Cursor<'s> {
    fn on(statement: &'s mut Statement<'_>) -> Result<Self> {
        let columns = statement.column_count();
        let mut cursor = Self {
            rows: statement.query([])?,
            columns,
            row: None,
        };
        cursor.step()?;
        Ok(cursor)
    }

    fn step(&mut self) -> Result<()> {
        self.row = match self.rows.next()? {
            Some(row) => Some(
                (0..self.columns)
                    .map(|column| row.get(column))
                    .collect::<rusqlite::Result<_>>()?,
            ),
            None => None,
        };
        Ok(())
    }
}

/// The order that SQLite sorts by; a key's columns have one type each.
fn key_order(live: &[Value], fresh: &[Value]) -> Ordering {
    let by_column = live.iter().zip(fresh).map(|pair| match pair {
        (Value::Integer(live), Value::Integer(fresh)) => live.cmp(fresh),
        (Value::Text(live), Value::Text(fresh)) => live.cmp(fresh),
        _ => Ordering::Equal,
    });
    by_column.fold(Ordering::Equal, Ordering::then)
}

fn different(
    columns: &[String],
    live: &Option<Vec<Value>>,
    fresh: &Option<Vec<Value>>,
) -> Option<DifferenceKind> {
    let cells = live.iter().flatten().zip(fresh.iter().flatten());
    let (column, (live, rebuilt)) = columns
        .iter()
        .zip(cells)
        .find(|(_, (live, rebuilt))| live != rebuilt)?;
    Some(DifferenceKind::Different {
        column: column.clone(),
        live: shown(live),
        rebuilt: shown(rebuilt),
    })
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.chars().take(SHOWN).collect(),
        Value::Blob(bytes) => format!("{} bytes", bytes.len()),
    }
}
