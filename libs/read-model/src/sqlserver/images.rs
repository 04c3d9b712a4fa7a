//! Queries on images and their statistics.

use std::collections::HashSet;

use contracts::{FileId, ImportId};
use tiberius::{Row, ToSql};

use super::SqlServer;
use super::json::{listed, sequences};
use super::rows::{Cells, each, image, removal, statistics};
use super::statements::{IMAGE, LATEST, REMOVALS, STATISTICS, UNCHANGED, WITH_IDS, image_columns};
use super::text::kept;
use crate::query::MAX_SEARCH_CHARS;
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

    pub(crate) async fn images(&self, query: ImagesQuery) -> Result<Paged<ImageRow>> {
        let per_page = query.per_page.clamp(1, MAX_PER_PAGE);
        let filters = Filters::of(&query);
        let asked = Asked::of(&query, per_page + 1);
        let answer = self.ask(&filters.sql(), &asked.parameters()).await?;
        let mut answer = answer.into_iter();
        let mut items = each(&answer.next().unwrap_or_default(), image)?;
        let total = sum(&answer.next().unwrap_or_default())?;
        let has_more = items.len() > per_page as usize;
        items.truncate(per_page as usize);
        Ok(Paged {
            items,
            total,
            has_more,
        })
    }

    pub(crate) async fn page_of_images(&self, query: ImagesQuery) -> Result<Vec<ImageRow>> {
        let asked = Asked::of(&query, query.per_page.clamp(1, MAX_PER_PAGE));
        let sql = Filters::of(&query).page_sql();
        let rows = self.rows(&sql, &asked.parameters()).await?;
        each(&rows, image)
    }

    pub(crate) async fn count_images(&self, query: ImagesQuery) -> Result<u64> {
        let asked = Asked::of(&query, 1);
        let sql = Filters::of(&query).total_sql();
        let [name, provider, import, mime_key, ..] = asked.parameters();
        let rows = self.rows(&sql, &[name, provider, import, mime_key]).await?;
        sum(&rows)
    }

    pub(crate) async fn images_with(&self, ids: &[i64]) -> Result<Vec<ImageRow>> {
        let rows = self
            .rows(WITH_IDS, &[&sequences(ids.iter().copied())?])
            .await?;
        each(&rows, image)
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

/// Counts, one for each row.
fn sum(rows: &[Row]) -> Result<u64> {
    let counts = each(rows, |row| Cells::of(row).number::<u64>())?;
    Ok(counts.iter().sum())
}

/// The values of a query's parameters.
struct Asked {
    pattern: Option<String>,
    provider: Option<String>,
    import: Option<String>,
    mime_key: Option<String>,
    before: i64,
    offset: i64,
    limit: i64,
}

impl Asked {
    fn of(query: &ImagesQuery, limit: u32) -> Self {
        let per_page = query.per_page.clamp(1, MAX_PER_PAGE);
        let (before, offset) = match query.after {
            Some(id) => (id, 0),
            None => (
                i64::MAX,
                i64::from(query.page.max(1) - 1) * i64::from(per_page),
            ),
        };
        Self {
            pattern: query.q.as_deref().map(pattern),
            provider: query.provider.clone(),
            import: query.import.as_ref().map(ImportId::to_string),
            mime_key: query
                .mime_type
                .as_deref()
                .map(|mime| kept(mime).into_owned()),
            before,
            offset,
            limit: i64::from(limit),
        }
    }

    fn parameters(&self) -> [&dyn ToSql; 7] {
        [
            &self.pattern,
            &self.provider,
            &self.import,
            &self.mime_key,
            &self.before,
            &self.offset,
            &self.limit,
        ]
    }
}

/// Which filters a query has; values are always parameters: @P1 pattern, @P2 provider, @P3 import,
/// @P4 type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filters {
    pub(super) name: bool,
    pub(super) provider: bool,
    pub(super) import: bool,
    pub(super) mime_type: bool,
}

impl Filters {
    fn of(query: &ImagesQuery) -> Self {
        Self {
            name: query.q.is_some(),
            provider: query.provider.is_some(),
            import: query.import.is_some(),
            mime_type: query.mime_type.is_some(),
        }
    }

    /// The page and the total.
    pub(super) fn sql(self) -> String {
        format!("{};\n{}", self.page_sql(), self.total_sql())
    }

    /// @P5 is the id to stay below, @P6 the offset, @P7 the limit.
    fn page_sql(self) -> String {
        let columns = image_columns!();
        let conditions = self.conditions();
        format!(
            "SELECT {columns} FROM imagefleet.images AS i WHERE {conditions} AND i.id < @P5
             ORDER BY i.id DESC OFFSET @P6 ROWS FETCH NEXT @P7 ROWS ONLY"
        )
    }

    fn total_sql(self) -> String {
        if self.name || self.import || self.mime_type {
            let conditions = self.conditions();
            return format!(
                "SELECT COUNT(*) AS total FROM imagefleet.images AS i WHERE {conditions}"
            );
        }
        // The maintained statistics know it; there is a row for each provider.
        let provider = if self.provider {
            "i.provider = @P2"
        } else {
            "@P2 IS NULL"
        };
        format!("SELECT i.images AS total FROM imagefleet.[statistics] AS i WHERE {provider}")
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
            if self.mime_type {
                "i.mime_key = @P4"
            } else {
                "@P4 IS NULL"
            },
        ]
        .join(" AND ")
    }
}

/// The LIKE pattern for "contains `q`", with LIKE's own characters escaped.
pub(super) fn pattern(q: &str) -> String {
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
    (0..16).map(|bits| {
        let filters = Filters {
            name: bits & 1 > 0,
            provider: bits & 2 > 0,
            import: bits & 4 > 0,
            mime_type: bits & 8 > 0,
        };
        filters.sql()
    })
}
