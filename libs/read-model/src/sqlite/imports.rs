//! Queries on imports, their entries, and checkpoints.

use std::cmp::Reverse;

use contracts::{Cause, FileId, ImportId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use time::OffsetDateTime;

use super::Sqlite;
use super::rows::{Cells, IMPORT, import, import_columns, item, item_columns};
use crate::item::Item;
use crate::query::SAMPLES;
use crate::{
    FailedItem, FailureGroup, FailureSample, ImportRow, ImportStatus, ImportsQuery, MAX_PER_PAGE,
    Paged, Result,
};

pub(super) const CHECKPOINT: &str = "SELECT seq FROM checkpoints WHERE name = ?1";
pub(super) const CREATED_AT: &str = "SELECT created_at FROM imports WHERE id = ?1";
pub(super) const PAGE: &str = concat!(
    "SELECT ",
    import_columns!(),
    " FROM imports WHERE (created_at, id) < (?1, ?2)
     ORDER BY created_at DESC, id DESC LIMIT ?3 OFFSET ?4"
);
pub(super) const PAGE_BY_STATUS: &str = concat!(
    "SELECT ",
    import_columns!(),
    " FROM imports WHERE status = ?5 AND (created_at, id) < (?1, ?2)
     ORDER BY created_at DESC, id DESC LIMIT ?3 OFFSET ?4"
);
pub(super) const TOTAL: &str = "SELECT count(*) FROM imports";
pub(super) const TOTAL_BY_STATUS: &str = "SELECT count(*) FROM imports WHERE status = ?1";
pub(super) const ITEMS: &str = concat!(
    "SELECT ",
    item_columns!(),
    " FROM import_items WHERE import_id = ?1 AND item_id > ?2 ORDER BY item_id LIMIT ?3"
);
// Without INDEXED BY the primary key looks as good to SQLite, and would read every entry.
pub(super) const FAILED: &str =
    "SELECT item_id, coalesce(name, ''), cause, coalesce(message, ''), attempt, task
     FROM import_items INDEXED BY items_failed
     WHERE state = 'failed' AND import_id = ?1 AND item_id > ?2 ORDER BY item_id LIMIT ?3";
pub(super) const FAILED_BY_CAUSE: &str =
    "SELECT item_id, coalesce(name, ''), cause, coalesce(message, ''), attempt, task
     FROM import_items INDEXED BY items_failed_by_cause
     WHERE state = 'failed' AND import_id = ?1 AND cause = ?4 AND item_id > ?2
     ORDER BY item_id LIMIT ?3";
pub(super) const FAILURES: &str = "SELECT cause, count(*), min(updated_at), max(updated_at)
     FROM import_items INDEXED BY items_failed_by_cause
     WHERE state = 'failed' AND import_id = ?1 GROUP BY cause";

impl Sqlite {
    pub(crate) async fn checkpoint(&self, name: &str) -> Result<u64> {
        let name = name.to_owned();
        let read = move |sql: &Connection| {
            let mut checkpoint = sql.prepare_cached(CHECKPOINT)?;
            let found = checkpoint
                .query_row([name], |row| Cells::of(row).number())
                .optional()?;
            Ok(found.unwrap_or(0))
        };
        self.readers.read(read).await
    }

    pub(crate) async fn import(&self, id: &ImportId) -> Result<Option<ImportRow>> {
        let id = id.clone();
        let read = move |sql: &Connection| {
            Ok(sql
                .prepare_cached(IMPORT)?
                .query_row([id.as_str()], import)
                .optional()?)
        };
        self.readers.read(read).await
    }

    pub(crate) async fn imports(&self, query: ImportsQuery) -> Result<Paged<ImportRow>> {
        self.readers
            .read(move |sql| page_of_imports(sql, &query))
            .await
    }

    pub(crate) async fn items(
        &self,
        import: &ImportId,
        after: Option<&FileId>,
        limit: u32,
    ) -> Result<Vec<Item>> {
        let (import, after) = (import.clone(), after.cloned());
        let read = move |sql: &Connection| {
            let mut items = sql.prepare_cached(ITEMS)?;
            let after = after.as_ref().map_or("", FileId::as_str);
            let rows = items.query_map(
                params![import.as_str(), after, limit.min(MAX_PER_PAGE)],
                item,
            )?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        self.readers.read(read).await
    }

    pub(crate) async fn failed_items(
        &self,
        import: &ImportId,
        cause: Option<Cause>,
        after: Option<&FileId>,
        limit: u32,
    ) -> Result<Vec<FailedItem>> {
        let (import, after) = (import.clone(), after.cloned());
        let read = move |sql: &Connection| {
            failed_items(sql, &import, cause, after.as_ref(), limit.min(MAX_PER_PAGE))
        };
        self.readers.read(read).await
    }

    pub(crate) async fn failures(&self, import: &ImportId) -> Result<Vec<FailureGroup>> {
        let import = import.clone();
        self.readers.read(move |sql| failures(sql, &import)).await
    }
}

fn page_of_imports(sql: &Connection, query: &ImportsQuery) -> Result<Paged<ImportRow>> {
    let per_page = query.per_page.clamp(1, MAX_PER_PAGE);
    let limit = per_page + 1;
    let status = query.status.map(ImportStatus::code);
    let total = match status {
        Some(status) => sql
            .prepare_cached(TOTAL_BY_STATUS)?
            .query_row([status], |row| Cells::of(row).number())?,
        None => sql
            .prepare_cached(TOTAL)?
            .query_row([], |row| Cells::of(row).number())?,
    };
    let (created_at, id, offset) = match &query.after {
        None => (
            i64::MAX,
            "",
            i64::from(query.page.max(1) - 1) * i64::from(per_page),
        ),
        Some(id) => {
            let mut created_at = sql.prepare_cached(CREATED_AT)?;
            let found = created_at
                .query_row([id.as_str()], |row| row.get(0))
                .optional()?;
            let Some(found) = found else {
                return Ok(Paged {
                    items: Vec::new(),
                    total,
                    has_more: false,
                });
            };
            (found, id.as_str(), 0)
        }
    };
    let mut items: Vec<ImportRow> = match status {
        Some(status) => sql
            .prepare_cached(PAGE_BY_STATUS)?
            .query_map(params![created_at, id, limit, offset, status], import)?
            .collect::<Result<_, _>>()?,
        None => sql
            .prepare_cached(PAGE)?
            .query_map(params![created_at, id, limit, offset], import)?
            .collect::<Result<_, _>>()?,
    };
    let has_more = items.len() > per_page as usize;
    items.truncate(per_page as usize);
    Ok(Paged {
        items,
        total,
        has_more,
    })
}

fn failed_items(
    sql: &Connection,
    import: &ImportId,
    cause: Option<Cause>,
    after: Option<&FileId>,
    limit: u32,
) -> Result<Vec<FailedItem>> {
    let (import, after) = (import.as_str(), after.map_or("", FileId::as_str));
    let rows = match cause {
        Some(cause) => sql
            .prepare_cached(FAILED_BY_CAUSE)?
            .query_map(params![import, after, limit, cause.code()], failed_item)?
            .collect::<Result<_, _>>()?,
        None => sql
            .prepare_cached(FAILED)?
            .query_map(params![import, after, limit], failed_item)?
            .collect::<Result<_, _>>()?,
    };
    Ok(rows)
}

fn failed_item(row: &Row<'_>) -> rusqlite::Result<FailedItem> {
    let mut cells = Cells::of(row);
    Ok(FailedItem {
        item_id: cells.parsed()?,
        name: cells.plain()?,
        cause: Cause::from_code(&cells.plain::<String>()?),
        message: cells.plain()?,
        attempts: cells.plain()?,
        task: cells.json()?,
    })
}

fn failures(sql: &Connection, import: &ImportId) -> Result<Vec<FailureGroup>> {
    type Group = (Cause, u64, OffsetDateTime, OffsetDateTime);
    let group = |row: &Row<'_>| -> rusqlite::Result<Group> {
        let mut cells = Cells::of(row);
        let cause = Cause::from_code(&cells.plain::<String>()?);
        Ok((cause, cells.number()?, cells.time()?, cells.time()?))
    };
    let groups: Vec<Group> = sql
        .prepare_cached(FAILURES)?
        .query_map([import.as_str()], group)?
        .collect::<Result<_, _>>()?;

    let mut failures = Vec::with_capacity(groups.len());
    for (cause, count, first_seen, last_seen) in groups {
        let samples = failed_items(sql, import, Some(cause), None, SAMPLES)?
            .into_iter()
            .map(|failed| FailureSample {
                item_id: failed.item_id,
                name: failed.name,
                message: failed.message,
            })
            .collect();
        failures.push(FailureGroup {
            cause,
            count,
            first_seen,
            last_seen,
            samples,
        });
    }
    failures.sort_by_key(|group| Reverse(group.count));
    Ok(failures)
}
