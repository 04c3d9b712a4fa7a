//! Each line of a log names the trace that it belongs to.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::trace::TraceContext;

/// Lines of `format`, with `trace_id` and `span_id` at their end where there is a trace: the names that
/// <https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/> gives them.
pub(super) struct WithTrace<F> {
    format: F,
    json: bool,
}

impl<F> WithTrace<F> {
    pub(super) fn text(format: F) -> Self {
        let json = false;
        Self { format, json }
    }

    /// Lines of `format` are JSON objects.
    pub(super) fn json(format: F) -> Self {
        let json = true;
        Self { format, json }
    }
}

impl<S, N, F> FormatEvent<S, N> for WithTrace<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some((trace, span)) = TraceContext::current().ids() else {
            return self.format.format_event(context, writer, event);
        };
        let mut line = String::new();
        let inner = Writer::new(&mut line);
        self.format.format_event(context, inner, event)?;
        let line = line.trim_end_matches('\n');
        match line.strip_suffix('}').filter(|_| self.json) {
            Some(fields) => writeln!(
                writer,
                r#"{fields},"trace_id":"{trace}","span_id":"{span}"}}"#
            ),
            None => writeln!(writer, "{line} trace_id={trace} span_id={span}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::{MakeWriter, format};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// Two lines: the first without a trace, the second within one.
    fn lines(log: impl Fn(Lines) -> tracing::subscriber::DefaultGuard) -> Vec<String> {
        let written = Lines::default();
        let _log = log(written.clone());
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let within = TraceContext::read(|name| (name == "traceparent").then_some(parent));
        tracing::info!(a = 1, "outside {{}}");
        let inside = within.around(async { tracing::info!(a = "}", "inside") });
        block_on(inside);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn block_on(work: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(work);
    }

    #[test]
    fn a_line_of_json_has_the_ids_as_fields() {
        let lines = lines(|written| {
            let log = tracing_subscriber::fmt()
                .fmt_fields(format::JsonFields::new())
                .event_format(WithTrace::json(format().json().flatten_event(true)))
                .with_writer(written);
            tracing::subscriber::set_default(log.finish())
        });
        let lines: Vec<serde_json::Value> = lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines[0].get("trace_id"), None);
        assert_eq!(lines[1]["message"], "inside");
        assert_eq!(lines[1]["a"], "}");
        assert_eq!(lines[1]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(lines[1]["span_id"], "b7ad6b7169203331");
    }

    #[test]
    fn a_line_of_text_ends_with_the_ids() {
        let lines = lines(|written| {
            let log = tracing_subscriber::fmt()
                .event_format(WithTrace::text(format().with_ansi(false)))
                .with_writer(written);
            tracing::subscriber::set_default(log.finish())
        });
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("outside {} a=1"), "{}", lines[0]);
        let ids = "trace_id=0af7651916cd43dd8448eb211c80319c span_id=b7ad6b7169203331";
        assert!(
            lines[1].ends_with(&format!("inside a=\"}}\" {ids}")),
            "{}",
            lines[1]
        );
    }
}
