//! Which store, and how to reach it.

use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

pub use crate::azure::config::{AzureConfig, AzureCredential};

/// Which store, and how to reach it.
#[derive(Debug, Clone)]
pub enum StoreConfig {
    /// Amazon S3 or a server that speaks its protocol.
    S3(S3Config),
    /// Azure Blob Storage.
    Azure(AzureConfig),
    /// A directory of this machine.
    Local {
        /// The directory; created if absent.
        root: PathBuf,
    },
}

impl StoreConfig {
    /// Unix time at which `azure_sas` expires, if there is one and it says so. Other credentials do not
    /// expire, or are renewed by themselves.
    #[must_use]
    pub fn expire(&self) -> Vec<(&'static str, i64)> {
        let at = match self {
            Self::Azure(config) => config.sas_expires(),
            Self::S3(_) | Self::Local { .. } => None,
        };
        at.map(|at| ("azure_sas", at)).into_iter().collect()
    }

    /// Whether any browser can reach the store: Amazon's and Microsoft's own, but not necessarily a
    /// server of one's own.
    #[must_use]
    pub fn is_public_service(&self) -> bool {
        match self {
            Self::S3(config) => config.endpoint_url.is_none(),
            Self::Azure(config) => config.is_public_service(),
            Self::Local { .. } => false,
        }
    }
}

/// One bucket of Amazon S3 or of a server that speaks its protocol.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// The bucket.
    pub bucket: String,
    /// Its region.
    pub region: String,
    /// The server, when it is not Amazon's.
    pub endpoint_url: Option<Url>,
    /// Whether the bucket stands in the path (`host/bucket/key`), not in the host
    /// (`bucket.host/key`).
    pub path_style: bool,
    /// Id and secret of the credentials. Without: the default chain of the AWS SDK (environment,
    /// profile, web identity, ECS, EC2), asked when first needed.
    pub access_key: Option<(String, SecretString)>,
    /// The third part of temporary credentials.
    pub session_token: Option<SecretString>,
    /// How the store is told to encrypt what it keeps; `None` leaves it to the bucket's settings.
    pub encryption: Option<Encryption>,
}

impl S3Config {
    /// A bucket at `endpoint_url`, or at Amazon without one, addressed as is usual there, with
    /// credentials of the default chain.
    #[must_use]
    pub fn new(
        bucket: impl Into<String>,
        region: impl Into<String>,
        endpoint_url: Option<Url>,
    ) -> Self {
        Self {
            bucket: bucket.into(),
            region: region.into(),
            path_style: endpoint_url.is_some(),
            endpoint_url,
            access_key: None,
            session_token: None,
            encryption: None,
        }
    }

    /// With these credentials.
    #[must_use]
    pub fn with_key(mut self, id: impl Into<String>, secret: impl Into<SecretString>) -> Self {
        self.access_key = Some((id.into(), secret.into()));
        self
    }
}

/// Server-side encryption (Amazon S3 User Guide, "Protecting data with server-side encryption").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// `AES256`: with keys that S3 manages.
    S3,
    /// `aws:kms`: with a key of KMS, by id or ARN; `None` is the account's default key for S3.
    Kms(Option<String>),
}
