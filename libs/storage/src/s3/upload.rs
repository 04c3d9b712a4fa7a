//! Multipart uploads.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use tokio_util::task::TaskTracker;

use super::{S3Store, headers};
use crate::parts::{Parts, Unfinished};
use crate::patience::{PATIENCE, time_for};
use crate::{Key, ObjectInfo, StoreError};

pub(crate) type S3Upload = Parts<Multipart>;

/// A multipart upload that the store knows by its id.
#[derive(Debug, Clone)]
pub(crate) struct Multipart {
    pub(super) store: S3Store,
    pub(super) key: String,
    pub(super) id: String,
}

pub(super) async fn begin(
    store: S3Store,
    key: &Key,
    info: &ObjectInfo,
) -> Result<S3Upload, StoreError> {
    let (encryption, kms_key) = store.encryption();
    let request = store
        .client
        .create_multipart_upload()
        .bucket(store.bucket())
        .key(key.as_str())
        .content_type(&info.content_type)
        .set_server_side_encryption(encryption)
        .set_ssekms_key_id(kms_key)
        .set_metadata(Some(headers(info, info.md5)));
    let answer = store.answer(PATIENCE, request.send()).await?;
    let id = answer.upload_id.ok_or_else(|| StoreError::Unavailable {
        status: None,
        reason: "an upload was begun but not named".to_owned(),
    })?;
    let key = key.to_string();
    Ok(Parts::new(Multipart { store, key, id }))
}

impl Unfinished for Multipart {
    type Part = CompletedPart;

    /// Amazon S3 User Guide, "Amazon S3 multipart upload limits": 48 GiB.
    const MOST_PARTS: u32 = 10_000;

    async fn send(
        self,
        number: u32,
        body: Bytes,
        md5: String,
    ) -> Result<CompletedPart, StoreError> {
        let limit = time_for(body.len());
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let request = self
            .store
            .client
            .upload_part()
            .bucket(self.store.bucket())
            .key(self.key)
            .upload_id(self.id)
            .part_number(number)
            .content_md5(md5)
            .body(ByteStream::from(body))
            .customize()
            .disable_payload_signing();
        let answer = self.store.answer(limit, request.send()).await?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(answer.e_tag)
            .build())
    }

    async fn complete(self, parts: Vec<CompletedPart>) -> Result<(), StoreError> {
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts))
            .build();
        let request = self
            .store
            .client
            .complete_multipart_upload()
            .bucket(self.store.bucket())
            .key(self.key)
            .upload_id(self.id)
            .multipart_upload(parts);
        // S3 may take minutes to join many parts ("CompleteMultipartUpload", API reference).
        self.store
            .answer(PATIENCE * 10, request.send())
            .await
            .map(|_| ())
    }

    async fn abort(self) -> Result<(), StoreError> {
        let request = self
            .store
            .client
            .abort_multipart_upload()
            .bucket(self.store.bucket())
            .key(self.key)
            .upload_id(self.id);
        match self.store.answer(PATIENCE, request.send()).await {
            Ok(_) | Err(StoreError::UploadLost(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn background(&self) -> &TaskTracker {
        &self.store.background
    }
}
