//! `GET /api/overview`, and streams of events: `/api/events` and `/api/imports/{id}/events`.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use read_model::CHECKPOINT;

use crate::app::App;
use crate::live::Follower;
use crate::openapi::problems;
use crate::params::InPath;
use crate::problem::Result;
use crate::routes::imports::known;
use crate::view::Overview;

const LAST_EVENT_ID: &str = "last-event-id";
/// Keeps nginx from collecting what is meant for now.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

problems!(StreamProblems: TooManyStreams);
problems!(OneProblems: NotFound, DatabaseUnavailable, QueueUnavailable, TooManyStreams);

/// The whole system at one look
///
/// Always answered: what is away is null here, and named in `waiting_for`. While the database is away,
/// `stats` and `imports` are what they were last.
#[utoipa::path(
    get,
    path = "/api/overview",
    tag = "about",
    operation_id = "getOverview",
    responses((status = 200, description = "As of now", body = Overview))
)]
pub(crate) async fn overview(State(app): State<Arc<App>>) -> Json<Overview> {
    Json(app.look.overview(&app).await)
}

/// Everything that changes, as it happens
///
/// Server-sent events. `import`: the JSON of `GET /api/imports/{id}`, for each import that changes; at
/// first for those that are not final (2,000 of them at most; `GET /api/imports` has all), or, with
/// `Last-Event-ID`, for those that changed since.
/// `overview`: the JSON of `GET /api/overview`, at first and when it changes, at most once a second.
/// `bye`: connect again. Whoever reads slowly gets the latest state when it reads on.
#[utoipa::path(
    get,
    path = "/api/events",
    tag = "about",
    operation_id = "followAll",
    params(("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event")),
    responses(
        (status = 200, description = "Events, until either side ends it", body = String, content_type = "text/event-stream"),
        StreamProblems,
    )
)]
pub(crate) async fn all(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response> {
    let seat = app.hub.join()?;
    Ok(stream(
        Follower::of_all(seat, last_event(&headers)).into_body(),
    ))
}

/// One import, as it goes on
///
/// Server-sent events. `import`: the JSON of `GET /api/imports/{id}`, at first and when it changes.
/// `end`: it is final, and the stream ends; subscribe again after a retry. `bye`: connect again.
#[utoipa::path(
    get,
    path = "/api/imports/{id}/events",
    tag = "imports",
    operation_id = "followImport",
    params(
        ("id" = String, Path, description = "The import's id"),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event; if it is current, nothing is repeated"),
    ),
    responses(
        (status = 200, description = "Events, until it is final", body = String, content_type = "text/event-stream"),
        OneProblems,
    )
)]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    InPath(id): InPath,
    headers: HeaderMap,
) -> Result<Response> {
    let seat = app.hub.join()?;
    // First how far the tables are, then the row: what is folded in between is told twice, not never.
    let checkpoint = app.reads.ask(app.reads.model.checkpoint(CHECKPOINT)).await;
    let found = known(&app, &id).await?;
    let synced = checkpoint.unwrap_or_default();
    let last = last_event(&headers);
    let follower = Follower::of_one(seat, Arc::clone(&app), &found, synced, last);
    Ok(stream(follower.into_body()))
}

/// What is no id of ours is no id: the client gets everything.
fn last_event(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(LAST_EVENT_ID)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}

fn stream(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    response
}
