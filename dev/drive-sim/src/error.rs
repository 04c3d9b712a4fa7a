//! Drive's error answers
//! (<https://developers.google.com/workspace/drive/api/guides/handle-errors>).

use http::StatusCode;
use serde_json::{Value, json};

/// One refusal, as Drive words it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) code: StatusCode,
    reason: &'static str,
    /// Whether it is about quota rather than about the request.
    usage_limits: bool,
    message: Box<str>,
    /// Kind and name of the culprit, such as `("parameter", "pageToken")`.
    location: Option<(&'static str, &'static str)>,
    status: Option<&'static str>,
    /// A reason in Google's newer form.
    error_info: Option<&'static str>,
    /// Seconds.
    pub(crate) retry_after: Option<u32>,
}

impl ApiError {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<Box<str>>) -> Self {
        Self {
            code,
            reason,
            usage_limits: false,
            message: message.into(),
            location: None,
            status: None,
            error_info: None,
            retry_after: None,
        }
    }

    fn at(mut self, kind: &'static str, name: &'static str) -> Self {
        self.location = Some((kind, name));
        self
    }

    fn with_status(mut self, status: &'static str) -> Self {
        self.status = Some(status);
        self
    }

    pub(crate) fn file_not_found(id: &str) -> Self {
        let message = format!("File not found: {id}.");
        Self::new(StatusCode::NOT_FOUND, "notFound", message).at("parameter", "fileId")
    }

    /// A shared drive of which the caller is no member.
    pub(crate) fn drive_not_found(id: &str) -> Self {
        let message = format!("Shared drive not found: {id}");
        Self::new(StatusCode::NOT_FOUND, "notFound", message).at("parameter", "driveId")
    }

    /// A path that is no method of the API.
    pub(crate) fn no_such_method() -> Self {
        Self::new(StatusCode::NOT_FOUND, "notFound", "Not Found")
    }

    /// A parameter that cannot be understood, a page token of yesterday among them.
    pub(crate) fn invalid_value(parameter: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", "Invalid Value").at("parameter", parameter)
    }

    pub(crate) fn page_size(value: &str) -> Self {
        let message =
            format!("Invalid value '{value}'. Values must be within the range: [1, 1000]");
        Self::new(StatusCode::BAD_REQUEST, "invalidParameter", message).at("parameter", "pageSize")
    }

    pub(crate) fn field_selection(culprit: &str) -> Self {
        let message = format!("Invalid field selection {culprit}");
        Self::new(StatusCode::BAD_REQUEST, "invalidParameter", message).at("parameter", "fields")
    }

    pub(crate) fn drive_id_mismatch() -> Self {
        let message = "The driveId parameter must be specified if and only if corpora is set to \
                       drive.";
        Self::new(StatusCode::BAD_REQUEST, "teamDriveIdRequired", message)
            .at("parameter", "driveId")
    }

    pub(crate) fn api_key_invalid() -> Self {
        let message = "API key not valid. Please pass a valid API key.";
        let error = Self::new(StatusCode::BAD_REQUEST, "badRequest", message)
            .with_status("INVALID_ARGUMENT");
        Self {
            error_info: Some("API_KEY_INVALID"),
            ..error
        }
    }

    pub(crate) fn unregistered() -> Self {
        let message = "Method doesn't allow unregistered callers (callers without established \
                       identity). Please use API Key or other form of API consumer identity to \
                       call this API.";
        Self::new(StatusCode::FORBIDDEN, "forbidden", message).with_status("PERMISSION_DENIED")
    }

    pub(crate) fn access_not_configured() -> Self {
        let message = "Google Drive API has not been used in project 100000000001 before or it is \
                       disabled. Enable it by visiting \
                       https://console.developers.google.com/apis/api/drive.googleapis.com/overview\
                       ?project=100000000001 then retry.";
        let mut error = Self::new(StatusCode::FORBIDDEN, "accessNotConfigured", message)
            .with_status("PERMISSION_DENIED");
        error.usage_limits = true;
        error.error_info = Some("SERVICE_DISABLED");
        error
    }

    pub(crate) fn auth() -> Self {
        let message = "Request had invalid authentication credentials. Expected OAuth 2 access \
                       token, login cookie or other valid authentication credential. See \
                       https://developers.google.com/identity/sign-in/web/devconsole-project.";
        Self::new(StatusCode::UNAUTHORIZED, "authError", message)
            .at("header", "Authorization")
            .with_status("UNAUTHENTICATED")
    }

    /// Over quota. Drive words this in several ways; `turn` picks one.
    pub(crate) fn throttled(turn: u64, wait_seconds: u32) -> Self {
        let user = "User Rate Limit Exceeded. Rate of requests for user exceed configured project \
                    quota, you may consider re-evaluating expected per-user traffic to the API and \
                    adjust project quota limits accordingly.";
        let project = "Rate Limit Exceeded";
        let mut error = match turn % 4 {
            0 => Self::new(StatusCode::FORBIDDEN, "userRateLimitExceeded", user),
            2 => Self::new(StatusCode::FORBIDDEN, "rateLimitExceeded", project),
            _ => Self::new(StatusCode::TOO_MANY_REQUESTS, "rateLimitExceeded", project)
                .with_status("RESOURCE_EXHAUSTED"),
        };
        error.usage_limits = true;
        if turn % 4 == 1 {
            error.retry_after = Some(wait_seconds);
        }
        error
    }

    pub(crate) fn download_quota() -> Self {
        let message = "The download quota for this file has been exceeded.";
        let mut error = Self::new(StatusCode::FORBIDDEN, "downloadQuotaExceeded", message);
        error.usage_limits = true;
        error
    }

    pub(crate) fn abusive() -> Self {
        let message = "This file has been identified as malware or spam and cannot be downloaded.";
        Self::new(StatusCode::FORBIDDEN, "cannotDownloadAbusiveFile", message)
    }

    /// Nobody acknowledges the abuse of a file that is none.
    pub(crate) fn no_abuse() -> Self {
        let message = "The file is not marked as abusive.";
        Self::new(StatusCode::FORBIDDEN, "invalidAbuseAcknowledgment", message)
    }

    pub(crate) fn not_downloadable() -> Self {
        let message = "Only files with binary content can be downloaded. Use Export with Docs \
                       Editors files.";
        Self::new(StatusCode::FORBIDDEN, "fileNotDownloadable", message).at("parameter", "alt")
    }

    pub(crate) fn download_disabled() -> Self {
        let message = "This file cannot be downloaded by the user.";
        Self::new(StatusCode::FORBIDDEN, "cannotDownloadFile", message).at("parameter", "alt")
    }

    pub(crate) fn insufficient_permissions(id: &str) -> Self {
        let message = format!("The user does not have sufficient permissions for file {id}.");
        Self::new(
            StatusCode::FORBIDDEN,
            "insufficientFilePermissions",
            message,
        )
    }

    pub(crate) fn range() -> Self {
        let message = "Request range not satisfiable";
        Self::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "requestedRangeNotSatisfiable",
            message,
        )
        .at("header", "Range")
    }

    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internalError",
            "Internal Error",
        )
    }

    pub(crate) fn backend() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "backendError",
            "Backend Error",
        )
    }

    pub(crate) fn unavailable() -> Self {
        let message = "The service is currently unavailable.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "backendError", message)
            .with_status("UNAVAILABLE")
    }

    pub(crate) fn to_json(&self) -> Value {
        let domain = if self.usage_limits {
            "usageLimits"
        } else {
            "global"
        };
        let mut inner = json!({"message": self.message, "domain": domain, "reason": self.reason});
        if let Some((kind, name)) = self.location {
            inner["location"] = json!(name);
            inner["locationType"] = json!(kind);
        }
        let mut error =
            json!({"code": self.code.as_u16(), "message": self.message, "errors": [inner]});
        if let Some(status) = self.status {
            error["status"] = json!(status);
        }
        if let Some(reason) = self.error_info {
            error["details"] = json!([{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": reason,
                "domain": "googleapis.com",
                "metadata": {"service": "drive.googleapis.com"},
            }]);
        }
        json!({ "error": error })
    }
}
