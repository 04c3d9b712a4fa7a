//! Object stores behind one enum: S3, Azure Blob and a local directory, one conformance suite.

mod azure;
mod config;
mod error;
mod key;
mod local;
mod metadata;
mod object;
mod parts;
mod patience;
mod s3;
mod settings;

use std::time::Duration;

use bytes::Bytes;
use md5::{Digest, Md5};
use url::Url;
use uuid::Uuid;

pub use azure::AzureStore;
pub use config::{AzureConfig, AzureCredential, Encryption, S3Config, StoreConfig};
pub use error::{ErrorKind, Source, StoreError};
pub use key::{Key, KeyError};
pub use local::LocalStore;
pub use object::{Body, BodyStream, ObjectHead, ObjectInfo, Range};
pub use s3::S3Store;

/// However short-lived the credentials are, a URL of [`Store::presign`] holds at least this long.
pub const PRESIGNED_AT_LEAST: Duration = Duration::from_secs(120);

/// Leftovers removed by one [`Store::clean`] at most, so that it ends.
const MOST_CLEANED: usize = 500;

/// What a URL of [`Store::presign`] allows, and what its answer says.
#[derive(Debug, Clone)]
pub struct Presign {
    /// How long it may be used; less where the credentials that sign it expire earlier.
    pub ttl: Duration,
    /// The `Content-Type` of the answer.
    pub content_type: String,
    /// The `Content-Disposition` of the answer.
    pub content_disposition: String,
}

/// What [`Store::clean`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Leftovers removed.
    pub removed: usize,
    /// There are more; clean again.
    pub more: bool,
}

/// An object store. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub enum Store {
    /// Amazon S3 or a server that speaks its protocol.
    S3(S3Store),
    /// Azure Blob Storage.
    Azure(AzureStore),
    /// A directory of this machine.
    Local(LocalStore),
}

impl Store {
    /// Opens a store. For S3 and Azure nothing is sent yet; a local directory is created.
    ///
    /// # Errors
    /// The local directory cannot be created, or the TLS library fails.
    pub async fn open(config: StoreConfig) -> Result<Self, StoreError> {
        Ok(match config {
            StoreConfig::S3(config) => Self::S3(Box::pin(S3Store::open(config)).await),
            StoreConfig::Azure(config) => Self::Azure(AzureStore::open(config)?),
            StoreConfig::Local { root } => Self::Local(LocalStore::open(root).await?),
        })
    }

    /// `aws`, `azure` or `local`, as in the setting `STORAGE_PROVIDER`.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        match self {
            Self::S3(_) => "aws",
            Self::Azure(_) => "azure",
            Self::Local(_) => "local",
        }
    }

    /// The bucket, the container, or the directory.
    #[must_use]
    pub fn bucket(&self) -> &str {
        match self {
            Self::S3(store) => store.bucket(),
            Self::Azure(store) => store.container(),
            Self::Local(store) => store.bucket(),
        }
    }

    /// Stores `body` under `key`, replacing what is there. The object appears only when its bytes
    /// have the MD5 in `info`; without one, the MD5 of `body` protects it on its way.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is visible then, unless an answer was lost on its way back.
    pub async fn put(&self, key: &Key, body: Bytes, info: &ObjectInfo) -> Result<(), StoreError> {
        match self {
            Self::S3(store) => store.put(key, body, info).await,
            Self::Azure(store) => store.put(key, body, info).await,
            Self::Local(store) => store.put(key, body, info).await,
        }
    }

    /// Begins an object of unknown or large size. It appears only on [`Upload::complete`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn upload(&self, key: &Key, info: &ObjectInfo) -> Result<Upload, StoreError> {
        Ok(Upload(match self {
            Self::S3(store) => Inner::S3(Box::new(store.upload(key, info).await?)),
            Self::Azure(store) => Inner::Azure(Box::new(store.upload(key, info))),
            Self::Local(store) => Inner::Local(Box::new(store.upload(key, info).await?)),
        }))
    }

    /// What is known about an object; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError`]. S3 answers a HEAD with 404 for a missing bucket too, so that is `None`.
    pub async fn head(&self, key: &Key) -> Result<Option<ObjectHead>, StoreError> {
        match self {
            Self::S3(store) => store.head(key).await,
            Self::Azure(store) => store.head(key).await,
            Self::Local(store) => store.head(key).await,
        }
    }

    /// An object's bytes, all or a range of them; `None` if there is no object.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::InvalidRange`] when the range has no byte of the object.
    pub async fn get(&self, key: &Key, range: Option<Range>) -> Result<Option<Body>, StoreError> {
        match self {
            Self::S3(store) => store.get(key, range).await,
            Self::Azure(store) => store.get(key, range).await,
            Self::Local(store) => store.get(key, range).await,
        }
    }

    /// Removes an object; no error if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        match self {
            Self::S3(store) => store.delete(key).await,
            Self::Azure(store) => store.delete(key).await,
            Self::Local(store) => store.delete(key).await,
        }
    }

    /// Every key that begins with `prefix`, in order. For tests and verification: all of them are
    /// held in memory.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keys(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        match self {
            Self::S3(store) => store.keys(prefix).await,
            Self::Azure(store) => store.keys(prefix).await,
            Self::Local(store) => store.keys(prefix).await,
        }
    }

    /// A URL that lets anybody who holds it read this object for a while; `None` where there are no
    /// such URLs: a local directory, or an Azure SAS, which cannot sign another one.
    ///
    /// # Errors
    /// [`StoreError`]. Whether the object exists is not asked.
    pub async fn presign(&self, key: &Key, wanted: &Presign) -> Result<Option<Url>, StoreError> {
        match self {
            Self::S3(store) => store.presign(key, wanted).await.map(Some),
            Self::Azure(store) => store.presign(key, wanted).await,
            Self::Local(_) => Ok(None),
        }
    }

    /// The origin of the URLs of [`Store::presign`], for a page's content security policy.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        match self {
            Self::S3(store) => Some(store.origin()),
            Self::Azure(store) => Some(store.origin()),
            Self::Local(_) => None,
        }
    }

    /// Removes what processes that died left of their unfinished uploads `older_than` ago or
    /// earlier, at most some hundreds. Of S3 those under keys as workers make them; Azure forgets
    /// uncommitted blocks after a week by itself.
    ///
    /// # Errors
    /// [`StoreError`]; on S3 it needs `s3:ListBucketMultipartUploads`.
    pub async fn clean(&self, older_than: Duration) -> Result<Cleaned, StoreError> {
        match self {
            Self::S3(store) => store.clean(older_than, MOST_CLEANED).await,
            Self::Azure(_) => Ok(Cleaned::default()),
            Self::Local(store) => store.clean(older_than, MOST_CLEANED).await,
        }
    }

    /// Waits until what dropped uploads abort in the background is done: before a process ends.
    pub async fn settled(&self) {
        let background = match self {
            Self::S3(store) => store.background(),
            Self::Azure(_) | Self::Local(_) => return,
        };
        background.close();
        background.wait().await;
    }

    /// Creates the bucket, container or directory; no error if it is ours already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn create_bucket(&self) -> Result<(), StoreError> {
        match self {
            Self::S3(store) => store.create_bucket().await,
            Self::Azure(store) => store.create_container().await,
            Self::Local(store) => store.create_directories().await,
        }
    }

    /// Proves that the store works: writes a small object, reads it back, deletes it, and asks for
    /// it once more, because S3 answers 403 instead of 404 where `s3:ListBucket` is not granted.
    ///
    /// # Errors
    /// [`StoreError`], whose text says what to do.
    pub async fn check(&self) -> Result<(), StoreError> {
        let name = format!("imagefleet-probe-{}", Uuid::new_v4());
        let rejected = |message: String| StoreError::Rejected {
            code: "probe".to_owned(),
            message,
        };
        let key = Key::new(name.as_str()).map_err(|error| rejected(error.to_string()))?;
        let body = Bytes::from(name);
        let info = ObjectInfo {
            content_type: "text/plain".to_owned(),
            source_name: "probe".to_owned(),
            md5: Some(Md5::digest(&body).into()),
            ..ObjectInfo::default()
        };
        let put = self.put(&key, body.clone(), &info).await;
        put.map_err(|error| error.during("writing a probe object"))?;
        let read = match self.get(&key, None).await {
            Ok(Some(found)) => found.collect().await.map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        let deleted = self.delete(&key).await;
        let read = read.map_err(|error| error.during("reading a probe object"))?;
        deleted.map_err(|error| error.during("deleting a probe object"))?;
        if read != Some(body) {
            let reason = "what was written cannot be read back".to_owned();
            return Err(StoreError::Unavailable {
                status: None,
                reason,
            });
        }
        let gone = self.head(&key).await;
        gone.map(|_| ())
            .map_err(|error| error.during("asking for an object that does not exist"))
    }
}

/// An object under way. Memory is bounded: 5 MiB parts, at most two of them in flight.
///
/// Dropped before [`Upload::complete`], it is aborted in the background. After an error, or a
/// cancelled `write`, nothing but dropping or aborting makes sense.
#[derive(Debug)]
pub struct Upload(Inner);

#[derive(Debug)]
enum Inner {
    S3(Box<s3::S3Upload>),
    Azure(Box<azure::AzureUpload>),
    Local(Box<local::LocalUpload>),
}

impl Upload {
    /// Adds bytes; waits while too many are in flight.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        match &mut self.0 {
            Inner::S3(upload) => upload.write(bytes).await,
            Inner::Azure(upload) => upload.write(bytes).await,
            Inner::Local(upload) => upload.write(&bytes).await,
        }
    }

    /// Makes the object visible. Each part was guarded on its way; whether the whole is what it
    /// should be, the caller verifies before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn complete(self) -> Result<(), StoreError> {
        match self.0 {
            Inner::S3(upload) => upload.complete().await,
            Inner::Azure(upload) => upload.complete().await,
            Inner::Local(upload) => upload.complete().await,
        }
    }

    /// Gives the object up and frees what the store holds of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn abort(self) -> Result<(), StoreError> {
        match self.0 {
            Inner::S3(upload) => upload.abort().await,
            Inner::Azure(upload) => upload.abort().await,
            Inner::Local(upload) => {
                drop(upload);
                Ok(())
            }
        }
    }
}
