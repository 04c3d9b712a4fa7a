//! Every statement. They name the schema `imagefleet`; [`within`] puts another in its place.
//!
//! What arrives as JSON has the database's collation, so every comparison with a column says that the
//! column's decides: identifiers of Drive may differ in nothing but case.

use std::borrow::Cow;

use crate::settings::Schema;

const SCHEMA: &str = "imagefleet.";

/// `statement` with its tables in `schema`.
pub(super) fn within<'s>(statement: &'s str, schema: &Schema) -> Cow<'s, str> {
    let name = schema.as_str();
    if SCHEMA.strip_suffix('.') == Some(name) {
        Cow::Borrowed(statement)
    } else {
        Cow::Owned(statement.replace(SCHEMA, &format!("[{name}].")))
    }
}

macro_rules! import_columns {
    () => {
        "i.id, i.status, i.folder, i.folder_name, i.prefix, i.requested_by, i.recursive, \
         i.skip_unchanged, i.total, i.imported, i.skipped, i.failed, i.retrying, i.bytes, \
         i.listing_completed, i.pages, i.cause, i.message, i.created_at, i.started_at, \
         i.finished_at, i.last_event_at, i.revision"
    };
}
macro_rules! item_columns {
    () => {
        "i.item_id, i.file_id, i.state, i.run, i.attempt, i.name, i.size, i.cause, i.message, \
         i.task, i.updated_at, i.history"
    };
}
macro_rules! image_columns {
    () => {
        "i.id, i.google_drive_id, i.name, i.path, i.size, i.mime_type, i.provider, i.bucket, \
         i.object_key, i.md5, i.sha256, i.content_tag, i.width, i.height, i.taken_at, \
         i.orientation, i.modified_time, i.import_id, i.created_at, i.updated_at"
    };
}
pub(super) use {image_columns, import_columns};

macro_rules! bin2 {
    ($expression:literal) => {
        concat!($expression, " COLLATE Latin1_General_100_BIN2")
    };
}

// What a row of each table is as JSON.
macro_rules! import_json {
    () => {
        "OPENJSON(@P1) WITH (id NVARCHAR(40), status NVARCHAR(16), folder NVARCHAR(MAX), \
         folder_name NVARCHAR(MAX), prefix NVARCHAR(400), requested_by NVARCHAR(MAX), \
         recursive BIT, skip_unchanged BIT, total BIGINT, imported BIGINT, skipped BIGINT, \
         failed BIGINT, retrying BIGINT, bytes BIGINT, listing_completed BIT, pages BIGINT, \
         cause NVARCHAR(64), message NVARCHAR(MAX), created_at BIGINT, started_at BIGINT, \
         finished_at BIGINT, last_event_at BIGINT, revision BIGINT) AS w"
    };
}
macro_rules! item_json {
    () => {
        "OPENJSON(@P1) WITH (import_id NVARCHAR(40), item_id NVARCHAR(128), \
         file_id NVARCHAR(128), state NVARCHAR(16), run BIGINT, attempt BIGINT, \
         name NVARCHAR(MAX), size BIGINT, cause NVARCHAR(64), message NVARCHAR(MAX), \
         task NVARCHAR(MAX), updated_at BIGINT, history NVARCHAR(MAX)) AS w"
    };
}
macro_rules! image_json {
    () => {
        "OPENJSON(@P1) WITH (id BIGINT, google_drive_id NVARCHAR(128), name NVARCHAR(MAX), \
         name_search NVARCHAR(MAX), path NVARCHAR(MAX), size BIGINT, mime_type NVARCHAR(MAX), \
         provider NVARCHAR(64), bucket NVARCHAR(MAX), object_key NVARCHAR(450), \
         md5 NVARCHAR(MAX), sha256 NVARCHAR(MAX), content_tag NVARCHAR(MAX), width BIGINT, \
         height BIGINT, taken_at NVARCHAR(64), orientation BIGINT, modified_time BIGINT, \
         import_id NVARCHAR(40), created_at BIGINT, updated_at BIGINT) AS w"
    };
}
macro_rules! statistics_json {
    () => {
        "OPENJSON(@P1) WITH (provider NVARCHAR(64), images BIGINT, bytes BIGINT) AS w"
    };
}

// Transactions.

pub(super) const BEGIN: &str = "BEGIN TRANSACTION";
pub(super) const COMMIT: &str = "COMMIT TRANSACTION";
pub(super) const ROLLBACK: &str = "ROLLBACK TRANSACTION";
/// What only who may make and write the tables can do; always rolled back.
pub(super) const WRITE_PROBE: &str = "CREATE TABLE imagefleet.write_probe (n INT NOT NULL);
     INSERT INTO imagefleet.write_probe (n) VALUES (1)";
/// Behind a statement: how many rows it changed.
pub(super) const CHANGED: &str = "; SELECT CAST(@@ROWCOUNT AS BIGINT) AS changed";

// The fence.

pub(super) const MOVE_CHECKPOINT: &str =
    "UPDATE imagefleet.checkpoints SET seq = @P3 WHERE name = @P1 AND seq = @P2";
pub(super) const MAKE_CHECKPOINT: &str =
    "INSERT INTO imagefleet.checkpoints (name, seq) VALUES (@P1, @P2)";
/// Changes nothing, but nobody else moves it until the transaction ends.
pub(super) const HOLD_CHECKPOINT: &str =
    "UPDATE imagefleet.checkpoints SET seq = seq WHERE name = @P1";
pub(super) const CHECKPOINT: &str = "SELECT seq FROM imagefleet.checkpoints WHERE name = @P1";

// What a batch of events touches.

pub(super) const LOAD: &str = concat!(
    "SELECT i.provider, i.images, i.bytes FROM imagefleet.[statistics] AS i;
     SELECT ",
    import_columns!(),
    " FROM OPENJSON(@P1) WITH (id NVARCHAR(40)) AS w
     JOIN imagefleet.imports AS i ON i.id = ",
    bin2!("w.id"),
    ";
     SELECT ",
    image_columns!(),
    " FROM OPENJSON(@P2) WITH (id NVARCHAR(128)) AS w
     JOIN imagefleet.images AS i ON i.google_drive_id = ",
    bin2!("w.id"),
);
pub(super) const LOAD_ITEMS: &str = concat!(
    "SELECT ",
    item_columns!(),
    ", i.import_id FROM OPENJSON(@P1) WITH (import_id NVARCHAR(40), item_id NVARCHAR(128)) AS w
     JOIN imagefleet.import_items AS i ON i.import_id = ",
    bin2!("w.import_id"),
    " AND i.item_id = ",
    bin2!("w.item_id"),
);

// What it changes. An UPDATE names its table, which FROM has once, as `i`: that is the one.

pub(super) const UPDATE_STATISTICS: &str = concat!(
    "UPDATE imagefleet.[statistics]
     SET images = w.images, bytes = w.bytes
     FROM imagefleet.[statistics] AS i JOIN ",
    statistics_json!(),
    " ON i.provider = ",
    bin2!("w.provider"),
);
pub(super) const INSERT_STATISTICS: &str = concat!(
    "INSERT INTO imagefleet.[statistics] (provider, images, bytes)
     SELECT w.provider, w.images, w.bytes FROM ",
    statistics_json!(),
);
pub(super) const UPDATE_IMPORTS: &str = concat!(
    "UPDATE imagefleet.imports
     SET status = w.status, folder = w.folder, folder_name = w.folder_name, prefix = w.prefix,
       requested_by = w.requested_by, recursive = w.recursive,
       skip_unchanged = w.skip_unchanged, total = w.total, imported = w.imported,
       skipped = w.skipped, failed = w.failed, retrying = w.retrying, bytes = w.bytes,
       listing_completed = w.listing_completed, pages = w.pages, cause = w.cause,
       message = w.message, created_at = w.created_at, started_at = w.started_at,
       finished_at = w.finished_at, last_event_at = w.last_event_at, revision = w.revision
     FROM imagefleet.imports AS i JOIN ",
    import_json!(),
    " ON i.id = ",
    bin2!("w.id"),
);
pub(super) const INSERT_IMPORTS: &str = concat!(
    "INSERT INTO imagefleet.imports (id, status, folder, folder_name, prefix, requested_by,
       recursive, skip_unchanged, total, imported, skipped, failed, retrying, bytes,
       listing_completed, pages, cause, message, created_at, started_at, finished_at,
       last_event_at, revision)
     SELECT w.id, w.status, w.folder, w.folder_name, w.prefix, w.requested_by, w.recursive,
       w.skip_unchanged, w.total, w.imported, w.skipped, w.failed, w.retrying, w.bytes,
       w.listing_completed, w.pages, w.cause, w.message, w.created_at, w.started_at,
       w.finished_at, w.last_event_at, w.revision
     FROM ",
    import_json!(),
);
pub(super) const UPDATE_ITEMS: &str = concat!(
    "UPDATE imagefleet.import_items
     SET file_id = w.file_id, state = w.state, run = w.run, attempt = w.attempt, name = w.name,
       size = w.size, cause = w.cause, message = w.message, task = w.task,
       updated_at = w.updated_at, history = w.history
     FROM imagefleet.import_items AS i JOIN ",
    item_json!(),
    " ON i.import_id = ",
    bin2!("w.import_id"),
    " AND i.item_id = ",
    bin2!("w.item_id"),
);
pub(super) const INSERT_ITEMS: &str = concat!(
    "INSERT INTO imagefleet.import_items (import_id, item_id, file_id, state, run, attempt, name,
       size, cause, message, task, updated_at, history)
     SELECT w.import_id, w.item_id, w.file_id, w.state, w.run, w.attempt, w.name, w.size, w.cause,
       w.message, w.task, w.updated_at, w.history
     FROM ",
    item_json!(),
);
pub(super) const UPDATE_IMAGES: &str = concat!(
    "UPDATE imagefleet.images
     SET id = w.id, name = w.name, name_search = w.name_search, path = w.path, size = w.size,
       mime_type = w.mime_type, mime_key = LEFT(w.mime_type, 100), provider = w.provider, bucket = w.bucket,
       object_key = w.object_key, md5 = w.md5, sha256 = w.sha256, content_tag = w.content_tag,
       width = w.width, height = w.height, taken_at = w.taken_at, orientation = w.orientation,
       modified_time = w.modified_time,
       import_id = w.import_id, created_at = w.created_at, updated_at = w.updated_at
     FROM imagefleet.images AS i JOIN ",
    image_json!(),
    " ON i.google_drive_id = ",
    bin2!("w.google_drive_id"),
);
pub(super) const INSERT_IMAGES: &str = concat!(
    "INSERT INTO imagefleet.images (id, google_drive_id, name, name_search, path, size, mime_type,
       mime_key, provider, bucket, object_key, md5, sha256, content_tag, width, height, taken_at, orientation,
       modified_time,
       import_id, created_at, updated_at)
     SELECT w.id, w.google_drive_id, w.name, w.name_search, w.path, w.size, w.mime_type,
       LEFT(w.mime_type, 100), w.provider, w.bucket, w.object_key, w.md5, w.sha256, w.content_tag, w.width, w.height, w.taken_at,
       w.orientation, w.modified_time, w.import_id, w.created_at, w.updated_at
     FROM ",
    image_json!(),
);
pub(super) const DELETE_IMAGES: &str = concat!(
    "DELETE FROM imagefleet.images WHERE google_drive_id IN (SELECT ",
    bin2!("w.id"),
    " FROM OPENJSON(@P1) WITH (id NVARCHAR(128)) AS w)",
);
pub(super) const DELETE_REMOVALS: &str = concat!(
    "DELETE FROM imagefleet.removals WHERE object_key IN (SELECT ",
    bin2!("w.object_key"),
    " FROM OPENJSON(@P1) WITH (object_key NVARCHAR(450)) AS w)",
);
pub(super) const INSERT_REMOVALS: &str =
    "INSERT INTO imagefleet.removals (object_key, bucket, import_id, file_id, sequence)
     SELECT w.object_key, w.bucket, w.import_id, w.file_id, w.sequence
     FROM OPENJSON(@P1) WITH (object_key NVARCHAR(450), bucket NVARCHAR(MAX),
       import_id NVARCHAR(40), file_id NVARCHAR(128), sequence BIGINT) AS w";
pub(super) const FORGET_REMOVALS: &str = "DELETE FROM imagefleet.removals WHERE sequence IN
     (SELECT w.sequence FROM OPENJSON(@P1) WITH (sequence BIGINT) AS w)";

// Queries on imports. (Pages are put together in `imports.rs`.)

pub(super) const IMPORT: &str = concat!(
    "SELECT ",
    import_columns!(),
    " FROM imagefleet.imports AS i WHERE i.id = @P1"
);
pub(super) const CREATED_AT: &str =
    "SELECT i.created_at FROM imagefleet.imports AS i WHERE i.id = @P1";
pub(super) const CHANGED_IMPORTS: &str = concat!(
    "SELECT TOP (@P2) ",
    import_columns!(),
    " FROM imagefleet.imports AS i WHERE i.revision > @P1 ORDER BY i.revision"
);
pub(super) const COUNT_IMPORTS: &str = "SELECT i.status, COUNT(*) AS imports
     FROM imagefleet.imports AS i GROUP BY i.status";
pub(super) const ITEMS: &str = concat!(
    "SELECT TOP (@P3) ",
    item_columns!(),
    " FROM imagefleet.import_items AS i
     WHERE i.import_id = @P1 AND i.item_id > @P2 ORDER BY i.item_id"
);
pub(super) const ITEMS_IN: &str = concat!(
    "SELECT TOP (@P3) ",
    item_columns!(),
    " FROM imagefleet.import_items AS i
     WHERE i.import_id = @P1 AND i.state = @P4 AND i.item_id > @P2 ORDER BY i.item_id"
);
/// An entry, and the image of its file.
pub(super) const ITEM: &str = concat!(
    "SELECT ",
    item_columns!(),
    " FROM imagefleet.import_items AS i WHERE i.import_id = @P1 AND i.item_id = @P2;
     SELECT m.id FROM imagefleet.import_items AS i
     JOIN imagefleet.images AS m ON m.google_drive_id = COALESCE(i.file_id, i.item_id)
     WHERE i.import_id = @P1 AND i.item_id = @P2"
);
pub(super) const FAILED: &str = "SELECT TOP (@P3) i.item_id, COALESCE(i.name, N'') AS name,
       i.cause, COALESCE(i.message, N'') AS message, i.attempt, i.task, i.updated_at
     FROM imagefleet.import_items AS i
     WHERE i.state = N'failed' AND i.import_id = @P1 AND i.item_id > @P2 ORDER BY i.item_id";
pub(super) const FAILED_BY_CAUSE: &str = "SELECT TOP (@P3) i.item_id,
       COALESCE(i.name, N'') AS name, i.cause, COALESCE(i.message, N'') AS message, i.attempt,
       i.task, i.updated_at
     FROM imagefleet.import_items AS i
     WHERE i.state = N'failed' AND i.import_id = @P1 AND i.cause = @P4 AND i.item_id > @P2
     ORDER BY i.item_id";
/// The samples are numbered in the index alone, and only the first ones are looked up.
pub(super) const FAILURES: &str = "SELECT i.cause, COUNT(*) AS failures,
       MIN(i.updated_at) AS first_seen, MAX(i.updated_at) AS last_seen
     FROM imagefleet.import_items AS i
     WHERE i.state = N'failed' AND i.import_id = @P1 GROUP BY i.cause ORDER BY i.cause;
     SELECT i.cause, i.item_id, COALESCE(i.name, N'') AS name,
       COALESCE(i.message, N'') AS message
     FROM (SELECT f.item_id,
         ROW_NUMBER() OVER (PARTITION BY f.cause ORDER BY f.item_id) AS place
       FROM imagefleet.import_items AS f
       WHERE f.state = N'failed' AND f.import_id = @P1) AS numbered
     JOIN imagefleet.import_items AS i
       ON i.import_id = @P1 AND i.item_id = numbered.item_id
     WHERE numbered.place <= @P2 ORDER BY i.cause, i.item_id";

// Queries on images. (Pages are put together in `images.rs`.)

pub(super) const IMAGE: &str = concat!(
    "SELECT ",
    image_columns!(),
    " FROM imagefleet.images AS i WHERE i.id = @P1"
);
pub(super) const LATEST: &str = concat!(
    "SELECT TOP (@P2) ",
    image_columns!(),
    " FROM imagefleet.images AS i WHERE i.import_id = @P1
     ORDER BY i.updated_at DESC, i.id DESC"
);
pub(super) const WITH_IDS: &str = concat!(
    "SELECT ",
    image_columns!(),
    " FROM OPENJSON(@P1) WITH (sequence BIGINT) AS w
     JOIN imagefleet.images AS i ON i.id = w.sequence"
);
pub(super) const UNCHANGED: &str = concat!(
    "SELECT i.google_drive_id
     FROM OPENJSON(@P1) WITH (id NVARCHAR(128), tag NVARCHAR(MAX)) AS w
     JOIN imagefleet.images AS i ON i.google_drive_id = ",
    bin2!("w.id"),
    " WHERE i.content_tag = ",
    bin2!("w.tag"),
);
pub(super) const REMOVALS: &str = "SELECT TOP (@P1) i.sequence, i.import_id, i.file_id, i.bucket,
       i.object_key
     FROM imagefleet.removals AS i ORDER BY i.sequence";
pub(super) const STATISTICS: &str = "SELECT i.provider, i.images, i.bytes
     FROM imagefleet.[statistics] AS i ORDER BY i.provider";

// Migrations.

/// One process migrates at a time; the lock goes with the transaction.
pub(super) const LOCK_MIGRATIONS: &str = "DECLARE @locked INT;
     EXEC @locked = sp_getapplock @Resource = @P1, @LockMode = N'Exclusive',
       @LockOwner = N'Transaction', @LockTimeout = @P2;
     SELECT @locked AS locked";
pub(super) const SCHEMA_ID: &str = "SELECT 1 AS found WHERE SCHEMA_ID(@P1) IS NOT NULL";
pub(super) const MAKE_HISTORY: &str = "IF OBJECT_ID(N'imagefleet.refinery_schema_history') IS NULL
     CREATE TABLE imagefleet.refinery_schema_history (
       version INT NOT NULL PRIMARY KEY,
       name NVARCHAR(255) NOT NULL,
       applied_on NVARCHAR(64) NOT NULL,
       checksum NVARCHAR(64) NOT NULL
     )";
pub(super) const VERSIONS: &str = "SELECT i.version, i.checksum
     FROM imagefleet.refinery_schema_history AS i ORDER BY i.version";
pub(super) const NOTE_MIGRATION: &str = "INSERT INTO imagefleet.refinery_schema_history
       (version, name, applied_on, checksum) VALUES (@P1, @P2, @P3, @P4)";

// Rebuilding.

/// One rebuild at a time; the lock goes with the connection.
pub(super) const LOCK_REBUILD: &str = "DECLARE @locked INT;
     EXEC @locked = sp_getapplock @Resource = @P1, @LockMode = N'Exclusive',
       @LockOwner = N'Session', @LockTimeout = 0;
     SELECT @locked AS locked";

pub(super) const DELETE_ALL: [&str; 4] = [
    "DELETE FROM imagefleet.imports",
    "DELETE FROM imagefleet.import_items",
    "DELETE FROM imagefleet.images",
    "DELETE FROM imagefleet.[statistics]",
];
// @P1 and @P2 are the texts, @P3 is the number that is the last row's key; @P4 the limit. The key's
// columns come first.
pub(super) const ALL_IMPORTS: &str = "SELECT TOP (@P4) i.* FROM imagefleet.imports AS i
     WHERE i.id > @P1 ORDER BY i.id";
pub(super) const ALL_ITEMS: &str = "SELECT TOP (@P4) i.* FROM imagefleet.import_items AS i
     WHERE i.import_id >= @P1 AND (i.import_id > @P1 OR i.item_id > @P2)
     ORDER BY i.import_id, i.item_id";
pub(super) const ALL_IMAGES: &str = "SELECT TOP (@P4) i.* FROM imagefleet.images AS i
     WHERE i.id > @P3 ORDER BY i.id";
pub(super) const ALL_STATISTICS: &str = "SELECT TOP (@P4) i.* FROM imagefleet.[statistics] AS i
     WHERE i.provider > @P1 ORDER BY i.provider";

#[cfg(test)]
mod tests;
