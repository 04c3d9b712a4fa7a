//! Rows of each table as they are selected and as they are in Rust.

use std::str::FromStr;

use contracts::Cause;
use rusqlite::types::{FromSql, Type};
use rusqlite::{Error, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

pub(super) use crate::fold::number;
use crate::item::Item;
use crate::{
    Image, ImageRow, ImportRow, ImportStatus, ItemState, ProviderStatistics, ReadModelError,
    Reason, Removal,
};

type Read<T> = rusqlite::Result<T>;

macro_rules! import_columns {
    () => {
        "id, status, folder, folder_name, prefix, requested_by, recursive, skip_unchanged, total, \
         imported, skipped, failed, retrying, bytes, listing_completed, pages, cause, message, \
         created_at, started_at, finished_at, last_event_at, revision"
    };
}
macro_rules! item_columns {
    () => {
        "item_id, file_id, state, run, attempt, name, size, cause, message, task, updated_at, \
         history"
    };
}
macro_rules! image_columns {
    () => {
        "id, google_drive_id, name, path, size, mime_type, provider, bucket, object_key, md5, \
         sha256, content_tag, width, height, taken_at, orientation, modified_time, import_id, \
         created_at, updated_at"
    };
}
pub(super) use {image_columns, import_columns, item_columns};

pub(super) const IMPORT: &str =
    concat!("SELECT ", import_columns!(), " FROM imports WHERE id = ?1");
pub(super) const ITEM: &str = concat!(
    "SELECT ",
    item_columns!(),
    " FROM import_items WHERE import_id = ?1 AND item_id = ?2"
);
pub(super) const IMAGE: &str = concat!(
    "SELECT ",
    image_columns!(),
    " FROM images WHERE google_drive_id = ?1"
);
pub(super) const REMOVALS: &str = "SELECT sequence, import_id, file_id, bucket, object_key
     FROM removals WHERE sequence > 0 ORDER BY sequence LIMIT ?1";
pub(super) const STATISTICS: &str =
    "SELECT provider, images, bytes FROM statistics ORDER BY provider";

pub(super) fn import(row: &Row<'_>) -> Read<ImportRow> {
    let mut cells = Cells::of(row);
    Ok(ImportRow {
        id: cells.parsed()?,
        status: cells.code(ImportStatus::from_code)?,
        folder: cells.plain()?,
        folder_name: cells.plain()?,
        prefix: cells.parsed()?,
        requested_by: cells.plain()?,
        recursive: cells.plain()?,
        skip_unchanged: cells.plain()?,
        total: cells.number()?,
        imported: cells.number()?,
        skipped: cells.number()?,
        failed: cells.number()?,
        retrying: cells.number()?,
        bytes: cells.number()?,
        listing_completed: cells.plain()?,
        pages: cells.number()?,
        cause: cells
            .plain::<Option<String>>()?
            .map(|code| Cause::from_code(&code)),
        message: cells.plain()?,
        created_at: cells.time()?,
        started_at: cells.optional_time()?,
        finished_at: cells.optional_time()?,
        last_event_at: cells.time()?,
        revision: cells.number()?,
    })
}

pub(super) fn item(row: &Row<'_>) -> Read<Item> {
    let mut cells = Cells::of(row);
    let item_id = cells.parsed()?;
    let file_id = cells.optional_parsed()?;
    let state = cells.code(ItemState::from_code)?;
    Ok(Item {
        item_id,
        file_id,
        state,
        run: cells.plain()?,
        attempt: cells.plain()?,
        name: cells.plain()?,
        size: cells.optional_number()?,
        reason: cells
            .plain::<Option<String>>()?
            .map(|code| Reason::from_code(state, &code)),
        message: cells.plain()?,
        task: cells.optional_json()?,
        updated_at: cells.time()?,
        history: cells.optional_json()?.unwrap_or_default(),
    })
}

pub(super) fn image(row: &Row<'_>) -> Read<ImageRow> {
    let mut cells = Cells::of(row);
    Ok(ImageRow {
        id: cells.plain()?,
        image: Image {
            google_drive_id: cells.parsed()?,
            name: cells.plain()?,
            path: cells.plain()?,
            size: cells.number()?,
            mime_type: cells.plain()?,
            provider: cells.plain()?,
            bucket: cells.plain()?,
            object_key: cells.plain()?,
            md5: cells.plain()?,
            sha256: cells.plain()?,
            content_tag: cells.plain()?,
            width: cells.plain()?,
            height: cells.plain()?,
            taken_at: cells.plain()?,
            orientation: cells.plain()?,
            modified_time: cells.optional_time()?,
            import_id: cells.parsed()?,
            created_at: cells.time()?,
            updated_at: cells.time()?,
        },
    })
}

pub(super) fn statistics(row: &Row<'_>) -> Read<ProviderStatistics> {
    let mut cells = Cells::of(row);
    Ok(ProviderStatistics {
        provider: cells.plain()?,
        images: cells.number()?,
        bytes: cells.number()?,
    })
}

pub(super) fn removal(row: &Row<'_>) -> Read<Removal> {
    let mut cells = Cells::of(row);
    Ok(Removal {
        sequence: cells.number()?,
        import_id: cells.parsed()?,
        file_id: cells.parsed()?,
        bucket: cells.plain()?,
        key: cells.plain()?,
    })
}

/// The cells of a row from left to right: a struct literal reads its fields in the order of the
/// column list.
pub(super) struct Cells<'r> {
    row: &'r Row<'r>,
    next: usize,
}

impl<'r> Cells<'r> {
    pub(super) fn of(row: &'r Row<'r>) -> Self {
        Self { row, next: 0 }
    }

    pub(super) fn plain<T: FromSql>(&mut self) -> Read<T> {
        let value = self.row.get(self.next);
        self.next += 1;
        value
    }

    pub(super) fn number(&mut self) -> Read<u64> {
        let value: i64 = self.plain()?;
        u64::try_from(value).map_err(|_| Error::IntegralValueOutOfRange(self.next - 1, value))
    }

    fn optional_number(&mut self) -> Read<Option<u64>> {
        let value: Option<i64> = self.plain()?;
        let unsigned = |value| {
            u64::try_from(value).map_err(|_| Error::IntegralValueOutOfRange(self.next - 1, value))
        };
        value.map(unsigned).transpose()
    }

    pub(super) fn time(&mut self) -> Read<OffsetDateTime> {
        let value: i64 = self.plain()?;
        self.instant(value)
    }

    fn optional_time(&mut self) -> Read<Option<OffsetDateTime>> {
        let value: Option<i64> = self.plain()?;
        value.map(|value| self.instant(value)).transpose()
    }

    fn instant(&self, millis: i64) -> Read<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
            .map_err(|error| self.unreadable(Type::Integer, error))
    }

    pub(super) fn parsed<T>(&mut self) -> Read<T>
    where
        T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
    {
        let text: String = self.plain()?;
        text.parse()
            .map_err(|error| self.unreadable(Type::Text, error))
    }

    fn optional_parsed<T>(&mut self) -> Read<Option<T>>
    where
        T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
    {
        let text: Option<String> = self.plain()?;
        text.map(|text| {
            text.parse()
                .map_err(|error| self.unreadable(Type::Text, error))
        })
        .transpose()
    }

    pub(super) fn code<T>(&mut self, from_code: impl Fn(&str) -> Option<T>) -> Read<T> {
        let code: String = self.plain()?;
        from_code(&code).ok_or_else(|| self.unreadable(Type::Text, UnknownCode(code)))
    }

    fn optional_json<T: DeserializeOwned>(&mut self) -> Read<Option<T>> {
        let text: Option<String> = self.plain()?;
        let parse = |text: String| {
            serde_json::from_str(&text).map_err(|error| self.unreadable(Type::Text, error))
        };
        text.map(parse).transpose()
    }

    pub(super) fn json<T: DeserializeOwned>(&mut self) -> Read<T> {
        let text: String = self.plain()?;
        serde_json::from_str(&text).map_err(|error| self.unreadable(Type::Text, error))
    }

    fn unreadable(
        &self,
        found: Type,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> Error {
        Error::FromSqlConversionFailure(self.next - 1, found, Box::new(error))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no state that this release writes")]
struct UnknownCode(String);

pub(super) fn millis(at: OffsetDateTime) -> i64 {
    let millis = at.unix_timestamp_nanos().div_euclid(1_000_000);
    i64::try_from(millis).unwrap_or(i64::MAX)
}

pub(super) fn json(value: &impl Serialize) -> Result<String, ReadModelError> {
    serde_json::to_string(value).map_err(|error| ReadModelError::Corrupt(Box::new(error)))
}
