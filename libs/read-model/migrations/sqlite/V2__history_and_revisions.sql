-- Rows that were folded before have no revision and no history until an event changes them;
-- `imagefleet rebuild` gives them theirs.

-- The sequence of the last event that was folded into the import.
ALTER TABLE imports ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
CREATE INDEX imports_changed ON imports (revision);

-- The states that an entry was in before, as JSON; NULL where the row says all.
ALTER TABLE import_items ADD COLUMN history TEXT;
CREATE INDEX items_by_state ON import_items (import_id, state, item_id);

CREATE INDEX images_by_type ON images (mime_type);
