//! `GET /api/import/status/{job_id}`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contracts::ImportId;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::links::Links;
use crate::openapi::problems;
use crate::params::InPath;
use crate::problem::{Problem, Result};
use crate::view::{self, ImageView, Progress, StatusView};

/// Images in one answer, the newest first.
const LATEST: u32 = 100;

problems!(StatusProblems: NotFound, DatabaseUnavailable, QueueUnavailable);

/// How far an import is
///
/// Known from the moment the import was accepted. Ask again with `If-None-Match`: while nothing has
/// changed, the answer is a 304 without a body.
#[utoipa::path(
    get,
    path = "/api/import/status/{job_id}",
    tag = "imports",
    operation_id = "getStatus",
    params(
        ("job_id" = String, Path, description = "The import's id"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the last answer"),
    ),
    responses(
        (status = 200, description = "Its progress", body = StatusView,
            headers(("ETag" = String, description = "Weak; changes with the answer"))),
        (status = 304, description = "Nothing has changed",
            headers(("ETag" = String, description = "As it was"))),
        StatusProblems,
    )
)]
pub(crate) async fn status(
    State(app): State<Arc<App>>,
    InPath(job): InPath,
    links: Links,
    headers: HeaderMap,
) -> Result<Response> {
    // What is no id was never given out.
    let import: ImportId = job
        .parse()
        .map_err(|_| Problem::not_found("import with this id"))?;
    tagged(&headers, &view(&app, &import, &links).await?)
}

/// `view` with a weak tag of its own; nothing but the tag if the client has that.
pub(crate) fn tagged(headers: &HeaderMap, view: &impl Serialize) -> Result<Response> {
    let bytes = serde_json::to_vec(view).map_err(Problem::internal)?;
    let tag = format!("W/\"{}\"", hex::encode(&Sha256::digest(&bytes)[..12]));
    let mut response = if matches_tag(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let json = HeaderValue::from_static("application/json");
        ([(CONTENT_TYPE, json)], bytes).into_response()
    };
    let head = response.headers_mut();
    head.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    head.insert(ETAG, HeaderValue::try_from(tag).map_err(Problem::internal)?);
    Ok(response)
}

/// The projection's answer; while it has none, what was accepted.
async fn view(app: &App, import: &ImportId, links: &Links) -> Result<StatusView> {
    let unprojected = match app.reads.ask(app.reads.model.import(import)).await {
        Ok(Some(row)) => {
            let latest = app
                .reads
                .ask(app.reads.model.latest_images(import, LATEST))
                .await?;
            return Ok(StatusView {
                progress: Progress::new(&row),
                imported: latest
                    .into_iter()
                    .map(|image| ImageView::new(image, links))
                    .collect(),
                waiting_for: (!row.status.is_final()).then(|| app.waiting()),
            });
        }
        Ok(None) => Problem::not_found("import with this id"),
        Err(problem) => problem,
    };
    // Without NATS it is not known whether the import was accepted, so this is no 404 then.
    match app.broker.submission(import).await? {
        Some(submission) => Ok(StatusView {
            progress: view::accepted(&submission),
            imported: Vec::new(),
            waiting_for: Some(app.waiting()),
        }),
        None => Err(unprojected),
    }
}

/// Weak comparison (RFC 9110, section 13.1.2).
pub(crate) fn matches_tag(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let given = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    given
        .flat_map(|value| value.split(','))
        .any(|each| each.trim() == "*" || opaque(each) == opaque(tag))
}
