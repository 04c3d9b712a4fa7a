//! `GET /api/images`, `GET` and `DELETE /api/images/{id}`, `GET /api/stats`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use contracts::{DeleteObject, ImportId, Task};
use read_model::{ImageRow, ImagesQuery};

use crate::app::App;
use crate::caller::Caller;
use crate::cursor::Of;
use crate::links::Links;
use crate::openapi::problems;
use crate::params::{InPath, Params};
use crate::problem::{Problem, Result};
use crate::view::{Deleted, ImagePage, ImageView, Stats};

const MAX_SEARCH: usize = 200;
const MAX_TYPE: usize = 100;
const PROVIDERS: [&str; 3] = ["aws", "azure", "local"];

problems!(ListProblems: InvalidParameter, DatabaseUnavailable);
problems!(OneProblems: NotFound, DatabaseUnavailable);
problems!(DeleteProblems: NotFound, DatabaseUnavailable, QueueUnavailable);
problems!(StatsProblems: DatabaseUnavailable);

/// Images, the newest first
#[utoipa::path(
    get,
    path = "/api/images",
    tag = "images",
    operation_id = "listImages",
    params(
        ("page" = Option<u32>, Query, description = "From 1; ignored with a cursor", minimum = 1),
        ("per_page" = Option<u32>, Query, description = "20 unless told", minimum = 1, maximum = 100),
        ("storage_provider" = Option<String>, Query, description = "Only those at `aws`, `azure` or `local`, whatever the case", pattern = "^([aA][wW][sS]|[aA][zZ][uU][rR][eE]|[lL][oO][cC][aA][lL])?$"),
        ("q" = Option<String>, Query, description = "Only those whose name contains this, whatever the case", max_length = 200),
        ("import" = Option<String>, Query, description = "Only those that this import stored last", pattern = "^([a-z0-9-]{1,40})?$"),
        ("mime_type" = Option<String>, Query, description = "Only those of this type", max_length = 100, pattern = "^([a-zA-Z0-9/.+_-]*/[a-zA-Z0-9/.+_-]*)?$", example = "image/jpeg"),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the last answer: the same cost on every page"),
    ),
    responses((status = 200, description = "Some images", body = ImagePage), ListProblems)
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    params: Params,
    links: Links,
) -> Result<Json<ImagePage>> {
    let query = query(&params)?;
    let found = app.reads.ask(app.reads.model.images(query.clone())).await?;
    Ok(Json(ImagePage::new(found, &query, &links)))
}

fn query(params: &Params) -> Result<ImagesQuery> {
    Ok(ImagesQuery {
        page: params.page()?,
        per_page: params.per_page()?,
        after: params.cursor(Of::Images)?,
        ..filter(params)?
    })
}

/// Which images are meant: all of them, where nothing is said.
pub(crate) fn filter(params: &Params) -> Result<ImagesQuery> {
    Ok(ImagesQuery {
        provider: provider(params.get("storage_provider"))?,
        q: search(params.get("q"))?,
        mime_type: mime_type(params.get("mime_type"))?,
        import: import(params.get("import"))?,
        ..ImagesQuery::default()
    })
}

pub(crate) fn provider(given: Option<&str>) -> Result<Option<String>> {
    let provider = given.map(str::to_ascii_lowercase);
    let unknown = |given: &String| !PROVIDERS.contains(&given.as_str());
    if provider.as_ref().is_some_and(unknown) {
        let rule = "aws, azure or local";
        return Err(Problem::parameter("storage_provider", rule));
    }
    Ok(provider)
}

/// Part of a name.
pub(crate) fn search(given: Option<&str>) -> Result<Option<String>> {
    if given.is_some_and(|text| text.chars().count() > MAX_SEARCH) {
        return Err(Problem::parameter("q", "at most 200 characters"));
    }
    Ok(given.map(str::to_owned))
}

pub(crate) fn import(given: Option<&str>) -> Result<Option<ImportId>> {
    let rule = "an import id: 1 to 40 of a-z, 0-9 and '-'";
    let parsed = given.map(str::parse).transpose();
    parsed.map_err(|_| Problem::parameter("import", rule))
}

/// Types are written in lower case.
pub(crate) fn mime_type(given: Option<&str>) -> Result<Option<String>> {
    let plain = |text: &str| {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"/.+-_".contains(&b);
        text.len() <= MAX_TYPE && text.contains('/') && text.bytes().all(known)
    };
    match given {
        Some(text) if !plain(text) => {
            let rule = "a type like image/jpeg, of at most 100 characters";
            Err(Problem::parameter("mime_type", rule))
        }
        given => Ok(given.map(str::to_ascii_lowercase)),
    }
}

/// One image
#[utoipa::path(
    get,
    path = "/api/images/{id}",
    tag = "images",
    operation_id = "getImage",
    params(("id" = i64, Path, description = "The image's number", example = 4711)),
    responses((status = 200, description = "The image", body = ImageView), OneProblems)
)]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    InPath(id): InPath,
    links: Links,
) -> Result<Json<ImageView>> {
    Ok(Json(ImageView::new(find(&app, &id).await?, &links)))
}

/// Delete an image
///
/// Answered once the deletion is stored. The object and the row go when a worker and the projector
/// get to it; the task survives both. Repeating it is harmless.
#[utoipa::path(
    delete,
    path = "/api/images/{id}",
    tag = "images",
    operation_id = "deleteImage",
    params(("id" = i64, Path, description = "The image's number", example = 4711)),
    responses((status = 200, description = "It is being deleted", body = Deleted), DeleteProblems)
)]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    InPath(id): InPath,
    caller: Caller,
) -> Result<Json<Deleted>> {
    let row = find(&app, &id).await?;
    let id = row.id;
    queue_deletion(&app, row).await?;
    tracing::info!(
        image.id = id,
        key.name = caller.name.as_deref(),
        "deletion queued"
    );
    Ok(Json(Deleted {
        success: true,
        message: format!("Image {id} is being deleted."),
    }))
}

/// Once within two minutes, and harmless after.
pub(crate) async fn queue_deletion(app: &App, row: ImageRow) -> Result<()> {
    let ImageRow { id, image } = row;
    let message_id = format!("delete.{id}.{}", image.object_key);
    let task = Task::DeleteObject(DeleteObject {
        import_id: image.import_id,
        file_id: image.google_drive_id,
        bucket: image.bucket,
        key: image.object_key,
        written_by: None,
    });
    app.broker.queue(&task, &message_id).await
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

/// How much is stored
#[utoipa::path(
    get,
    path = "/api/stats",
    tag = "images",
    operation_id = "getStats",
    responses((status = 200, description = "In all, and at each provider", body = Stats), StatsProblems)
)]
pub(crate) async fn stats(State(app): State<Arc<App>>) -> Result<Json<Stats>> {
    let providers = app.reads.ask(app.reads.model.statistics()).await?;
    Ok(Json(Stats::new(&providers)))
}
