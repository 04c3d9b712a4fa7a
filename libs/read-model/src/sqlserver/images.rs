//! Queries on images and their statistics.

use std::collections::HashSet;

use contracts::{FileId, ImportId};
use tiberius::ToSql;

use super::SqlServer;
use super::json::listed;
use super::rows::{Cells, each, image, removal, statistics};
use super::statements::{BEFORE, IMAGE, LATEST, REMOVALS, STATISTICS, UNCHANGED, image_columns};
use super::text::kept;
use crate::query::{EXPORT_BATCH, MAX_SEARCH_CHARS};
use crate::{ImageRow, ImagesQuery, MAX_PER_PAGE, Paged, ProviderStatistics, Removal, Result};

impl SqlServer {
    pub(crate) async fn image(&self, id: i64) -> Result<Option<ImageRow>> {
        let rows = self.rows(IMAGE, &[&id]).await?;
        rows.first().map(image).transpose()
    }

    pub(crate) async fn latest_images(
        &self,
        import: &ImportId,
        limit: u32,
    ) -> Result<Vec<ImageRow>> {
        let limit = i64::from(limit.min(MAX_PER_PAGE));
        let rows = self.rows(LATEST, &[&import.as_str(), &limit]).await?;
        each(&rows, image)
    }

    pub(crate) async fn images_before(&self, id: i64) -> Result<Vec<ImageRow>> {
        let rows = self.rows(BEFORE, &[&id, &i64::from(EXPORT_BATCH)]).await?;
        each(&rows, image)
    }

    pub(crate) async fn images(&self, query: ImagesQuery) -> Result<Paged<ImageRow>> {
        let per_page = query.per_page.clamp(1, MAX_PER_PAGE);
        let limit = i64::from(per_page) + 1;
        let (before, offset) = match query.after {
            Some(id) => (id, 0),
            None => (
                i64::MAX,
                i64::from(query.page.max(1) - 1) * i64::from(per_page),
            ),
        };
        let pattern = query.q.as_deref().map(pattern);
        let import = query.import.as_ref().map(ImportId::as_str);
        let parameters: [&dyn ToSql; 6] =
            [&pattern, &query.provider, &import, &before, &offset, &limit];
        let sql = Filters::of(&query).sql();
        let mut answer = self.ask(&sql, &parameters).await?.into_iter();
        let mut items = each(&answer.next().unwrap_or_default(), image)?;
        let counts = each(&answer.next().unwrap_or_default(), |row| {
            Cells::of(row).number::<u64>()
        })?;
        let total = counts.iter().sum();
        let has_more = items.len() > per_page as usize;
        items.truncate(per_page as usize);
        Ok(Paged {
            items,
            total,
            has_more,
        })
    }

    pub(crate) async fn removals(&self, limit: u32) -> Result<Vec<Removal>> {
        let limit = i64::from(limit.min(MAX_PER_PAGE));
        let rows = self.rows(REMOVALS, &[&limit]).await?;
        each(&rows, removal)
    }

    pub(crate) async fn statistics(&self) -> Result<Vec<ProviderStatistics>> {
        let rows = self.rows(STATISTICS, &[]).await?;
        each(&rows, statistics)
    }

    pub(crate) async fn imported_unchanged(
        &self,
        files: &[(FileId, String)],
    ) -> Result<HashSet<FileId>> {
        let rows = self.rows(UNCHANGED, &[&listed(files)?]).await?;
        let found = rows.iter().map(|row| Cells::of(row).parsed());
        found.collect()
    }
}

/// Which filters a query has; values are always parameters: @P1 pattern, @P2 provider, @P3 import.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filters {
    pub(super) name: bool,
    pub(super) provider: bool,
    pub(super) import: bool,
}

impl Filters {
    fn of(query: &ImagesQuery) -> Self {
        Self {
            name: query.q.is_some(),
            provider: query.provider.is_some(),
            import: query.import.is_some(),
        }
    }

    /// The page and the total. @P4 is the id to stay below, @P5 the offset, @P6 the limit.
    pub(super) fn sql(self) -> String {
        let columns = image_columns!();
        let conditions = self.conditions();
        let total = if self.name || self.import {
            format!(
                "SELECT COUNT(*) AS total FROM imagefleet.images AS i
                 WHERE {conditions}"
            )
        } else {
            // The maintained statistics know it; there is a row for each provider.
            let provider = if self.provider {
                "i.provider = @P2"
            } else {
                "@P2 IS NULL"
            };
            format!("SELECT i.images AS total FROM imagefleet.[statistics] AS i WHERE {provider}")
        };
        format!(
            "SELECT {columns} FROM imagefleet.images AS i WHERE {conditions} AND i.id < @P4
             ORDER BY i.id DESC OFFSET @P5 ROWS FETCH NEXT @P6 ROWS ONLY;
             {total}"
        )
    }

    /// Absent filters keep their parameter, so that every query has the same ones.
    fn conditions(self) -> String {
        [
            if self.name {
                r"i.name_search LIKE @P1 ESCAPE N'\'"
            } else {
                "@P1 IS NULL"
            },
            if self.provider {
                "i.provider = @P2"
            } else {
                "@P2 IS NULL"
            },
            if self.import {
                "i.import_id = @P3"
            } else {
                "@P3 IS NULL"
            },
        ]
        .join(" AND ")
    }
}

/// The LIKE pattern for "contains `q`", with LIKE's own characters escaped.
fn pattern(q: &str) -> String {
    let q: String = q
        .chars()
        .take(MAX_SEARCH_CHARS)
        .flat_map(char::to_lowercase)
        .collect();
    let mut pattern = String::from("%");
    for c in kept(&q).chars() {
        if matches!(c, '%' | '_' | '[' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
pub(super) fn every_page() -> impl Iterator<Item = String> {
    (0..8).map(|bits| {
        let filters = Filters {
            name: bits & 1 > 0,
            provider: bits & 2 > 0,
            import: bits & 4 > 0,
        };
        filters.sql()
    })
}
