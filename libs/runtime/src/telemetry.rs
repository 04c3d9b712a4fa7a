//! Logs, with the ids of traces, and where spans go.

mod format;

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format as formats;

use crate::trace::export::{self, Exporter};
use crate::{ConfigError, Env};
use format::WithTrace;

/// Write logs to stderr: `RUST_LOG` filters (default `info`), `LOG_FORMAT` is `text` or `json`. Record
/// spans as `service` if a collector is configured; flush them at the end.
///
/// # Errors
/// When a setting makes no sense.
pub fn init(
    env: &Env,
    default_filter: &str,
    service: &str,
) -> Result<Option<Exporter>, ConfigError> {
    let filter = EnvFilter::try_new(env.get("RUST_LOG").unwrap_or(default_filter))
        .map_err(|error| ConfigError::new("RUST_LOG", error.to_string()))?;
    let colours = std::io::stderr().is_terminal() && env.get("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        // A role must not die because nobody reads its log any more.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    // An error means that a subscriber is installed already, as in tests; keep that one.
    let _ = match env.get("LOG_FORMAT").unwrap_or("text") {
        "text" => {
            let text = formats().with_ansi(colours);
            builder.event_format(WithTrace::text(text)).try_init()
        }
        "json" => {
            let json = formats().json().flatten_event(true);
            let builder = builder.fmt_fields(formats::JsonFields::new());
            builder.event_format(WithTrace::json(json)).try_init()
        }
        other => {
            return Err(ConfigError::new(
                "LOG_FORMAT",
                format!("{other:?} is neither text nor json"),
            ));
        }
    };
    export::export(env, service)
}
