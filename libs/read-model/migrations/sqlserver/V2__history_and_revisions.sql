-- As in SQLite. Rows that were folded before have no revision and no history until an event changes
-- them; `imagefleet rebuild` gives them theirs.

-- The sequence of the last event that was folded into the import.
ALTER TABLE imagefleet.imports ADD revision BIGINT NOT NULL CONSTRAINT imports_revision DEFAULT 0;

-- The states that an entry was in before, as JSON; NULL where the row says all.
ALTER TABLE imagefleet.import_items ADD history NVARCHAR(MAX) NULL;
CREATE INDEX items_by_state ON imagefleet.import_items (import_id, state, item_id);

-- The start of `mime_type`, which is itself too long for an index; the next migration fills it.
ALTER TABLE imagefleet.images ADD mime_key NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NULL;
