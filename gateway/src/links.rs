//! Absolute addresses in answers.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use url::Url;

use crate::app::App;

/// How one client reaches this gateway and the store.
pub(crate) struct Links {
    gateway: String,
    storage: Option<String>,
}

impl FromRequestParts<Arc<App>> for Links {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &Arc<App>,
    ) -> Result<Self, Self::Rejection> {
        let gateway = match &app.public_url {
            Some(url) => without_slash(url),
            None => as_asked(parts, &app.local_addr.to_string()),
        };
        Ok(Self {
            gateway,
            storage: app.storage_public_url.as_ref().map(without_slash),
        })
    }
}

impl Links {
    /// An address where a browser can show the image. Keys hold nothing that a URL must escape.
    pub(crate) fn image(&self, id: i64, key: &str) -> String {
        match &self.storage {
            Some(base) => format!("{base}/{key}"),
            None => format!("{}/api/images/{id}/content", self.gateway),
        }
    }
}

/// The authority the client asked for.
pub(crate) fn host(request: &Request) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request
            .headers()
            .get(HOST)
            .and_then(|host| host.to_str().ok()),
    }
}

/// Without `PUBLIC_URL`: the scheme and host of the request itself, as a proxy in front reports them.
fn as_asked(parts: &Parts, fallback: &str) -> String {
    let header = |name| {
        parts
            .headers
            .get(name)
            .and_then(|value: &http::HeaderValue| value.to_str().ok())
    };
    let scheme = match header("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    let asked = parts
        .uri
        .authority()
        .map(Authority::as_str)
        .or_else(|| header("host"));
    let host = asked
        .filter(|host| host.parse::<Authority>().is_ok())
        .unwrap_or(fallback);
    format!("{scheme}://{host}")
}

fn without_slash(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}
