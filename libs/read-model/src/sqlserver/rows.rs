//! Rows of each table as they are in Rust.

use std::str::FromStr;

use contracts::{Cause, ImportId};
use serde::de::DeserializeOwned;
use tiberius::{ColumnData, FromSql, Row};
use time::OffsetDateTime;

use super::text::original;
use crate::item::Item;
use crate::{
    FailedItem, Image, ImageRow, ImportRow, ImportStatus, ItemState, ProviderStatistics,
    ReadModelError, Reason, Removal, Result,
};

pub(super) fn import(row: &Row) -> Result<ImportRow> {
    let mut cells = Cells::of(row);
    Ok(ImportRow {
        id: cells.parsed()?,
        status: cells.code(ImportStatus::from_code)?,
        folder: cells.optional_text()?,
        folder_name: cells.optional_text()?,
        prefix: cells.parsed()?,
        requested_by: cells.optional_text()?,
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
        cause: cells.optional_text()?.map(|code| Cause::from_code(&code)),
        message: cells.optional_text()?,
        created_at: cells.time()?,
        started_at: cells.optional_time()?,
        finished_at: cells.optional_time()?,
        last_event_at: cells.time()?,
        revision: cells.number()?,
    })
}

pub(super) fn item(row: &Row) -> Result<Item> {
    read_item(&mut Cells::of(row))
}

/// An item with its import, which is the last column then.
pub(super) fn item_of_import(row: &Row) -> Result<(ImportId, Item)> {
    let mut cells = Cells::of(row);
    let item = read_item(&mut cells)?;
    Ok((cells.parsed()?, item))
}

fn read_item(cells: &mut Cells<'_>) -> Result<Item> {
    let item_id = cells.parsed()?;
    let file_id = cells.optional_parsed()?;
    let state = cells.code(ItemState::from_code)?;
    Ok(Item {
        item_id,
        file_id,
        state,
        run: cells.number()?,
        attempt: cells.number()?,
        name: cells.optional_text()?,
        size: cells.optional_number()?,
        reason: cells
            .optional_text()?
            .map(|code| Reason::from_code(state, &code)),
        message: cells.optional_text()?,
        task: cells.optional_json()?,
        updated_at: cells.time()?,
        history: cells.optional_json()?.unwrap_or_default(),
    })
}

pub(super) fn failed_item(row: &Row) -> Result<FailedItem> {
    let mut cells = Cells::of(row);
    Ok(FailedItem {
        item_id: cells.parsed()?,
        name: cells.text()?,
        cause: Cause::from_code(&cells.text()?),
        message: cells.text()?,
        attempts: cells.number()?,
        task: cells.json()?,
        failed_at: cells.time()?,
    })
}

pub(super) fn image(row: &Row) -> Result<ImageRow> {
    let mut cells = Cells::of(row);
    Ok(ImageRow {
        id: cells.plain()?,
        image: Image {
            google_drive_id: cells.parsed()?,
            name: cells.text()?,
            path: cells.text()?,
            size: cells.number()?,
            mime_type: cells.text()?,
            provider: cells.text()?,
            bucket: cells.text()?,
            object_key: cells.text()?,
            md5: cells.text()?,
            sha256: cells.text()?,
            content_tag: cells.text()?,
            width: cells.optional_number()?,
            height: cells.optional_number()?,
            taken_at: cells.optional_text()?,
            orientation: cells.optional_number()?,
            modified_time: cells.optional_time()?,
            import_id: cells.parsed()?,
            created_at: cells.time()?,
            updated_at: cells.time()?,
        },
    })
}

pub(super) fn statistics(row: &Row) -> Result<ProviderStatistics> {
    let mut cells = Cells::of(row);
    Ok(ProviderStatistics {
        provider: cells.text()?,
        images: cells.number()?,
        bytes: cells.number()?,
    })
}

pub(super) fn removal(row: &Row) -> Result<Removal> {
    let mut cells = Cells::of(row);
    Ok(Removal {
        sequence: cells.number()?,
        import_id: cells.parsed()?,
        file_id: cells.parsed()?,
        bucket: cells.text()?,
        key: cells.text()?,
    })
}

/// Every row through `read`.
pub(super) fn each<T>(rows: &[Row], read: impl Fn(&Row) -> Result<T>) -> Result<Vec<T>> {
    rows.iter().map(read).collect()
}

/// The number that is the only cell of the only row, if there is a row.
pub(super) fn only_number(rows: &[Row]) -> Result<Option<u64>> {
    rows.first().map(|row| Cells::of(row).number()).transpose()
}

/// The cells of a row from left to right: a struct literal reads its fields in the order of the
/// column list.
pub(super) struct Cells<'r> {
    row: &'r Row,
    next: usize,
}

impl<'r> Cells<'r> {
    pub(super) fn of(row: &'r Row) -> Self {
        Self { row, next: 0 }
    }

    fn optional<T: FromSql<'r>>(&mut self) -> Result<Option<T>> {
        let cell = self.next;
        self.next += 1;
        self.row
            .try_get(cell)
            .map_err(|error| unreadable(self.row, cell, error))
    }

    pub(super) fn plain<T: FromSql<'r>>(&mut self) -> Result<T> {
        self.optional()?
            .ok_or_else(|| self.last_unreadable(UnexpectedNull))
    }

    /// An integer of any width: COUNT's is narrower than the columns'.
    fn integer(&mut self) -> Result<Option<i64>> {
        let found = self.row.get_column_data(self.next);
        match found.map_err(|error| unreadable(self.row, self.next, error))? {
            ColumnData::I32(value) => {
                self.next += 1;
                Ok(value.map(i64::from))
            }
            _ => self.optional(),
        }
    }

    pub(super) fn text(&mut self) -> Result<String> {
        self.plain::<&str>().map(original)
    }

    pub(super) fn optional_text(&mut self) -> Result<Option<String>> {
        Ok(self.optional::<&str>()?.map(original))
    }

    pub(super) fn number<T: TryFrom<i64>>(&mut self) -> Result<T> {
        let value = self
            .integer()?
            .ok_or_else(|| self.last_unreadable(UnexpectedNull))?;
        T::try_from(value).map_err(|_| self.last_unreadable(OutOfRange(value)))
    }

    fn optional_number<T: TryFrom<i64>>(&mut self) -> Result<Option<T>> {
        let value = self.integer()?;
        let narrow =
            |value| T::try_from(value).map_err(|_| self.last_unreadable(OutOfRange(value)));
        value.map(narrow).transpose()
    }

    pub(super) fn time(&mut self) -> Result<OffsetDateTime> {
        let millis: i64 = self.plain()?;
        self.instant(millis)
    }

    fn optional_time(&mut self) -> Result<Option<OffsetDateTime>> {
        let millis: Option<i64> = self.optional()?;
        millis.map(|millis| self.instant(millis)).transpose()
    }

    fn instant(&self, millis: i64) -> Result<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
            .map_err(|error| self.last_unreadable(error))
    }

    pub(super) fn parsed<T>(&mut self) -> Result<T>
    where
        T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
    {
        let text: &str = self.plain()?;
        text.parse().map_err(|error| self.last_unreadable(error))
    }

    fn optional_parsed<T>(&mut self) -> Result<Option<T>>
    where
        T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
    {
        let text: Option<&str> = self.optional()?;
        let parse = |text: &str| text.parse().map_err(|error| self.last_unreadable(error));
        text.map(parse).transpose()
    }

    pub(super) fn code<T>(&mut self, from_code: impl Fn(&str) -> Option<T>) -> Result<T> {
        let code: &str = self.plain()?;
        from_code(code).ok_or_else(|| self.last_unreadable(UnknownCode(code.to_owned())))
    }

    fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        let text: &str = self.plain()?;
        serde_json::from_str(text).map_err(|error| self.last_unreadable(error))
    }

    fn optional_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let text: Option<&str> = self.optional()?;
        let parse =
            |text: &str| serde_json::from_str(text).map_err(|error| self.last_unreadable(error));
        text.map(parse).transpose()
    }

    fn last_unreadable(
        &self,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> ReadModelError {
        unreadable(self.row, self.next.saturating_sub(1), error)
    }
}

fn unreadable(
    row: &Row,
    cell: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> ReadModelError {
    let column = row.columns().get(cell).map_or("", |column| column.name());
    ReadModelError::Corrupt(Box::new(Unreadable {
        column: column.to_owned(),
        source: Box::new(error),
    }))
}

#[derive(Debug, thiserror::Error)]
#[error("column {column:?}: {source}")]
struct Unreadable {
    column: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

#[derive(Debug, thiserror::Error)]
#[error("it is NULL")]
struct UnexpectedNull;

#[derive(Debug, thiserror::Error)]
#[error("{0} is out of range")]
struct OutOfRange(i64);

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no state that this release writes")]
struct UnknownCode(String);
