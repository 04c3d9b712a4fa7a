//! Rows as they lie in SQLite, and the same as the events tell them.
//!
//! The fold here is written a second time on purpose, as simply as it can be and on nothing of the
//! read model: a mistake of the one is not a mistake of the other.

use std::collections::BTreeMap;
use std::path::Path;

use contracts::{Event, EventBody, Object, SourceFile};
use rusqlite::{Connection, OpenFlags, Row};

/// The tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    /// By import.
    pub imports: BTreeMap<String, ImportRow>,
    /// By import and entry.
    pub items: BTreeMap<(String, String), ItemRow>,
    /// By Drive file.
    pub images: BTreeMap<String, ImageRow>,
    /// Objects to be removed because others took their rows, by key.
    pub removals: BTreeMap<String, String>,
    /// Images and bytes by provider.
    pub statistics: BTreeMap<String, (u64, u64)>,
}

/// One import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportRow {
    /// `processing`, `completed` and so on.
    pub status: String,
    /// Entries.
    pub total: u64,
    /// Of them imported.
    pub imported: u64,
    /// Of them skipped.
    pub skipped: u64,
    /// Of them failed.
    pub failed: u64,
    /// Of them waiting for another execution.
    pub retrying: u64,
    /// Bytes of the imported ones.
    pub bytes: u64,
    /// Whether all are known.
    pub listed: bool,
}

/// One entry of one import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemRow {
    /// `queued`, `retrying`, `imported`, `skipped` or `failed`.
    pub state: String,
    /// From 1.
    pub run: u64,
    /// Why it failed or was skipped.
    pub cause: Option<String>,
    /// Executions that failed in this run; meaningful while retrying only.
    pub attempt: u64,
    /// Bytes, where known.
    pub size: Option<u64>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRow {
    /// The place in the stream of the event that made the row.
    pub id: u64,
    /// Where its object is.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Lower-case hex.
    pub sha256: String,
    /// Who stored it last.
    pub import: String,
}

impl Tables {
    /// What lies in SQLite.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(database: &Path) -> anyhow::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let sql = Connection::open_with_flags(database, flags)?;
        let mut tables = Self::default();
        let mut rows = sql.prepare(
            "SELECT id, status, total, imported, skipped, failed, retrying, bytes, listing_completed
             FROM imports",
        )?;
        let read = rows.query_map([], |row| {
            let import = ImportRow {
                status: row.get(1)?,
                total: number(row, 2)?,
                imported: number(row, 3)?,
                skipped: number(row, 4)?,
                failed: number(row, 5)?,
                retrying: number(row, 6)?,
                bytes: number(row, 7)?,
                listed: row.get(8)?,
            };
            Ok((row.get(0)?, import))
        })?;
        tables.imports = read.collect::<Result<_, _>>()?;
        let mut rows = sql.prepare(
            "SELECT import_id, item_id, state, run, cause, attempt, size FROM import_items",
        )?;
        let read = rows.query_map([], |row| {
            let item = ItemRow {
                state: row.get(2)?,
                run: number(row, 3)?,
                cause: row.get(4)?,
                attempt: number(row, 5)?,
                size: row.get::<_, Option<i64>>(6)?.map(i64::unsigned_abs),
            };
            Ok(((row.get(0)?, row.get(1)?), item))
        })?;
        tables.items = read.collect::<Result<_, _>>()?;
        let mut rows = sql.prepare(
            "SELECT google_drive_id, object_key, size, sha256, import_id, id FROM images",
        )?;
        let read = rows.query_map([], |row| {
            let image = ImageRow {
                key: row.get(1)?,
                size: number(row, 2)?,
                sha256: row.get(3)?,
                import: row.get(4)?,
                id: number(row, 5)?,
            };
            Ok((row.get(0)?, image))
        })?;
        tables.images = read.collect::<Result<_, _>>()?;
        let mut rows = sql.prepare("SELECT object_key, import_id FROM removals")?;
        let read = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        tables.removals = read.collect::<Result<_, _>>()?;
        let mut rows = sql.prepare("SELECT provider, images, bytes FROM statistics")?;
        let read = rows.query_map([], |row| {
            Ok((row.get(0)?, (number(row, 1)?, number(row, 2)?)))
        })?;
        tables.statistics = read.collect::<Result<_, _>>()?;
        Ok(tables)
    }

    /// The last event that was folded.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn folded(database: &Path) -> anyhow::Result<u64> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let sql = Connection::open_with_flags(database, flags)?;
        let newest = "SELECT coalesce(max(seq), 0) FROM checkpoints";
        Ok(sql.query_row(newest, [], |row| number(row, 0))?)
    }

    /// What these events tell, each with its place in the stream. Removals are not among it: they
    /// are forgotten when they are asked for, of which no event tells.
    #[must_use]
    pub fn told_by(events: &[(u64, Event)]) -> Self {
        let mut tables = Self::default();
        for (sequence, event) in events {
            tables.hear(*sequence, event);
        }
        tables
    }

    fn hear(&mut self, sequence: u64, event: &Event) {
        let import = event.import_id.to_string();
        match &event.body {
            EventBody::TaskUnreadable { .. } => return,
            EventBody::ImageDeleted { file_id, key } => {
                let gone = self
                    .images
                    .get(file_id.as_str())
                    .is_some_and(|image| image.key == *key);
                if gone {
                    self.forget_image(file_id.as_str());
                }
                return;
            }
            _ => {}
        }
        let row = self
            .imports
            .entry(import.clone())
            .or_insert_with(|| ImportRow {
                status: "processing".to_owned(),
                ..ImportRow::default()
            });
        let open = !is_final(&row.status);
        let mut become_one_of = |from: &[&str], to: &str| {
            if from.contains(&row.status.as_str()) {
                row.status = to.to_owned();
            }
        };
        match &event.body {
            EventBody::ImportListed {
                queued, skipped, ..
            } if open => {
                for item in queued {
                    self.first_heard(&import, item.as_str(), "queued", None);
                }
                for entry in skipped {
                    let reason = Some(entry.reason.code().to_owned());
                    self.first_heard(&import, entry.item_id.as_str(), "skipped", reason);
                }
            }
            EventBody::ImportListingCompleted { .. } => row.listed = true,
            EventBody::ImportFailed { .. } => become_one_of(&["processing", "paused"], "failed"),
            EventBody::ImportCancelled {} => become_one_of(&["processing", "paused"], "cancelled"),
            EventBody::ImportPaused {} => become_one_of(&["processing"], "paused"),
            EventBody::ImportResumed {} => become_one_of(&["paused"], "processing"),
            EventBody::ImportRedriven { items } => {
                for entry in items {
                    let known = self.items.get(&(import.clone(), entry.item_id.to_string()));
                    let failed = known.filter(|item| item.state == "failed");
                    if let Some(item) = failed.filter(|item| item.run < u64::from(entry.run)) {
                        let again = ItemRow {
                            state: "queued".to_owned(),
                            run: u64::from(entry.run),
                            cause: None,
                            attempt: 0,
                            size: item.size,
                        };
                        self.put(&import, entry.item_id.as_str(), again);
                    }
                }
            }
            body => {
                if let Some((item, row)) = reported(body) {
                    self.report(&import, &item, row);
                }
                if let EventBody::ImageImported { file, object, .. } = body {
                    self.image(sequence, &import, file, object);
                }
            }
        }
        self.complete(&import);
    }

    fn first_heard(&mut self, import: &str, item: &str, state: &str, cause: Option<String>) {
        if !self
            .items
            .contains_key(&(import.to_owned(), item.to_owned()))
        {
            let row = ItemRow {
                state: state.to_owned(),
                run: 1,
                cause,
                ..ItemRow::default()
            };
            self.put(import, item, row);
        }
    }

    fn report(&mut self, import: &str, item: &str, report: ItemRow) {
        let known = self.items.get(&(import.to_owned(), item.to_owned()));
        let ended = self
            .imports
            .get(import)
            .is_some_and(|row| is_final(&row.status));
        let report = match known {
            None if ended => return,
            None => report,
            Some(known) => {
                let settled = matches!(known.state.as_str(), "imported" | "skipped" | "failed");
                let older = report.state == "retrying" && report.attempt <= known.attempt;
                if report.run < known.run || (report.run == known.run && (settled || older)) {
                    return;
                }
                ItemRow {
                    size: report.size.or(known.size),
                    ..report
                }
            }
        };
        self.put(import, item, report);
    }

    /// Replaces an entry and the counters it is counted in; nothing of a cancelled import.
    fn put(&mut self, import: &str, item: &str, new: ItemRow) {
        let Some(row) = self.imports.get_mut(import) else {
            return;
        };
        if row.status == "cancelled" {
            return;
        }
        let key = (import.to_owned(), item.to_owned());
        match self.items.get(&key) {
            None => row.total += 1,
            Some(old) => row.count(old, -1),
        }
        row.count(&new, 1);
        if row.status == "completed" {
            row.status = "processing".to_owned();
        }
        self.items.insert(key, new);
    }

    fn complete(&mut self, import: &str) {
        if let Some(row) = self.imports.get_mut(import) {
            let settled = row.imported + row.skipped + row.failed;
            if !is_final(&row.status) && row.listed && settled == row.total {
                row.status = "completed".to_owned();
            }
        }
    }

    fn image(&mut self, sequence: u64, import: &str, file: &SourceFile, object: &Object) {
        let known = self.images.get(file.id.as_str());
        let id = known.map_or(sequence, |image| image.id);
        self.forget_image(file.id.as_str());
        let row = ImageRow {
            id,
            key: object.key.clone(),
            size: object.size,
            sha256: object.sha256.clone(),
            import: import.to_owned(),
        };
        let (images, bytes) = self.statistics.entry(object.provider.clone()).or_default();
        (*images, *bytes) = (*images + 1, *bytes + row.size);
        self.images.insert(file.id.to_string(), row);
    }

    fn forget_image(&mut self, file: &str) {
        if let Some(old) = self.images.remove(file) {
            // All images of a run are at one provider.
            for (images, bytes) in self.statistics.values_mut() {
                (*images, *bytes) = (*images - 1, *bytes - old.size);
            }
        }
    }
}

impl ImportRow {
    fn count(&mut self, item: &ItemRow, by: i64) {
        let add = |counter: &mut u64, by: i64| *counter = counter.saturating_add_signed(by);
        match item.state.as_str() {
            "imported" => {
                add(&mut self.imported, by);
                let size = i64::try_from(item.size.unwrap_or(0)).unwrap_or(i64::MAX);
                add(&mut self.bytes, by * size);
            }
            "skipped" => add(&mut self.skipped, by),
            "failed" => add(&mut self.failed, by),
            "retrying" => add(&mut self.retrying, by),
            _ => {}
        }
    }
}

/// A column that is never negative.
fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

fn is_final(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "cancelled")
}

/// What a worker's event says about an entry.
fn reported(body: &EventBody) -> Option<(String, ItemRow)> {
    let row =
        |state: &str, run: u32, attempt: u32, cause: Option<&str>, size: Option<u64>| ItemRow {
            state: state.to_owned(),
            run: u64::from(run),
            cause: cause.map(str::to_owned),
            attempt: u64::from(attempt),
            size,
        };
    match body {
        EventBody::ImageImported {
            run,
            attempt,
            file,
            object,
            ..
        } => {
            let row = row("imported", *run, *attempt, None, Some(object.size));
            Some((file.item_id.to_string(), row))
        }
        EventBody::ImageSkipped { run, file, reason } => {
            let row = row("skipped", *run, 0, Some(reason.code()), file.size);
            Some((file.item_id.to_string(), row))
        }
        EventBody::ImageRetrying {
            run,
            attempt,
            item_id,
            cause,
            ..
        } => {
            let row = row("retrying", *run, *attempt, Some(cause.code()), None);
            Some((item_id.to_string(), row))
        }
        EventBody::ImageFailed {
            cause,
            attempts,
            task,
            ..
        } => {
            let row = row(
                "failed",
                task.run,
                *attempts,
                Some(cause.code()),
                task.file.size,
            );
            Some((task.file.item_id.to_string(), row))
        }
        _ => None,
    }
}
