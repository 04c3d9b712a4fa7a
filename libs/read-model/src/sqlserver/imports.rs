//! Queries on imports, their entries, and checkpoints.

use std::cmp::Reverse;

use contracts::{Cause, FileId, ImportId};
use tiberius::ToSql;

use super::SqlServer;
use super::images::pattern;
use super::rows::{Cells, each, failed_item, import, item, only_number};
use super::statements::{
    CHANGED_IMPORTS, CHECKPOINT, COUNT_IMPORTS, CREATED_AT, FAILED, FAILED_BY_CAUSE, FAILURES,
    IMPORT, ITEM, ITEMS, ITEMS_IN, import_columns,
};
use crate::fold::number;
use crate::item::Item;
use crate::query::SAMPLES;
use crate::{
    FailedItem, FailureGroup, FailureSample, FoundItem, ImportRow, ImportStatus, ImportsQuery,
    ItemState, MAX_PER_PAGE, Paged, Result,
};

impl SqlServer {
    pub(crate) async fn checkpoint(&self, name: &str) -> Result<u64> {
        let rows = self.rows(CHECKPOINT, &[&name]).await?;
        Ok(only_number(&rows)?.unwrap_or(0))
    }

    pub(crate) async fn import(&self, id: &ImportId) -> Result<Option<ImportRow>> {
        let rows = self.rows(IMPORT, &[&id.as_str()]).await?;
        rows.first().map(import).transpose()
    }

    pub(crate) async fn imports(&self, query: ImportsQuery) -> Result<Paged<ImportRow>> {
        let per_page = query.per_page.clamp(1, MAX_PER_PAGE);
        let limit = i64::from(per_page) + 1;
        let (created_at, id, offset) = match &query.after {
            None => (
                i64::MAX,
                "",
                i64::from(query.page.max(1) - 1) * i64::from(per_page),
            ),
            Some(id) => {
                let rows = self.rows(CREATED_AT, &[&id.as_str()]).await?;
                let found: Option<Result<i64>> = rows.first().map(|row| Cells::of(row).plain());
                // Nothing is older than an import that is unknown, but there may be others.
                (found.transpose()?.unwrap_or(i64::MIN), id.as_str(), 0)
            }
        };
        let status = query.status.map(ImportStatus::code);
        let pattern = query.q.as_deref().map(pattern);
        let parameters: [&dyn ToSql; 6] = [&status, &pattern, &created_at, &id, &offset, &limit];
        let sql = Filters::of(&query).sql();
        let mut answer = self.ask(&sql, &parameters).await?.into_iter();
        let mut items = each(&answer.next().unwrap_or_default(), import)?;
        let total = only_number(&answer.next().unwrap_or_default())?.unwrap_or(0);
        let has_more = items.len() > per_page as usize;
        items.truncate(per_page as usize);
        Ok(Paged {
            items,
            total,
            has_more,
        })
    }

    pub(crate) async fn changed_imports(
        &self,
        revision: u64,
        limit: u32,
    ) -> Result<Vec<ImportRow>> {
        let limit = i64::from(limit.min(MAX_PER_PAGE));
        let rows = self
            .rows(CHANGED_IMPORTS, &[&number(revision), &limit])
            .await?;
        each(&rows, import)
    }

    pub(crate) async fn count_imports(&self) -> Result<Vec<(ImportStatus, u64)>> {
        let rows = self.rows(COUNT_IMPORTS, &[]).await?;
        each(&rows, |row| {
            let mut cells = Cells::of(row);
            Ok((cells.code(ImportStatus::from_code)?, cells.number()?))
        })
    }

    pub(crate) async fn item(
        &self,
        import: &ImportId,
        entry: &FileId,
    ) -> Result<Option<FoundItem>> {
        let answer = self.ask(ITEM, &[&import.as_str(), &entry.as_str()]).await?;
        let mut answer = answer.into_iter();
        let items = each(&answer.next().unwrap_or_default(), item)?;
        let images = each(&answer.next().unwrap_or_default(), |row| {
            Cells::of(row).plain()
        })?;
        Ok(items.into_iter().next().map(|item| FoundItem {
            item,
            image_id: images.first().copied(),
        }))
    }

    pub(crate) async fn items_in(
        &self,
        import: &ImportId,
        state: ItemState,
        after: Option<&FileId>,
        limit: u32,
    ) -> Result<Vec<Item>> {
        let after = after.map_or("", FileId::as_str);
        let limit = i64::from(limit.min(MAX_PER_PAGE));
        let parameters: [&dyn ToSql; 4] = [&import.as_str(), &after, &limit, &state.code()];
        let rows = self.rows(ITEMS_IN, &parameters).await?;
        each(&rows, item)
    }

    pub(crate) async fn items(
        &self,
        import: &ImportId,
        after: Option<&FileId>,
        limit: u32,
    ) -> Result<Vec<Item>> {
        let after = after.map_or("", FileId::as_str);
        let limit = i64::from(limit.min(MAX_PER_PAGE));
        let rows = self
            .rows(ITEMS, &[&import.as_str(), &after, &limit])
            .await?;
        each(&rows, item)
    }

    pub(crate) async fn failed_items(
        &self,
        import: &ImportId,
        cause: Option<Cause>,
        after: Option<&FileId>,
        limit: u32,
    ) -> Result<Vec<FailedItem>> {
        let (import, after) = (import.as_str(), after.map_or("", FileId::as_str));
        let limit = i64::from(limit.min(MAX_PER_PAGE));
        let rows = match cause.map(Cause::code) {
            Some(cause) => {
                self.rows(FAILED_BY_CAUSE, &[&import, &after, &limit, &cause])
                    .await?
            }
            None => self.rows(FAILED, &[&import, &after, &limit]).await?,
        };
        each(&rows, failed_item)
    }

    pub(crate) async fn failures(&self, import: &ImportId) -> Result<Vec<FailureGroup>> {
        let samples = i64::from(SAMPLES);
        let answer = self.ask(FAILURES, &[&import.as_str(), &samples]).await?;
        let mut answer = answer.into_iter();
        let mut failures = each(&answer.next().unwrap_or_default(), |row| {
            let mut cells = Cells::of(row);
            Ok(FailureGroup {
                cause: Cause::from_code(&cells.text()?),
                count: cells.number()?,
                first_seen: cells.time()?,
                last_seen: cells.time()?,
                samples: Vec::new(),
            })
        })?;
        for row in answer.next().unwrap_or_default() {
            let mut cells = Cells::of(&row);
            let cause = Cause::from_code(&cells.text()?);
            let sample = FailureSample {
                item_id: cells.parsed()?,
                name: cells.text()?,
                message: cells.text()?,
            };
            if let Some(group) = failures.iter_mut().find(|group| group.cause == cause) {
                group.samples.push(sample);
            }
        }
        failures.sort_by_key(|group| Reverse(group.count));
        Ok(failures)
    }
}

/// Which filters a query has; values are always parameters: @P1 status, @P2 pattern.
#[derive(Debug, Clone, Copy)]
struct Filters {
    status: bool,
    search: bool,
}

impl Filters {
    fn of(query: &ImportsQuery) -> Self {
        Self {
            status: query.status.is_some(),
            search: query.q.is_some(),
        }
    }

    /// The page and the total. @P3 and @P4 are when the import was created, and its id, that the page
    /// is older than; @P5 the offset, @P6 the limit.
    fn sql(self) -> String {
        let columns = import_columns!();
        let conditions = self.conditions();
        format!(
            "SELECT {columns} FROM imagefleet.imports AS i
             WHERE {conditions} AND i.created_at <= @P3 AND (i.created_at < @P3 OR i.id < @P4)
             ORDER BY i.created_at DESC, i.id DESC OFFSET @P5 ROWS FETCH NEXT @P6 ROWS ONLY;
             SELECT COUNT(*) AS total FROM imagefleet.imports AS i WHERE {conditions}"
        )
    }

    /// Absent filters keep their parameter, so that every query has the same ones. The pattern is in
    /// lower case, and ids always are.
    fn conditions(self) -> String {
        let status = if self.status {
            "i.status = @P1"
        } else {
            "@P1 IS NULL"
        };
        let search = if self.search {
            r"(LOWER(i.folder_name) COLLATE Latin1_General_100_BIN2 LIKE @P2 ESCAPE N'\'
               OR LOWER(i.folder) COLLATE Latin1_General_100_BIN2 LIKE @P2 ESCAPE N'\'
               OR i.id LIKE @P2 ESCAPE N'\')"
        } else {
            "@P2 IS NULL"
        };
        format!("{status} AND {search}")
    }
}

#[cfg(test)]
pub(super) fn every_page() -> impl Iterator<Item = String> {
    (0..4).map(|bits| {
        let filters = Filters {
            status: bits & 1 > 0,
            search: bits & 2 > 0,
        };
        filters.sql()
    })
}
