//! `POST /api/import/google-drive`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use contracts::{ImportId, ImportRequest, Prefix, Source};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::problem::{Code, Problem, Result};

const MAX_REQUESTED_BY: usize = 200;

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
    let key = idempotency_key(&parts.headers)?;
    let body = read(&parts.headers, body, app.limits.body_bytes, app.limits.body).await?;
    let mut request = parse(&body)?;

    let import = match key {
        None => ImportId::generate(),
        Some(key) => {
            let claim = app
                .broker
                .claim(&key, hex::encode(Sha256::digest(&body)))
                .await?;
            // Known to the projection means taken by a producer: nothing is left to repeat.
            if claim.repeated && matches!(app.reads.import(&claim.import).await, Ok(Some(_))) {
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

/// The KV key for the client's `Idempotency-Key`.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let value = value.as_bytes();
    if (1..=255).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic) {
        Ok(Some(format!("key-{}", hex::encode(Sha256::digest(value)))))
    } else {
        Err(Problem::parameter(
            "Idempotency-Key",
            "1 to 255 visible ASCII characters",
        ))
    }
}

async fn read(headers: &HeaderMap, body: Body, limit: usize, patience: Duration) -> Result<Bytes> {
    let too_large = || {
        Problem::new(
            Code::PayloadTooLarge,
            format!("The body is larger than {limit} bytes; an import request is small."),
        )
    };
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let Ok(read) = tokio::time::timeout(patience, axum::body::to_bytes(body, limit)).await else {
        return Err(Problem::new(
            Code::RequestTimeout,
            "The body did not arrive in time. Send the request again.",
        ));
    };
    read.map_err(|error| {
        let over = std::error::Error::source(&error)
            .is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
        if over {
            too_large()
        } else {
            Problem::new(
                Code::InvalidRequest,
                "The body ended early. Send the request again.",
            )
        }
    })
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
    if wanted
        .requested_by
        .as_ref()
        .is_some_and(|who| who.chars().count() > MAX_REQUESTED_BY)
    {
        return Err(Problem::parameter("requested_by", "at most 200 characters"));
    }
    Ok(ImportRequest {
        import_id: None,
        source: Source::GoogleDrive {
            folder: folder.to_owned(),
        },
        recursive: wanted.recursive.unwrap_or(true),
        destination_prefix: prefix,
        skip_unchanged: wanted.skip_unchanged.unwrap_or(true),
        requested_by: wanted.requested_by.filter(|who| !who.trim().is_empty()),
    })
}
