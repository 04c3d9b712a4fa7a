//! A collector of spans: OTLP over HTTP, as a real one takes it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{Span as Wire, status::StatusCode as Outcome};
use prost::Message as _;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// A running collector. Gone when dropped.
pub struct Collector {
    url: String,
    seen: Arc<Seen>,
    _server: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Seen {
    /// Whether it is out of order.
    refusing: AtomicBool,
    /// By whom spans were refused, once for each time.
    refused: Mutex<Vec<String>>,
    spans: Mutex<Vec<Span>>,
    headers: Mutex<Vec<HeaderMap>>,
}

/// A span as it arrived.
#[derive(Debug, Clone)]
pub struct Span {
    /// `service.name` of whoever recorded it.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its kind, such as `CONSUMER`.
    pub kind: String,
    /// Its trace, in hexadecimal.
    pub trace: String,
    /// Its own id, in hexadecimal.
    pub id: String,
    /// Its parent's id; empty without one.
    pub parent: String,
    /// What is said of it.
    pub attributes: BTreeMap<String, Value>,
    /// Spans of the same or of other traces that led to it.
    pub links: Vec<String>,
    /// Why it failed, if it did.
    pub failed: Option<String>,
    /// From when to when, in nanoseconds since 1970.
    pub time: (u64, u64),
}

impl Collector {
    /// Start one.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let seen = Arc::new(Seen::default());
        let router = Router::new()
            .route("/v1/traces", post(take))
            .layer(DefaultBodyLimit::max(64 << 20))
            .with_state(Arc::clone(&seen));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            url,
            seen,
            _server: AbortOnDropHandle::new(server),
        })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every span so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let spans = self.seen.spans.lock();
        spans.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answer 503 to everything, or no more.
    pub fn refuse(&self, refusing: bool) {
        self.seen.refusing.store(refusing, Ordering::SeqCst);
    }

    /// How often spans of `service` were refused.
    #[must_use]
    pub fn refused(&self, service: &str) -> usize {
        let refused = self.seen.refused.lock();
        let refused = refused.unwrap_or_else(PoisonError::into_inner);
        refused.iter().filter(|of| *of == service).count()
    }

    /// The headers of every request so far.
    #[must_use]
    pub fn headers(&self) -> Vec<HeaderMap> {
        let headers = self.seen.headers.lock();
        headers.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn take(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let kept = seen.headers.lock();
    kept.unwrap_or_else(PoisonError::into_inner).push(headers);
    let mut spans = seen.spans.lock().unwrap_or_else(PoisonError::into_inner);
    for of_resource in request.resource_spans {
        let resource = attributes(of_resource.resource.unwrap_or_default().attributes);
        let service = resource.get("service.name").and_then(Value::as_str);
        let service = service.unwrap_or_default().to_owned();
        if seen.refusing.load(Ordering::SeqCst) {
            let refused = seen.refused.lock();
            refused
                .unwrap_or_else(PoisonError::into_inner)
                .push(service);
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        let all = of_resource.scope_spans.into_iter();
        spans.extend(
            all.flat_map(|scope| scope.spans)
                .map(|span| read(&service, span)),
        );
    }
    StatusCode::OK
}

fn read(service: &str, span: Wire) -> Span {
    let kind = SpanKind::try_from(span.kind).unwrap_or_default();
    let status = span.status.unwrap_or_default();
    let failed = status.code == Outcome::Error as i32;
    Span {
        service: service.to_owned(),
        name: span.name,
        kind: kind
            .as_str_name()
            .trim_start_matches("SPAN_KIND_")
            .to_owned(),
        trace: hex::encode(span.trace_id),
        id: hex::encode(span.span_id),
        parent: hex::encode(span.parent_span_id),
        attributes: attributes(span.attributes),
        links: span
            .links
            .iter()
            .map(|link| hex::encode(&link.span_id))
            .collect(),
        failed: failed.then_some(status.message),
        time: (span.start_time_unix_nano, span.end_time_unix_nano),
    }
}

fn attributes(all: Vec<KeyValue>) -> BTreeMap<String, Value> {
    let value = |value| match value {
        any_value::Value::StringValue(text) => Value::from(text),
        any_value::Value::IntValue(number) => Value::from(number),
        any_value::Value::BoolValue(yes) => Value::from(yes),
        any_value::Value::DoubleValue(number) => Value::from(number),
        // We send no others.
        _ => Value::Null,
    };
    all.into_iter()
        .filter_map(|pair| Some((pair.key, value(pair.value?.value?))))
        .collect()
}
