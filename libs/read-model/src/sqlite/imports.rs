//! Queries on imports, their entries, and checkpoints.

use std::cmp::Reverse;

use contracts::{Cause, FileId, ImportId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use time::OffsetDateTime;

use super::Sqlite;
use super::images::part;
use super::rows::{Cells, IMPORT, ITEM, import, import_columns, item, item_columns, number};
use crate::item::Item;
use crate::query::SAMPLES;
use crate::{
    FailedItem, FailureGroup, FailureSample, FoundItem, ImportRow, ImportStatus, ImportsQuery,
    ItemState, MAX_PER_PAGE, Paged, Result,
};

pub(super) const CHECKPOINT: &str = "SELECT seq FROM checkpoints WHERE name = ?1";
pub(super) const CREATED_AT: &str = "SELECT created_at FROM imports WHERE id = ?1";
pub(super) const CHANGED: &str = concat!(
    "SELECT ",
    import_columns!(),
    " FROM imports WHERE revision > ?1 ORDER BY revision LIMIT ?2"
);
/// In the index by status alone.
pub(super) const COUNTS: &str = "SELECT status, count(*) FROM imports GROUP BY status";
pub(super) const ITEMS: &str = concat!(
    "SELECT ",
    item_columns!(),
    " FROM import_items WHERE import_id = ?1 AND item_id > ?2 ORDER BY item_id LIMIT ?3"
);
pub(super) const ITEMS_IN: &str = concat!(
    "SELECT ",
    item_columns!(),
    " FROM import_items INDEXED BY items_by_state
     WHERE import_id = ?1 AND state = ?4 AND item_id > ?2 ORDER BY item_id LIMIT ?3"
);
pub(super) const IMAGE_OF: &str = "SELECT id FROM images WHERE google_drive_id = ?1";
// Without INDEXED BY the primary key looks as good to SQLite, and would read every entry.
pub(super) const FAILED: &str =
    "SELECT item_id, coalesce(name, ''), cause, coalesce(message, ''), attempt, task,
       updated_at
     FROM import_items INDEXED BY items_failed
     WHERE state = 'failed' AND import_id = ?1 AND item_id > ?2 ORDER BY item_id LIMIT ?3";
pub(super) const FAILED_BY_CAUSE: &str =
    "SELECT item_id, coalesce(name, ''), cause, coalesce(message, ''), attempt, task,
       updated_at
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

    pub(crate) async fn changed_imports(
        &self,
        revision: u64,
        limit: u32,
    ) -> Result<Vec<ImportRow>> {
        let read = move |sql: &Connection| {
            let mut changed = sql.prepare_cached(CHANGED)?;
            let limit = limit.min(MAX_PER_PAGE);
            let rows = changed.query_map(params![number(revision), limit], import)?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        self.readers.read(read).await
    }

    pub(crate) async fn count_imports(&self) -> Result<Vec<(ImportStatus, u64)>> {
        let read = move |sql: &Connection| {
            let mut counts = sql.prepare_cached(COUNTS)?;
            let rows = counts.query_map([], |row| {
                let mut cells = Cells::of(row);
                Ok((cells.code(ImportStatus::from_code)?, cells.number()?))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        self.readers.read(read).await
    }

    pub(crate) async fn item(
        &self,
        import: &ImportId,
        entry: &FileId,
    ) -> Result<Option<FoundItem>> {
        let (import, entry) = (import.clone(), entry.clone());
        let read = move |sql: &Connection| {
            let key = [import.as_str(), entry.as_str()];
            let found = sql.prepare_cached(ITEM)?.query_row(key, item).optional()?;
            let Some(item) = found else { return Ok(None) };
            let file = item.file_id.as_ref().unwrap_or(&item.item_id);
            let image_id = sql
                .prepare_cached(IMAGE_OF)?
                .query_row([file.as_str()], |row| row.get(0))
                .optional()?;
            Ok(Some(FoundItem { item, image_id }))
        };
        self.readers.read(read).await
    }

    pub(crate) async fn items_in(
        &self,
        import: &ImportId,
        state: ItemState,
        after: Option<&FileId>,
        limit: u32,
    ) -> Result<Vec<Item>> {
        let (import, after) = (import.clone(), after.cloned());
        let read = move |sql: &Connection| {
            let mut items = sql.prepare_cached(ITEMS_IN)?;
            let after = after.as_ref().map_or("", FileId::as_str);
            let limit = limit.min(MAX_PER_PAGE);
            let rows =
                items.query_map(params![import.as_str(), after, limit, state.code()], item)?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        self.readers.read(read).await
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
    let part = query.q.as_deref().map(part);
    let filters = Filters::of(query);
    let total = sql
        .prepare_cached(&filters.total_sql())?
        .query_row(params![status, part], |row| Cells::of(row).number())?;
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
            // Nothing is older than an import that is unknown, but there may be others.
            (found.unwrap_or(i64::MIN), id.as_str(), 0)
        }
    };
    let mut items: Vec<ImportRow> = sql
        .prepare_cached(&filters.page_sql())?
        .query_map(params![status, part, created_at, id, limit, offset], import)?
        .collect::<Result<_, _>>()?;
    let has_more = items.len() > per_page as usize;
    items.truncate(per_page as usize);
    Ok(Paged {
        items,
        total,
        has_more,
    })
}

/// Which filters a query on imports has; values are always parameters: ?1 status, ?2 part of
/// the folder or the id.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filters {
    pub(super) status: bool,
    pub(super) search: bool,
}

impl Filters {
    fn of(query: &ImportsQuery) -> Self {
        Self {
            status: query.status.is_some(),
            search: query.q.is_some(),
        }
    }

    /// ?3 and ?4 are when the import was created, and its id, that the page is older than; ?5 the limit,
    /// ?6 the offset.
    pub(super) fn page_sql(self) -> String {
        let columns = import_columns!();
        let conditions = self.conditions();
        format!(
            "SELECT {columns} FROM imports WHERE {conditions} AND (created_at, id) < (?3, ?4)
             ORDER BY created_at DESC, id DESC LIMIT ?5 OFFSET ?6"
        )
    }

    pub(super) fn total_sql(self) -> String {
        format!("SELECT count(*) FROM imports WHERE {}", self.conditions())
    }

    /// Absent filters keep their parameter, so that every query has the same ones.
    fn conditions(self) -> String {
        let status = if self.status {
            "status = ?1"
        } else {
            "?1 IS NULL"
        };
        let search = if self.search {
            "(instr(lower_case(coalesce(folder_name, '')), ?2) > 0
               OR instr(lower_case(coalesce(folder, '')), ?2) > 0 OR instr(id, ?2) > 0)"
        } else {
            "?2 IS NULL"
        };
        format!("{status} AND {search}")
    }
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
        failed_at: cells.time()?,
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
