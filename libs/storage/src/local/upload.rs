//! An object that is written piece by piece.

use std::fs::File;

use tokio::io::{AsyncWriteExt, BufWriter};

use super::LocalStore;
use super::files::{Temporary, disk_error};
use crate::{Key, ObjectInfo, StoreError};

/// Bytes gathered before each write: a write is a task on another thread.
const BUFFER: usize = 1024 * 1024;

#[derive(Debug)]
pub(crate) struct LocalUpload {
    store: LocalStore,
    key: Key,
    info: ObjectInfo,
    writer: BufWriter<tokio::fs::File>,
    temporary: Temporary,
}

impl LocalUpload {
    pub(super) fn begin(
        store: LocalStore,
        key: Key,
        info: ObjectInfo,
        temporary: Temporary,
        file: File,
    ) -> Self {
        let writer = BufWriter::with_capacity(BUFFER, tokio::fs::File::from_std(file));
        Self {
            store,
            key,
            info,
            writer,
            temporary,
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let written = self.writer.write_all(bytes).await;
        written.map_err(|error| disk_error(&self.temporary.path, error))
    }

    pub(crate) async fn complete(mut self) -> Result<(), StoreError> {
        let flushed = self.writer.flush().await;
        flushed.map_err(|error| disk_error(&self.temporary.path, error))?;
        let file = self.writer.into_inner().into_std().await;
        self.store
            .publish((self.key, self.temporary, file), self.info)
            .await
    }
}
