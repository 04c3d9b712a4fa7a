//! `GET /api/images`, `GET` and `DELETE /api/images/{id}`, `GET /api/stats`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use contracts::{DeleteObject, Task};
use read_model::{ImageRow, ImagesQuery};
use serde_json::{Value, json};

use crate::app::App;
use crate::links::Links;
use crate::params::Params;
use crate::problem::{Problem, Result};
use crate::view::ImageView;

const MAX_SEARCH: usize = 200;
const PROVIDERS: [&str; 3] = ["aws", "azure", "local"];

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    params: Params,
    links: Links,
) -> Result<Json<Value>> {
    let query = query(&params)?;
    let found = app.reads.ask(app.reads.model.images(query.clone())).await?;
    let last = found.items.last().filter(|_| found.has_more);
    let images: Vec<_> = found
        .items
        .iter()
        .map(|row| ImageView::new(row, &links))
        .collect();
    Ok(Json(json!({
        "images": images,
        "total": found.total,
        "page": query.page,
        "per_page": query.per_page,
        "total_pages": found.total.div_ceil(u64::from(query.per_page)),
        "next_cursor": last.map(|row| row.id.to_string()),
    })))
}

fn query(params: &Params) -> Result<ImagesQuery> {
    let provider = params.get("storage_provider").map(str::to_ascii_lowercase);
    if provider
        .as_ref()
        .is_some_and(|given| !PROVIDERS.contains(&given.as_str()))
    {
        return Err(Problem::parameter(
            "storage_provider",
            "aws, azure or local",
        ));
    }
    let q = params.get("q").map(str::to_owned);
    if q.as_ref()
        .is_some_and(|text| text.chars().count() > MAX_SEARCH)
    {
        return Err(Problem::parameter("q", "at most 200 characters"));
    }
    Ok(ImagesQuery {
        page: params.page()?,
        per_page: params.per_page()?,
        provider,
        q,
        mime_type: None,
        import: params.parse("import", "an import id: 1 to 40 of a-z, 0-9 and '-'")?,
        after: params.parse("cursor", "a next_cursor of an earlier answer")?,
    })
}

pub(crate) async fn one(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    links: Links,
) -> Result<Json<Value>> {
    let row = find(&app, &id).await?;
    Ok(Json(json!(ImageView::new(&row, &links))))
}

/// The object and the row go when a worker and the projector get to it; the task survives both.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>> {
    let ImageRow { id, image } = find(&app, &id).await?;
    let message_id = format!("delete.{id}.{}", image.object_key);
    let task = Task::DeleteObject(DeleteObject {
        import_id: image.import_id,
        file_id: image.google_drive_id,
        bucket: image.bucket,
        key: image.object_key,
        written_by: None,
    });
    app.broker.queue(&task, &message_id).await?;
    tracing::info!(import.id = %task.import_id(), image.id = id, "deletion queued");
    Ok(Json(json!({
        "success": true,
        "message": format!("Image {id} is being deleted."),
    })))
}

/// The image with the number `id`; what is no number names none.
pub(crate) async fn find(app: &App, id: &str) -> Result<ImageRow> {
    let missing = || Problem::not_found("image with this id");
    let id: i64 = id.parse().map_err(|_| missing())?;
    app.reads
        .ask(app.reads.model.image(id))
        .await?
        .ok_or_else(missing)
}

pub(crate) async fn stats(State(app): State<Arc<App>>) -> Result<Json<Value>> {
    let providers = app.reads.ask(app.reads.model.statistics()).await?;
    let images: u64 = providers.iter().map(|provider| provider.images).sum();
    let bytes: u64 = providers.iter().map(|provider| provider.bytes).sum();
    let mut stats = json!({
        "total_images": images,
        "total_size_bytes": bytes,
        "total_size_mb": (bytes as f64 / (1024.0 * 1024.0) * 100.0).round() / 100.0,
    });
    for name in PROVIDERS {
        let provider = providers.iter().find(|provider| provider.provider == name);
        stats[format!("{name}_images")] = json!(provider.map_or(0, |provider| provider.images));
        stats[format!("{name}_size_bytes")] = json!(provider.map_or(0, |provider| provider.bytes));
    }
    Ok(Json(stats))
}
