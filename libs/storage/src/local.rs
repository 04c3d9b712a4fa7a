//! A directory as a store.
//!
//! An object is a file at `root/<key>`, what is said about it is in `root/.meta/<key>.json`. Both
//! are written to `root/.tmp`, flushed to the disk and renamed, so an object is whole or absent,
//! whatever dies.

mod files;
mod sidecar;
mod upload;

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use md5::{Digest, Md5};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use crate::{Body, Cleaned, Key, ObjectHead, ObjectInfo, Range, StoreError};
use files::{Files, disk_error};
use sidecar::Sidecar;
pub(crate) use upload::LocalUpload;

/// Bytes read at once: each read is a task on another thread.
const CHUNK: usize = 256 * 1024;
/// No upload takes as long, so an older temporary file belongs to a process that died.
const LEFTOVER: Duration = Duration::from_secs(24 * 60 * 60);

/// A directory as a store.
#[derive(Debug, Clone)]
pub struct LocalStore {
    files: Arc<Files>,
    name: Arc<str>,
}

impl LocalStore {
    pub(crate) async fn open(root: PathBuf) -> Result<Self, StoreError> {
        let name = Arc::from(root.display().to_string());
        let store = Self {
            files: Arc::new(Files::new(root)),
            name,
        };
        store.create_directories().await?;
        store.clean(LEFTOVER, usize::MAX).await?;
        Ok(store)
    }

    pub(crate) async fn clean(
        &self,
        older_than: Duration,
        most: usize,
    ) -> Result<Cleaned, StoreError> {
        self.blocking(move |files| files.remove_leftovers(older_than, most))
            .await
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.name
    }

    pub(crate) async fn create_directories(&self) -> Result<(), StoreError> {
        self.blocking(|files| files.create_directories()).await
    }

    pub(crate) async fn put(
        &self,
        key: &Key,
        body: Bytes,
        info: &ObjectInfo,
    ) -> Result<(), StoreError> {
        let (key, info) = (key.clone(), info.clone());
        self.blocking(move |files| {
            let md5: [u8; 16] = Md5::digest(&body).into();
            if info.md5.is_some_and(|expected| expected != md5) {
                return Err(StoreError::BadDigest);
            }
            let (temporary, mut file) = files.temporary()?;
            file.write_all(&body)
                .map_err(|error| disk_error(&temporary.path, error))?;
            let sidecar = Sidecar::new(&info, Some(md5), body.len() as u64);
            files.publish(&key, &temporary, &file, &sidecar)
        })
        .await
    }

    pub(crate) async fn upload(
        &self,
        key: &Key,
        info: &ObjectInfo,
    ) -> Result<LocalUpload, StoreError> {
        let (temporary, file) = self.blocking(|files| files.temporary()).await?;
        Ok(LocalUpload::begin(
            self.clone(),
            key.clone(),
            info.clone(),
            temporary,
            file,
        ))
    }

    pub(crate) async fn head(&self, key: &Key) -> Result<Option<ObjectHead>, StoreError> {
        let key = key.clone();
        self.blocking(move |files| Ok(files.find(&key)?.map(|(_, head)| head)))
            .await
    }

    pub(crate) async fn get(
        &self,
        key: &Key,
        range: Option<Range>,
    ) -> Result<Option<Body>, StoreError> {
        let wanted = key.clone();
        let found = self
            .blocking(move |files| {
                let Some((mut file, head)) = files.find(&wanted)? else {
                    return Ok(None);
                };
                let (offset, size) = match range {
                    None => (0, head.size),
                    Some(range) => range.within(head.size).ok_or(StoreError::InvalidRange)?,
                };
                file.seek(SeekFrom::Start(offset))
                    .map_err(|error| disk_error(files.root(), error))?;
                Ok(Some((file, head, offset, size)))
            })
            .await?;
        let Some((file, head, offset, size)) = found else {
            return Ok(None);
        };
        let path = self.files.root().join(key.as_str());
        let reader = tokio::fs::File::from_std(file).take(size);
        let stream = ReaderStream::with_capacity(reader, CHUNK)
            .map_err(move |error| disk_error(&path, error));
        Ok(Some(Body {
            offset,
            size,
            total_size: head.size,
            content_type: head.content_type,
            stream: Box::pin(stream),
        }))
    }

    pub(crate) async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let key = key.clone();
        self.blocking(move |files| files.delete(&key)).await
    }

    pub(crate) async fn keys(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let prefix = prefix.to_owned();
        self.blocking(move |files| files.keys(&prefix)).await
    }

    async fn publish(
        &self,
        upload: (Key, files::Temporary, File),
        info: ObjectInfo,
    ) -> Result<(), StoreError> {
        self.blocking(move |files| {
            let (key, temporary, file) = upload;
            let size = file
                .metadata()
                .map_err(|error| disk_error(&temporary.path, error))?
                .len();
            let sidecar = Sidecar::new(&info, info.md5, size);
            files.publish(&key, &temporary, &file, &sidecar)
        })
        .await
    }

    /// Runs `work` where it may wait for the disk.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let files = Arc::clone(&self.files);
        match tokio::task::spawn_blocking(move || work(&files)).await {
            Ok(done) => done,
            Err(lost) => Err(disk_error(self.files.root(), io::Error::other(lost))),
        }
    }
}
