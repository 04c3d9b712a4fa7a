//! Traces across messages: their context in headers, and the spans of publishing and processing them,
//! named as <https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/> has it.

use std::time::SystemTime;

use async_nats::{HeaderMap, header};
use contracts::subjects;
use runtime::trace::{self, Kind, Span, TraceContext};

/// Where in which trace a message was published.
#[must_use]
pub fn context(headers: Option<&HeaderMap>) -> TraceContext {
    let headers = headers.filter(|headers| !headers.is_empty());
    TraceContext::read(|name| {
        // Names are told apart by case here, and some write them as HTTP does.
        let found = headers?
            .get(name)
            .or_else(|| headers?.get(as_in_http(name)));
        Some(found?.as_str())
    })
}

fn as_in_http(name: &str) -> &'static str {
    if name == "tracestate" {
        "Tracestate"
    } else {
        "Traceparent"
    }
}

/// Let `headers` say that the message was published in `context`.
pub(crate) fn inject(context: &TraceContext, headers: &mut HeaderMap) {
    context.write(|name, value| headers.insert(name, value));
}

/// Publishing a message, as a step of what is under way. Without that it is none: what nobody asked for,
/// such as a removal, is no trace of its own.
pub(crate) fn publish(subject: &str, headers: &HeaderMap, bytes: usize) -> Span {
    let span = Span::begin(Kind::Producer, name("publish", subject));
    describe(&span, ("publish", "send"), subject, bytes);
    if span.is_recorded()
        && let Some(id) = headers.get(header::NATS_MESSAGE_ID)
    {
        span.set("messaging.message.id", id.as_str().to_owned());
    }
    span
}

/// Publishing `count` messages at once.
pub(crate) fn publish_batch(subject: &str, count: usize, bytes: usize) -> Span {
    let span = publish(subject, &HeaderMap::new(), bytes);
    if span.is_recorded() {
        span.set("messaging.batch.message_count", count as i64);
    }
    span
}

/// Processing a message that was delivered `delivered` times, this time included.
pub(crate) fn process(
    message: &async_nats::Message,
    consumer: &str,
    sequence: u64,
    delivered: i64,
) -> Span {
    let parent = context(message.headers.as_ref());
    let subject = message.subject.as_str();
    // Only what somebody asks for begins a trace.
    if !parent.is_some() && !matches!(subject, subjects::REQUESTS | subjects::COMMANDS) {
        return Span::none();
    }
    let span = Span::under(&parent, Kind::Consumer, name("process", subject));
    describe(
        &span,
        ("process", "process"),
        subject,
        message.payload.len(),
    );
    if span.is_recorded() {
        // A message without an id of its own has its place in the stream.
        let headers = message.headers.as_ref();
        let id = headers.and_then(|headers| headers.get(header::NATS_MESSAGE_ID));
        let id = id.map_or_else(|| sequence.to_string(), |id| id.as_str().to_owned());
        span.set("messaging.message.id", id);
        span.set("messaging.consumer.group.name", consumer.to_owned());
        span.set("messaging.nats.delivered", delivered);
    }
    span
}

/// Events that were folded into tables at once, since `begun`: one span for each trace among `of`, which
/// is linked with all events of that trace.
pub fn folded(begun: SystemTime, of: &[TraceContext]) {
    let name = name("process", subjects::EVENTS);
    trace::joint(begun, Kind::Consumer, &name, of, |span, count| {
        span.set("messaging.system", "nats");
        span.set("messaging.operation.name", "process");
        span.set("messaging.operation.type", "process");
        span.set("messaging.destination.name", subjects::EVENTS);
        span.set("messaging.batch.message_count", count as i64);
    });
}

fn name(operation: &str, subject: &str) -> String {
    format!("{operation} {}", subjects::template(subject))
}

fn describe(
    span: &Span,
    (operation, operation_type): (&'static str, &'static str),
    subject: &str,
    bytes: usize,
) {
    if !span.is_recorded() {
        return;
    }
    span.set("messaging.system", "nats");
    span.set("messaging.operation.name", operation);
    span.set("messaging.operation.type", operation_type);
    span.set("messaging.destination.name", subject.to_owned());
    let template = subjects::template(subject);
    if template != subject {
        span.set("messaging.destination.template", template.to_owned());
    }
    span.set("messaging.message.body.size", bytes as i64);
}
