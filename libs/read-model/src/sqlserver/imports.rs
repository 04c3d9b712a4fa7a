//! Queries on imports, their entries, and checkpoints.

use std::cmp::Reverse;

use contracts::{Cause, FileId, ImportId};
use tiberius::ToSql;

use super::SqlServer;
use super::rows::{Cells, each, failed_item, import, item, only_number};
use super::statements::{
    CHECKPOINT, CREATED_AT, FAILED, FAILED_BY_CAUSE, FAILURES, IMPORT, IMPORTS, IMPORTS_BY_STATUS,
    ITEMS,
};
use crate::item::Item;
use crate::query::SAMPLES;
use crate::{
    FailedItem, FailureGroup, FailureSample, ImportRow, ImportStatus, ImportsQuery, MAX_PER_PAGE,
    Paged, Result,
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
        let mut parameters: Vec<&dyn ToSql> = vec![&created_at, &id, &offset, &limit];
        let statement = match &status {
            Some(status) => {
                parameters.push(status);
                IMPORTS_BY_STATUS
            }
            None => IMPORTS,
        };
        let mut answer = self.ask(statement, &parameters).await?.into_iter();
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
