//! Queries on images and their statistics.

use std::collections::HashSet;

use contracts::{FileId, ImportId};
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::Sqlite;
use super::rows::{Cells, REMOVALS, STATISTICS, image, image_columns, json, removal, statistics};
use crate::query::{EXPORT_BATCH, MAX_SEARCH_CHARS};
use crate::{ImageRow, ImagesQuery, MAX_PER_PAGE, Paged, ProviderStatistics, Removal, Result};

pub(super) const BY_ID: &str = concat!("SELECT ", image_columns!(), " FROM images WHERE id = ?1");
pub(super) const LATEST: &str = concat!(
    "SELECT ",
    image_columns!(),
    " FROM images WHERE import_id = ?1 ORDER BY updated_at DESC, id DESC LIMIT ?2"
);
pub(super) const BEFORE: &str = concat!(
    "SELECT ",
    image_columns!(),
    " FROM images WHERE id < ?1 ORDER BY id DESC LIMIT ?2"
);
/// CROSS JOIN is SQLite's way to say: the list first, then one look-up per entry.
pub(super) const UNCHANGED: &str = "SELECT images.google_drive_id FROM json_each(?1) AS listed
     CROSS JOIN images ON images.google_drive_id = json_extract(listed.value, '$[0]')
     WHERE images.content_tag = json_extract(listed.value, '$[1]')";

impl Sqlite {
    pub(crate) async fn image(&self, id: i64) -> Result<Option<ImageRow>> {
        let read = move |sql: &Connection| {
            Ok(sql
                .prepare_cached(BY_ID)?
                .query_row([id], image)
                .optional()?)
        };
        self.readers.read(read).await
    }

    pub(crate) async fn latest_images(
        &self,
        import: &ImportId,
        limit: u32,
    ) -> Result<Vec<ImageRow>> {
        let import = import.clone();
        let read = move |sql: &Connection| {
            let mut latest = sql.prepare_cached(LATEST)?;
            let rows =
                latest.query_map(params![import.as_str(), limit.min(MAX_PER_PAGE)], image)?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        self.readers.read(read).await
    }

    pub(crate) async fn images_before(&self, id: i64) -> Result<Vec<ImageRow>> {
        let read = move |sql: &Connection| {
            let mut before = sql.prepare_cached(BEFORE)?;
            let rows = before.query_map(params![id, EXPORT_BATCH], image)?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        self.readers.read(read).await
    }

    pub(crate) async fn images(&self, query: ImagesQuery) -> Result<Paged<ImageRow>> {
        self.readers
            .read(move |sql| page_of_images(sql, &query))
            .await
    }

    pub(crate) async fn removals(&self, limit: u32) -> Result<Vec<Removal>> {
        let read = move |sql: &Connection| {
            let mut oldest = sql.prepare_cached(REMOVALS)?;
            let rows = oldest.query_map([limit.min(MAX_PER_PAGE)], removal)?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        self.readers.read(read).await
    }

    pub(crate) async fn statistics(&self) -> Result<Vec<ProviderStatistics>> {
        self.readers.read(all_statistics).await
    }

    pub(crate) async fn imported_unchanged(
        &self,
        files: &[(FileId, String)],
    ) -> Result<HashSet<FileId>> {
        let listed = json(&files)?;
        let read = move |sql: &Connection| {
            let mut unchanged = sql.prepare_cached(UNCHANGED)?;
            let rows = unchanged.query_map([listed], |row| Cells::of(row).parsed())?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        self.readers.read(read).await
    }
}

fn all_statistics(sql: &Connection) -> Result<Vec<ProviderStatistics>> {
    let mut all = sql.prepare_cached(STATISTICS)?;
    let rows = all.query_map([], statistics)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn page_of_images(sql: &Connection, query: &ImagesQuery) -> Result<Paged<ImageRow>> {
    let per_page = query.per_page.clamp(1, MAX_PER_PAGE);
    let limit = per_page + 1;
    let (before, offset) = match query.after {
        Some(id) => (id, 0),
        None => (
            i64::MAX,
            i64::from(query.page.max(1) - 1) * i64::from(per_page),
        ),
    };
    let filters = Filters::of(query);
    let mut page = sql.prepare_cached(&filters.page_sql())?;
    let (pattern, import) = (query.q.as_deref().map(pattern), query.import.as_ref());
    let import = import.map(ImportId::as_str);
    let filter_values: [&dyn ToSql; 3] = [&pattern, &query.provider, &import];
    let rows = page.query_map(
        params![
            filter_values[0],
            filter_values[1],
            filter_values[2],
            before,
            limit,
            offset
        ],
        image,
    )?;
    let mut items: Vec<ImageRow> = rows.collect::<Result<_, _>>()?;
    let has_more = items.len() > per_page as usize;
    items.truncate(per_page as usize);

    let total = match filters.total_sql() {
        Some(total) => sql
            .prepare_cached(&total)?
            .query_row(filter_values, |row| Cells::of(row).number())?,
        None => all_statistics(sql)?
            .iter()
            .filter(|row| {
                query
                    .provider
                    .as_ref()
                    .is_none_or(|provider| *provider == row.provider)
            })
            .map(|row| row.images)
            .sum(),
    };
    Ok(Paged {
        items,
        total,
        has_more,
    })
}

/// Which filters a query has; values are always parameters: ?1 pattern, ?2 provider, ?3 import.
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

    /// ?4 is the id to stay below, ?5 the limit, ?6 the offset.
    pub(super) fn page_sql(self) -> String {
        let columns = image_columns!();
        let conditions = self.conditions();
        format!(
            "SELECT {columns} FROM images WHERE {conditions} AND id < ?4
             ORDER BY id DESC LIMIT ?5 OFFSET ?6"
        )
    }

    /// `None` where the maintained statistics know the total.
    pub(super) fn total_sql(self) -> Option<String> {
        let counted = self.name || self.import;
        counted.then(|| format!("SELECT count(*) FROM images WHERE {}", self.conditions()))
    }

    /// Absent filters keep their parameter, so that every query has the same ones. The `+` keeps
    /// SQLite from the provider's index where the import's is narrower.
    fn conditions(self) -> String {
        [
            if self.name {
                r"name_search LIKE ?1 ESCAPE '\'"
            } else {
                "?1 IS NULL"
            },
            match (self.provider, self.import) {
                (true, true) => "+provider = ?2",
                (true, false) => "provider = ?2",
                (false, _) => "?2 IS NULL",
            },
            if self.import {
                "import_id = ?3"
            } else {
                "?3 IS NULL"
            },
        ]
        .join(" AND ")
    }
}

/// The LIKE pattern for "contains `q`", with LIKE's own characters escaped.
fn pattern(q: &str) -> String {
    let mut pattern = String::from("%");
    for c in q
        .chars()
        .take(MAX_SEARCH_CHARS)
        .flat_map(char::to_lowercase)
    {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}
