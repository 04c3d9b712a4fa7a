//! Errors as clients see them: RFC 9457 problems that also carry the old `error` field.

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use serde::Serialize;
use utoipa::ToSchema;

/// Seconds a client should wait before it asks again after a 503.
const RETRY_AFTER_SECONDS: u64 = 5;

macro_rules! codes {
    ($($variant:ident = $code:literal, $status:ident, $title:literal, $help:literal;)*) => {
        /// Every kind of error the API answers with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code { $($variant,)* }

        impl Code {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Stable, for programs.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
            pub(crate) fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }
            pub(crate) fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
            pub(crate) fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

codes! {
    InvalidRequest = "invalid_request", BAD_REQUEST, "The request cannot be read",
        "Send the JSON that the detail describes.";
    InvalidParameter = "invalid_parameter", BAD_REQUEST, "A parameter is not valid",
        "The detail names the parameter and what it may be.";
    NotAFolderUrl = "not_a_folder_url", BAD_REQUEST, "This is not a Google Drive folder",
        "Open the folder in Google Drive and copy the address from the browser.";
    Unauthorized = "unauthorized", UNAUTHORIZED, "An API key is needed",
        "Send a key of API_KEYS as 'Authorization: Bearer KEY' or 'X-Api-Key: KEY'.";
    InsufficientScope = "insufficient_scope", FORBIDDEN, "This key may only read",
        "Use a key with the scope 'write'; 'imagefleet api-key --scope write' makes one.";
    CrossOrigin = "cross_origin", FORBIDDEN, "Another site may not do this",
        "Add the site's origin to CORS_ORIGINS if it should.";
    NotFound = "not_found", NOT_FOUND, "Not found",
        "Check the path and the id.";
    ObjectMissing = "object_missing", NOT_FOUND, "The image is not in the store",
        "The image is known, but its object is gone from the bucket. Import its folder again with skip_unchanged=false.";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "This path does not take this method",
        "The Allow header lists the methods it takes.";
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT, "The request took too long to arrive",
        "Send it again.";
    NotPossible = "not_possible", CONFLICT, "The import cannot do this now",
        "The detail says why, and what to do instead.";
    NothingToRetry = "nothing_to_retry", CONFLICT, "No failed entry matches",
        "GET /api/imports/{id}/failures lists what failed, by cause. Entries that never were listed come with a new import of the folder.";
    OtherStore = "other_store", CONFLICT, "The image is in another store",
        "This gateway serves the store of its own settings only. Read the object by its bucket and key.";
    PayloadTooLarge = "payload_too_large", PAYLOAD_TOO_LARGE, "The body is too large",
        "An import request is smaller than 64 KiB.";
    QueryTooLong = "query_too_long", URI_TOO_LONG, "The query is too long",
        "A query is at most 4096 bytes, percent-encoded.";
    RangeNotSatisfiable = "range_not_satisfiable", RANGE_NOT_SATISFIABLE, "The range is outside of the image",
        "The Content-Range header tells the size.";
    WrongHost = "wrong_host", MISDIRECTED_REQUEST, "This host name is not this gateway's",
        "Without API keys a gateway on a loopback address answers to loopback names only, so that no web site can reach it through a name of its own. Set PUBLIC_URL to the name it is reached by, and API_KEYS.";
    KeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY, "The Idempotency-Key stands for another request",
        "Use a fresh key for each request, and the same key only to repeat the same body.";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "Too many requests",
        "Wait for as many seconds as Retry-After says. API_RATE_LIMIT sets how many requests one client may send in a second.";
    Internal = "internal", INTERNAL_SERVER_ERROR, "A defect of the gateway",
        "Report it with the request id; the gateway's log has the rest.";
    QueueUnavailable = "queue_unavailable", SERVICE_UNAVAILABLE, "NATS is away",
        "Nothing was accepted, or it is not known whether it was. Repeat the request with the same Idempotency-Key.";
    DatabaseUnavailable = "database_unavailable", SERVICE_UNAVAILABLE, "The database is not ready",
        "Imports go on meanwhile. Ask again.";
    StoreUnavailable = "store_unavailable", SERVICE_UNAVAILABLE, "The store is away",
        "Ask again.";
    StoreCredentials = "store_credentials", SERVICE_UNAVAILABLE, "The store refuses the gateway's credentials",
        "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, whether they have expired, and this machine's clock. The gateway's readiness has the store's own words.";
    TooManyStreams = "too_many_streams", SERVICE_UNAVAILABLE, "Too many streams are open",
        "Ask again, or poll the status until then. One page needs one stream only.";
    Timeout = "timeout", SERVICE_UNAVAILABLE, "The gateway was too slow",
        "Ask again.";
}

impl Code {
    /// The reverse of [`Self::as_str`].
    pub(crate) fn from_code(code: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|known| known.as_str() == code)
    }

    /// What documents it: the `type` of its problems.
    pub(crate) fn kind(self) -> String {
        format!("/problems/{}", self.as_str())
    }

    /// The answer it is to one request.
    pub(crate) fn body(self, detail: &str, request_id: &str) -> Body {
        Body {
            kind: self.kind(),
            title: self.title().to_owned(),
            status: self.status().as_u16(),
            detail: detail.to_owned(),
            code: self.as_str().to_owned(),
            advice: self.help().to_owned(),
            request_id: request_id.to_owned(),
            error: detail.to_owned(),
        }
    }
}

/// Why a request was refused (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Body {
    /// What documents this kind of problem.
    #[serde(rename = "type")]
    #[schema(format = "uri-reference", example = "/problems/not_found")]
    kind: String,
    /// The kind, for people.
    #[schema(example = "Not found")]
    title: String,
    /// As in the head of the answer.
    #[schema(example = 404, minimum = 400, maximum = 599)]
    status: u16,
    /// What was wrong with this request.
    #[schema(example = "There is no image with this id.")]
    detail: String,
    /// The kind, for programs: stable.
    #[schema(example = "not_found")]
    code: String,
    /// What to do about this kind.
    #[schema(example = "Check the path and the id.")]
    advice: String,
    /// Finds the request in the gateway's log.
    #[schema(example = "01932e4b-7c1e-7c3a-9d50-0b6f3f1f9a10")]
    request_id: String,
    /// As `detail`: where the old system had its text.
    error: String,
}

/// One error on its way to a client. The middleware in [`crate::edge`] gives it its request id,
/// renders it and logs what caused it; the cause never reaches the client.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) cause: Option<anyhow::Error>,
}

pub(crate) type Result<T, E = Problem> = std::result::Result<T, E>;

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        let mut headers = Vec::new();
        if code.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.push((RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS)));
        }
        Self {
            code,
            detail: detail.into(),
            headers,
            cause: None,
        }
    }

    /// What was wrong, for the client.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("There is no {what}."))
    }

    pub(crate) fn parameter(name: &str, rule: &str) -> Self {
        Self::new(
            Code::InvalidParameter,
            format!("The parameter '{name}' must be {rule}."),
        )
    }

    pub(crate) fn internal(cause: impl Into<anyhow::Error>) -> Self {
        Self::new(
            Code::Internal,
            "Something went wrong in the gateway; its log has the rest.",
        )
        .caused_by(cause)
    }

    pub(crate) fn caused_by(mut self, cause: impl Into<anyhow::Error>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// What caused it, for the log and for readiness: each link once, since some repeat the next.
    pub(crate) fn reason(&self) -> String {
        let Some(cause) = &self.cause else {
            return self.detail.clone();
        };
        let mut reason = String::new();
        for link in cause.chain().map(ToString::to_string) {
            if reason.is_empty() {
                reason = link;
            } else if !reason.contains(&link) {
                reason = format!("{reason}: {link}");
            }
        }
        reason
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The body, for the client that asked as `request_id`.
    pub(crate) fn render(&self, request_id: &str) -> Response {
        let body = self.code.body(&self.detail, request_id);
        let mut response = (self.code.status(), Json(body)).into_response();
        response.headers_mut().extend(self.headers.iter().cloned());
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}
