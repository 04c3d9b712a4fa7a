//! `POST /api/import/google-drive`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use contracts::{ImportId, ImportRequest, Prefix, Source};
use http::StatusCode;
use http::header::{HeaderValue, LOCATION};
use serde::Deserialize;
use serde_json::json;

use crate::app::App;
use crate::input::{self, IdempotencyKey};
use crate::problem::{Code, Problem, Result};

#[derive(Deserialize)]
struct Wanted {
    folder_url: String,
    #[serde(default)]
    recursive: Option<bool>,
    #[serde(default)]
    destination_prefix: Option<String>,
    #[serde(default)]
    skip_unchanged: Option<bool>,
    #[serde(default)]
    requested_by: Option<String>,
}

pub(crate) async fn submit(State(app): State<Arc<App>>, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let key = IdempotencyKey::of(&parts.headers)?;
    let body = input::read(&parts.headers, body, &app.limits).await?;
    let mut request = parse(&body)?;

    let import = match key {
        None => ImportId::generate(),
        Some(key) => {
            let claim = app.broker.claim(&key.of_request(&[&body])).await?;
            // Known to the projection means taken by a producer: nothing is left to repeat.
            if claim.repeated
                && matches!(
                    app.reads.ask(app.reads.model.import(&claim.import)).await,
                    Ok(Some(_))
                )
            {
                return Ok(accepted(&claim.import));
            }
            claim.import
        }
    };
    request.import_id = Some(import.clone());
    app.broker.submit(&import, request).await?;
    tracing::info!(import.id = %import, "import accepted");
    Ok(accepted(&import))
}

fn accepted(import: &ImportId) -> Response {
    let status_url = format!("/api/import/status/{import}");
    let body = Json(json!({
        "job_id": import.as_str(),
        "message": "Import started. Its status tells how far it is.",
        "status_url": status_url,
    }));
    let mut response = (StatusCode::ACCEPTED, body).into_response();
    if let Ok(location) = HeaderValue::try_from(status_url) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Any content type is read as JSON: clients of the old system set none or a wrong one.
fn parse(body: &[u8]) -> Result<ImportRequest> {
    let wanted: Wanted = serde_json::from_slice(body).map_err(|error| {
        Problem::new(
            Code::InvalidRequest,
            format!("Send JSON such as {{\"folder_url\": \"https://drive.google.com/drive/folders/...\"}}: {error}."),
        )
    })?;
    let folder = wanted.folder_url.trim();
    drive::parse_folder(folder)
        .map_err(|error| Problem::new(Code::NotAFolderUrl, error.to_string()))?;
    let prefix: Prefix = wanted
        .destination_prefix
        .unwrap_or_default()
        .trim()
        .parse()
        .map_err(|error| {
            Problem::new(
                Code::InvalidParameter,
                format!("The parameter 'destination_prefix' is not valid: {error}."),
            )
        })?;
    Ok(ImportRequest {
        import_id: None,
        source: Source::GoogleDrive {
            folder: folder.to_owned(),
        },
        recursive: wanted.recursive.unwrap_or(true),
        destination_prefix: prefix,
        skip_unchanged: wanted.skip_unchanged.unwrap_or(true),
        requested_by: input::requested_by(wanted.requested_by)?,
    })
}
