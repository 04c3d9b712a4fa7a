//! `GET /problems/{code}`: what a problem's `type` means.

use axum::Json;
use axum::response::{Html, IntoResponse, Response};
use http::header::{ACCEPT, HeaderMap, HeaderValue, VARY};
use serde::Serialize;
use utoipa::ToSchema;

use crate::openapi::problems;
use crate::params::InPath;
use crate::problem::{Code, Problem, Result};

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
