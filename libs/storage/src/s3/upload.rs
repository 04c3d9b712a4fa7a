//! Multipart uploads with bounded memory.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use md5::{Digest, Md5};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::{BASE64, PATIENCE, S3Store, metadata, time_for};
use crate::{Key, ObjectInfo, StoreError};

/// Bytes of a part: the least that S3 takes of every part but the last.
const PART: usize = 5 * 1024 * 1024;
/// Parts on their way; together with the one being filled, 15 MiB are held.
const IN_FLIGHT: usize = 2;
/// Parts of one upload (Amazon S3 User Guide, "Amazon S3 multipart upload limits"): 48 GiB.
const MOST_PARTS: i32 = 10_000;

#[derive(Debug)]
pub(crate) struct S3Upload {
    target: Target,
    buffer: BytesMut,
    digest: Md5,
    started: i32,
    under_way: JoinSet<Result<CompletedPart, StoreError>>,
    done: Vec<CompletedPart>,
    settled: bool,
}

#[derive(Debug, Clone)]
struct Target {
    store: S3Store,
    key: String,
    id: String,
}

impl S3Upload {
    pub(super) async fn begin(
        store: S3Store,
        key: &Key,
        info: &ObjectInfo,
    ) -> Result<Self, StoreError> {
        let request = store
            .client
            .create_multipart_upload()
            .bucket(store.bucket())
            .key(key.as_str())
            .content_type(&info.content_type)
            .set_metadata(Some(metadata::encode(info, info.md5)));
        let answer = store.answer(PATIENCE, request.send()).await?;
        let id = answer.upload_id.ok_or_else(|| StoreError::Unavailable {
            status: None,
            reason: "an upload was begun but not named".to_owned(),
        })?;
        Ok(Self {
            target: Target {
                store,
                key: key.to_string(),
                id,
            },
            buffer: BytesMut::new(),
            digest: Md5::new(),
            started: 0,
            under_way: JoinSet::new(),
            done: Vec::new(),
            settled: false,
        })
    }

    pub(crate) async fn write(&mut self, mut bytes: Bytes) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            if self.buffer.capacity() == 0 {
                self.buffer.reserve(PART);
            }
            let taken = bytes.split_to(bytes.len().min(PART - self.buffer.len()));
            self.digest.update(&taken);
            self.buffer.extend_from_slice(&taken);
            if self.buffer.len() == PART {
                self.send_part().await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn complete(mut self) -> Result<(), StoreError> {
        // An upload needs one part at least, so an empty object has an empty one.
        if !self.buffer.is_empty() || self.started == 0 {
            self.send_part().await?;
        }
        while self.take_answer().await? {}
        self.done.sort_unstable_by_key(CompletedPart::part_number);
        let parts = std::mem::take(&mut self.done);
        let Target { store, key, id } = &self.target;
        let request = store
            .client
            .complete_multipart_upload()
            .bucket(store.bucket())
            .key(key)
            .upload_id(id)
            .multipart_upload(
                CompletedMultipartUpload::builder()
                    .set_parts(Some(parts))
                    .build(),
            );
        // S3 may take minutes to join many parts ("CompleteMultipartUpload", API reference).
        store.answer(PATIENCE * 10, request.send()).await?;
        self.settled = true;
        Ok(())
    }

    pub(crate) async fn abort(mut self) -> Result<(), StoreError> {
        // A part that arrives after the abort would be kept, so none may be under way.
        self.under_way.shutdown().await;
        self.settled = true;
        self.target.clone().abort().await
    }

    /// Sends what is buffered, when fewer than the allowed number of parts are under way.
    async fn send_part(&mut self) -> Result<(), StoreError> {
        while self.under_way.len() >= IN_FLIGHT {
            self.take_answer().await?;
        }
        if self.started == MOST_PARTS {
            return Err(StoreError::TooLarge);
        }
        self.started += 1;
        let body = std::mem::take(&mut self.buffer).freeze();
        let md5 = BASE64.encode(self.digest.finalize_reset());
        self.under_way
            .spawn(self.target.clone().send_part(self.started, body, md5));
        Ok(())
    }

    /// Waits for one part; false if none is under way.
    async fn take_answer(&mut self) -> Result<bool, StoreError> {
        match self.under_way.join_next().await {
            Some(Ok(part)) => self.done.push(part?),
            Some(Err(lost)) => return Err(StoreError::UploadLost(lost.to_string())),
            None => return Ok(false),
        }
        Ok(true)
    }
}

impl Target {
    async fn send_part(
        self,
        number: i32,
        body: Bytes,
        md5: String,
    ) -> Result<CompletedPart, StoreError> {
        let limit = time_for(body.len());
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
}

impl Drop for S3Upload {
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if self.settled {
            return;
        }
        let target = self.target.clone();
        let mut under_way = std::mem::take(&mut self.under_way);
        runtime.spawn(async move {
            under_way.shutdown().await;
            let key = target.key.clone();
            if let Err(error) = target.abort().await {
                tracing::warn!(key, error = %error, "an unfinished upload is left in the store");
            }
        });
    }
}
