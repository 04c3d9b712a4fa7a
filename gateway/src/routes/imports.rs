//! `GET /api/imports`, `/api/imports/{id}`, `/api/imports/{id}/failures`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use contracts::ImportId;
use read_model::{ImportRow, ImportStatus, ImportsQuery};
use serde_json::{Value, json};

use crate::app::App;
use crate::params::Params;
use crate::problem::{Problem, Result};
use crate::view;

pub(crate) async fn list(State(app): State<Arc<App>>, params: Params) -> Result<Json<Value>> {
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
    let last = found.items.last().filter(|_| found.has_more);
    Ok(Json(json!({
        "imports": found.items.iter().map(view::import).collect::<Vec<_>>(),
        "total": found.total,
        "page": query.page,
        "per_page": query.per_page,
        "total_pages": found.total.div_ceil(u64::from(query.per_page)),
        "next_cursor": last.map(|row| row.id.as_str()),
    })))
}

pub(crate) async fn one(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>> {
    Ok(Json(view::import(&find(&app, &id).await?)))
}

pub(crate) async fn failures(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>> {
    let row = find(&app, &id).await?;
    let groups = app.reads.ask(app.reads.model.failures(&row.id)).await?;
    Ok(Json(json!({
        "import_id": row.id.as_str(),
        "failed": row.failed,
        "failures": groups.iter().map(view::failure).collect::<Vec<_>>(),
    })))
}

async fn find(app: &App, id: &str) -> Result<ImportRow> {
    let missing = || Problem::not_found("import with this id");
    let id: ImportId = id.parse().map_err(|_| missing())?;
    app.reads
        .ask(app.reads.model.import(&id))
        .await?
        .ok_or_else(missing)
}
