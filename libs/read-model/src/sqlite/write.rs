//! One fold: load what the batch touches, fold it in memory, write back what changed.

use contracts::{Event, FileId, ImportId};
use rusqlite::{Connection, OptionalExtension, Statement, Transaction, params};

use super::rows::{
    IMAGE, IMPORT, ITEM, STATISTICS, image, import, item, json, millis, number, statistics,
};
use super::writer::Batch;
use crate::fold::State;
use crate::item::Item;
use crate::touched::Touched;
use crate::{Folded, ImageRow, ImportRow, ReadModelError, Removal, Result};

pub(super) fn fold(connection: &mut Connection, batch: &Batch) -> Result<Folded> {
    let transaction = connection.transaction()?;
    move_checkpoint(&transaction, batch)?;

    let new = batch
        .events
        .iter()
        .filter(|(sequence, _)| *sequence > batch.expected);
    let events: Vec<&(u64, Event)> = new.collect();
    let mut state = load(&transaction, &events)?;
    let folded = state.apply_all(&events);
    write(&transaction, &state)?;
    transaction.commit()?;
    Ok(folded)
}

fn move_checkpoint(transaction: &Transaction<'_>, batch: &Batch) -> Result<()> {
    let Batch {
        name,
        expected,
        new_checkpoint,
        ..
    } = batch;
    transaction
        .prepare_cached("INSERT OR IGNORE INTO checkpoints (name, seq) VALUES (?1, 0)")?
        .execute([name])?;
    let moved = transaction
        .prepare_cached("UPDATE checkpoints SET seq = ?3 WHERE name = ?1 AND seq = ?2")?
        .execute(params![name, number(*expected), number(*new_checkpoint)])?;
    if moved == 0 {
        return Err(ReadModelError::Fenced {
            name: name.clone(),
            expected: *expected,
        });
    }
    Ok(())
}

fn load(transaction: &Transaction<'_>, events: &[&(u64, Event)]) -> Result<State> {
    let touched = Touched::by(events.iter().map(|(_, event)| event));
    let mut state = State::default();
    let mut all = transaction.prepare_cached(STATISTICS)?;
    for row in all.query_map([], statistics)? {
        let row = row?;
        state.statistics.load(row.provider.clone(), row);
    }
    let mut imports = transaction.prepare_cached(IMPORT)?;
    for id in touched.imports {
        if let Some(row) = imports.query_row([id.as_str()], import).optional()? {
            state.imports.load(id.clone(), row);
        }
    }
    let mut items = transaction.prepare_cached(ITEM)?;
    for (id, entry) in touched.items {
        let key = [id.as_str(), entry.as_str()];
        if let Some(row) = items.query_row(key, item).optional()? {
            state.items.load((id.clone(), entry.clone()), row);
        }
    }
    let mut images = transaction.prepare_cached(IMAGE)?;
    for file in touched.images {
        if let Some(row) = images.query_row([file.as_str()], image).optional()? {
            state.images.load(file.clone(), row);
        }
    }
    Ok(state)
}

const SAVE_STATISTICS: &str =
    "INSERT OR REPLACE INTO statistics (provider, images, bytes) VALUES (?1, ?2, ?3)";
const SAVE_IMPORT: &str = "INSERT OR REPLACE INTO imports
     (id, status, folder, folder_name, prefix, requested_by, recursive, skip_unchanged, total,
      imported, skipped, failed, retrying, bytes, listing_completed, pages, cause, message,
      created_at, started_at, finished_at, last_event_at, revision)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
             ?20, ?21, ?22, ?23)";
const SAVE_ITEM: &str = "INSERT OR REPLACE INTO import_items
     (import_id, item_id, file_id, state, run, attempt, name, size, cause, message, task,
      updated_at, history)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
const SAVE_IMAGE: &str = "INSERT OR REPLACE INTO images
     (google_drive_id, name, name_search, path, size, mime_type, provider, bucket, object_key, md5,
      sha256, content_tag, width, height, taken_at, orientation, modified_time, import_id,
      created_at, updated_at, id)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
             ?20, ?21)";
const SAVE_REMOVAL: &str = "INSERT OR REPLACE INTO removals
     (sequence, import_id, file_id, bucket, object_key) VALUES (?1, ?2, ?3, ?4, ?5)";
const DELETE_REMOVAL: &str = "DELETE FROM removals WHERE object_key = ?1";
const FORGET_REMOVAL: &str = "DELETE FROM removals WHERE sequence = ?1";
const DELETE_IMAGE: &str = "DELETE FROM images WHERE google_drive_id = ?1";

fn write(transaction: &Transaction<'_>, state: &State) -> Result<()> {
    let mut save = transaction.prepare_cached(SAVE_STATISTICS)?;
    for row in state.statistics.changes().filter_map(|(_, row)| row) {
        save.execute(params![row.provider, number(row.images), number(row.bytes)])?;
    }
    let mut save = transaction.prepare_cached(SAVE_IMPORT)?;
    for row in state.imports.changes().filter_map(|(_, row)| row) {
        save_import(&mut save, row)?;
    }
    let mut save = transaction.prepare_cached(SAVE_ITEM)?;
    for ((import, _), row) in state.items.changes() {
        if let Some(row) = row {
            save_item(&mut save, import, row)?;
        }
    }
    let mut save = transaction.prepare_cached(SAVE_IMAGE)?;
    let mut delete = transaction.prepare_cached(DELETE_IMAGE)?;
    for (file, row) in state.images.changes() {
        match row {
            Some(row) => save_image(&mut save, row)?,
            None => _ = delete.execute([file.as_str()])?,
        }
    }
    let mut save = transaction.prepare_cached(SAVE_REMOVAL)?;
    let mut delete = transaction.prepare_cached(DELETE_REMOVAL)?;
    for (key, row) in state.removals.changes() {
        match row {
            Some(row) => save_removal(&mut save, row)?,
            None => _ = delete.execute([key])?,
        }
    }
    Ok(())
}

/// Drop the removals that were noted at these sequences.
pub(super) fn forget_removals(connection: &mut Connection, sequences: &[u64]) -> Result<()> {
    let transaction = connection.transaction()?;
    let mut forget = transaction.prepare_cached(FORGET_REMOVAL)?;
    for sequence in sequences {
        forget.execute([number(*sequence)])?;
    }
    drop(forget);
    Ok(transaction.commit()?)
}

fn save_removal(save: &mut Statement<'_>, row: &Removal) -> Result<()> {
    save.execute(params![
        number(row.sequence),
        row.import_id.as_str(),
        row.file_id.as_str(),
        row.bucket,
        row.key,
    ])?;
    Ok(())
}

fn save_import(save: &mut Statement<'_>, row: &ImportRow) -> Result<()> {
    save.execute(params![
        row.id.as_str(),
        row.status.code(),
        row.folder,
        row.folder_name,
        row.prefix.as_str(),
        row.requested_by,
        row.recursive,
        row.skip_unchanged,
        number(row.total),
        number(row.imported),
        number(row.skipped),
        number(row.failed),
        number(row.retrying),
        number(row.bytes),
        row.listing_completed,
        number(row.pages),
        row.cause.map(contracts::Cause::code),
        row.message,
        millis(row.created_at),
        row.started_at.map(millis),
        row.finished_at.map(millis),
        millis(row.last_event_at),
        number(row.revision),
    ])?;
    Ok(())
}

fn save_item(save: &mut Statement<'_>, import: &ImportId, row: &Item) -> Result<()> {
    save.execute(params![
        import.as_str(),
        row.item_id.as_str(),
        row.file_id.as_ref().map(FileId::as_str),
        row.state.code(),
        row.run,
        row.attempt,
        row.name,
        row.size.map(number),
        row.reason.map(crate::Reason::code),
        row.message,
        row.task.as_ref().map(json).transpose()?,
        millis(row.updated_at),
        history(row)?,
    ])?;
    Ok(())
}

/// NULL where there is none, which is nearly everywhere.
fn history(row: &Item) -> Result<Option<String>> {
    let kept = (!row.history.is_empty()).then(|| json(&row.history));
    kept.transpose()
}

fn save_image(save: &mut Statement<'_>, ImageRow { id, image: row }: &ImageRow) -> Result<()> {
    save.execute(params![
        row.google_drive_id.as_str(),
        row.name,
        row.name.to_lowercase(),
        row.path,
        number(row.size),
        row.mime_type,
        row.provider,
        row.bucket,
        row.object_key,
        row.md5,
        row.sha256,
        row.content_tag,
        row.width,
        row.height,
        row.taken_at,
        row.orientation,
        row.modified_time.map(millis),
        row.import_id.as_str(),
        millis(row.created_at),
        millis(row.updated_at),
        id,
    ])?;
    Ok(())
}
