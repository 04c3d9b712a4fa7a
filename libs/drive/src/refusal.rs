//! From a refused request to a typed error.
//!
//! Drive's codes: <https://developers.google.com/workspace/drive/api/guides/handle-errors>. Newer
//! Google front ends add an `ErrorInfo` with a reason in capitals:
//! <https://cloud.google.com/apis/design/errors>.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::DriveError;

/// Nobody asks for a longer wait, and a sum with a time stays in range.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);
const MAX_MESSAGE_CHARS: usize = 400;

/// A response that is not 200.
pub(crate) struct Refusal<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    /// The beginning of the body.
    pub(crate) body: &'a [u8],
    /// Whether the request carried a page token.
    pub(crate) with_page_token: bool,
    /// Removed from messages: Google quotes the API key in some of them.
    pub(crate) secret: Option<&'a str>,
}

#[derive(Default, Deserialize)]
struct Envelope {
    error: Explanation,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Explanation {
    message: String,
    errors: Vec<Problem>,
    details: Vec<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    reason: String,
    location: String,
}

impl Refusal<'_> {
    pub(crate) fn into_error(self) -> DriveError {
        let Explanation {
            message,
            errors,
            details,
        } = serde_json::from_slice::<Envelope>(self.body)
            .unwrap_or_default()
            .error;
        let problem = errors.into_iter().next().unwrap_or_default();
        let info = details
            .iter()
            .find_map(|detail| detail.get("reason")?.as_str())
            .unwrap_or("");
        let status = self.status.as_u16();
        let retry_after = retry_after(self.headers, SystemTime::now());
        let reason = if problem.reason.is_empty() {
            info
        } else {
            &problem.reason
        };
        let or = |default: &str| if reason.is_empty() { default } else { reason }.to_owned();

        if is_project_problem(&problem.reason, info) {
            return DriveError::ApiDisabled {
                message: self.words(&message),
            };
        }
        if problem.reason == "insufficientPermissions" || info == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
        {
            return DriveError::ScopeMissing {
                message: self.words(&message),
            };
        }
        if is_key_problem(&problem.reason, info, &message) {
            return DriveError::KeyInvalid {
                message: self.words(&message),
            };
        }
        match status {
            401 => DriveError::Unauthorized {
                message: self.words(&message),
            },
            429 => DriveError::Throttled {
                retry_after,
                reason: or("rateLimitExceeded"),
            },
            403 if is_throttle(&problem.reason, info) => DriveError::Throttled {
                retry_after,
                reason: or("rateLimitExceeded"),
            },
            403 if self.is_robot_page() => DriveError::Throttled {
                retry_after,
                reason: "automatedQueries".to_owned(),
            },
            403 => match problem.reason.as_str() {
                "downloadQuotaExceeded" => DriveError::DownloadQuotaExceeded,
                "cannotDownloadAbusiveFile" => DriveError::Abusive,
                "fileNotDownloadable" => DriveError::NotDownloadable,
                _ => DriveError::Forbidden {
                    reason: or("forbidden"),
                    message: self.words(&message),
                },
            },
            404 => DriveError::NotFound,
            400 | 410 if self.with_page_token && is_page_token_problem(&problem) => {
                DriveError::PageTokenRejected
            }
            416 => DriveError::NotResumable,
            408 | 500..=599 => DriveError::Server {
                status,
                retry_after,
            },
            400..=499 => DriveError::Rejected {
                status,
                reason: or("unknown"),
                message: self.words(&message),
            },
            300..=399 => DriveError::Protocol(match self.redirect_host() {
                Some(host) => format!("it redirects ({status}) to {host}"),
                None => format!("it redirects ({status}) to nowhere"),
            }),
            _ => DriveError::Protocol(format!("status {status}")),
        }
    }

    /// What Drive said, for people: bounded, one line, without the key.
    fn words(&self, message: &str) -> String {
        let text = String::from_utf8_lossy(self.body);
        let words = match (message.trim(), text.trim()) {
            ("", text) if text.is_empty() || text.starts_with(['<', '{', '[']) => {
                return format!("HTTP {} without an explanation", self.status.as_u16());
            }
            ("", text) => text,
            (message, _) => message,
        };
        let words = match self.secret {
            Some(secret) => words.replace(secret, "[key]"),
            None => words.to_owned(),
        };
        let one_line = words.chars().map(|c| if c.is_control() { ' ' } else { c });
        one_line.take(MAX_MESSAGE_CHARS).collect()
    }

    /// Google's "We're sorry…" page: a 403 in HTML, meaning too many requests from this address.
    fn is_robot_page(&self) -> bool {
        let text = String::from_utf8_lossy(self.body);
        let text = text.trim_start();
        text.starts_with('<')
            && (text.contains("automated queries") || text.contains("unusual traffic"))
    }

    fn redirect_host(&self) -> Option<String> {
        let location = self.headers.get(LOCATION)?.to_str().ok()?;
        Some(Url::parse(location).ok()?.host_str()?.to_owned())
    }
}

/// Neither key nor credentials are wrong: their project may not use the API.
fn is_project_problem(reason: &str, info: &str) -> bool {
    reason == "accessNotConfigured"
        || matches!(
            info,
            "SERVICE_DISABLED"
                | "CONSUMER_INVALID"
                | "CONSUMER_SUSPENDED"
                | "BILLING_DISABLED"
                | "USER_PROJECT_DENIED"
        )
}

fn is_key_problem(reason: &str, info: &str, message: &str) -> bool {
    matches!(
        reason,
        "keyInvalid" | "keyExpired" | "ipRefererBlocked" | "dailyLimitExceededUnreg"
    ) || info.starts_with("API_KEY_")
        // A request without any key: a 403 with the reason of a private file, but other words.
        || message.contains("unregistered callers")
}

fn is_throttle(reason: &str, info: &str) -> bool {
    matches!(
        reason,
        "rateLimitExceeded" | "userRateLimitExceeded" | "dailyLimitExceeded"
    ) || info == "RATE_LIMIT_EXCEEDED"
}

fn is_page_token_problem(problem: &Problem) -> bool {
    match problem.location.as_str() {
        "" => matches!(problem.reason.as_str(), "" | "invalid" | "badRequest"),
        location => location == "pageToken",
    }
}

/// RFC 9110 §10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let due = httpdate::parse_http_date(value).ok()?;
            due.duration_since(now).unwrap_or(Duration::ZERO)
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use reqwest::header::HeaderValue;
    use serde_json::json;

    use super::*;
    use crate::ErrorKind;

    fn refused(status: u16, body: &str) -> DriveError {
        refused_with(status, body, &HeaderMap::new(), false)
    }

    fn refused_with(status: u16, body: &str, headers: &HeaderMap, page: bool) -> DriveError {
        Refusal {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: body.as_bytes(),
            with_page_token: page,
            secret: Some("AIza-secret"),
        }
        .into_error()
    }

    fn google(reason: &str, message: &str) -> String {
        json!({"error": {"code": 0, "message": message,
            "errors": [{"domain": "global", "reason": reason, "message": message}]}})
        .to_string()
    }

    #[test]
    fn reasons_decide_what_a_403_means() {
        let kind = |reason| refused(403, &google(reason, "no")).kind();
        for reason in [
            "rateLimitExceeded",
            "userRateLimitExceeded",
            "dailyLimitExceeded",
        ] {
            assert_eq!(
                kind(reason),
                ErrorKind::Throttled { after: None },
                "{reason}"
            );
        }
        for reason in [
            "accessNotConfigured",
            "keyInvalid",
            "dailyLimitExceededUnreg",
        ] {
            assert_eq!(kind(reason), ErrorKind::Credentials, "{reason}");
        }
        for reason in ["insufficientFilePermissions", "domainPolicy", "anything"] {
            assert!(matches!(refused(403, &google(reason, "no")),
                    DriveError::Forbidden { reason: found, .. } if found == reason));
        }
        let refused = |reason| refused(403, &google(reason, "no"));
        assert!(matches!(
            refused("downloadQuotaExceeded"),
            DriveError::DownloadQuotaExceeded
        ));
        assert!(matches!(
            refused("cannotDownloadAbusiveFile"),
            DriveError::Abusive
        ));
        assert!(matches!(
            refused("fileNotDownloadable"),
            DriveError::NotDownloadable
        ));
    }

    #[test]
    fn a_wrong_key_is_told_apart_from_a_bad_request_and_a_missing_one_from_a_private_file() {
        let wrong = json!({"error": {"code": 400, "message": "API key not valid.",
            "errors": [{"reason": "badRequest", "domain": "global"}], "status": "INVALID_ARGUMENT",
            "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]}});
        assert!(matches!(
            refused(400, &wrong.to_string()),
            DriveError::KeyInvalid { .. }
        ));
        let missing = google("forbidden", "Method doesn't allow unregistered callers");
        assert!(matches!(
            refused(403, &missing),
            DriveError::KeyInvalid { .. }
        ));
        assert!(matches!(
            refused(403, &google("forbidden", "no")),
            DriveError::Forbidden { .. }
        ));
    }

    #[test]
    fn a_project_without_the_api_and_a_sign_in_without_the_scope_are_told_apart() {
        let off = refused(403, &google("accessNotConfigured", "not enabled"));
        assert!(matches!(off, DriveError::ApiDisabled { .. }));
        let scope = google("insufficientPermissions", "insufficient scopes");
        let scope = refused(403, &scope);
        assert!(matches!(scope, DriveError::ScopeMissing { .. }));
        for error in [off, scope] {
            assert_eq!(error.kind(), ErrorKind::Credentials);
        }
    }

    #[test]
    fn a_message_never_repeats_the_key() {
        let words = "Consumer 'api_key:AIza-secret' has been suspended.\nReally.";
        let error = refused(403, &google("forbidden", words));
        assert!(
            error
                .to_string()
                .contains("'api_key:[key]' has been suspended. Really.")
        );
        assert!(!format!("{error:?}").contains("AIza-secret"));
    }

    #[test]
    fn without_json_the_status_decides() {
        let html = "<html><body>Bad Gateway</body></html>";
        assert!(matches!(
            refused(502, html),
            DriveError::Server { status: 502, .. }
        ));
        assert!(matches!(refused(404, html), DriveError::NotFound));
        assert!(matches!(refused(401, ""), DriveError::Unauthorized { .. }));
        assert!(matches!(refused(429, "[]"), DriveError::Throttled { .. }));
        assert!(matches!(
            refused(418, html),
            DriveError::Rejected { status: 418, .. }
        ));
        assert!(matches!(refused(302, ""), DriveError::Protocol(_)));
        assert!(matches!(refused(204, ""), DriveError::Protocol(_)));
        let error = refused(403, html);
        assert_eq!(
            error.to_string(),
            "Drive refuses access (forbidden): HTTP 403 without an explanation"
        );
        let sorry = "<html>... your network may be sending automated queries ...</html>";
        assert!(matches!(refused(403, sorry), DriveError::Throttled { .. }));
        assert!(matches!(
            refused(400, r#"{"error":"invalid_grant"}"#),
            DriveError::Rejected { .. }
        ));
    }

    #[test]
    fn a_stale_page_token_is_told_apart_from_another_bad_request() {
        let bad = |location: &str| {
            json!({"error": {"code": 400, "message": "Invalid Value", "errors": [
                {"reason": "invalid", "location": location, "locationType": "parameter"}]}})
            .to_string()
        };
        let none = HeaderMap::new();
        let with_token = |location| refused_with(400, &bad(location), &none, true);
        assert!(matches!(
            with_token("pageToken"),
            DriveError::PageTokenRejected
        ));
        assert!(matches!(with_token(""), DriveError::PageTokenRejected));
        assert!(matches!(with_token("q"), DriveError::Rejected { .. }));
        assert!(matches!(
            refused(400, &bad("pageToken")),
            DriveError::Rejected { .. }
        ));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let read = |value: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            retry_after(&headers, now)
        };
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(
            read("Sun, 06 Nov 1994 08:50:07 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(read("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("18446744073709551615"), Some(MAX_RETRY_AFTER));
        assert_eq!(read("-1"), None);
        assert_eq!(read("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
