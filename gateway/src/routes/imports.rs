//! `GET /api/imports`, `/api/imports/{id}`, `/api/imports/{id}/failures`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use contracts::ImportId;
use contracts::kv::Submission;
use http::header::HeaderMap;
use read_model::{ImportRow, ImportStatus, ImportsQuery};

use crate::app::App;
use crate::cursor::Of;
use crate::openapi::problems;
use crate::params::{InPath, Params};
use crate::problem::{Problem, Result};
use crate::routes::images::search;
use crate::routes::status::tagged;
use crate::view::{self, Failures, ImportPage, ImportView, Status};

problems!(ListProblems: InvalidParameter, DatabaseUnavailable);
problems!(KnownProblems: NotFound, DatabaseUnavailable, QueueUnavailable);

/// Imports, the newest first
#[utoipa::path(
    get,
    path = "/api/imports",
    tag = "imports",
    operation_id = "listImports",
    params(
        ("page" = Option<u32>, Query, description = "From 1; ignored with a cursor", minimum = 1),
        ("per_page" = Option<u32>, Query, description = "20 unless told", minimum = 1, maximum = 100),
        ("status" = Option<Status>, Query, description = "Only those with this status"),
        ("q" = Option<String>, Query, description = "Only those whose folder (address or name) or id contains this, whatever the case", max_length = 200),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the last answer"),
    ),
    responses((status = 200, description = "Some imports", body = ImportPage), ListProblems)
)]
pub(crate) async fn list(State(app): State<Arc<App>>, params: Params) -> Result<Json<ImportPage>> {
    let query = ImportsQuery {
        page: params.page()?,
        per_page: params.per_page()?,
        status: status(params.get("status"))?,
        q: search(params.get("q"))?,
        after: params.cursor(Of::Imports)?,
    };
    let found = app
        .reads
        .ask(app.reads.model.imports(query.clone()))
        .await?;
    Ok(Json(ImportPage::new(&found, &query)))
}

pub(crate) fn status(given: Option<&str>) -> Result<Option<ImportStatus>> {
    let status = given.map(|code| {
        let rule = "processing, completed, failed, cancelled or paused";
        ImportStatus::from_code(code).ok_or_else(|| Problem::parameter("status", rule))
    });
    status.transpose()
}

/// One import
///
/// Known from the moment it was accepted. Ask again with `If-None-Match`: while nothing has changed, the
/// answer is a 304 without a body.
#[utoipa::path(
    get,
    path = "/api/imports/{id}",
    tag = "imports",
    operation_id = "getImport",
    params(
        ("id" = String, Path, description = "The import's id"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the last answer"),
    ),
    responses(
        (status = 200, description = "The import", body = ImportView,
            headers(("ETag" = String, description = "Weak; changes with the answer"))),
        (status = 304, description = "Nothing has changed",
            headers(("ETag" = String, description = "As it was"))),
        KnownProblems,
    )
)]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    InPath(id): InPath,
    headers: HeaderMap,
) -> Result<Response> {
    tagged(&headers, &known(&app, &id).await?.view())
}

/// What failed in an import, by cause, with what to do
#[utoipa::path(
    get,
    path = "/api/imports/{id}/failures",
    tag = "imports",
    operation_id = "listFailures",
    params(("id" = String, Path, description = "The import's id")),
    responses((status = 200, description = "A group for each cause", body = Failures), KnownProblems)
)]
pub(crate) async fn failures(
    State(app): State<Arc<App>>,
    InPath(id): InPath,
) -> Result<Json<Failures>> {
    let found = known(&app, &id).await?;
    let groups = app.reads.model.failures(found.id());
    let groups = app.reads.ask(groups).await?;
    Ok(Json(Failures {
        import_id: found.id().to_string(),
        failed: found.failed(),
        failures: groups.into_iter().map(view::failure).collect(),
    }))
}

/// What is known of an import.
pub(crate) enum Known {
    /// What its events say.
    Row(Box<ImportRow>),
    /// Only that it was accepted.
    Accepted(Box<Submission>),
}

impl Known {
    pub(crate) fn id(&self) -> &ImportId {
        match self {
            Self::Row(row) => &row.id,
            Self::Accepted(submission) => &submission.import_id,
        }
    }

    fn failed(&self) -> u64 {
        match self {
            Self::Row(row) => row.failed,
            Self::Accepted(_) => 0,
        }
    }

    pub(crate) fn view(&self) -> ImportView {
        match self {
            Self::Row(row) => ImportView::new(row),
            Self::Accepted(submission) => ImportView::accepted(submission),
        }
    }
}

/// The projection's answer; while it has none, what was accepted.
pub(crate) async fn known(app: &App, id: &str) -> Result<Known> {
    let missing = || Problem::not_found("import with this id");
    let id: ImportId = id.parse().map_err(|_| missing())?;
    let unprojected = match app.reads.ask(app.reads.model.import(&id)).await {
        Ok(Some(row)) => return Ok(Known::Row(Box::new(row))),
        Ok(None) => missing(),
        Err(problem) => problem,
    };
    // Without NATS it is not known whether the import was accepted, so this is no 404 then.
    match app.broker.submission(&id).await? {
        Some(submission) => Ok(Known::Accepted(Box::new(submission))),
        None => Err(unprojected),
    }
}
