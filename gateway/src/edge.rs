//! What every request passes: its id, the deadline, the net under panics, headers, metrics, the log.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::Method;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use runtime::trace::{Kind, Span, TraceContext};
use tracing::Instrument;
use uuid::Uuid;

use crate::metrics::Metrics;
use crate::problem::{Code, Problem};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(crate) struct Edge {
    /// From the request to the head of its answer.
    pub(crate) deadline: Duration,
    /// Whether clients reach this gateway by https only.
    pub(crate) https: bool,
    pub(crate) metrics: Metrics,
}

pub(crate) async fn edge(State(edge): State<Arc<Edge>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let id = request_id(&request);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);

    let step = step(&request, route, edge.https);
    let span = tracing::info_span!("request", request.id = %id);
    let answered =
        step.around(answer(&edge, request, next, (&method, &path, &id)).instrument(span));
    let mut response = answered.await;
    step.set(
        "http.response.status_code",
        i64::from(response.status().as_u16()),
    );
    if response.status().is_server_error() {
        step.fail(response.status().as_str().to_owned());
    }

    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    protect(headers, edge.https);

    let took = started.elapsed();
    edge.metrics
        .observe(&method, route, response.status(), took);
    tracing::debug!(
        request.id = %id, %method, %path, status = response.status().as_u16(), duration_ms = took.as_millis() as u64,
        "request answered"
    );
    response
}

/// The step of answering, in the client's trace if it names one: see
/// <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>. What is no part of the API (probes,
/// metrics, the page's files) is only passed through.
fn step(request: &Request, route: &str, https: bool) -> Span {
    let headers = request.headers();
    let parent = TraceContext::read(|name| headers.get(name)?.to_str().ok());
    if !route.starts_with("/api/") {
        return Span::none();
    }
    // Whatever a client makes up is no name of a span.
    let method = match *request.method() {
        Method::GET | Method::HEAD | Method::POST | Method::DELETE | Method::OPTIONS => {
            request.method().as_str()
        }
        _ => "_OTHER",
    };
    let name = format!("{} {route}", method.replace("_OTHER", "HTTP"));
    let span = Span::under(&parent, Kind::Server, name);
    if span.is_recorded() {
        span.set("http.request.method", method.to_owned());
        span.set("http.route", route.to_owned());
        span.set("url.path", request.uri().path().to_owned());
        span.set("url.scheme", if https { "https" } else { "http" });
    }
    span
}

/// What comes of the request, in time and whatever happens.
async fn answer(
    edge: &Edge,
    request: Request,
    next: Next,
    (method, path, id): (&Method, &str, &str),
) -> Response {
    let inner = AssertUnwindSafe(next.run(request)).catch_unwind();
    let outcome = tokio::time::timeout(edge.deadline, inner).await;
    let mut response = match outcome {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            Problem::internal(anyhow::anyhow!("a handler panicked: {}", text_of(&*panic)))
                .into_response()
        }
        Err(_) => Problem::new(
            Code::Timeout,
            "The answer was not ready in time. Ask again.",
        )
        .into_response(),
    };

    if let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() {
        edge.metrics.problem(problem.code);
        let error = problem.cause.as_ref().map(|cause| format!("{cause:#}"));
        if problem.code == Code::Internal {
            tracing::error!(request.id = id, %method, path, error, "request failed");
        } else if response.status().is_server_error() {
            tracing::warn!(request.id = id, %method, path, code = problem.code.as_str(), error, "request failed");
        }
        response = problem.render(id);
    }
    response
}

/// What browsers may do with an answer. What is shown as a page has a policy of its own; all else
/// may run nothing, load nothing and be framed nowhere.
fn protect(headers: &mut HeaderMap, https: bool) {
    let fixed = |text| HeaderValue::from_static(text);
    headers.insert(X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    headers.insert(REFERRER_POLICY, fixed("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, fixed("DENY"));
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(fixed("default-src 'none'; frame-ancestors 'none'"));
    headers.entry(CACHE_CONTROL).or_insert(fixed("no-store"));
    if https {
        // Of this name only: others of the domain are not ours to speak for.
        headers.insert(STRICT_TRANSPORT_SECURITY, fixed("max-age=31536000"));
    }
}

/// The client's own id if it is harmless in a log, else a fresh one.
fn request_id(request: &Request) -> String {
    let given = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok());
    let harmless = |id: &&str| {
        (1..=128).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
    };
    given
        .filter(harmless)
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "no message"
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use http::StatusCode;
    use tower::ServiceExt;

    async fn answer(path: &str) -> (StatusCode, serde_json::Value) {
        let registry = prometheus::Registry::new();
        let edge_state = Edge {
            deadline: Duration::from_millis(20),
            https: false,
            metrics: Metrics::new(&registry).unwrap(),
        };
        let panics = || async {
            if true {
                panic!("the secret is hunter2");
            }
        };
        let router = Router::new()
            .route("/panics", get(panics))
            .route("/hangs", get(std::future::pending::<()>))
            .layer(from_fn_with_state(Arc::new(edge_state), edge));
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_a_500_that_tells_nothing() {
        let (status, body) = answer("/panics").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(body["code"], "internal");
        assert!(!body.to_string().contains("hunter2"), "{body}");
    }

    #[tokio::test]
    async fn a_handler_that_hangs_is_a_503() {
        let (status, body) = answer("/hangs").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body["code"], "timeout");
    }
}
