//! The page and its files, compiled in; and the documents behind problem types.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{Html, IntoResponse, Response};
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, VARY,
};
use http::{Method, StatusCode};
use rust_embed::RustEmbed;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::openapi::problems;
use crate::params::InPath;
use crate::problem::{Code, Problem, Result};
use crate::routes::status::matches_tag;

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

#[derive(RustEmbed)]
#[folder = "../web/static/"]
struct Files;

/// Whatever no route takes: a file of the page, or nothing.
pub(crate) async fn file(State(app): State<Arc<App>>, request: Request) -> Result<Response> {
    let path = request.uri().path();
    let name = if path == "/" {
        "index.html"
    } else {
        path.trim_start_matches('/')
    };
    let Some(found) = Files::get(name) else {
        return Err(Problem::not_found("such path"));
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(method_not_allowed()
            .await
            .with_header(ALLOW, HeaderValue::from_static("GET,HEAD")));
    }
    let tag = format!("\"{}\"", hex::encode(&found.metadata.sha256_hash()[..16]));
    let mut response = if matches_tag(request.headers(), &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(found.data))
    };
    let head = response.headers_mut();
    head.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    head.insert(ETAG, HeaderValue::try_from(tag).map_err(Problem::internal)?);
    head.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    head.insert(CONTENT_SECURITY_POLICY, app.page_policy.clone());
    head.insert(
        PERMISSIONS_POLICY,
        HeaderValue::from_static("camera=(), geolocation=(), microphone=()"),
    );
    Ok(response)
}

/// What a problem's `type` means.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProblemKind {
    #[serde(rename = "type")]
    #[schema(example = "/problems/not_found")]
    kind: String,
    #[schema(example = "not_found")]
    code: &'static str,
    /// The HTTP status it comes with.
    #[schema(example = 404)]
    status: u16,
    #[schema(example = "Not found")]
    title: &'static str,
    /// What to do.
    #[schema(example = "Check the path and the id.")]
    advice: &'static str,
}

problems!(KindProblems: NotFound);

/// What a problem means, and what to do
///
/// JSON, or a page for people where `Accept` names HTML first.
#[utoipa::path(
    get,
    path = "/problems/{code}",
    tag = "about",
    operation_id = "getProblem",
    params(("code" = String, Path, description = "The problem's `code`", example = "not_found")),
    responses(
        (status = 200, description = "The kind of problem", content(
            (ProblemKind = "application/json"),
            (String = "text/html"),
        )),
        KindProblems,
    )
)]
pub(crate) async fn problem(InPath(code): InPath, headers: HeaderMap) -> Result<Response> {
    let code =
        Code::from_code(&code).ok_or_else(|| Problem::not_found("problem with this code"))?;
    let kind = ProblemKind {
        kind: code.kind(),
        code: code.as_str(),
        status: code.status().as_u16(),
        title: code.title(),
        advice: code.help(),
    };
    let mut response = if wants_html(&headers) {
        Html(kind.html()).into_response()
    } else {
        Json(kind).into_response()
    };
    response
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

impl ProblemKind {
    /// For people. All of it is text of ours, so that escaping what HTML knows is a precaution.
    fn html(&self) -> String {
        let plain = |text: &str| {
            text.replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
        };
        let (title, advice) = (plain(self.title), plain(self.advice));
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <title>{title} - Imagefleet</title>\n\
             <h1>{title}</h1>\n<p>{advice}</p>\n<p>HTTP status {}, code <code>{}</code>.</p>\n\
             <p><a href=\"../api/docs/\">The API</a></p>\n</html>\n",
            self.status, self.code
        )
    }
}

/// Whether HTML is named before JSON, as browsers do.
fn wants_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|kind| kind.split(';').next().unwrap_or_default().trim())
        .find(|kind| kind.ends_with("/html") || kind.ends_with("json"))
        .is_some_and(|kind| kind == "text/html")
}

pub(crate) async fn method_not_allowed() -> Problem {
    Problem::new(
        Code::MethodNotAllowed,
        "This path does not take this method. The Allow header lists those it takes.",
    )
}

/// Own scripts and styles only; images also from where the store's are: its public address, and
/// the one that [`super::content`] redirects to.
pub(crate) fn policy(
    storage: [Option<String>; 2],
) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let storage: String = storage
        .into_iter()
        .flatten()
        .map(|origin| format!(" {origin}"))
        .collect();
    HeaderValue::try_from(format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         img-src 'self' blob:{storage}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
