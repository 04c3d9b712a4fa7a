//! What the SDK's errors mean to us.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::{Source, StoreError};

pub(super) type SdkFailure<E> = SdkError<E, HttpResponse>;

/// What every operation's error can do.
pub(super) trait Failure:
    ProvideErrorMetadata + std::error::Error + Send + Sync + 'static
{
}
impl<E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static> Failure for E {}

/// Where requests go; part of what an error says.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) bucket: String,
    pub(super) region: String,
    pub(super) endpoint: String,
}

/// Where Amazon's S3 is ("Amazon S3 endpoints and quotas"; "Amazon Web Services in China").
pub(super) fn amazon(region: &str) -> String {
    let china = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://s3.{region}.amazonaws.com{china}")
}

impl Place {
    pub(super) fn explain<E: Failure>(&self, error: SdkFailure<E>) -> StoreError {
        if let SdkError::ServiceError(failure) = &error {
            let raw = failure.raw();
            let region = raw.headers().get("x-amz-bucket-region").map(str::to_owned);
            let error = failure.err();
            let message = error.message().unwrap_or_default();
            return self.explain_answer(raw.status().as_u16(), error.code(), message, region);
        }
        let invalid = matches!(error, SdkError::ConstructionFailure(_));
        let status = error
            .raw_response()
            .map(|response| response.status().as_u16());
        let source = error.into_source().unwrap_or_else(Into::into);
        if invalid {
            let message = bounded(&chain(source.as_ref()));
            return StoreError::Rejected {
                code: "InvalidRequest".to_owned(),
                message,
            };
        }
        match status {
            // An answer that is none of S3's.
            Some(_) => StoreError::Unavailable {
                status,
                reason: bounded(&chain(source.as_ref())),
            },
            None => self.unreachable(source),
        }
    }

    pub(super) fn is_amazon(&self) -> bool {
        self.endpoint == amazon(&self.region)
    }

    pub(super) fn unreachable(&self, source: Source) -> StoreError {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(source.as_ref());
        while let Some(error) = cause {
            if error.is::<CredentialsError>() {
                return StoreError::BadCredentials {
                    reason: bounded(&chain(error)),
                    advice: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role",
                };
            }
            cause = error.source();
        }
        StoreError::Unreachable {
            endpoint: self.endpoint.clone(),
            // Amazon's own name is made of the region.
            setting: if self.is_amazon() {
                "AWS_REGION"
            } else {
                "AWS_ENDPOINT_URL"
            },
            source,
        }
    }

    /// The codes are those of the S3 API reference, "List of error codes"; where other servers have
    /// their own, it is said.
    fn explain_answer(
        &self,
        status: u16,
        code: Option<&str>,
        message: &str,
        region: Option<String>,
    ) -> StoreError {
        let reason = || match code {
            Some(code) => bounded(&format!("{status} {code}: {message}")),
            None => format!(
                "status {status} without an S3 error code, from {}",
                self.endpoint
            ),
        };
        match code.unwrap_or_default() {
            "NoSuchBucket" | "InvalidBucketName" => {
                let (bucket, region) = (self.bucket.clone(), self.region.clone());
                StoreError::BucketMissing { bucket, region }
            }
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException" => self.wrong_region(region),
            "InvalidAccessKeyId" => StoreError::BadCredentials {
                reason: reason(),
                advice: "the key does not exist there; check AWS_ACCESS_KEY_ID",
            },
            "SignatureDoesNotMatch" => StoreError::BadCredentials {
                reason: reason(),
                advice: "check AWS_SECRET_ACCESS_KEY, and that no proxy changes requests",
            },
            "RequestTimeTooSkewed" | "RequestExpired" => StoreError::BadCredentials {
                reason: reason(),
                advice: "the clock of this machine is wrong; synchronise it",
            },
            "ExpiredToken"
            | "InvalidToken"
            | "TokenRefreshRequired"
            | "InvalidSecurity"
            | "NotSignedUp"
            | "AccountProblem"
            | "UnauthorizedAccess" => StoreError::BadCredentials {
                reason: reason(),
                advice: "renew the credentials",
            },
            "BadDigest"
            | "XAmzContentSHA256Mismatch"
            | "XAmzContentChecksumMismatch"
            | "IncompleteBody" => StoreError::BadDigest,
            "NoSuchUpload" | "InvalidPart" => StoreError::UploadLost(reason()),
            "EntityTooLarge" | "MaxMessageLengthExceeded" => StoreError::TooLarge,
            "InvalidRange" => StoreError::InvalidRange,
            // Of MinIO, Ceph and SeaweedFS.
            "XMinioStorageFull" | "QuotaExceeded" | "InsufficientCapacity" => {
                StoreError::DiskFull(format!("bucket {}", self.bucket))
            }
            "RequestTimeout"
            | "SlowDown"
            | "Throttling"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "OperationAborted" => StoreError::Unavailable {
                status: Some(status),
                reason: reason(),
            },
            code if code.starts_with("KMS.") => StoreError::Denied {
                place: format!("the encryption key of bucket {}", self.bucket),
                reason: reason(),
                advice: "enable the key and allow these credentials to use it",
            },
            code => match status {
                301 | 307 => self.wrong_region(region),
                401 => StoreError::BadCredentials {
                    reason: reason(),
                    advice: "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                },
                403 => StoreError::Denied {
                    place: format!("bucket {}", self.bucket),
                    reason: reason(),
                    advice: "check the credentials, and grant them s3:PutObject, s3:GetObject, \
                             s3:DeleteObject, s3:AbortMultipartUpload and s3:ListBucket",
                },
                413 => StoreError::TooLarge,
                416 => StoreError::InvalidRange,
                507 => StoreError::DiskFull(format!("bucket {}", self.bucket)),
                // Without a code it was no S3 server that answered.
                _ if status == 429 || status >= 500 || code.is_empty() => StoreError::Unavailable {
                    status: Some(status),
                    reason: reason(),
                },
                _ => StoreError::Rejected {
                    code: code.to_owned(),
                    message: bounded(message),
                },
            },
        }
    }

    fn wrong_region(&self, actual: Option<String>) -> StoreError {
        StoreError::WrongRegion {
            bucket: self.bucket.clone(),
            region: self.region.clone(),
            actual: actual.unwrap_or_else(|| "the bucket's own region".to_owned()),
        }
    }
}

/// An error and its causes in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// Cut to what one log line can hold.
fn bounded(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn explain(status: u16, code: Option<&str>) -> StoreError {
        let place = Place {
            bucket: "photos".to_owned(),
            region: "eu-west-1".to_owned(),
            endpoint: "http://store".to_owned(),
        };
        place.explain_answer(status, code, "said so", Some("us-west-2".to_owned()))
    }

    #[test]
    fn nothing_that_concerns_every_object_is_blamed_on_one() {
        for (status, code) in [
            (404, Some("NoSuchBucket")),
            (400, Some("InvalidBucketName")),
            (301, None),
            (400, Some("AuthorizationHeaderMalformed")),
            (403, Some("InvalidAccessKeyId")),
            (403, Some("SignatureDoesNotMatch")),
            (403, Some("RequestTimeTooSkewed")),
            (400, Some("ExpiredToken")),
            (403, Some("AccessDenied")),
            (403, None),
            (401, None),
            (400, Some("KMS.DisabledException")),
            (400, Some("RequestTimeout")),
            (429, None),
            (500, Some("InternalError")),
            (501, Some("NotImplemented")),
            (503, Some("SlowDown")),
            (507, Some("XMinioStorageFull")),
            (502, None),
            (404, None),
            (400, None),
        ] {
            assert_eq!(
                explain(status, code).kind(),
                ErrorKind::Outage,
                "{status} {code:?}"
            );
        }
    }

    #[test]
    fn damaged_transfers_are_retried_and_bad_objects_are_not() {
        for code in ["BadDigest", "IncompleteBody", "NoSuchUpload"] {
            assert_eq!(explain(400, Some(code)).kind(), ErrorKind::Retry, "{code}");
        }
        for code in [
            "EntityTooLarge",
            "InvalidArgument",
            "MetadataTooLarge",
            "InvalidRange",
        ] {
            assert_eq!(explain(400, Some(code)).kind(), ErrorKind::Object, "{code}");
        }
    }

    #[test]
    fn errors_say_what_to_do() {
        let text = explain(301, Some("PermanentRedirect")).to_string();
        assert!(text.contains("set AWS_REGION to us-west-2"), "{text}");
        let text = explain(404, Some("NoSuchBucket")).to_string();
        assert!(
            text.contains("create it in region eu-west-1 or set AWS_BUCKET_NAME"),
            "{text}"
        );
        let text = explain(403, Some("SignatureDoesNotMatch")).to_string();
        assert!(text.contains("AWS_SECRET_ACCESS_KEY"), "{text}");
    }
}
