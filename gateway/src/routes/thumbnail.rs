//! `GET /api/images/{id}/thumbnail`: a small JPEG, or the image itself where there is none to make.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, LOCATION,
    VARY,
};
use http::{Method, StatusCode};
use read_model::Image;

use crate::app::App;
use crate::caller::KEY_HEADERS;
use crate::openapi::problems;
use crate::params::{InPath, Params};
use crate::problem::{Problem, Result};
use crate::routes::content::{gone, key};
use crate::routes::images::find;
use crate::routes::status::matches_tag;
use crate::thumbnail::{Plan, SIDES};

/// Unless told.
const LARGE: u32 = 400;

problems!(
    ThumbnailProblems: NotFound,
    InvalidParameter,
    ObjectMissing,
    OtherStore,
    DatabaseUnavailable,
    StoreUnavailable,
    StoreCredentials,
);

/// An image's thumbnail
///
/// A JPEG of at most `side` pixels on its longer side, turned as the camera was held, made when it is asked
/// for. An image that is small already, of a kind other than JPEG, PNG, GIF and WebP, or too large to be
/// decoded here (about 25 million pixels) is redirected to its content.
#[utoipa::path(
    get,
    path = "/api/images/{id}/thumbnail",
    tag = "images",
    operation_id = "getThumbnail",
    params(
        ("id" = i64, Path, description = "The image's number", example = 4711),
        ("side" = Option<String>, Query, description = "256 or 400 pixels; 400 unless told", pattern = "^(256|400)?$", example = "256"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the last answer"),
    ),
    responses(
        (status = 200, description = "The thumbnail", content((Vec<u8> = "image/jpeg")),
            headers(("ETag" = String, description = "Changes with the image's bytes"))),
        (status = 302, description = "The image itself has to do",
            headers(("Location" = String, description = "The path of its content"))),
        (status = 304, description = "Nothing has changed"),
        ThumbnailProblems,
    )
)]
pub(crate) async fn thumbnail(
    State(app): State<Arc<App>>,
    InPath(id): InPath,
    params: Params,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    let rule = "256 or 400";
    let side = params.parse("side", rule)?.unwrap_or(LARGE);
    if !SIDES.contains(&side) {
        return Err(Problem::parameter("side", rule));
    }
    let row = find(&app, &id).await?;
    let tag = format!("\"{}-{side}\"", row.image.sha256);
    let mut response = if matches_tag(&headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let Some(plan) = Plan::of(&row.image, side) else {
            return content_of(row.id);
        };
        let body = if method == Method::HEAD {
            Body::empty()
        } else {
            match known_or_made(&app, &row.image, plan, &tag).await? {
                Some(jpeg) => jpeg.into(),
                None => return content_of(row.id),
            }
        };
        let mut response = Response::new(body);
        let kind = HeaderValue::from_static("image/jpeg");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    };
    let head = response.headers_mut();
    let tag = HeaderValue::try_from(tag).map_err(Problem::internal)?;
    head.insert(ETAG, tag);
    head.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("private, max-age=86400"),
    );
    head.insert(VARY, HeaderValue::from_static(KEY_HEADERS));
    head.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox"),
    );
    Ok(response)
}

async fn known_or_made(app: &App, image: &Image, plan: Plan, tag: &str) -> Result<Option<Bytes>> {
    if let Some(known) = app.thumbnails.known(tag) {
        return Ok(Some(known));
    }
    // Without spare room: what is kept is to be what is counted.
    let made = make(app, image, plan).await?;
    let made = made.map(|jpeg| Bytes::from(jpeg.into_boxed_slice()));
    if let Some(jpeg) = &made {
        app.thumbnails.keep(tag.to_owned(), jpeg.clone());
    }
    Ok(made)
}

/// `None` if the bytes are not what they were when they were stored, or cannot be decoded.
async fn make(app: &App, image: &Image, plan: Plan) -> Result<Option<Vec<u8>>> {
    let key = key(app, image)?;
    let Some(leave) = app.thumbnails.admit(plan).await else {
        return Ok(None);
    };
    let found = app.objects.ask(app.objects.store.get(&key, None)).await?;
    let found = found.ok_or_else(gone)?;
    if found.size != image.size {
        return Ok(None);
    }
    let bytes = app.objects.read_whole(found).await?;
    Ok(leave.make(bytes).await)
}

fn content_of(id: i64) -> Result<Response> {
    let path = format!("/api/images/{id}/content");
    let mut response = StatusCode::FOUND.into_response();
    let head = response.headers_mut();
    let path = HeaderValue::try_from(path).map_err(Problem::internal)?;
    head.insert(LOCATION, path);
    head.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}
