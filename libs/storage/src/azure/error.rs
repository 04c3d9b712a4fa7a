//! What Azure's answers mean to us.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap};
use url::Url;

use crate::StoreError;

/// Azure refuses requests that are dated farther from its own time ("Authorize with Shared Key",
/// section "Specifying the date header").
const SKEW: Duration = Duration::from_secs(15 * 60);

/// Where requests go and as whom; part of what an error says.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) account: String,
    pub(super) container: String,
    pub(super) endpoint: Url,
    pub(super) login: Login,
}

/// How we say who we are.
#[derive(Debug, Clone)]
pub(super) enum Login {
    Key,
    /// With the end of its validity, as it says itself.
    Sas {
        expiry: Option<String>,
    },
    Identity,
}

impl Place {
    /// Without the URL, which holds the SAS.
    pub(super) fn unreachable(&self, error: reqwest::Error) -> StoreError {
        StoreError::Unreachable {
            endpoint: self.endpoint.origin().ascii_serialization(),
            setting: match self.login {
                Login::Key | Login::Sas { .. } => {
                    "the account's name in AZURE_STORAGE_CONNECTION_STRING"
                }
                Login::Identity => "AZURE_STORAGE_ACCOUNT_NAME",
            },
            source: error.without_url().into(),
        }
    }

    /// The codes are those of "Common REST API error codes" and "Blob Storage error codes" (Azure
    /// Storage REST API). The body is not looked at: it repeats signatures.
    pub(super) fn explain(&self, status: u16, headers: &HeaderMap) -> StoreError {
        let code = code(headers);
        let reason = match code {
            "" => format!(
                "status {status} without an Azure error code, from {}",
                self.endpoint.origin().ascii_serialization()
            ),
            code => format!("{status} {code}"),
        };
        let denied = |advice| StoreError::Denied {
            place: format!(
                "container {} of storage account {}",
                self.container, self.account
            ),
            reason: reason.clone(),
            advice,
        };
        match code {
            "ContainerNotFound" | "InvalidResourceName" | "OutOfRangeInput" => {
                StoreError::ContainerMissing {
                    container: self.container.clone(),
                    account: self.account.clone(),
                }
            }
            "AuthenticationFailed"
            | "InvalidAuthenticationInfo"
            | "NoAuthenticationInformation" => self.unauthenticated(reason, headers),
            "AuthorizationPermissionMismatch" | "InsufficientAccountPermissions" => {
                denied(match self.login {
                    Login::Sas { .. } => {
                        "make a SAS of the container with the permissions read, create, write, \
                         delete and list"
                    }
                    Login::Key | Login::Identity => {
                        "assign the role Storage Blob Data Contributor on the container to this \
                         identity (it takes some minutes to hold)"
                    }
                })
            }
            "AuthorizationFailure" | "AuthorizationSourceIPMismatch" => denied(
                "the account's firewall or the SAS does not allow this network: add it under \
                 Networking, or use a private endpoint (from Azurite: the key is wrong)",
            ),
            "AuthorizationProtocolMismatch" => denied("use https in the connection string"),
            "AuthorizationResourceTypeMismatch" | "AuthorizationServiceMismatch" => denied(
                "make a SAS for the Blob service with the resource types container and object, or \
                 a SAS of the container itself",
            ),
            "KeyBasedAuthenticationNotPermitted" => denied(
                "the account does not allow keys: let an identity sign in \
                 (AZURE_STORAGE_ACCOUNT_NAME), or allow them under Configuration",
            ),
            // The last is Azurite's; at Azure it is about snapshots, which we do not write to.
            "Md5Mismatch" | "InvalidMd5" | "InvalidOperation" => StoreError::BadDigest,
            // Another upload to the same key, or a week, made the store forget the blocks.
            "InvalidBlockList" | "InvalidBlockId" => StoreError::UploadLost(reason),
            "RequestBodyTooLarge" | "BlockListTooLong" | "BlockCountExceedsLimit" => {
                StoreError::TooLarge
            }
            "InvalidRange" => StoreError::InvalidRange,
            "AccountIsDisabled" => denied("the account is disabled: look at its subscription"),
            "ContainerBeingDeleted"
            | "ContainerDisabled"
            | "ServerBusy"
            | "OperationTimedOut"
            | "InternalError"
            | "AccountBeingCreated" => StoreError::Unavailable {
                status: Some(status),
                reason,
            },
            code => match status {
                401 => self.unauthenticated(reason, headers),
                403 => denied("check the credentials, their role, and the account's firewall"),
                413 => StoreError::TooLarge,
                416 => StoreError::InvalidRange,
                // Without a code it was not Azure that answered.
                _ if status == 429 || status >= 500 || code.is_empty() => StoreError::Unavailable {
                    status: Some(status),
                    reason,
                },
                _ => StoreError::Rejected {
                    code: code.to_owned(),
                    message: format!("status {status}"),
                },
            },
        }
    }

    /// Azure gives one code for a wrong key, an old SAS and a wrong clock; the text that would tell
    /// them apart holds signatures.
    fn unauthenticated(&self, reason: String, headers: &HeaderMap) -> StoreError {
        if let Some(skew) = skew(headers)
            && skew > SKEW
        {
            return StoreError::BadCredentials {
                reason: format!(
                    "{reason}; its clock and ours differ by {} min",
                    skew.as_secs() / 60
                ),
                advice: "the clock of this machine is wrong; synchronise it",
            };
        }
        let (reason, advice) = match &self.login {
            Login::Key => (
                reason,
                "check AccountName and AccountKey in AZURE_STORAGE_CONNECTION_STRING, and whether \
                 the key was rotated",
            ),
            Login::Sas { expiry } => (
                match expiry {
                    Some(expiry) => format!("{reason}; the SAS says that it ends at {expiry}"),
                    None => reason,
                },
                "the SAS is expired, not valid yet, or not of this account: make a new one and set \
                 AZURE_STORAGE_CONNECTION_STRING",
            ),
            Login::Identity => (
                reason,
                "check that AZURE_CLIENT_ID belongs to AZURE_TENANT_ID, and the account to the \
                 same directory",
            ),
        };
        StoreError::BadCredentials { reason, advice }
    }
}

/// The error code of an answer; empty if there is none. It is repeated in a header, also where
/// there is no body.
pub(super) fn code(headers: &HeaderMap) -> &str {
    let code = headers.get("x-ms-error-code");
    code.and_then(|code| code.to_str().ok()).unwrap_or_default()
}

fn skew(headers: &HeaderMap) -> Option<Duration> {
    let theirs = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    let now = SystemTime::now();
    now.duration_since(theirs)
        .or_else(|_| theirs.duration_since(now))
        .ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use reqwest::header::HeaderValue;

    fn explain(login: Login, status: u16, code: &'static str, ago: u64) -> StoreError {
        let place = Place {
            account: "alice".to_owned(),
            container: "photos".to_owned(),
            endpoint: Url::parse("https://alice.blob.core.windows.net").unwrap(),
            login,
        };
        let mut headers = HeaderMap::new();
        if !code.is_empty() {
            headers.insert("x-ms-error-code", HeaderValue::from_static(code));
        }
        let date = SystemTime::now() - Duration::from_secs(ago);
        let date = httpdate::fmt_http_date(date);
        headers.insert(DATE, HeaderValue::try_from(date).unwrap());
        place.explain(status, &headers)
    }

    #[test]
    fn nothing_that_concerns_every_object_is_blamed_on_one() {
        for (status, code) in [
            (404, "ContainerNotFound"),
            (400, "InvalidResourceName"),
            (403, "AuthenticationFailed"),
            (401, "InvalidAuthenticationInfo"),
            (401, ""),
            (403, "AuthorizationPermissionMismatch"),
            (403, "AuthorizationFailure"),
            (403, "KeyBasedAuthenticationNotPermitted"),
            (403, "SomethingNew"),
            (409, "ContainerBeingDeleted"),
            (429, "TooManyRequests"),
            (500, "InternalError"),
            (503, "ServerBusy"),
            (502, ""),
            (404, ""),
            (400, ""),
        ] {
            let error = explain(Login::Key, status, code, 0);
            assert_eq!(error.kind(), ErrorKind::Outage, "{status} {code}: {error}");
        }
        for code in ["Md5Mismatch", "InvalidBlockList"] {
            assert_eq!(explain(Login::Key, 400, code, 0).kind(), ErrorKind::Retry);
        }
        for code in ["RequestBodyTooLarge", "InvalidHeaderValue", "InvalidRange"] {
            assert_eq!(explain(Login::Key, 400, code, 0).kind(), ErrorKind::Object);
        }
    }

    #[test]
    fn errors_say_what_to_do() {
        let sas = |expiry: Option<&str>| Login::Sas {
            expiry: expiry.map(str::to_owned),
        };
        for (login, status, code, ago, expected) in [
            (
                Login::Key,
                404,
                "ContainerNotFound",
                0,
                "AZURE_STORAGE_CONTAINER_NAME",
            ),
            (
                Login::Key,
                403,
                "AuthenticationFailed",
                0,
                "check AccountName and AccountKey",
            ),
            (
                Login::Key,
                403,
                "AuthenticationFailed",
                1200,
                "differ by 20 min",
            ),
            (
                Login::Identity,
                401,
                "InvalidAuthenticationInfo",
                1200,
                "synchronise",
            ),
            (
                sas(Some("2020-01-01")),
                403,
                "AuthenticationFailed",
                0,
                "ends at 2020-01-01",
            ),
            (
                sas(None),
                403,
                "AuthorizationPermissionMismatch",
                0,
                "make a SAS",
            ),
            (
                Login::Identity,
                403,
                "AuthorizationPermissionMismatch",
                0,
                "Storage Blob Data Contributor",
            ),
            (Login::Identity, 403, "AuthorizationFailure", 0, "firewall"),
            (
                Login::Key,
                403,
                "KeyBasedAuthenticationNotPermitted",
                0,
                "does not allow keys",
            ),
        ] {
            let text = explain(login, status, code, ago).to_string();
            assert!(text.contains(expected), "{text}");
        }
    }
}
