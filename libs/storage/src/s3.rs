//! S3 through the AWS SDK.

mod clean;
mod error;
mod presign;
mod upload;

use std::collections::HashMap;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::identity::IdentityCache;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLocationConstraint, CreateBucketConfiguration, ServerSideEncryption,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::stream;
use md5::{Digest, Md5};
use secrecy::ExposeSecret;
use tokio_util::task::TaskTracker;

use crate::config::{Encryption, S3Config};
use crate::object::content_range;
use crate::patience::{PATIENCE, time_for};
use crate::{Body, Key, ObjectHead, ObjectInfo, Range, StoreError, metadata};
use error::Place;
pub(crate) use upload::S3Upload;

/// Temporary credentials are renewed this long before they expire, so that a URL signed with them
/// holds for as long as its redirect is remembered ([`crate::PRESIGNED_AT_LEAST`]).
const CREDENTIALS_LEFT: Duration = Duration::from_secs(150);

/// One bucket of S3, or of a server that speaks its protocol.
#[derive(Debug, Clone)]
pub struct S3Store {
    client: Client,
    place: Place,
    path_style: bool,
    encryption: Option<Encryption>,
    background: TaskTracker,
}

impl S3Store {
    pub(crate) async fn open(config: S3Config) -> Self {
        let S3Config {
            bucket,
            region,
            endpoint_url: endpoint,
            path_style,
            access_key,
            session_token,
            encryption,
        } = config;
        // Time-outs of requests are ours, because they depend on the size of the body; retries of
        // images are the worker's, so the SDK only bridges hiccups. Every request is guarded by
        // Content-MD5: checksums beyond that are asked for only where S3 demands them, since other
        // servers do not know them all. An upload's body is in memory and polled at once, so the
        // SDK's stall detection could only watch downloads.
        let mut config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(region.clone()))
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(3)
                    .with_initial_backoff(Duration::from_millis(100)),
            )
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(5))
                    .build(),
            )
            .identity_cache(IdentityCache::lazy().buffer_time(CREDENTIALS_LEFT).build())
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .stalled_stream_protection(
                StalledStreamProtectionConfig::enabled()
                    .upload_enabled(false)
                    .build(),
            );
        if let Some((id, secret)) = access_key {
            let token = session_token.map(|token| token.expose_secret().to_owned());
            let secret = secret.expose_secret();
            config =
                config.credentials_provider(Credentials::new(id, secret, token, None, "settings"));
        }
        // Not for the SDK as a whole: the services that issue credentials are elsewhere.
        let mut s3 = aws_sdk_s3::config::Builder::from(&Box::pin(config.load()).await)
            .force_path_style(path_style);
        if let Some(endpoint) = &endpoint {
            s3 = s3.endpoint_url(endpoint.as_str());
        }
        let endpoint = endpoint.map_or_else(|| error::amazon(&region), |url| url.to_string());
        Self {
            client: Client::from_conf(s3.build()),
            place: Place {
                bucket,
                region,
                endpoint,
            },
            path_style,
            encryption,
            background: TaskTracker::new(),
        }
    }

    /// What every new object's request says about its encryption.
    fn encryption(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        match &self.encryption {
            None => (None, None),
            Some(Encryption::S3) => (Some(ServerSideEncryption::Aes256), None),
            Some(Encryption::Kms(key)) => (Some(ServerSideEncryption::AwsKms), key.clone()),
        }
    }

    pub(crate) fn background(&self) -> &TaskTracker {
        &self.background
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.place.bucket
    }

    pub(crate) async fn put(
        &self,
        key: &Key,
        body: Bytes,
        info: &ObjectInfo,
    ) -> Result<(), StoreError> {
        let md5 = info.md5.unwrap_or_else(|| Md5::digest(&body).into());
        let limit = time_for(body.len());
        let (encryption, kms_key) = self.encryption();
        let request = self
            .client
            .put_object()
            .bucket(self.bucket())
            .key(key.as_str())
            .content_type(&info.content_type)
            .content_md5(BASE64.encode(md5))
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms_key)
            .set_metadata(Some(headers(info, Some(md5))))
            .body(ByteStream::from(body))
            .customize()
            // Content-MD5 is part of the signature and binds the body to it: a SHA-256 on top would
            // only cost a second pass over the bytes, here and in the store.
            .disable_payload_signing();
        self.answer(limit, request.send()).await.map(|_| ())
    }

    pub(crate) async fn upload(
        &self,
        key: &Key,
        info: &ObjectInfo,
    ) -> Result<S3Upload, StoreError> {
        upload::begin(self.clone(), key, info).await
    }

    pub(crate) async fn head(&self, key: &Key) -> Result<Option<ObjectHead>, StoreError> {
        let request = self
            .client
            .head_object()
            .bucket(self.bucket())
            .key(key.as_str());
        let sent = self.in_time(PATIENCE, request.send()).await?;
        let found = match sent {
            Ok(found) => found,
            Err(SdkError::ServiceError(error)) if error.raw().status().as_u16() == 404 => {
                return Ok(None);
            }
            Err(error) => return Err(self.place.explain(error)),
        };
        let size = found.content_length().unwrap_or_default();
        let content_type = found.content_type().unwrap_or("application/octet-stream");
        let entry = |name: &str| found.metadata()?.get(name).map(String::as_str);
        let head = metadata::decode(entry, unsigned(size), content_type);
        Ok(Some(head))
    }

    pub(crate) async fn get(
        &self,
        key: &Key,
        range: Option<Range>,
    ) -> Result<Option<Body>, StoreError> {
        let request = self
            .client
            .get_object()
            .bucket(self.bucket())
            .key(key.as_str())
            .set_range(range.map(|range| range.to_string()));
        let found = match self.in_time(PATIENCE, request.send()).await? {
            Ok(found) => found,
            Err(SdkError::ServiceError(error)) if error.err().is_no_such_key() => return Ok(None),
            Err(error) => return Err(self.place.explain(error)),
        };
        let size = unsigned(found.content_length().unwrap_or_default());
        let (offset, total_size) = found
            .content_range()
            .and_then(content_range)
            .unwrap_or((0, size));
        let place = self.place.clone();
        let chunks = stream::try_unfold((found.body, place), |(mut body, place)| async move {
            match body.next().await {
                Some(Ok(chunk)) => Ok(Some((chunk, (body, place)))),
                Some(Err(error)) => Err(place.unreachable(error.into())),
                None => Ok(None),
            }
        });
        Ok(Some(Body {
            offset,
            size,
            total_size,
            content_type: found
                .content_type
                .unwrap_or("application/octet-stream".to_owned()),
            stream: Box::pin(chunks),
        }))
    }

    pub(crate) async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let request = self
            .client
            .delete_object()
            .bucket(self.bucket())
            .key(key.as_str());
        match self.in_time(PATIENCE, request.send()).await? {
            Ok(_) => Ok(()),
            Err(error) => match self.place.explain(error) {
                StoreError::Rejected { code, .. } if code == "NoSuchKey" => Ok(()),
                error => Err(error),
            },
        }
    }

    pub(crate) async fn keys(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut keys = Vec::new();
        let mut token = None;
        loop {
            let request = self
                .client
                .list_objects_v2()
                .bucket(self.bucket())
                .prefix(prefix)
                .set_continuation_token(token);
            let page = self.answer(PATIENCE, request.send()).await?;
            keys.extend(
                page.contents
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|entry| entry.key),
            );
            token = page.next_continuation_token;
            if token.is_none() {
                return Ok(keys);
            }
        }
    }

    pub(crate) async fn create_bucket(&self) -> Result<(), StoreError> {
        // S3 wants the region named in the body except for us-east-1, where it refuses it. Other
        // servers have no regions.
        let elsewhere = self.place.is_amazon() && self.place.region != "us-east-1";
        let region = elsewhere.then(|| {
            let region = BucketLocationConstraint::from(self.place.region.as_str());
            CreateBucketConfiguration::builder()
                .location_constraint(region)
                .build()
        });
        let request = self
            .client
            .create_bucket()
            .bucket(self.bucket())
            .set_create_bucket_configuration(region);
        match self.in_time(PATIENCE, request.send()).await? {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(error)) if error.err().is_bucket_already_owned_by_you() => {
                Ok(())
            }
            Err(error) => Err(self.place.explain(error)),
        }
    }

    /// The answer to a request, or what went wrong.
    fn answer<T, E: error::Failure>(
        &self,
        limit: Duration,
        request: impl Future<Output = Result<T, error::SdkFailure<E>>>,
    ) -> impl Future<Output = Result<T, StoreError>> {
        let sent = self.in_time(limit, request);
        async { sent.await?.map_err(|error| self.place.explain(error)) }
    }

    /// Boxes the request before anything awaits it: the SDK's futures take kilobytes, and each
    /// caller's would hold several copies of them.
    fn in_time<T>(
        &self,
        limit: Duration,
        request: impl Future<Output = T>,
    ) -> impl Future<Output = Result<T, StoreError>> {
        let request = Box::pin(request);
        async move {
            tokio::time::timeout(limit, request)
                .await
                .map_err(|_| StoreError::Unavailable {
                    status: None,
                    reason: format!("no answer from {} within {limit:?}", self.place.endpoint),
                })
        }
    }
}

/// User metadata of an object.
fn headers(info: &ObjectInfo, md5: Option<[u8; 16]>) -> HashMap<String, String> {
    let entries = metadata::encode(info, md5).into_iter();
    entries
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn unsigned(size: i64) -> u64 {
    u64::try_from(size).unwrap_or_default()
}
