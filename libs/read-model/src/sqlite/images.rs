//! Queries on images and their statistics.

use std::collections::HashSet;

use contracts::{FileId, ImportId};
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::Sqlite;
use super::rows::{Cells, REMOVALS, STATISTICS, image, image_columns, json, removal, statistics};
use crate::query::MAX_SEARCH_CHARS;
use crate::{ImageRow, ImagesQuery, MAX_PER_PAGE, Paged, ProviderStatistics, Removal, Result};

pub(super) const BY_ID: &str = concat!("SELECT ", image_columns!(), " FROM images WHERE id = ?1");
pub(super) const LATEST: &str = concat!(
    "SELECT ",
    image_columns!(),
    " FROM images WHERE import_id = ?1 ORDER BY updated_at DESC, id DESC LIMIT ?2"
);
pub(super) const WITH_IDS: &str = concat!(
    "SELECT ",
    image_columns!(),
    " FROM images WHERE id IN (SELECT value FROM json_each(?1) AS listed)"
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

    pub(crate) async fn images(&self, query: ImagesQuery) -> Result<Paged<ImageRow>> {
        let read = move |sql: &Connection| {
            let per_page = query.per_page.clamp(1, MAX_PER_PAGE);
            let mut items = page_of_images(sql, &query, per_page + 1)?;
            let has_more = items.len() > per_page as usize;
            items.truncate(per_page as usize);
            Ok(Paged {
                items,
                total: count_images(sql, &query)?,
                has_more,
            })
        };
        self.readers.read(read).await
    }

    pub(crate) async fn page_of_images(&self, query: ImagesQuery) -> Result<Vec<ImageRow>> {
        let limit = query.per_page.clamp(1, MAX_PER_PAGE);
        let read = move |sql: &Connection| page_of_images(sql, &query, limit);
        self.readers.read(read).await
    }

    pub(crate) async fn count_images(&self, query: ImagesQuery) -> Result<u64> {
        let read = move |sql: &Connection| count_images(sql, &query);
        self.readers.read(read).await
    }

    pub(crate) async fn images_with(&self, ids: &[i64]) -> Result<Vec<ImageRow>> {
        let listed = json(&ids)?;
        let read = move |sql: &Connection| {
            let mut found = sql.prepare_cached(WITH_IDS)?;
            let rows = found.query_map([listed], image)?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        self.readers.read(read).await
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

fn page_of_images(sql: &Connection, query: &ImagesQuery, limit: u32) -> Result<Vec<ImageRow>> {
    let per_page = query.per_page.clamp(1, MAX_PER_PAGE);
    let (before, offset) = match query.after {
        Some(id) => (id, 0),
        None => (
            i64::MAX,
            i64::from(query.page.max(1) - 1) * i64::from(per_page),
        ),
    };
    let filters = Filters::of(query);
    let mut page = sql.prepare_cached(&filters.page_sql())?;
    let (part, import) = (query.q.as_deref().map(part), query.import.as_ref());
    let rows = page.query_map(
        params![
            part,
            query.provider,
            import.map(ImportId::as_str),
            query.mime_type,
            before,
            limit,
            offset
        ],
        image,
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn count_images(sql: &Connection, query: &ImagesQuery) -> Result<u64> {
    let (part, import) = (query.q.as_deref().map(part), query.import.as_ref());
    let import = import.map(ImportId::as_str);
    if let Some(total) = Filters::of(query).total_sql() {
        let values: [&dyn ToSql; 4] = [&part, &query.provider, &import, &query.mime_type];
        let mut total = sql.prepare_cached(&total)?;
        return Ok(total.query_row(values, |row| Cells::of(row).number())?);
    }
    let provider = query.provider.as_ref();
    let wanted =
        |row: &&ProviderStatistics| provider.is_none_or(|provider| *provider == row.provider);
    let all = all_statistics(sql)?;
    Ok(all.iter().filter(wanted).map(|row| row.images).sum())
}

/// Which filters a query has; values are always parameters: ?1 part of the name, ?2 provider, ?3 import, ?4 type.
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

    /// ?5 is the id to stay below, ?6 the limit, ?7 the offset.
    pub(super) fn page_sql(self) -> String {
        let columns = image_columns!();
        let conditions = self.conditions();
        format!(
            "SELECT {columns} FROM images WHERE {conditions} AND id < ?5
             ORDER BY id DESC LIMIT ?6 OFFSET ?7"
        )
    }

    /// `None` where the maintained statistics know the total.
    pub(super) fn total_sql(self) -> Option<String> {
        let counted = self.name || self.import || self.mime_type;
        counted.then(|| format!("SELECT count(*) FROM images WHERE {}", self.conditions()))
    }

    /// Absent filters keep their parameter, so that every query has the same ones. The `+` keeps
    /// SQLite from an index where another is narrower: an import's, then a type's, then a provider's.
    fn conditions(self) -> String {
        [
            if self.name {
                "instr(name_search, ?1) > 0"
            } else {
                "?1 IS NULL"
            },
            match (self.provider, self.import || self.mime_type) {
                (true, true) => "+provider = ?2",
                (true, false) => "provider = ?2",
                (false, _) => "?2 IS NULL",
            },
            if self.import {
                "import_id = ?3"
            } else {
                "?3 IS NULL"
            },
            match (self.mime_type, self.import) {
                (true, true) => "+mime_type = ?4",
                (true, false) => "mime_type = ?4",
                (false, _) => "?4 IS NULL",
            },
        ]
        .join(" AND ")
    }
}

/// What names in lower case are searched for. (`LIKE` would end a pattern at its first U+0000.)
pub(super) fn part(q: &str) -> String {
    let short = q.chars().take(MAX_SEARCH_CHARS);
    short.flat_map(char::to_lowercase).collect()
}
