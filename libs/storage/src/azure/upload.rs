//! Block uploads. Blocks that are never committed are visible to nobody, and Azure removes them a
//! week after the last one came ("Put Block", Azure Storage REST API): to abort is to do nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use reqwest::Method;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{AzureStore, Request, describe};
use crate::parts::{Parts, Unfinished};
use crate::{Key, ObjectInfo, StoreError};

pub(crate) type AzureUpload = Parts<Blocks>;

/// Blocks of one upload. Others may send blocks to the same key meanwhile: the first to commit
/// wins, and the other is told that its blocks are gone.
#[derive(Debug, Clone)]
pub(crate) struct Blocks {
    store: AzureStore,
    key: Key,
    info: ObjectInfo,
    /// Begins the names of our blocks.
    id: Uuid,
    background: TaskTracker,
}

pub(super) fn begin(store: AzureStore, key: &Key, info: &ObjectInfo) -> AzureUpload {
    Parts::new(Blocks {
        store,
        key: key.clone(),
        info: info.clone(),
        id: Uuid::new_v4(),
        background: TaskTracker::new(),
    })
}

impl Unfinished for Blocks {
    /// A block's name; none for an empty one, which Azure refuses.
    type Part = Option<String>;

    /// "Scalability and performance targets for Blob Storage": 244 GiB.
    const MOST_PARTS: u32 = 50_000;

    async fn send(
        self,
        number: u32,
        body: Bytes,
        md5: String,
    ) -> Result<Option<String>, StoreError> {
        if body.is_empty() {
            return Ok(None);
        }
        // All names of one blob's blocks must have the same length.
        let mut name = self.id.as_bytes().to_vec();
        name.extend(number.to_be_bytes());
        let name = BASE64.encode(name);
        let mut url = self.store.blob(&self.key);
        url.query_pairs_mut()
            .append_pair("comp", "block")
            .append_pair("blockid", &name);
        let request = Request::new(Method::PUT, url)
            .header("content-md5", md5)
            .body(body);
        self.store.ask(request).await?;
        Ok(Some(name))
    }

    async fn complete(self, parts: Vec<Option<String>>) -> Result<(), StoreError> {
        // "Latest" also finds blocks that are committed already: so this may be said twice.
        let blocks: String = parts
            .into_iter()
            .flatten()
            .map(|name| format!("<Latest>{name}</Latest>"))
            .collect();
        let body =
            format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>{blocks}</BlockList>");
        let mut url = self.store.blob(&self.key);
        url.query_pairs_mut().append_pair("comp", "blocklist");
        let mut request = describe(
            Request::new(Method::PUT, url).header("content-md5", BASE64.encode(Md5::digest(&body))),
            &self.info,
            self.info.md5,
        );
        if let Some(md5) = self.info.md5 {
            request = request.header("x-ms-blob-content-md5", BASE64.encode(md5));
        }
        let request = request.body(Bytes::from(body));
        self.store.ask(request).await.map(|_| ())
    }

    async fn abort(self) -> Result<(), StoreError> {
        Ok(())
    }

    fn key(&self) -> &str {
        self.key.as_str()
    }

    fn background(&self) -> &TaskTracker {
        &self.background
    }
}
