//! One span for each request to Drive, from sending it to the head of the answer, named as
//! <https://opentelemetry.io/docs/specs/semconv/http/http-spans/> has it. Drive itself is told of no trace.

use reqwest::Url;
use runtime::trace::{Kind, Span};

/// A GET of `url`, as a step of what is under way.
pub(crate) fn get(url: &Url) -> Span {
    let template = template(url.path());
    let span = Span::begin(Kind::Client, format!("GET {template}"));
    if !span.is_recorded() {
        return span;
    }
    span.set("http.request.method", "GET");
    span.set("url.template", template);
    // The query may hold a page token; keys and tokens are in headers.
    span.set("url.path", url.path().to_owned());
    span.set(
        "server.address",
        url.host_str().unwrap_or_default().to_owned(),
    );
    span.set(
        "server.port",
        i64::from(url.port_or_known_default().unwrap_or(0)),
    );
    span
}

/// The path without the ids in it.
fn template(path: &str) -> &'static str {
    if path.ends_with("/files") {
        "/drive/v3/files"
    } else {
        "/drive/v3/files/{fileId}"
    }
}
