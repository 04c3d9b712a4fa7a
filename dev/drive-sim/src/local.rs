//! A real folder of this machine, served as a folder of Drive.

use std::{
    collections::HashMap,
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use md5::{Digest as _, Md5};
use sha2::Sha256;
use time::OffsetDateTime;

use crate::{content::Source, entry::Entry, hash::hash};

/// The id of the folder given with `--folder`.
pub const LOCAL_FOLDER: &str = "local-folder";

/// The folder, and which id stands for which path beneath it.
#[derive(Debug)]
pub(crate) struct Local {
    root: PathBuf,
    /// Relative paths; they grow as folders are listed.
    paths: Mutex<HashMap<String, PathBuf>>,
    sums: SumCache,
}

type SumCache = Arc<Mutex<HashMap<PathBuf, Sums>>>;

#[derive(Debug, Clone)]
struct Sums {
    len: u64,
    modified: OffsetDateTime,
    md5: String,
    sha256: String,
}

/// A file as it was when it was looked up.
#[derive(Debug, Clone)]
pub(crate) struct DiskFile {
    pub(crate) path: PathBuf,
    pub(crate) len: u64,
    modified: OffsetDateTime,
    cache: SumCache,
}

impl DiskFile {
    /// MD5 and SHA-256, computed once per length and modification time.
    pub(crate) fn sums(&self) -> io::Result<(String, String)> {
        let known = lock(&self.cache).get(&self.path).cloned();
        if let Some(sums) = known
            && (sums.len, sums.modified) == (self.len, self.modified)
        {
            return Ok((sums.md5, sums.sha256));
        }
        let (mut md5, mut sha256) = (Md5::new(), Sha256::new());
        let mut file = fs::File::open(&self.path)?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            md5.update(&buffer[..read]);
            sha256.update(&buffer[..read]);
        }
        let sums = (hex::encode(md5.finalize()), hex::encode(sha256.finalize()));
        let (len, modified) = (self.len, self.modified);
        let known = Sums {
            len,
            modified,
            md5: sums.0.clone(),
            sha256: sums.1.clone(),
        };
        lock(&self.cache).insert(self.path.clone(), known);
        Ok(sums)
    }
}

impl Local {
    /// Learns every path beneath `root`, so that ids from an earlier run are known at once.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let root = root.canonicalize()?;
        let local = Self {
            root,
            paths: Mutex::default(),
            sums: SumCache::default(),
        };
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for (path, kind) in local.read(&folder)? {
                if kind.is_dir() {
                    folders.push(path);
                }
            }
        }
        Ok(local)
    }

    pub(crate) fn entry(&self, id: &str) -> Option<Entry> {
        let relative = self.path(id)?;
        self.describe(&relative).ok()
    }

    /// What lies directly in a folder, by name; none if the id is no folder.
    pub(crate) fn children(&self, id: &str) -> Option<Vec<Entry>> {
        let mut paths = self.read(&self.path(id)?).ok()?;
        paths.sort_by(|one, other| one.0.cmp(&other.0));
        Some(
            paths
                .iter()
                .filter_map(|(path, _)| self.describe(path).ok())
                .collect(),
        )
    }

    fn path(&self, id: &str) -> Option<PathBuf> {
        if id == LOCAL_FOLDER {
            return Some(PathBuf::new());
        }
        lock(&self.paths).get(id).cloned()
    }

    /// Files and folders beneath a relative path. Symbolic links could lead anywhere: left out.
    fn read(&self, relative: &Path) -> io::Result<Vec<(PathBuf, fs::FileType)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join(relative))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_file() || kind.is_dir() {
                found.push((relative.join(entry.file_name()), kind));
            }
        }
        let mut paths = lock(&self.paths);
        for (path, _) in &found {
            paths.entry(id_of(path)).or_insert_with(|| path.clone());
        }
        Ok(found)
    }

    fn describe(&self, relative: &Path) -> io::Result<Entry> {
        let id = id_of(relative);
        let path = self.root.join(relative);
        let metadata = fs::symlink_metadata(&path)?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let parent = relative.parent().map(id_of);
        let modified = OffsetDateTime::from(metadata.modified()?);
        let mut entry = if metadata.is_dir() {
            Entry::folder(&id, &name, parent.as_deref())
        } else if metadata.is_file() {
            let mime = mime_guess::from_path(&path).first_raw();
            let mime = mime.unwrap_or("application/octet-stream");
            let cache = Arc::clone(&self.sums);
            let file = DiskFile {
                path,
                len: metadata.len(),
                modified,
                cache,
            };
            let parent = parent.unwrap_or_default();
            Entry {
                source: Source::Disk(file),
                ..Entry::file(id, name, &parent, mime)
            }
        } else {
            return Err(io::ErrorKind::NotFound.into());
        };
        entry.modified = modified;
        Ok(entry)
    }
}

fn id_of(relative: &Path) -> String {
    if relative.as_os_str().is_empty() {
        return LOCAL_FOLDER.to_owned();
    }
    // Names on disk need not be UTF-8; two that differ must not share an id.
    let bytes = hex::encode(relative.as_os_str().as_encoded_bytes());
    format!(
        "1local-{:016x}{:016x}",
        hash(&[&bytes]),
        hash(&["local", &bytes])
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
