//! `POST /api/images/delete`: delete all images that match.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use contracts::ImportId;
use futures::{StreamExt, TryStreamExt, stream};
use read_model::{CHECKPOINT, ImageRow, ImagesQuery};
use runtime::trace::TraceContext;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::broker::{Claim, Key, Meant};
use crate::caller::Caller;
use crate::cursor::Of;
use crate::input::{self, IdempotencyKey};
use crate::openapi::problems;
use crate::problem::{Code, Problem, Result};
use crate::routes::images::{import, mime_type, provider, queue_deletion, search};
use crate::view::Matching;

/// Messages on their way to NATS at once.
const AT_ONCE: usize = 64;
/// Images read at once.
const PAGE: u32 = 500;
/// Images that may be named in one request.
const MAX_IDS: usize = 1_000;
const HINT: &str = "{\"filter\": {\"import\": \"...\"}} or {\"ids\": [...]}";

problems!(
    DeleteProblems: InvalidRequest,
    InvalidParameter,
    RequestTimeout,
    PayloadTooLarge,
    KeyReused,
    DatabaseUnavailable,
    QueueUnavailable,
);

/// Which images to delete: a filter, or ids.
// A misspelt filter must not delete everything.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeleteImages)]
pub(crate) struct Deletion {
    /// All that match.
    filter: Option<ImageFilter>,
    /// These; numbers of images that are gone already are passed over.
    #[schema(min_items = 1, max_items = 1000)]
    ids: Option<Vec<i64>>,
    /// Must be true with a filter that is empty: it matches every image.
    #[serde(default)]
    all: bool,
    /// Only count.
    #[serde(default)]
    preview: bool,
    /// The `cursor` of the last answer, with the same filter.
    cursor: Option<String>,
}

/// As in `GET /api/images`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ImageFilter {
    #[schema(max_length = 200)]
    q: Option<String>,
    #[schema(pattern = "^([a-z0-9-]{1,40})?$")]
    import: Option<String>,
    storage_provider: Option<String>,
    #[schema(max_length = 100, pattern = "^([a-zA-Z0-9/.+_-]*/[a-zA-Z0-9/.+_-]*)?$")]
    mime_type: Option<String>,
}

/// What was queued for deletion.
#[derive(Serialize, ToSchema)]
pub(crate) struct Queued {
    /// Images that match, those included that are being deleted and not gone yet.
    matching: u64,
    /// Deletions that this request queued.
    queued: u64,
    /// Whether that was all; if not, repeat the request with `cursor`.
    complete: bool,
    #[schema(required)]
    cursor: Option<String>,
}

/// Delete all images that match
///
/// Answered once the deletions are stored; objects and rows go when workers and the projector get to
/// them. What does not fit into the time of one request takes another, with the `cursor` of the answer.
/// Repeating it deletes what matches by then. With an `Idempotency-Key` it does not: a repeated request is
/// answered as the first one was, if that was complete, and is never about images that came after that. The
/// request with the `cursor` is another one, and takes another key.
#[utoipa::path(
    post,
    path = "/api/images/delete",
    tag = "images",
    operation_id = "deleteImages",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters; makes repeating harmless", min_length = 1, max_length = 255, pattern = "^[!-~]+$")),
    request_body(content = Deletion, content_type = "application/json"),
    responses(
        (status = 200, description = "They are being deleted; with `preview`, only how many match", body = DeletionAnswer),
        DeleteProblems,
    )
)]
pub(crate) async fn delete_images(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response> {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let key = IdempotencyKey::of(&parts.headers)?;
    let body = input::read(&parts.headers, body, &app.limits).await?;
    let wanted: Deletion = input::object(&body, HINT)?;
    let preview = wanted.preview;
    let chosen = wanted.chosen()?;
    if preview {
        let matching = count(&app, chosen).await?;
        return Ok(Json(Matching { matching }).into_response());
    }
    let claim = match key {
        Some(key) => {
            let key = key.of_request(&[b"images/delete\n", &body]);
            Some(claim(&app, key, &chosen).await?)
        }
        None => None,
    };
    if let Some(answer) = claim.as_ref().and_then(|claim| claim.record.answer.clone()) {
        return Ok(Json(answer).into_response());
    }
    let queued = match chosen {
        Chosen::Named(ids) => named(&app, &ids).await?,
        Chosen::Matching(query) => {
            let record = claim.as_ref().map(|claim| &claim.record);
            let matching = match record.and_then(|record| record.matching) {
                Some(matching) => matching,
                None => count_matching(&app, &query).await?,
            };
            let seen = record.and_then(|record| record.seen);
            matched(&app, as_seen(query, seen), matching, began).await?
        }
    };
    tracing::info!(
        images = queued.queued,
        complete = queued.complete,
        key.name = caller.name.as_deref(),
        "deletions queued"
    );
    let Some(claim) = claim else {
        return Ok(Json(queued).into_response());
    };
    match app.broker.answer(claim, &queued).await {
        Ok(kept) => Ok(Json(kept).into_response()),
        // What stopped it may be that NATS is away. The cursor must not be lost with it.
        Err(_) if !queued.complete => Ok(Json(queued).into_response()),
        Err(problem) => Err(problem),
    }
}

/// The images that a request is about.
enum Chosen {
    Named(Vec<i64>),
    Matching(ImagesQuery),
}

impl Deletion {
    fn chosen(self) -> Result<Chosen> {
        let cursor = self.cursor.as_deref();
        let after = cursor.map(|cursor| Of::Images.read(cursor)).transpose()?;
        match (self.filter, self.ids) {
            (None, Some(ids)) if ids.is_empty() || ids.len() > MAX_IDS => {
                Err(Problem::parameter("ids", "1 to 1000 numbers of images"))
            }
            (None, Some(ids)) => Ok(Chosen::Named(ids)),
            (Some(filter), None) => {
                let query = filter.query(self.all)?;
                Ok(Chosen::Matching(ImagesQuery { after, ..query }))
            }
            _ => {
                let detail = format!("Send one of both, {HINT}.");
                Err(Problem::new(Code::InvalidRequest, detail))
            }
        }
    }
}

/// The key's claim, as of what is known of now: a request that is repeated is not about later images.
async fn claim(app: &App, key: Key, chosen: &Chosen) -> Result<Claim> {
    // A request that was sent before needs nothing of the database to be told what it was answered.
    if let Some(begun) = app.broker.begun(&key).await? {
        return Ok(begun);
    }
    let seen = app.reads.model.checkpoint(CHECKPOINT);
    let seen = app.reads.ask(seen).await?;
    // In this order, so that all images that are deleted are counted.
    let matching = match chosen {
        Chosen::Named(_) => None,
        Chosen::Matching(query) => Some(count_matching(app, query).await?),
    };
    let meant = Meant {
        seen: Some(seen),
        matching,
        ..Meant::default()
    };
    app.broker.claim(key, ImportId::generate(), meant).await
}

/// The query without images that came after the event `seen`: an image's number is that of the event
/// that made it.
fn as_seen(query: ImagesQuery, seen: Option<u64>) -> ImagesQuery {
    let bound = seen.and_then(|seen| i64::try_from(seen).ok()?.checked_add(1));
    let after = query.after.into_iter().chain(bound).min();
    ImagesQuery { after, ..query }
}

async fn count(app: &App, chosen: Chosen) -> Result<u64> {
    match chosen {
        Chosen::Named(ids) => Ok(rows_of(app, &ids).await?.len() as u64),
        Chosen::Matching(query) => count_matching(app, &query).await,
    }
}

async fn count_matching(app: &App, query: &ImagesQuery) -> Result<u64> {
    let count = app.reads.model.count_images(query.clone());
    app.reads.ask(count).await
}

impl ImageFilter {
    fn query(&self, all: bool) -> Result<ImagesQuery> {
        let query = ImagesQuery {
            per_page: PAGE,
            q: search(input::filled(self.q.as_deref()))?,
            import: import(input::filled(self.import.as_deref()))?,
            provider: provider(input::filled(self.storage_provider.as_deref()))?,
            mime_type: mime_type(input::filled(self.mime_type.as_deref()))?,
            ..ImagesQuery::default()
        };
        let filtered = query.q.is_some()
            || query.import.is_some()
            || query.provider.is_some()
            || query.mime_type.is_some();
        if filtered || all {
            return Ok(query);
        }
        let rule = "filled: an empty one matches every image, which takes \"all\": true beside it";
        Err(Problem::parameter("filter", rule))
    }
}

/// Those of `ids` that there are.
async fn rows_of(app: &App, ids: &[i64]) -> Result<Vec<ImageRow>> {
    let mut rows = app.reads.ask(app.reads.model.images_with(ids)).await?;
    rows.sort_by_key(|row| row.id);
    rows.dedup_by_key(|row| row.id);
    Ok(rows)
}

async fn named(app: &App, ids: &[i64]) -> Result<Queued> {
    let rows = rows_of(app, ids).await?;
    let matching = rows.len() as u64;
    queue(app, rows, 0).await?;
    Ok(Queued {
        matching,
        queued: matching,
        complete: true,
        cursor: None,
    })
}

/// Queue deletions page by page until half of a request's time is spent.
async fn matched(
    app: &App,
    mut query: ImagesQuery,
    matching: u64,
    began: Instant,
) -> Result<Queued> {
    let budget = app.limits.request / 2;
    let mut queued = 0;
    let complete = loop {
        let page = async {
            let rows = app.reads.model.page_of_images(query.clone());
            let rows = app.reads.ask(rows).await?;
            let last = rows.last().map(|row| row.id);
            let count = rows.len() as u64;
            queue(app, rows, queued).await?;
            Ok::<_, Problem>((last, count))
        };
        match page.await {
            Ok((None, _)) => break true,
            Ok::<_, Problem>((last, count)) => {
                queued += count;
                query.after = last;
                if count < u64::from(PAGE) {
                    break true;
                }
            }
            // What was queued is queued; the rest takes another request.
            Err(problem) if queued > 0 && problem.code != Code::Internal => break false,
            Err(problem) => return Err(problem),
        }
        if began.elapsed() > budget {
            break false;
        }
    };
    Ok(Queued {
        matching,
        queued,
        complete,
        cursor: query
            .after
            .filter(|_| !complete)
            .map(|id| Of::Images.after(id)),
    })
}

/// `first` of the request's deletions is the first of these.
async fn queue(app: &App, rows: Vec<ImageRow>, first: u64) -> Result<()> {
    stream::iter(rows.into_iter().zip(first..))
        .map(|(row, n)| {
            let trace = TraceContext::current().nth(n);
            trace.around(queue_deletion(app, row))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Either answer of a deletion.
// Each is written as what it is; only the document needs both in one.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code)]
pub(crate) enum DeletionAnswer {
    Queued(Queued),
    Preview(Matching),
}
