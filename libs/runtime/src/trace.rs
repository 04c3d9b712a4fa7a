//! Traces: what was done for one request, by every process that had a part in it.
//!
//! A [`TraceContext`] travels with every message, whether or not this process exports spans: so a trace
//! is not cut by a role that does not, and its id is in the log of each. [`Span`]s are recorded only
//! where [`export`](export::export) was told where to send them. What becomes of a message that is sent
//! while a span is [around](Span::around) it belongs to that span.

pub mod export;

use std::borrow::Cow;
use std::future::Future;
use std::time::SystemTime;

use futures::TryFutureExt as _;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{
    FutureExt as _, Link, SpanContext, Status, TraceContextExt as _, TraceFlags, Tracer as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::propagation::TraceContextPropagator;

pub use opentelemetry::trace::SpanKind as Kind;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";
/// What must be passed on at least, in bytes, of what may come
/// (<https://www.w3.org/TR/trace-context/#tracestate-limits>); we pass on no more.
const MAX_STATE: usize = 512;
/// So many things of one kind are all recorded in one trace.
const WHOLE: u64 = 1_000;

/// Where in which trace something happens, as messages and requests carry it: W3C Trace Context
/// (<https://www.w3.org/TR/trace-context/>).
#[derive(Clone, Default)]
pub struct TraceContext(Context);

impl TraceContext {
    /// What the work under way belongs to.
    #[must_use]
    pub fn current() -> Self {
        Self(Context::current())
    }

    /// What `header` gives of `traceparent` and `tracestate`; none if that makes no sense.
    pub fn read<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Self {
        let headers = Headers {
            parent: header(PARENT),
            // It goes with every message of an import, and may be anybody's.
            state: header(STATE).filter(|state| state.len() <= MAX_STATE),
        };
        Self(TraceContextPropagator::new().extract_with_context(&Context::new(), &headers))
    }

    /// Give `traceparent`, and `tracestate` unless it is empty, to `header`; nothing if there is no trace.
    pub fn write(&self, header: impl FnMut(&str, String)) {
        TraceContextPropagator::new().inject_context(&self.0, &mut Writer(header));
    }

    /// Whether it belongs to a trace.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.0.span().span_context().is_valid()
    }

    /// The ids of its trace and of its span, in hexadecimal.
    #[must_use]
    pub fn ids(&self) -> Option<(String, String)> {
        let span = self.0.span();
        let at = span.span_context();
        at.is_valid()
            .then(|| (at.trace_id().to_string(), at.span_id().to_string()))
    }

    /// Whether what happens here is to be recorded; if not, it only keeps its ids.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.0.span().span_context().is_sampled()
    }

    /// The same place in the same trace, but what happens from here on is not recorded.
    #[must_use]
    pub fn unsampled(&self) -> Self {
        let span = self.0.span();
        let at = span.span_context();
        let flags = TraceFlags::default();
        let state = at.trace_state().clone();
        let at = SpanContext::new(at.trace_id(), at.span_id(), flags, at.is_remote(), state);
        Self(Context::new().with_remote_span_context(at))
    }

    /// Where the `n`th of many things of one kind belongs, counted from 0: the first thousand are recorded,
    /// of the second thousand a quarter, of the next two thousand a sixteenth, and so on. That is some 1,500
    /// however many there are, so that a trace can be taken in and looked at.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        if is_recorded(n) {
            self
        } else {
            self.unsampled()
        }
    }

    /// Where a batch of such things belongs: it is recorded if one of them is.
    #[must_use]
    pub fn batch(self, first: u64, count: usize) -> Self {
        let mut all = first..first + (count as u64).max(1);
        if all.any(is_recorded) {
            self
        } else {
            self.unsampled()
        }
    }

    /// Do `work` as a part of what it belongs to.
    pub fn around<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        // No `async`: that would keep room for `work` twice.
        work.with_context(self.0)
    }

    fn trace_id(&self) -> opentelemetry::TraceId {
        self.0.span().span_context().trace_id()
    }
}

/// Whether the `n`th of many things of one kind is recorded, if its trace is.
#[must_use]
pub fn is_recorded(n: u64) -> bool {
    let step = (n / WHOLE + 1).next_power_of_two();
    n.is_multiple_of(step.saturating_mul(step))
}

struct Headers<'a> {
    parent: Option<&'a str>,
    state: Option<&'a str>,
}

impl Extractor for Headers<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        match name {
            PARENT => self.parent,
            STATE => self.state,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![PARENT, STATE]
    }
}

struct Writer<F>(F);

impl<F: FnMut(&str, String)> Injector for Writer<F> {
    fn set(&mut self, name: &str, value: String) {
        if !value.is_empty() {
            (self.0)(name, value);
        }
    }
}

/// One step, with a beginning and an end. It ends when it is dropped; if nobody says that it
/// [failed](Self::fail), it went well or was given up.
pub struct Span(TraceContext);

impl Span {
    /// Begin a step of what is under way, if that is recorded; if not, this is none, and what is done in
    /// it belongs to what is under way. No trace begins here.
    pub fn begin(kind: Kind, name: impl Into<Cow<'static, str>>) -> Self {
        let current = TraceContext::current();
        if current.is_sampled() {
            Self::under(&current, kind, name)
        } else {
            Self(current)
        }
    }

    /// Begin a step of what a message or a request came with; without that, a new trace begins here.
    pub fn under(parent: &TraceContext, kind: Kind, name: impl Into<Cow<'static, str>>) -> Self {
        let Some(tracer) = export::tracer() else {
            return Self(parent.clone());
        };
        let builder = tracer.span_builder(name).with_kind(kind);
        let span = builder.start_with_context(tracer, &parent.0);
        Self(TraceContext(parent.0.with_span(span)))
    }

    /// A step that took until now since `begun` and had a part in several others, of one trace. It
    /// counts as a step of the first, and is linked with all.
    fn joint(begun: SystemTime, kind: Kind, name: &str, of: &[&TraceContext]) -> Option<Self> {
        let tracer = export::tracer()?;
        let parent = of.first()?;
        let link = |of: &&TraceContext| Link::with_context(of.0.span().span_context().clone());
        let builder = tracer
            .span_builder(name.to_owned())
            .with_kind(kind)
            .with_start_time(begun)
            .with_links(of.iter().map(link).collect());
        let span = builder.start_with_context(tracer, &parent.0);
        Some(Self(TraceContext(parent.0.with_span(span))))
    }

    /// No step of anything.
    #[must_use]
    pub fn none() -> Self {
        Self(TraceContext::default())
    }

    /// Whether it is recorded: else attributes are set in vain.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.0.0.span().is_recording()
    }

    /// Where in which trace it is.
    #[must_use]
    pub fn context(&self) -> &TraceContext {
        &self.0
    }

    /// With an attribute; see <https://opentelemetry.io/docs/specs/semconv/> for their names.
    #[must_use]
    pub fn with(self, key: &'static str, value: impl Into<Value>) -> Self {
        self.set(key, value);
        self
    }

    /// Set an attribute.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.0.0.span().set_attribute(KeyValue::new(key, value));
    }

    /// It failed. `why` is a stable code or a short text without secrets.
    pub fn fail(&self, why: impl Into<Cow<'static, str>>) {
        self.0.0.span().set_status(Status::error(why));
    }

    /// Do `work` as a part of this step.
    pub fn around<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        work.with_context(self.0.0.clone())
    }

    /// This step is `work`; it ends with it, and fails with it.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn is<T, E: std::fmt::Display>(
        self,
        work: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        self.around(work).inspect_err(move |error| {
            if self.is_recorded() {
                self.fail(error.to_string());
            }
        })
    }
}

/// Set an attribute of the step under way.
pub fn note(key: &'static str, value: impl Into<Value>) {
    Context::map_current(|current| current.span().set_attribute(KeyValue::new(key, value)));
}

/// The step under way failed. `why` is a stable code or a short text without secrets.
pub fn fail(why: impl Into<Cow<'static, str>>) {
    Context::map_current(|current| current.span().set_status(Status::error(why)));
}

/// Of what was done at once for many messages since `begun`: one span for each trace that is recorded.
/// `describe` gets it, and for how many messages of its trace it stands.
pub fn joint(
    begun: SystemTime,
    kind: Kind,
    name: &str,
    of: &[TraceContext],
    describe: impl Fn(&Span, usize),
) {
    if export::tracer().is_none() {
        return;
    }
    let mut traces: Vec<Vec<&TraceContext>> = Vec::new();
    for context in of.iter().filter(|context| context.is_sampled()) {
        let known = |trace: &&mut Vec<&TraceContext>| {
            trace.first().map(|first| first.trace_id()) == Some(context.trace_id())
        };
        match traces.iter_mut().find(known) {
            Some(trace) => trace.push(context),
            None => traces.push(vec![context]),
        }
    }
    for trace in traces {
        if let Some(span) = Span::joint(begun, kind.clone(), name, &trace) {
            describe(&span, trace.len());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CONTEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn parsed(parent: &'static str, state: Option<&'static str>) -> TraceContext {
        TraceContext::read(|name| match name {
            PARENT => Some(parent),
            STATE => state,
            _ => None,
        })
    }

    fn written(context: &TraceContext) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        context.write(|name, value| headers.push((name.to_owned(), value)));
        headers
    }

    #[test]
    fn a_context_is_passed_on_as_it_came() {
        let context = parsed(CONTEXT, Some("vendor=1"));
        assert!(context.is_some() && context.is_sampled());
        let expected = [(PARENT, CONTEXT), (STATE, "vendor=1")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(written(&context), expected);
        assert_eq!(written(&parsed(CONTEXT, None)), expected[..1]);
    }

    #[test]
    fn what_makes_no_sense_is_no_context() {
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333x-01",
        ] {
            let context = parsed(wrong, None);
            assert!(!context.is_some(), "{wrong}");
            assert_eq!(context.ids(), None);
            assert!(written(&context).is_empty());
        }
    }

    #[test]
    fn what_is_too_long_to_go_with_every_message_is_left_out() {
        let long: &'static str = Box::leak(format!("vendor={}", "x".repeat(506)).into_boxed_str());
        assert_eq!(written(&parsed(CONTEXT, Some(long))).len(), 1);
        let short: &'static str = Box::leak(format!("vendor={}", "x".repeat(200)).into_boxed_str());
        assert_eq!(written(&parsed(CONTEXT, Some(short)))[1].1, short);
    }

    #[test]
    fn few_are_recorded_whole_and_many_in_part() {
        let recorded = |all: u64| (0..all).filter(|n| is_recorded(*n)).count();
        assert_eq!(recorded(1_000), 1_000);
        assert_eq!(recorded(2_000), 1_250);
        assert!((1_400..1_600).contains(&recorded(100_000)));
        assert!((1_400..1_600).contains(&recorded(10_000_000)));
        // A batch in which one is recorded is recorded, whatever its size.
        let context = || parsed(CONTEXT, None);
        assert!(context().batch(900, 64).is_sampled());
        assert!(context().batch(0, 0).is_sampled());
        assert!(!context().batch(1_001, 2).is_sampled());
        assert!(context().nth(1_004).is_sampled() && !context().nth(1_005).is_sampled());
    }

    #[test]
    fn an_unsampled_one_keeps_its_ids() {
        let context = parsed(CONTEXT, Some("vendor=1"));
        let unsampled = context.unsampled();
        assert!(!unsampled.is_sampled());
        assert_eq!(unsampled.ids(), context.ids());
        assert_eq!(written(&unsampled)[0].1, CONTEXT.replace("-01", "-00"));
        assert_eq!(written(&unsampled)[1].1, "vendor=1");
    }

    /// Nothing is exported by this process: what is sent within its steps still carries what they
    /// came with, across awaits.
    #[tokio::test]
    async fn a_step_that_nobody_records_passes_on_what_it_came_with() {
        let span = Span::under(&parsed(CONTEXT, None), Kind::Consumer, "process").with("a", 1);
        let inside = span.around(async {
            let inner = Span::begin(Kind::Client, "download");
            inner
                .is(async {
                    tokio::task::yield_now().await;
                    Ok::<_, String>(written(&TraceContext::current()))
                })
                .await
        });
        assert_eq!(inside.await.unwrap()[0].1, CONTEXT);
        assert!(!TraceContext::current().is_some());
    }
}
