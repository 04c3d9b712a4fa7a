//! Objects that are sent in parts, with bounded memory, to any store that takes them so.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use md5::{Digest, Md5};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::StoreError;

/// Bytes of a part: the least that S3 takes of every part but the last.
const PART: usize = 5 * 1024 * 1024;
/// Parts on their way; together with the one being filled, 15 MiB are held.
const IN_FLIGHT: usize = 2;

/// An unfinished object in a store.
pub(crate) trait Unfinished: Clone + Send + 'static {
    /// What the store wants to hear of each part in the end.
    type Part: Send + 'static;

    /// Parts that one object may have.
    const MOST_PARTS: u32;

    /// Sends part `number`, counted from 1, whose base64 MD5 is `md5`.
    fn send(
        self,
        number: u32,
        body: Bytes,
        md5: String,
    ) -> impl Future<Output = Result<Self::Part, StoreError>> + Send;

    /// Makes the object of these parts, in this order.
    fn complete(
        self,
        parts: Vec<Self::Part>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Frees what the store holds of it. No part is under way any more.
    fn abort(self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// For logs.
    fn key(&self) -> &str;

    /// Where aborts of dropped uploads are counted until they are done.
    fn background(&self) -> &TaskTracker;
}

/// The sending side of an unfinished object.
#[derive(Debug)]
pub(crate) struct Parts<U: Unfinished> {
    target: U,
    buffer: BytesMut,
    digest: Md5,
    started: u32,
    under_way: JoinSet<Result<(u32, U::Part), StoreError>>,
    done: Vec<(u32, U::Part)>,
    settled: bool,
}

impl<U: Unfinished> Parts<U> {
    pub(crate) fn new(target: U) -> Self {
        Self {
            target,
            buffer: BytesMut::new(),
            digest: Md5::new(),
            started: 0,
            under_way: JoinSet::new(),
            done: Vec::new(),
            settled: false,
        }
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
        // S3 wants one part at least, so an empty object has an empty one.
        if !self.buffer.is_empty() || self.started == 0 {
            self.send_part().await?;
        }
        while self.take_answer().await? {}
        self.done.sort_unstable_by_key(|(number, _)| *number);
        let parts = std::mem::take(&mut self.done);
        let parts = parts.into_iter().map(|(_, part)| part).collect();
        self.target.clone().complete(parts).await?;
        self.settled = true;
        Ok(())
    }

    pub(crate) async fn abort(mut self) -> Result<(), StoreError> {
        // A part that arrives after the abort would be kept, so none may be under way.
        self.under_way.shutdown().await;
        let aborted = self.target.clone().abort().await;
        self.settled = true;
        aborted
    }

    /// Sends what is buffered, when fewer than the allowed number of parts are under way.
    async fn send_part(&mut self) -> Result<(), StoreError> {
        while self.under_way.len() >= IN_FLIGHT {
            self.take_answer().await?;
        }
        if self.started == U::MOST_PARTS {
            return Err(StoreError::TooLarge);
        }
        self.started += 1;
        let number = self.started;
        let body = std::mem::take(&mut self.buffer).freeze();
        let md5 = BASE64.encode(self.digest.finalize_reset());
        let target = self.target.clone();
        self.under_way
            .spawn(async move { Ok((number, target.send(number, body, md5).await?)) });
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

impl<U: Unfinished> Drop for Parts<U> {
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if self.settled {
            return;
        }
        let target = self.target.clone();
        let mut under_way = std::mem::take(&mut self.under_way);
        let abort = async move {
            under_way.shutdown().await;
            let key = target.key().to_owned();
            if let Err(error) = target.abort().await {
                tracing::warn!(key, error = %error, "an unfinished upload is left in the store");
            }
        };
        let background = self.target.background();
        background.spawn_on(abort, &runtime);
    }
}
