//! `POST /api/import/google-drive`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use contracts::{ImportId, ImportRequest, Prefix, Source};
use http::StatusCode;
use http::header::{HeaderValue, LOCATION};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::broker::Meant;
use crate::caller::Caller;
use crate::input::{self, IdempotencyKey};
use crate::openapi::problems;
use crate::problem::{Code, Problem, Result};

/// A folder to import.
#[derive(Deserialize, ToSchema)]
#[schema(as = ImportRequest)]
pub(crate) struct Wanted {
    /// A Google Drive folder, as the browser's address bar shows it; or its id.
    #[schema(example = "https://drive.google.com/drive/folders/1AbC-dEf_GhIjKlMnOpQ")]
    #[schema(min_length = 1)]
    folder_url: String,
    /// Whether its subfolders are imported too: true unless told.
    #[serde(default)]
    recursive: Option<bool>,
    /// Prepended to every object's key: names with `/` between them.
    #[serde(default)]
    #[schema(example = "holidays/2024")]
    destination_prefix: Option<String>,
    /// Whether files that are stored already are skipped: true unless told.
    #[serde(default)]
    skip_unchanged: Option<bool>,
    /// Who asks, for people to read.
    #[serde(default)]
    #[schema(max_length = 200)]
    requested_by: Option<String>,
}

/// An import that will happen.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportAccepted)]
pub(crate) struct Accepted {
    /// The import's id.
    #[schema(example = "01932e4b-7c1e-7c3a-9d50-0b6f3f1f9a10")]
    job_id: String,
    /// The same for people.
    #[schema(example = "Import started. Its status tells how far it is.")]
    message: String,
    /// The path of its status.
    #[schema(example = "/api/import/status/01932e4b-7c1e-7c3a-9d50-0b6f3f1f9a10")]
    status_url: String,
}

problems!(
    SubmitProblems: InvalidRequest,
    NotAFolderUrl,
    RequestTimeout,
    PayloadTooLarge,
    KeyReused,
    QueueUnavailable,
);

/// Import the images of a Google Drive folder
///
/// Answered once the request is stored; listing the folder and fetching its images happen later. The
/// same `Idempotency-Key` with the same body is the same import, however often it is sent.
#[utoipa::path(
    post,
    path = "/api/import/google-drive",
    tag = "imports",
    operation_id = "startImport",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters; makes repeating harmless", min_length = 1, max_length = 255, pattern = "^[!-~]+$")),
    request_body(content = Wanted, description = "Read as JSON whatever its type is"),
    responses(
        (status = 202, description = "The import will happen", body = Accepted,
            headers(("Location" = String, description = "The path of its status"))),
        SubmitProblems,
    )
)]
pub(crate) async fn submit(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let key = IdempotencyKey::of(&parts.headers)?;
    let body = input::read(&parts.headers, body, &app.limits).await?;
    let mut request = parse(&body, &caller)?;

    let import = match key {
        None => ImportId::generate(),
        Some(key) => {
            let key = key.of_request(&[&body]);
            let claim = app
                .broker
                .claim(key, ImportId::generate(), Meant::default())
                .await?;
            let import = claim.record.import_id;
            // Known to the projection means taken by a producer: nothing is left to repeat.
            if claim.repeated
                && matches!(
                    app.reads.ask(app.reads.model.import(&import)).await,
                    Ok(Some(_))
                )
            {
                return Ok(accepted(&import));
            }
            import
        }
    };
    request.import_id = Some(import.clone());
    app.broker.submit(&import, request).await?;
    tracing::info!(import.id = %import, key.name = caller.name.as_deref(), "import accepted");
    Ok(accepted(&import))
}

fn accepted(import: &ImportId) -> Response {
    let status_url = format!("/api/import/status/{import}");
    let body = Json(Accepted {
        job_id: import.as_str().to_owned(),
        message: "Import started. Its status tells how far it is.".to_owned(),
        status_url: status_url.clone(),
    });
    let mut response = (StatusCode::ACCEPTED, body).into_response();
    if let Ok(location) = HeaderValue::try_from(status_url) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Any content type is read as JSON: clients of the old system set none or a wrong one.
fn parse(body: &[u8], caller: &Caller) -> Result<ImportRequest> {
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
        requested_by: input::requested_by(wanted.requested_by, caller)?,
    })
}
