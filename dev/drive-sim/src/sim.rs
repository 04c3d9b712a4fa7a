//! Folders of any size, asked for by their id: `sim-n20000-s100k`, and the same on a shared drive or
//! private.

use crate::{
    catalog::PRIVATE_FOLDER,
    content::Source,
    encode::{self, MAX_SIZE, MIN_SIZE, VARIANTS},
    entry::{Entry, moment},
    hash::hash,
};

/// Ids of shared drives begin with it; `-n50-s20k` may follow.
pub(crate) const SHARED_DRIVE: &str = "0Asimshareddrive";
/// Ids of shared drives of which nobody who asks is a member.
pub(crate) const FOREIGN_DRIVE: &str = "0Asimforeigndrive";
/// Files in the one subfolder of a shared drive, beyond those in its root.
const SUBFOLDER_FILES: u64 = 3;
/// Names and tails count files with at most twelve digits.
const MAX_FILES: u64 = 1_000_000_000;

/// What an id under this module names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SimFolder {
    id: String,
    pub(crate) files: u64,
    /// Bytes of each file, exactly.
    size: u64,
    shared_drive: bool,
    /// Whether this is the subfolder of a shared drive.
    subfolder: bool,
    private: bool,
}

impl SimFolder {
    /// `sim-n<files>-s<bytes>[k|m][-seed<number>]`, or a private folder, a shared drive or its
    /// subfolder.
    pub(crate) fn parse(id: &str) -> Option<Self> {
        let shared_drive = id.starts_with(SHARED_DRIVE) || id.starts_with(FOREIGN_DRIVE);
        let (root, subfolder) = match id.strip_suffix("-d0") {
            Some(root) if shared_drive => (root, true),
            _ => (id, false),
        };
        let named = [SHARED_DRIVE, FOREIGN_DRIVE, PRIVATE_FOLDER];
        let spec = match named.iter().find_map(|name| root.strip_prefix(name)) {
            Some("") => "n50-s20k",
            Some(spec) => spec.strip_prefix('-')?,
            None => root.strip_prefix("sim-")?,
        };
        let mut parts = spec.split('-');
        let files = number(parts.next()?.strip_prefix('n')?)?;
        let size = bytes(parts.next()?.strip_prefix('s')?)?;
        if let Some(seed) = parts.next() {
            number(seed.strip_prefix("seed")?)?;
        }
        let valid =
            parts.next().is_none() && files <= MAX_FILES && (MIN_SIZE..=MAX_SIZE).contains(&size);
        valid.then(|| Self {
            id: root.to_owned(),
            files,
            size,
            shared_drive,
            subfolder,
            private: id.starts_with(PRIVATE_FOLDER),
        })
    }

    /// The file with this id.
    pub(crate) fn parse_file(id: &str) -> Option<Entry> {
        let (root, index) = id.rsplit_once("-f")?;
        let mut folder = Self::parse(root).filter(|folder| !folder.subfolder)?;
        let index = number(index)?;
        folder.subfolder = index >= folder.files;
        let known = folder.files
            + if folder.shared_drive {
                SUBFOLDER_FILES
            } else {
                0
            };
        // `f007` is not how we spell 7.
        (index < known)
            .then(|| folder.file(index))
            .filter(|entry| entry.id == id)
    }

    /// Images in the folder and beneath.
    pub(crate) fn images(&self) -> u64 {
        self.files
            + if self.shared_drive {
                SUBFOLDER_FILES
            } else {
                0
            }
    }

    pub(crate) fn len(&self) -> u64 {
        match (self.shared_drive, self.subfolder) {
            (true, true) => SUBFOLDER_FILES,
            (true, false) => self.files + 1,
            (false, _) => self.files,
        }
    }

    pub(crate) fn child(&self, index: u64) -> Entry {
        if self.subfolder {
            self.file(self.files + index)
        } else if index < self.files {
            self.file(index)
        } else {
            Self {
                subfolder: true,
                ..self.clone()
            }
            .entry()
        }
    }

    /// The folder's own description.
    pub(crate) fn entry(&self) -> Entry {
        let mut entry = if self.subfolder {
            Entry::folder(&format!("{}-d0", self.id), "Subfolder", Some(&self.id))
        } else {
            // The root of every shared drive is called so.
            let name = if self.shared_drive { "Drive" } else { &self.id };
            Entry::folder(&self.id, name, None)
        };
        entry.drive = self.shared_drive.then(|| self.id.clone());
        entry.private = self.private;
        entry
    }

    fn file(&self, index: u64) -> Entry {
        let variant = (index % u64::from(VARIANTS)) as u8;
        let format = encode::format(self.size, variant);
        let parent = if self.subfolder {
            format!("{}-d0", self.id)
        } else {
            self.id.clone()
        };
        let name = format!("IMG_{index:06}.{}", format.extension());
        let id = format!("{}-f{index}", self.id);
        let mut entry = Entry::file(id, name, &parent, format.mime_type());
        entry.drive = self.shared_drive.then(|| self.id.clone());
        entry.private = self.private;
        entry.modified = moment(index * 61 % 40_000_000);
        entry.source = Source::padded(self.size, variant, hash(&[&self.id]), index);
        entry
    }
}

pub(crate) fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn bytes(text: &str) -> Option<u64> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1 << 10),
        b'm' => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    number(digits)?.checked_mul(unit)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ids_say_everything() {
        let folder = SimFolder::parse("sim-n20000-s100k-seed7").unwrap();
        assert_eq!(
            (folder.files, folder.size, folder.len()),
            (20_000, 102_400, 20_000)
        );
        let file = folder.child(19_999);
        let found = SimFolder::parse_file(&file.id).unwrap();
        assert_eq!((found.name, found.modified), (file.name, file.modified));
        for id in [
            "sim-n1",
            "sim-n1-s255",
            "sim-n1-s300m",
            "sim-n1-s1k-d0",
            "sim-n1-s1k-seed",
            "sim-n-s1k",
            "sim-n+1-s1k",
        ] {
            assert_eq!(SimFolder::parse(id), None, "{id}");
        }
        for id in ["sim-n1-s1k-f1", "sim-n1-s1k-f00", "sim-n1-s1k-f"] {
            assert!(SimFolder::parse_file(id).is_none(), "{id}");
        }
    }

    #[test]
    fn a_shared_drive_has_a_subfolder() {
        let root = SimFolder::parse("0Asimshareddrive-n2-s1k").unwrap();
        assert_eq!(root.len(), 3);
        let subfolder = SimFolder::parse(&root.child(2).id).unwrap();
        assert_eq!(subfolder.len(), SUBFOLDER_FILES);
        let file = SimFolder::parse_file(&subfolder.child(2).id).unwrap();
        assert_eq!(file.parent.as_deref(), Some("0Asimshareddrive-n2-s1k-d0"));
        assert_eq!(file.drive.as_deref(), Some("0Asimshareddrive-n2-s1k"));
    }
}
