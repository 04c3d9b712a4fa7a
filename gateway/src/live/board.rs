//! The latest state of each import, written as it is sent.

use std::collections::{BTreeMap, HashMap};

use axum::body::Bytes;
use contracts::ImportId;
use read_model::ImportRow;
use serde::Serialize;

use crate::view::{ImportView, Overview};

/// Imports that the board holds.
pub(super) const MOST: usize = 2_000;

/// Imports in the order of their revisions. The board is complete for every revision after `floor`, up to
/// `revision`.
#[derive(Default)]
pub(super) struct Board {
    /// Another one begins whenever what streams have seen says nothing any more.
    epoch: u64,
    loaded: bool,
    floor: u64,
    revision: u64,
    places: HashMap<ImportId, u64>,
    frames: BTreeMap<(u64, ImportId), Frame>,
    overview: Bytes,
    overviews: u64,
}

/// One import, ready to be sent.
#[derive(Clone)]
pub(super) struct Frame {
    pub(super) revision: u64,
    pub(super) import: Bytes,
    /// What to send behind it if nothing more happens to the import by itself.
    pub(super) end: Option<Bytes>,
}

impl Frame {
    pub(super) fn of(row: &ImportRow) -> Self {
        let end = row.status.is_final();
        let end = end.then(|| {
            event(
                "end",
                None,
                &End {
                    status: row.status.code(),
                },
            )
        });
        Self {
            revision: row.revision,
            import: event("import", Some(row.revision), &ImportView::new(row)),
            end,
        }
    }

    pub(super) fn of_view(view: &ImportView) -> Self {
        Self {
            revision: 0,
            import: event("import", Some(0), view),
            end: None,
        }
    }
}

#[derive(Serialize)]
struct End {
    status: &'static str,
}

/// JSON holds no line break, so one line of data takes it.
fn event(name: &str, id: Option<u64>, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("event: {name}\n{id}data: {data}\n\n").into()
}

impl Board {
    /// Which board it is and how far; `None` before it has begun.
    pub(super) fn known(&self) -> Option<(u64, u64)> {
        self.loaded.then_some((self.epoch, self.revision))
    }

    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// Begin anew with the imports that are not final.
    pub(super) fn begin(&mut self, checkpoint: u64, rows: Vec<ImportRow>) {
        self.reset();
        self.loaded = true;
        self.floor = checkpoint;
        self.revision = checkpoint;
        for row in rows {
            self.place(row);
        }
    }

    /// Add what changed until `revision`; false if this is another board by now.
    pub(super) fn put(&mut self, epoch: u64, rows: Vec<ImportRow>, revision: u64) -> bool {
        if !self.loaded || self.epoch != epoch {
            return false;
        }
        for row in rows {
            self.place(row);
        }
        self.revision = self.revision.max(revision);
        true
    }

    /// Forget everything.
    pub(super) fn clear(&mut self) {
        self.reset();
        self.overview = Bytes::new();
    }

    fn reset(&mut self) {
        self.epoch += 1;
        self.loaded = false;
        self.frames.clear();
        self.places.clear();
    }

    fn place(&mut self, row: ImportRow) {
        let frame = Frame::of(&row);
        if let Some(before) = self.places.insert(row.id.clone(), row.revision) {
            self.frames.remove(&(before, row.id.clone()));
        }
        self.frames.insert((row.revision, row.id), frame);
        while self.frames.len() > MOST {
            // Rather one that is done with than one that goes on.
            let done = self.frames.iter().find(|(_, frame)| frame.end.is_some());
            let oldest = done.or_else(|| self.frames.first_key_value());
            let Some(key) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            self.frames.remove(&key);
            self.places.remove(&key.1);
            self.floor = self.floor.max(key.0);
        }
    }

    /// Whether this is news.
    pub(super) fn put_overview(&mut self, overview: &Overview) -> bool {
        let overview = event("overview", None, overview);
        let new = overview != self.overview;
        if new {
            self.overview = overview;
            self.overviews += 1;
        }
        new
    }

    /// The overview with its number, if it is another one than `seen`.
    pub(super) fn overview(&self, seen: u64) -> Option<(u64, Bytes)> {
        let new = self.overviews > seen && !self.overview.is_empty();
        new.then(|| (self.overviews, self.overview.clone()))
    }

    /// Imports that are not final, the earliest changed first.
    pub(super) fn live(&self) -> impl Iterator<Item = &Frame> {
        self.frames.values().filter(|frame| frame.end.is_none())
    }

    /// Imports that changed after `seen`, the earliest first.
    pub(super) fn after(&self, seen: u64) -> impl Iterator<Item = &Frame> {
        let frames = self.frames.values().rev();
        let newer: Vec<_> = frames.take_while(|frame| frame.revision > seen).collect();
        newer.into_iter().rev()
    }

    /// What the board has of one import.
    pub(super) fn of(&self, import: &ImportId) -> Option<&Frame> {
        let revision = *self.places.get(import)?;
        self.frames.get(&(revision, import.clone()))
    }
}
