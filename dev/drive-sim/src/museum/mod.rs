//! One of every strange thing a Drive folder can hold, and what must become of it.

mod collection;

use crate::{
    content::Source,
    entry::{Entry, FOLDER},
    hash::hash,
};
use collection::{ITEMS, PICTURE_SIZE, Verdict};

/// The id of the museum's folder.
pub const MUSEUM: &str = "museum";
/// The file whose content changes once it was listed.
pub(crate) const CHANGING: &str = "museum-changing";

/// One entry of the museum that is no folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhibit {
    /// The entry's id: the shortcut's own for a shortcut.
    pub item_id: String,
    /// Its name, as Drive gives it.
    pub name: String,
    /// Folder names from the museum down, `/` between them; empty in its root.
    pub path: String,
    /// What a recursive import must make of it.
    pub expect: Expect,
}

/// How the import of an entry must end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Stored whole.
    Imported {
        /// Lower-case hex MD5 of the bytes.
        md5: String,
        /// Bytes.
        size: u64,
    },
    /// Skipped for this reason: `not_an_image`, `google_native` or `broken_shortcut`.
    Skipped(&'static str),
    /// Failed with this cause: `source_gone`, `not_an_image`, `empty_file`, `checksum_mismatch`,
    /// `source_abusive` or `source_forbidden`.
    Failed(&'static str),
}

/// Everything in the museum and what must become of it. A shortcut that leads back to the museum is
/// no exhibit: to follow it must yield nothing new.
#[must_use]
pub fn museum() -> Vec<Exhibit> {
    let exhibits = ITEMS.iter().filter_map(|item| {
        let expect = match item.verdict? {
            Verdict::Imported => {
                // A shortcut's bytes are its target's.
                let shortcut = item.entry.shortcut.as_ref();
                let id = shortcut.map_or(&item.entry.id, |shortcut| &shortcut.target);
                let content = find(id, true)?.source.content()?;
                Expect::Imported {
                    md5: content.md5(),
                    size: content.len(),
                }
            }
            Verdict::Skipped(reason) => Expect::Skipped(reason),
            Verdict::Failed(cause) => Expect::Failed(cause),
        };
        Some(Exhibit {
            item_id: item.entry.id.clone(),
            name: item.entry.name.clone(),
            path: path_of(&item.entry),
            expect,
        })
    });
    exhibits.collect()
}

/// An item by id. `changed` says whether the changing file has changed.
pub(crate) fn find(id: &str, changed: bool) -> Option<Entry> {
    let item = ITEMS.iter().find(|item| item.entry.id == id)?;
    Some(as_listed(&item.entry, changed))
}

/// What lies directly in a folder of the museum.
pub(crate) fn children(id: &str, changed: bool) -> Option<Vec<Entry>> {
    ITEMS
        .iter()
        .find(|item| item.entry.id == id && item.entry.mime_type == FOLDER)?;
    let children = ITEMS
        .iter()
        .filter(|item| item.entry.parent.as_deref() == Some(id));
    Some(
        children
            .map(|item| as_listed(&item.entry, changed))
            .collect(),
    )
}

fn as_listed(entry: &Entry, changed: bool) -> Entry {
    let mut entry = entry.clone();
    if entry.id == CHANGING && !changed {
        entry.modified -= time::Duration::days(3);
        entry.source = Source::padded(PICTURE_SIZE - 500, 0, hash(&["before"]), 0);
    }
    entry
}

fn path_of(entry: &Entry) -> String {
    let mut names = Vec::new();
    let mut parent = entry.parent.clone();
    while let Some(id) = parent.filter(|id| id != MUSEUM) {
        let Some(folder) = ITEMS.iter().find(|item| item.entry.id == id) else {
            break;
        };
        names.insert(0, folder.entry.name.clone());
        parent = folder.entry.parent.clone();
    }
    names.join("/")
}
