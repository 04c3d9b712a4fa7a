//! URLs that let anybody who holds them read one object for a while.

use aws_sdk_s3::presigning::PresigningConfig;
use url::{Host, Url};

use super::S3Store;
use crate::patience::PATIENCE;
use crate::{Key, Presign, StoreError};

impl S3Store {
    pub(crate) async fn presign(&self, key: &Key, wanted: &Presign) -> Result<Url, StoreError> {
        let unsigned = |error: String| StoreError::Rejected {
            code: "presign".to_owned(),
            message: error,
        };
        let validity = PresigningConfig::expires_in(wanted.ttl)
            .map_err(|error| unsigned(error.to_string()))?;
        let request = self
            .client
            .get_object()
            .bucket(self.bucket())
            .key(key.as_str())
            .response_content_type(&wanted.content_type)
            .response_content_disposition(&wanted.content_disposition)
            .presigned(validity);
        let signed = self.answer(PATIENCE, request).await?;
        Url::parse(signed.uri()).map_err(|error| unsigned(error.to_string()))
    }

    /// Where [`Self::presign`]'s URLs lead.
    pub(crate) fn origin(&self) -> String {
        let endpoint = &self.place.endpoint;
        let Ok(mut url) = Url::parse(endpoint) else {
            return endpoint.clone();
        };
        // As the SDK does: an address takes no name before it, and no certificate is for a name
        // with a dot more.
        if let Some(Host::Domain(host)) = url.host()
            && !self.path_style
            && !self.bucket().contains('.')
        {
            let host = format!("{}.{host}", self.bucket());
            let _ = url.set_host(Some(&host));
        }
        url.origin().ascii_serialization()
    }
}
