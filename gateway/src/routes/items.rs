//! `GET /api/imports/{id}/items`, `/api/imports/{id}/items/{item_id}` and
//! `/api/imports/{id}/failures/items`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contracts::FileId;
use futures::{TryStreamExt, stream};
use http::header::HeaderMap;
use read_model::ItemState;
use time::format_description::well_known::Rfc3339;

use crate::app::App;
use crate::cursor::Of;
use crate::openapi::problems;
use crate::params::{InPath, Params};
use crate::problem::{Problem, Result};
use crate::routes::control::cause_of;
use crate::routes::export::{self, Format, Row};
use crate::routes::imports::known;
use crate::view::{
    CauseCode, EntryLine, EntryPage, EntryState, EntryView, FailedEntryPage, FailedEntryView,
};

problems!(ItemsProblems: InvalidParameter, NotFound, DatabaseUnavailable, QueueUnavailable);
problems!(ItemProblems: NotFound, DatabaseUnavailable, QueueUnavailable);

/// Entries of an import, in the order of their ids
#[utoipa::path(
    get,
    path = "/api/imports/{id}/items",
    tag = "imports",
    operation_id = "listEntries",
    params(
        ("id" = String, Path, description = "The import's id"),
        ("state" = Option<EntryState>, Query, description = "Only those in this state"),
        ("per_page" = Option<u32>, Query, description = "20 unless told", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the last answer"),
    ),
    responses((status = 200, description = "Some entries", body = EntryPage), ItemsProblems)
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    InPath(id): InPath,
    params: Params,
) -> Result<Json<EntryPage>> {
    let state = params.get("state").map(|code| {
        let rule = "queued, retrying, imported, skipped or failed";
        ItemState::from_code(code).ok_or_else(|| Problem::parameter("state", rule))
    });
    let state = state.transpose()?;
    let per_page = params.per_page()?;
    let after: Option<FileId> = params.cursor(Of::Items)?;
    let import = known(&app, &id).await?;
    let import = import.id();
    let (reads, after, limit) = (&app.reads, after.as_ref(), per_page + 1);
    let mut items = match state {
        Some(state) => {
            let found = reads.model.items_in(import, state, after, limit);
            reads.ask(found).await?
        }
        None => reads.ask(reads.model.items(import, after, limit)).await?,
    };
    let more = items.len() > per_page as usize;
    items.truncate(per_page as usize);
    let items: Vec<EntryLine> = items.into_iter().map(EntryLine::from).collect();
    let last = items.last().filter(|_| more);
    Ok(Json(EntryPage {
        next_cursor: last.map(|last| Of::Items.after(&last.item_id)),
        items,
    }))
}

/// One entry of an import, with what became of it
#[utoipa::path(
    get,
    path = "/api/imports/{id}/items/{item_id}",
    tag = "imports",
    operation_id = "getEntry",
    params(
        ("id" = String, Path, description = "The import's id"),
        ("item_id" = String, Path, description = "The entry's id in Drive"),
    ),
    responses((status = 200, description = "The entry", body = EntryView), ItemProblems)
)]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    InPath((id, item)): InPath<(String, String)>,
) -> Result<Json<EntryView>> {
    let import = known(&app, &id).await?;
    let import = import.id();
    let missing = || Problem::not_found("entry with this id in this import");
    let item: FileId = item.parse().map_err(|_| missing())?;
    let found = app.reads.ask(app.reads.model.item(import, &item)).await?;
    Ok(Json(found.ok_or_else(missing)?.into()))
}

/// What failed in an import, entry by entry
///
/// A page of them as JSON; all of them, streamed, as NDJSON or CSV.
#[utoipa::path(
    get,
    path = "/api/imports/{id}/failures/items",
    tag = "imports",
    operation_id = "listFailedEntries",
    params(
        ("id" = String, Path, description = "The import's id"),
        ("cause" = Option<CauseCode>, Query, description = "Only those that failed for this cause"),
        ("per_page" = Option<u32>, Query, description = "20 unless told", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the last answer"),
        ("Accept" = Option<String>, Header, description = "`application/json`, `application/x-ndjson` or `text/csv`: the first of these that is named, else JSON", example = "text/csv"),
    ),
    responses(
        (status = 200, description = "Some of them, or all, in the order of their ids", content(
            (FailedEntryPage = "application/json"),
            (String = "application/x-ndjson"),
            (String = "text/csv"),
        )),
        ItemsProblems,
    )
)]
pub(crate) async fn failed(
    State(app): State<Arc<App>>,
    InPath(id): InPath,
    params: Params,
    headers: HeaderMap,
) -> Result<Response> {
    let cause = params.get("cause").map(cause_of).transpose()?;
    let per_page = params.per_page()?;
    let after: Option<FileId> = params.cursor(Of::Items)?;
    let import = known(&app, &id).await?;
    let import = import.id();
    let format = Format::of(&headers);
    if !matches!(format, Format::Json) {
        let all = app.reads.model.all_failed_items(import, cause);
        let rows = stream::try_unfold(all, |mut all| async move {
            Ok(all.next().await?.map(|row| (row, all)))
        });
        let rows = rows.map_ok(FailedEntryView::from);
        return export::respond(&app, rows, format, "").await;
    }
    let found = app
        .reads
        .model
        .failed_items(import, cause, after.as_ref(), per_page + 1);
    let mut items = app.reads.ask(found).await?;
    let more = items.len() > per_page as usize;
    items.truncate(per_page as usize);
    let items: Vec<FailedEntryView> = items.into_iter().map(FailedEntryView::from).collect();
    let last = items.last().filter(|_| more);
    let page = FailedEntryPage {
        next_cursor: last.map(|last| Of::Items.after(&last.item_id)),
        items,
    };
    Ok(export::varying(Json(page).into_response()))
}

impl Row for FailedEntryView {
    const FILE: &'static str = "failures.csv";
    const COLUMNS: &'static str = "item_id,name,path,cause,message,attempts,failed_at,advice\r\n";

    fn cells(&self) -> anyhow::Result<Vec<String>> {
        Ok(vec![
            self.item_id.clone(),
            self.name.clone(),
            self.path.clone(),
            self.cause.to_owned(),
            self.message.clone(),
            self.attempts.to_string(),
            self.failed_at.format(&Rfc3339)?,
            self.advice.to_owned(),
        ])
    }
}
