-- Times are milliseconds since 1970-01-01 UTC. Sizes are bytes. States, statuses and causes are the
-- codes of the events. Every row is folded from events; nothing here exists nowhere else,
-- but that `removals` forgets what was asked for.

CREATE TABLE imports (
    id                TEXT    NOT NULL PRIMARY KEY,
    status            TEXT    NOT NULL,
    -- NULL while only items of this import were heard of, or when its request was unreadable.
    folder            TEXT,
    folder_name       TEXT,
    prefix            TEXT    NOT NULL,
    requested_by      TEXT,
    recursive         INTEGER NOT NULL,
    skip_unchanged    INTEGER NOT NULL,
    total             INTEGER NOT NULL,
    imported          INTEGER NOT NULL,
    skipped           INTEGER NOT NULL,
    failed            INTEGER NOT NULL,
    retrying          INTEGER NOT NULL,
    bytes             INTEGER NOT NULL,
    listing_completed INTEGER NOT NULL,
    pages             INTEGER NOT NULL,
    cause             TEXT,
    message           TEXT,
    created_at        INTEGER NOT NULL,
    started_at        INTEGER,
    finished_at       INTEGER,
    last_event_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX imports_newest ON imports (created_at, id);
CREATE INDEX imports_by_status ON imports (status, created_at, id);

CREATE TABLE import_items (
    import_id  TEXT    NOT NULL,
    item_id    TEXT    NOT NULL,
    file_id    TEXT,
    state      TEXT    NOT NULL,
    run        INTEGER NOT NULL,
    attempt    INTEGER NOT NULL,
    name       TEXT,
    size       INTEGER,
    cause      TEXT,
    message    TEXT,
    -- The whole task of a failed item, as JSON: queueing it again needs nothing else.
    task       TEXT,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (import_id, item_id)
) STRICT, WITHOUT ROWID;

-- Partial, because failed items are few: the others pay nothing for these.
CREATE INDEX items_failed ON import_items (import_id, item_id) WHERE state = 'failed';
CREATE INDEX items_failed_by_cause ON import_items (import_id, cause, item_id, updated_at)
    WHERE state = 'failed';

CREATE TABLE images (
    -- The sequence of the event that made the row, so that folding anew gives the same number.
    id              INTEGER PRIMARY KEY,
    google_drive_id TEXT    NOT NULL UNIQUE,
    name            TEXT    NOT NULL,
    -- `name` in lower case: LIKE itself ignores the case of ASCII letters only.
    name_search     TEXT    NOT NULL,
    path            TEXT    NOT NULL,
    size            INTEGER NOT NULL,
    mime_type       TEXT    NOT NULL,
    provider        TEXT    NOT NULL,
    bucket          TEXT    NOT NULL,
    object_key      TEXT    NOT NULL,
    md5             TEXT    NOT NULL,
    sha256          TEXT    NOT NULL,
    content_tag     TEXT    NOT NULL,
    width           INTEGER,
    height          INTEGER,
    -- Local time as in EXIF, `2024-05-01T12:00:00`, with `+02:00` behind it where known.
    taken_at        TEXT,
    -- 1 to 8, as in EXIF.
    orientation     INTEGER,
    modified_time   INTEGER,
    import_id       TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;

-- Each of these ends in the row's id, as every SQLite index does.
CREATE INDEX images_by_provider ON images (provider);
CREATE INDEX images_by_import ON images (import_id);
CREATE INDEX images_latest ON images (import_id, updated_at);

-- Objects that were replaced, until their removal was asked for.
CREATE TABLE removals (
    object_key TEXT    NOT NULL PRIMARY KEY,
    bucket     TEXT    NOT NULL,
    import_id  TEXT    NOT NULL,
    file_id    TEXT    NOT NULL,
    sequence   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX removals_oldest ON removals (sequence);

CREATE TABLE statistics (
    provider TEXT    NOT NULL PRIMARY KEY,
    images   INTEGER NOT NULL,
    bytes    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoints (
    name TEXT    NOT NULL PRIMARY KEY,
    seq  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
