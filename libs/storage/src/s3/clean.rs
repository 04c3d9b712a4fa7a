//! Multipart uploads that nobody will ever complete.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::types::MultipartUpload;

use super::S3Store;
use super::upload::Multipart;
use crate::parts::Unfinished as _;
use crate::patience::PATIENCE;
use crate::{Cleaned, Key, StoreError};

impl S3Store {
    /// Aborts at most `most` uploads that were begun `older_than` ago or earlier under keys that
    /// are named as ours are.
    pub(crate) async fn clean(
        &self,
        older_than: Duration,
        most: usize,
    ) -> Result<Cleaned, StoreError> {
        let mut cleaned = Cleaned::default();
        let (mut key_marker, mut id_marker) = (None, None);
        loop {
            let request = self
                .client
                .list_multipart_uploads()
                .bucket(self.bucket())
                .set_key_marker(key_marker)
                .set_upload_id_marker(id_marker);
            let page = self.answer(PATIENCE, request.send()).await?;
            for upload in page.uploads() {
                let Some(forgotten) = self.forgotten(upload, older_than) else {
                    continue;
                };
                if cleaned.removed == most {
                    cleaned.more = true;
                    return Ok(cleaned);
                }
                forgotten.abort().await?;
                cleaned.removed += 1;
            }
            if page.is_truncated() != Some(true) {
                return Ok(cleaned);
            }
            (key_marker, id_marker) = (page.next_key_marker, page.next_upload_id_marker);
            if key_marker.is_none() {
                return Ok(cleaned);
            }
        }
    }

    /// `upload`, if it is old and one of ours.
    fn forgotten(&self, upload: &MultipartUpload, older_than: Duration) -> Option<Multipart> {
        let begun = SystemTime::try_from(*upload.initiated()?).ok()?;
        let age = SystemTime::now().duration_since(begun).unwrap_or_default();
        let key = Key::new(upload.key()?).ok()?;
        (age >= older_than && key.is_generated()).then(|| Multipart {
            store: self.clone(),
            key: key.to_string(),
            id: upload.upload_id().unwrap_or_default().to_owned(),
        })
    }
}
