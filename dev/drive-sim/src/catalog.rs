//! Finds items by id, whichever folder they belong to, and says who may see them.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;

use crate::{demo::DemoFolder, entry::Entry, local::Local, museum, sim::SimFolder};

/// A folder that is there and empty.
pub const EMPTY_FOLDER: &str = "empty-folder";
/// A folder that is shared with accounts only: to others Drive answers as if it did not exist.
pub const PRIVATE_FOLDER: &str = "private-folder";

/// Everything there is to list and download.
#[derive(Debug)]
pub(crate) struct Catalog {
    local: Option<Local>,
    /// Whether the museum's changing file was listed, and has thus changed.
    changed: AtomicBool,
}

/// What a request says about its rights.
#[derive(Debug, Default)]
pub(crate) struct Access {
    /// `X-Goog-Drive-Resource-Keys`: key by id.
    pub(crate) resource_keys: HashMap<String, String>,
    /// `supportsAllDrives`
    pub(crate) all_drives: bool,
    /// Whether the private folders are shared with the caller.
    pub(crate) private: bool,
}

impl Access {
    pub(crate) fn sees(&self, entry: &Entry) -> bool {
        let key = entry.resource_key.is_none_or(|key| {
            self.resource_keys
                .get(&entry.id)
                .is_some_and(|given| given == key)
        });
        let shared = self.private || !entry.private;
        shared && key && (self.all_drives || entry.drive.is_none())
    }
}

/// The children of one folder.
pub(crate) enum Listing {
    Sim(SimFolder),
    Demo(DemoFolder),
    /// Read anew for every page.
    Fresh(Vec<Entry>),
}

impl Listing {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Sim(folder) => folder.len(),
            Self::Demo(folder) => folder.len(),
            Self::Fresh(entries) => entries.len() as u64,
        }
    }

    pub(crate) fn child(&self, index: u64) -> Entry {
        match self {
            Self::Sim(folder) => folder.child(index),
            Self::Demo(folder) => folder.child(index),
            Self::Fresh(entries) => entries[index as usize].clone(),
        }
    }
}

impl Catalog {
    pub(crate) fn new(local: Option<Local>) -> Self {
        Self {
            local,
            changed: AtomicBool::new(false),
        }
    }

    pub(crate) fn reset(&self) {
        self.changed.store(false, Ordering::Relaxed);
    }

    /// A file or folder by id. Cheap, except for items on disk.
    pub(crate) fn find(&self, id: &str) -> Option<Entry> {
        generated(id, self.changed.load(Ordering::Relaxed))
            .or_else(|| self.local.as_ref()?.entry(id))
    }

    /// The children of a folder.
    pub(crate) fn list(&self, id: &str) -> Option<Listing> {
        if let Some(folder) = SimFolder::parse(id) {
            return Some(Listing::Sim(folder));
        }
        if let Some(folder) = DemoFolder::parse(id) {
            return Some(Listing::Demo(folder));
        }
        if id == EMPTY_FOLDER {
            return Some(Listing::Fresh(Vec::new()));
        }
        let museum = museum::children(id, self.changed.load(Ordering::Relaxed));
        museum
            .or_else(|| self.local.as_ref()?.children(id))
            .map(Listing::Fresh)
    }

    /// Told which items an answer listed.
    pub(crate) fn listed(&self, entries: &[Entry]) {
        if entries.iter().any(|entry| entry.id == museum::CHANGING) {
            self.changed.store(true, Ordering::Relaxed);
        }
    }
}

fn generated(id: &str, changed: bool) -> Option<Entry> {
    if id == EMPTY_FOLDER {
        return Some(Entry::folder(id, "Empty", None));
    }
    SimFolder::parse(id)
        .map(|folder| folder.entry())
        .or_else(|| SimFolder::parse_file(id))
        .or_else(|| DemoFolder::parse(id).map(|folder| folder.entry()))
        .or_else(|| DemoFolder::parse_file(id))
        .or_else(|| museum::find(id, changed))
}

/// The bytes that a download of a generated file delivers, whatever its metadata claims; none for
/// folders, documents and unknown ids. The museum's changing file is given as it is after it was
/// listed.
#[must_use]
pub fn content(file_id: &str) -> Option<Bytes> {
    Some(generated(file_id, true)?.source.content()?.to_bytes())
}
