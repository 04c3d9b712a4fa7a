//! Object stores behind one enum: S3 and a local directory, one conformance suite.

mod error;
mod key;
mod local;
mod object;
mod s3;
mod settings;

use std::path::PathBuf;

use bytes::Bytes;
use md5::{Digest, Md5};
use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

pub use error::{ErrorKind, Source, StoreError};
pub use key::{Key, KeyError};
pub use local::LocalStore;
pub use object::{Body, BodyStream, ObjectHead, ObjectInfo, Range};
pub use s3::S3Store;

/// Which store, and how to reach it.
#[derive(Debug, Clone)]
pub enum StoreConfig {
    /// Amazon S3 or a server that speaks its protocol.
    S3 {
        /// The bucket.
        bucket: String,
        /// Its region.
        region: String,
        /// The server, when it is not Amazon's. Path-style addressing is used with it.
        endpoint_url: Option<Url>,
        /// With the secret: these credentials. Without: the default chain of the AWS SDK
        /// (environment, profile, web identity, ECS, EC2), asked when first needed.
        access_key_id: Option<String>,
        /// See `access_key_id`.
        secret_access_key: Option<SecretString>,
        /// The third part of temporary credentials.
        session_token: Option<SecretString>,
    },
    /// A directory of this machine.
    Local {
        /// The directory; created if absent.
        root: PathBuf,
    },
}

/// An object store. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub enum Store {
    /// Amazon S3 or a server that speaks its protocol.
    S3(S3Store),
    /// A directory of this machine.
    Local(LocalStore),
}

impl Store {
    /// Opens a store. For S3 nothing is sent yet; a local directory is created.
    ///
    /// # Errors
    /// The local directory cannot be created.
    pub async fn open(config: StoreConfig) -> Result<Self, StoreError> {
        match config {
            StoreConfig::S3 {
                bucket,
                region,
                endpoint_url,
                access_key_id,
                secret_access_key,
                session_token,
            } => {
                let credentials = access_key_id.zip(secret_access_key);
                let credentials = credentials.map(|(id, secret)| (id, secret, session_token));
                let store = S3Store::open(bucket, region, endpoint_url, credentials).await;
                Ok(Self::S3(store))
            }
            StoreConfig::Local { root } => Ok(Self::Local(LocalStore::open(root).await?)),
        }
    }

    /// `aws` or `local`, as in the setting `STORAGE_PROVIDER`.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        match self {
            Self::S3(_) => "aws",
            Self::Local(_) => "local",
        }
    }

    /// The bucket, or the directory.
    #[must_use]
    pub fn bucket(&self) -> &str {
        match self {
            Self::S3(store) => store.bucket(),
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
            Self::Local(store) => store.keys(prefix).await,
        }
    }

    /// Creates the bucket or the directory; no error if it is ours already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn create_bucket(&self) -> Result<(), StoreError> {
        match self {
            Self::S3(store) => store.create_bucket().await,
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
        self.put(&key, body.clone(), &info).await?;
        let read = match self.get(&key, None).await {
            Ok(Some(found)) => found.collect().await.map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        self.delete(&key).await?;
        if read? != Some(body) {
            let reason = "what was written cannot be read back".to_owned();
            return Err(StoreError::Unavailable {
                status: None,
                reason,
            });
        }
        self.head(&key).await.map(|_| ())
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
            Inner::Local(upload) => {
                drop(upload);
                Ok(())
            }
        }
    }
}
