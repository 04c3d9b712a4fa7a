//! `GET /api/import/status/{job_id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use contracts::ImportId;
use http::StatusCode;
use http::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::links::Links;
use crate::problem::{Problem, Result};
use crate::view::{self, ImageView};

/// Images in one answer, the newest first.
const LATEST: u32 = 100;

pub(crate) async fn status(
    State(app): State<Arc<App>>,
    Path(job): Path<String>,
    links: Links,
    headers: HeaderMap,
) -> Result<Response> {
    // What is no id was never given out.
    let import: ImportId = job
        .parse()
        .map_err(|_| Problem::not_found("import with this id"))?;
    let view = view(&app, &import, &links).await?;
    let bytes = serde_json::to_vec(&view).map_err(Problem::internal)?;
    let tag = format!("W/\"{}\"", hex::encode(&Sha256::digest(&bytes)[..12]));
    let mut response = if matches_tag(&headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(view).into_response()
    };
    let head = response.headers_mut();
    head.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    head.insert(ETAG, HeaderValue::try_from(tag).map_err(Problem::internal)?);
    Ok(response)
}

/// The projection's answer; while it has none, what was accepted.
async fn view(app: &App, import: &ImportId, links: &Links) -> Result<Value> {
    let unprojected = match app.reads.ask(app.reads.model.import(import)).await {
        Ok(Some(row)) => {
            let latest = app
                .reads
                .ask(app.reads.model.latest_images(import, LATEST))
                .await?;
            let images: Vec<_> = latest
                .iter()
                .map(|image| ImageView::new(image, links))
                .collect();
            let mut view = view::progress(&row);
            view["imported"] = json!(images);
            if !row.status.is_final() {
                view["waiting_for"] = json!(app.waiting());
            }
            return Ok(view);
        }
        Ok(None) => Problem::not_found("import with this id"),
        Err(problem) => problem,
    };
    // Without NATS it is not known whether the import was accepted, so this is no 404 then.
    match app.broker.submission(import).await? {
        Some(submission) => {
            let mut view = view::accepted(&submission);
            view["imported"] = json!([]);
            view["waiting_for"] = json!(app.waiting());
            Ok(view)
        }
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
