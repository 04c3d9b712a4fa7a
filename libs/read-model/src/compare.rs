//! Live tables held against rebuilt ones, row by row. The rebuilt ones are in SQLite, whatever the live
//! ones are in.

use std::cmp::Ordering;

use rusqlite::types::Value;
use rusqlite::{Connection, Rows, Statement};
use serde::Serialize;

use tokio::sync::mpsc;

use crate::{ReadModelError, Result};

/// The tables that are folded from events, and nothing but events.
pub(crate) const TABLES: [&str; 4] = ["imports", "import_items", "images", "statistics"];

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

/// Where the live rows come from.
pub(crate) enum Live<'l> {
    /// A file like the one with the rebuilt ones.
    Sqlite(&'l Connection),
    /// Somebody who reads each of [`TABLES`] in the order of its key.
    Fed(&'l mut mpsc::Receiver<Result<Fed>>),
}

/// Live rows of the table at hand.
pub(crate) enum Fed {
    /// The next ones.
    Page {
        /// The columns' names.
        columns: Vec<String>,
        /// A value for each of them.
        rows: Vec<Vec<Value>>,
    },
    /// There are no more.
    End,
}

/// Every row of `live` against the same row of `fresh`; at most `limit` differences are named.
/// Blocks.
pub(crate) fn compare(live: Live<'_>, fresh: &Connection, limit: usize) -> Result<Comparison> {
    let mut comparison = Comparison::default();
    let mut live = live;
    for table in TABLES {
        let mut fresh = select(fresh, table)?;
        let columns: Vec<String> = fresh.column_names().map(str::to_owned).collect();
        let fresh = Cursor::on(&mut fresh)?;
        match &mut live {
            Live::Sqlite(live) => {
                let mut live = select(live, table)?;
                let live = Cursor::on(&mut live)?;
                comparison.add(table, &columns, live, fresh, limit)?;
            }
            Live::Fed(pages) => {
                let live = Cursor::fed(pages, &columns)?;
                comparison.add(table, &columns, live, fresh, limit)?;
            }
        }
    }
    Ok(comparison)
}

impl Comparison {
    fn add(
        &mut self,
        table: &'static str,
        columns: &[String],
        mut live: Cursor<'_>,
        mut fresh: Cursor<'_>,
        limit: usize,
    ) -> Result<()> {
        let keys = keys_of(table);
        loop {
            let order = match (&live.row, &fresh.row) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(live), Some(fresh)) => key_order(&live[..keys], &fresh[..keys]),
            };
            self.rows += 1;
            let difference = match order {
                Ordering::Less => Some(DifferenceKind::Extra),
                Ordering::Greater => Some(DifferenceKind::Missing),
                Ordering::Equal => different(columns, &live.row, &fresh.row),
            };
            if let Some(kind) = difference {
                self.differences += 1;
                if self.first.len() < limit {
                    let row = if order.is_gt() { &fresh.row } else { &live.row };
                    let key = row.iter().flatten().take(keys).map(shown);
                    self.first.push(Difference {
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
    source: Source<'s>,
    row: Option<Vec<Value>>,
}

enum Source<'s> {
    Sqlite {
        rows: Rows<'s>,
        columns: usize,
    },
    Fed {
        pages: &'s mut mpsc::Receiver<Result<Fed>>,
        /// The columns in the order that both sides are compared in.
        columns: &'s [String],
        ready: std::vec::IntoIter<Vec<Value>>,
        ended: bool,
    },
}

impl<'s> Cursor<'s> {
    fn on(statement: &'s mut Statement<'_>) -> Result<Self> {
        let columns = statement.column_count();
        let rows = statement.query([])?;
        Self::at_first(Source::Sqlite { rows, columns })
    }

    fn fed(pages: &'s mut mpsc::Receiver<Result<Fed>>, columns: &'s [String]) -> Result<Self> {
        Self::at_first(Source::Fed {
            pages,
            columns,
            ready: Vec::new().into_iter(),
            ended: false,
        })
    }

    fn at_first(source: Source<'s>) -> Result<Self> {
        let mut cursor = Self { source, row: None };
        cursor.step()?;
        Ok(cursor)
    }

    fn step(&mut self) -> Result<()> {
        self.row = match &mut self.source {
            Source::Sqlite { rows, columns } => match rows.next()? {
                Some(row) => Some(
                    (0..*columns)
                        .map(|column| row.get(column))
                        .collect::<rusqlite::Result<_>>()?,
                ),
                None => None,
            },
            Source::Fed {
                pages,
                columns,
                ready,
                ended,
            } => loop {
                if let Some(row) = ready.next() {
                    break Some(row);
                }
                if *ended {
                    break None;
                }
                match pages
                    .blocking_recv()
                    .unwrap_or(Err(ReadModelError::NotReady))?
                {
                    Fed::Page {
                        columns: found,
                        rows,
                    } => *ready = in_order(columns, &found, rows).into_iter(),
                    Fed::End => *ended = true,
                }
            },
        };
        Ok(())
    }
}

/// The values of `rows`, whose columns are `found`, in the order of `columns`; a column that is not
/// there is empty.
fn in_order(columns: &[String], found: &[String], rows: Vec<Vec<Value>>) -> Vec<Vec<Value>> {
    let places: Vec<Option<usize>> = columns
        .iter()
        .map(|column| found.iter().position(|name| name == column))
        .collect();
    let value = |row: &[Value], place: &Option<usize>| {
        let value = place.and_then(|place| row.get(place));
        value.cloned().unwrap_or(Value::Null)
    };
    rows.iter()
        .map(|row| places.iter().map(|place| value(row, place)).collect())
        .collect()
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
