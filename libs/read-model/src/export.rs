//! Lists as a whole, read a batch at a time.

use std::vec::IntoIter;

use contracts::{Cause, FileId, ImportId};

use crate::query::EXPORT_BATCH;
use crate::{FailedItem, ImageRow, ImagesQuery, ReadModel, Result};

/// Every image that matches, one after the other; see [`ReadModel::all_images`].
#[derive(Debug)]
pub struct AllImages {
    model: ReadModel,
    query: ImagesQuery,
    ready: IntoIter<ImageRow>,
}

impl AllImages {
    pub(crate) fn new(model: ReadModel, filter: ImagesQuery) -> Self {
        let query = ImagesQuery {
            per_page: EXPORT_BATCH,
            after: Some(filter.after.unwrap_or(i64::MAX)),
            ..filter
        };
        Self {
            model,
            query,
            ready: IntoIter::default(),
        }
    }

    /// The next image; `None` after the last. After an error the same image is asked for again.
    ///
    /// # Errors
    /// As every query.
    pub async fn next(&mut self) -> Result<Option<ImageRow>> {
        if self.ready.as_slice().is_empty() {
            let batch = self.model.page_of_images(self.query.clone()).await?;
            self.ready = batch.into_iter();
        }
        let next = self.ready.next();
        if let Some(row) = &next {
            self.query.after = Some(row.id);
        }
        Ok(next)
    }
}

/// Every failed entry, one after the other; see [`ReadModel::all_failed_items`].
#[derive(Debug)]
pub struct AllFailedItems {
    model: ReadModel,
    import: ImportId,
    cause: Option<Cause>,
    after: Option<FileId>,
    ready: IntoIter<FailedItem>,
}

impl AllFailedItems {
    pub(crate) fn new(model: ReadModel, import: ImportId, cause: Option<Cause>) -> Self {
        Self {
            model,
            import,
            cause,
            after: None,
            ready: IntoIter::default(),
        }
    }

    /// The next entry; `None` after the last. After an error the same entry is asked for again.
    ///
    /// # Errors
    /// As every query.
    pub async fn next(&mut self) -> Result<Option<FailedItem>> {
        if self.ready.as_slice().is_empty() {
            let batch = self
                .model
                .failed_items(&self.import, self.cause, self.after.as_ref(), EXPORT_BATCH)
                .await?;
            self.ready = batch.into_iter();
        }
        let next = self.ready.next();
        if let Some(item) = &next {
            self.after = Some(item.item_id.clone());
        }
        Ok(next)
    }
}
