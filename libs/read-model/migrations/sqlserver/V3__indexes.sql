-- In a migration of its own: a column is unknown to other statements of the batch that adds it.
UPDATE imagefleet.images SET mime_key = LEFT(mime_type, 100) WHERE mime_key IS NULL;
CREATE INDEX images_by_type ON imagefleet.images (mime_key, id);
CREATE INDEX imports_changed ON imagefleet.imports (revision);
