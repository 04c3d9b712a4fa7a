//! What can go wrong with a store, and what to do then.

use std::path::PathBuf;

/// Any error inside another one.
pub type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What the caller should do about a [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The store is away, full, or set up wrongly. Nothing is wrong with the object: wait, and tell
    /// people what the error's text says.
    Outage,
    /// The bytes or an upload were lost on the way: try this object again.
    Retry,
    /// This object will never be accepted.
    Object,
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The bucket does not exist.
    #[error("bucket {bucket} does not exist: create it in region {region} or set AWS_BUCKET_NAME")]
    BucketMissing {
        /// The bucket asked for.
        bucket: String,
        /// The configured region.
        region: String,
    },
    /// The bucket is in another region.
    #[error("bucket {bucket} is not in region {region}: set AWS_REGION to {actual}")]
    WrongRegion {
        /// The bucket asked for.
        bucket: String,
        /// The configured region.
        region: String,
        /// The bucket's region, where the store named it.
        actual: String,
    },
    /// The container does not exist.
    #[error(
        "container {container} does not exist in storage account {account}: create it or set \
         AZURE_STORAGE_CONTAINER_NAME"
    )]
    ContainerMissing {
        /// The container asked for.
        container: String,
        /// The configured account.
        account: String,
    },
    /// The local directory is gone.
    #[error("directory {} is gone: create or mount it, or set LOCAL_STORAGE_PATH", .0.display())]
    DirectoryMissing(PathBuf),
    /// The credentials are right but may not do this.
    #[error("access to {place} is denied ({reason}): {advice}")]
    Denied {
        /// The bucket or directory.
        place: String,
        /// What the store said.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// The credentials are absent, wrong or expired, or the clock is.
    #[error("the object store does not accept the credentials ({reason}): {advice}")]
    BadCredentials {
        /// What the store said.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// The bytes that arrived do not have the checksum that was announced.
    #[error("the bytes that reached the store do not have the expected checksum: send them again")]
    BadDigest,
    /// The store forgot an unfinished upload, or one of its parts.
    #[error("the store lost the unfinished upload ({0}): send the object again")]
    UploadLost(String),
    /// Larger than the store accepts.
    #[error("the object is larger than the store accepts")]
    TooLarge,
    /// The range asked for has no byte of the object.
    #[error("the range lies outside the object")]
    InvalidRange,
    /// Nobody answers.
    #[error(
        "the object store at {endpoint} cannot be reached: check {setting}, DNS, firewall and proxy"
    )]
    Unreachable {
        /// Where it should be.
        endpoint: String,
        /// The setting that says so.
        setting: &'static str,
        /// What the network said.
        #[source]
        source: Source,
    },
    /// The store answers, but not usefully: its own errors, throttling, time-outs.
    #[error("the object store is unavailable ({reason}): wait, or look at the store")]
    Unavailable {
        /// The HTTP status, where there was one.
        status: Option<u16>,
        /// What the store said.
        reason: String,
    },
    /// The store refuses this object.
    #[error("the store refused the object ({code}): {message}")]
    Rejected {
        /// The store's error code.
        code: String,
        /// What the store said.
        message: String,
    },
    /// No space, or a storage quota is used up.
    #[error("{0} is full: free some space or raise its quota")]
    DiskFull(String),
    /// The local disk failed.
    #[error("the file system failed at {}: look at the disk", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

impl StoreError {
    /// Says of a missing permission what it was needed for.
    pub(crate) fn during(self, doing: &str) -> Self {
        match self {
            Self::Denied {
                place,
                reason,
                advice,
            } => Self::Denied {
                place,
                reason: format!("while {doing}: {reason}"),
                advice,
            },
            other => other,
        }
    }

    /// What the caller should do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::BucketMissing { .. }
            | Self::ContainerMissing { .. }
            | Self::WrongRegion { .. }
            | Self::DirectoryMissing(_)
            | Self::Denied { .. }
            | Self::BadCredentials { .. }
            | Self::Unreachable { .. }
            | Self::Unavailable { .. }
            | Self::DiskFull(_)
            | Self::Io { .. } => ErrorKind::Outage,
            Self::BadDigest | Self::UploadLost(_) => ErrorKind::Retry,
            Self::TooLarge | Self::InvalidRange | Self::Rejected { .. } => ErrorKind::Object,
        }
    }
}
