//! Blocking work on the directory: temporary files, publishing, finding, listing.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::sidecar::Sidecar;
use crate::{Cleaned, Key, ObjectHead, StoreError};

const TEMPORARY: &str = ".tmp";
const META: &str = ".meta";

#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    /// Held while an object and its sidecar are renamed or removed, so that they belong together.
    renaming: Mutex<()>,
}

/// A file in `root/.tmp`, removed when dropped unless it was renamed.
#[derive(Debug)]
pub(super) struct Temporary {
    pub(super) path: PathBuf,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Fails when the file was renamed; a leftover is removed at some later start.
        let _ = fs::remove_file(&self.path);
    }
}

impl Files {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            renaming: Mutex::new(()),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn create_directories(&self) -> Result<(), StoreError> {
        for name in [TEMPORARY, META] {
            let path = self.root.join(name);
            fs::create_dir_all(&path).map_err(|error| disk_error(&path, error))?;
        }
        Ok(())
    }

    pub(super) fn remove_leftovers(
        &self,
        older_than: Duration,
        most: usize,
    ) -> Result<Cleaned, StoreError> {
        let directory = self.root.join(TEMPORARY);
        let entries = fs::read_dir(&directory).map_err(|error| disk_error(&directory, error))?;
        let mut cleaned = Cleaned::default();
        for entry in entries.flatten() {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let age = modified
                .ok()
                .and_then(|at| SystemTime::now().duration_since(at).ok());
            if age.is_none_or(|age| age < older_than) {
                continue;
            }
            if cleaned.removed == most {
                cleaned.more = true;
                break;
            }
            let path = entry.path();
            match fs::remove_file(&path) {
                Ok(()) => cleaned.removed += 1,
                // Another process was faster.
                Err(error) if is_absence(&error) => {}
                Err(error) => {
                    tracing::warn!(path = %path.display(), error = %error, "an old temporary file stays");
                }
            }
        }
        Ok(cleaned)
    }

    pub(super) fn temporary(&self) -> Result<(Temporary, File), StoreError> {
        let path = self.root.join(TEMPORARY).join(Uuid::new_v4().to_string());
        match File::create_new(&path) {
            Ok(file) => Ok((Temporary { path }, file)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(StoreError::DirectoryMissing(self.root.clone()))
            }
            Err(error) => Err(disk_error(&path, error)),
        }
    }

    /// Makes the bytes in `file` visible under `key`; durable when this returns.
    pub(super) fn publish(
        &self,
        key: &Key,
        temporary: &Temporary,
        file: &File,
        sidecar: &Sidecar,
    ) -> Result<(), StoreError> {
        let Some((object, meta)) = self.paths(key) else {
            let message = format!("keys below {TEMPORARY} and {META} are the store's own");
            return Err(StoreError::Rejected {
                code: "ReservedKey".to_owned(),
                message,
            });
        };
        let (beside, mut description) = self.temporary()?;
        description
            .write_all(&sidecar.to_json())
            .and_then(|()| description.sync_data())
            .map_err(|error| disk_error(&beside.path, error))?;
        file.sync_data()
            .map_err(|error| disk_error(&temporary.path, error))?;
        {
            let _renaming = self.renaming.lock().unwrap_or_else(PoisonError::into_inner);
            self.rename(&beside.path, &meta)?;
            self.rename(&temporary.path, &object)?;
        }
        sync_directory_of(&meta)?;
        sync_directory_of(&object)
    }

    /// An object's file and head.
    pub(super) fn find(&self, key: &Key) -> Result<Option<(File, ObjectHead)>, StoreError> {
        let Some((object, meta)) = self.paths(key) else {
            return Ok(None);
        };
        // A pair that belongs together: both are replaced under this lock.
        let _renaming = self.renaming.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match File::open(&object) {
            Ok(file) => file,
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(disk_error(&object, error)),
        };
        let metadata = file
            .metadata()
            .map_err(|error| disk_error(&object, error))?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let json = match fs::read(&meta) {
            Ok(json) => Some(json),
            Err(error) if is_absence(&error) => None,
            Err(error) => return Err(disk_error(&meta, error)),
        };
        Ok(Some((file, Sidecar::head(json.as_deref(), metadata.len()))))
    }

    pub(super) fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let Some((object, meta)) = self.paths(key) else {
            return Ok(());
        };
        {
            let _renaming = self.renaming.lock().unwrap_or_else(PoisonError::into_inner);
            for path in [&object, &meta] {
                match fs::remove_file(path) {
                    Err(error)
                        if !is_absence(&error) && error.kind() != ErrorKind::IsADirectory =>
                    {
                        return Err(disk_error(path, error));
                    }
                    _ => {}
                }
            }
        }
        match sync_directory_of(&object) {
            Err(StoreError::DirectoryMissing(_)) => Ok(()),
            done => done,
        }
    }

    pub(super) fn keys(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut keys = Vec::new();
        let mut pending = vec![String::new()];
        while let Some(parent) = pending.pop() {
            let directory = self.root.join(&parent);
            let failed = |error| disk_error(&directory, error);
            for entry in fs::read_dir(&directory).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let Some(name) = entry
                    .file_name()
                    .to_str()
                    .map(|name| format!("{parent}{name}"))
                else {
                    continue;
                };
                if entry.file_type().map_err(failed)?.is_file() {
                    keys.extend(name.starts_with(prefix).then_some(name));
                } else if name != TEMPORARY && name != META {
                    let name = name + "/";
                    if name.starts_with(prefix) || prefix.starts_with(&name) {
                        pending.push(name);
                    }
                }
            }
        }
        keys.sort_unstable();
        Ok(keys)
    }

    /// Where an object and its sidecar are; `None` for the store's own directories.
    fn paths(&self, key: &Key) -> Option<(PathBuf, PathBuf)> {
        let first = key.as_str().split('/').next()?;
        (first != TEMPORARY && first != META).then(|| {
            let meta = self.root.join(META).join(format!("{key}.json"));
            (self.root.join(key.as_str()), meta)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        let renamed = match fs::rename(from, to) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.create_parents(to)?;
                fs::rename(from, to)
            }
            other => other,
        };
        renamed.map_err(|error| key_error(to, error))
    }

    /// Creates the directories between the root and `path`, durably.
    fn create_parents(&self, path: &Path) -> Result<(), StoreError> {
        let mut missing: Vec<&Path> = path
            .ancestors()
            .skip(1)
            .take_while(|parent| parent.starts_with(&self.root) && !parent.is_dir())
            .collect();
        while let Some(parent) = missing.pop() {
            match fs::create_dir(parent) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(key_error(parent, error));
                }
                _ => sync_directory_of(parent)?,
            }
        }
        Ok(())
    }
}

/// Renames and removals are durable only when their directory is flushed (`man 2 fsync`).
fn sync_directory_of(path: &Path) -> Result<(), StoreError> {
    let Some(directory) = path.parent() else {
        return Ok(());
    };
    match File::open(directory).and_then(|directory| directory.sync_all()) {
        Ok(()) => Ok(()),
        Err(error) if is_absence(&error) => {
            Err(StoreError::DirectoryMissing(directory.to_path_buf()))
        }
        Err(error) => Err(disk_error(directory, error)),
    }
}

fn is_absence(error: &io::Error) -> bool {
    use ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
}

/// An error about a place that a key led to: a file and a directory cannot share one name, and
/// file systems limit the length of names.
fn key_error(path: &Path, error: io::Error) -> StoreError {
    use ErrorKind::{DirectoryNotEmpty, InvalidFilename, IsADirectory, NotADirectory};
    match error.kind() {
        IsADirectory | NotADirectory | DirectoryNotEmpty | InvalidFilename => {
            StoreError::Rejected {
                code: "InvalidKey".to_owned(),
                message: error.to_string(),
            }
        }
        _ => disk_error(path, error),
    }
}

pub(super) fn disk_error(path: &Path, error: io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            StoreError::DiskFull(format!("the disk of {}", path.display()))
        }
        ErrorKind::FileTooLarge => StoreError::TooLarge,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StoreError::Denied {
            place: path.display().to_string(),
            reason: error.to_string(),
            advice: "let the user that runs this process write there, or set LOCAL_STORAGE_PATH",
        },
        _ => StoreError::Io {
            path: path.to_path_buf(),
            source: error,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind as What;

    #[test]
    fn a_full_or_forbidden_disk_is_an_outage() {
        let error = |kind: ErrorKind| disk_error(Path::new("/data"), kind.into());
        assert!(matches!(
            error(ErrorKind::StorageFull),
            StoreError::DiskFull(_)
        ));
        for kind in [
            ErrorKind::StorageFull,
            ErrorKind::QuotaExceeded,
            ErrorKind::PermissionDenied,
            ErrorKind::ReadOnlyFilesystem,
            ErrorKind::StaleNetworkFileHandle,
            ErrorKind::Other,
        ] {
            assert_eq!(error(kind).kind(), What::Outage, "{kind:?}");
        }
    }
}
