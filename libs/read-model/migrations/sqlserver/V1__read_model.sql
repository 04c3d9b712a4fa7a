-- The same tables as in SQLite. Times are milliseconds since 1970-01-01 UTC. Sizes are bytes.
-- States, statuses and causes are the codes of the events. Identifiers are told apart by every
-- character, and sorted by code point.

CREATE TABLE imagefleet.imports (
    id                NVARCHAR(40) COLLATE Latin1_General_100_BIN2 NOT NULL,
    status            NVARCHAR(16) COLLATE Latin1_General_100_BIN2 NOT NULL,
    folder            NVARCHAR(MAX) NULL,
    folder_name       NVARCHAR(MAX) NULL,
    prefix            NVARCHAR(400) NOT NULL,
    requested_by      NVARCHAR(MAX) NULL,
    recursive         BIT NOT NULL,
    skip_unchanged    BIT NOT NULL,
    total             BIGINT NOT NULL,
    imported          BIGINT NOT NULL,
    skipped           BIGINT NOT NULL,
    failed            BIGINT NOT NULL,
    retrying          BIGINT NOT NULL,
    bytes             BIGINT NOT NULL,
    listing_completed BIT NOT NULL,
    pages             BIGINT NOT NULL,
    cause             NVARCHAR(64) NULL,
    message           NVARCHAR(MAX) NULL,
    created_at        BIGINT NOT NULL,
    started_at        BIGINT NULL,
    finished_at       BIGINT NULL,
    last_event_at     BIGINT NOT NULL,
    CONSTRAINT imports_key PRIMARY KEY (id)
);

CREATE INDEX imports_newest ON imagefleet.imports (created_at, id);
CREATE INDEX imports_by_status ON imagefleet.imports (status, created_at, id);

CREATE TABLE imagefleet.import_items (
    import_id  NVARCHAR(40) COLLATE Latin1_General_100_BIN2 NOT NULL,
    item_id    NVARCHAR(128) COLLATE Latin1_General_100_BIN2 NOT NULL,
    file_id    NVARCHAR(128) COLLATE Latin1_General_100_BIN2 NULL,
    state      NVARCHAR(16) COLLATE Latin1_General_100_BIN2 NOT NULL,
    run        BIGINT NOT NULL,
    attempt    BIGINT NOT NULL,
    name       NVARCHAR(MAX) NULL,
    size       BIGINT NULL,
    cause      NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NULL,
    message    NVARCHAR(MAX) NULL,
    task       NVARCHAR(MAX) NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT import_items_key PRIMARY KEY (import_id, item_id)
);

CREATE INDEX items_failed ON imagefleet.import_items (import_id, item_id)
    WHERE state = N'failed';
CREATE INDEX items_failed_by_cause ON imagefleet.import_items (import_id, cause, item_id)
    INCLUDE (updated_at) WHERE state = N'failed';

CREATE TABLE imagefleet.images (
    -- The sequence of the event that made the row, so that folding anew gives the same number.
    id              BIGINT NOT NULL,
    google_drive_id NVARCHAR(128) COLLATE Latin1_General_100_BIN2 NOT NULL,
    name            NVARCHAR(MAX) NOT NULL,
    -- `name` in lower case.
    name_search     NVARCHAR(MAX) COLLATE Latin1_General_100_BIN2 NOT NULL,
    path            NVARCHAR(MAX) NOT NULL,
    size            BIGINT NOT NULL,
    mime_type       NVARCHAR(MAX) NOT NULL,
    provider        NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
    bucket          NVARCHAR(MAX) NOT NULL,
    object_key      NVARCHAR(450) COLLATE Latin1_General_100_BIN2 NOT NULL,
    md5             NVARCHAR(MAX) NOT NULL,
    sha256          NVARCHAR(MAX) NOT NULL,
    content_tag     NVARCHAR(MAX) COLLATE Latin1_General_100_BIN2 NOT NULL,
    width           BIGINT NULL,
    height          BIGINT NULL,
    -- Local time as in EXIF, `2024-05-01T12:00:00`, with `+02:00` behind it where known.
    taken_at        NVARCHAR(64) NULL,
    -- 1 to 8, as in EXIF.
    orientation     BIGINT NULL,
    modified_time   BIGINT NULL,
    import_id       NVARCHAR(40) COLLATE Latin1_General_100_BIN2 NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    CONSTRAINT images_key PRIMARY KEY (id)
);

CREATE UNIQUE INDEX images_by_file ON imagefleet.images (google_drive_id);
CREATE INDEX images_by_provider ON imagefleet.images (provider, id);
CREATE INDEX images_by_import ON imagefleet.images (import_id, id);
CREATE INDEX images_latest ON imagefleet.images (import_id, updated_at, id);

-- Objects that were replaced, until their removal was asked for.
CREATE TABLE imagefleet.removals (
    object_key NVARCHAR(450) COLLATE Latin1_General_100_BIN2 NOT NULL,
    bucket     NVARCHAR(MAX) NOT NULL,
    import_id  NVARCHAR(40) COLLATE Latin1_General_100_BIN2 NOT NULL,
    file_id    NVARCHAR(128) COLLATE Latin1_General_100_BIN2 NOT NULL,
    sequence   BIGINT NOT NULL,
    CONSTRAINT removals_key PRIMARY KEY (object_key)
);

CREATE UNIQUE INDEX removals_oldest ON imagefleet.removals (sequence);

CREATE TABLE imagefleet.[statistics] (
    provider NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
    images   BIGINT NOT NULL,
    bytes    BIGINT NOT NULL,
    CONSTRAINT statistics_key PRIMARY KEY (provider)
);

CREATE TABLE imagefleet.checkpoints (
    name NVARCHAR(128) COLLATE Latin1_General_100_BIN2 NOT NULL,
    seq  BIGINT NOT NULL,
    CONSTRAINT checkpoints_key PRIMARY KEY (name)
);
