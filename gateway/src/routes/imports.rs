//! `GET /api/imports`, `/api/imports/{id}`, `/api/imports/{id}/failures`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use contracts::ImportId;
use read_model::{ImportRow, ImportStatus, ImportsQuery};

use crate::app::App;
use crate::openapi::problems;
use crate::params::{InPath, Params};
use crate::problem::{Problem, Result};
use crate::view::{self, Failures, ImportPage, ImportView, Status};

problems!(ListProblems: InvalidParameter, DatabaseUnavailable);
problems!(OneProblems: NotFound, DatabaseUnavailable);

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
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the last answer"),
    ),
    responses((status = 200, description = "Some imports", body = ImportPage), ListProblems)
)]
pub(crate) async fn list(State(app): State<Arc<App>>, params: Params) -> Result<Json<ImportPage>> {
    let status = params.get("status").map(|code| {
        ImportStatus::from_code(code).ok_or_else(|| {
            Problem::parameter(
                "status",
                "processing, completed, failed, cancelled or paused",
            )
        })
    });
    let query = ImportsQuery {
        page: params.page()?,
        per_page: params.per_page()?,
        status: status.transpose()?,
        q: None,
        after: params.parse("cursor", "a next_cursor of an earlier answer")?,
    };
    let found = app
        .reads
        .ask(app.reads.model.imports(query.clone()))
        .await?;
    Ok(Json(ImportPage::new(&found, &query)))
}

/// One import
#[utoipa::path(
    get,
    path = "/api/imports/{id}",
    tag = "imports",
    operation_id = "getImport",
    params(("id" = String, Path, description = "The import's id")),
    responses((status = 200, description = "The import", body = ImportView), OneProblems)
)]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    InPath(id): InPath,
) -> Result<Json<ImportView>> {
    Ok(Json(ImportView::new(&find(&app, &id).await?)))
}

/// What failed in an import, by cause, with what to do
#[utoipa::path(
    get,
    path = "/api/imports/{id}/failures",
    tag = "imports",
    operation_id = "listFailures",
    params(("id" = String, Path, description = "The import's id")),
    responses((status = 200, description = "A group for each cause", body = Failures), OneProblems)
)]
pub(crate) async fn failures(
    State(app): State<Arc<App>>,
    InPath(id): InPath,
) -> Result<Json<Failures>> {
    let row = find(&app, &id).await?;
    let groups = app.reads.ask(app.reads.model.failures(&row.id)).await?;
    Ok(Json(Failures {
        import_id: row.id.into(),
        failed: row.failed,
        failures: groups.into_iter().map(view::failure).collect(),
    }))
}

async fn find(app: &App, id: &str) -> Result<ImportRow> {
    let missing = || Problem::not_found("import with this id");
    let id: ImportId = id.parse().map_err(|_| missing())?;
    app.reads
        .ask(app.reads.model.import(&id))
        .await?
        .ok_or_else(missing)
}
