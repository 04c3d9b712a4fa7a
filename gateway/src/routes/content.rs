//! `GET /api/images/{id}/content`: an image's bytes, from the store itself by a URL that holds for
//! some minutes, or streamed through here.
//!
//! The bytes come from strangers. Only raster formats that browsers draw are shown in place; all
//! others, SVG with its scripts above all, are a download. Nothing is sniffed or run.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_RANGE,
    LOCATION, RANGE, VARY,
};
use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use read_model::Image;
use storage::{Key, PRESIGNED_AT_LEAST, Presign, Range};

use crate::app::App;
use crate::caller::KEY_HEADERS;
use crate::config::Delivery;
use crate::openapi::problems;
use crate::params::InPath;
use crate::problem::{Code, Problem, Result};
use crate::routes::images::find;
use crate::routes::status::matches_tag;

const SHOWN: [&str; 6] = [
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/webp",
    "image/avif",
    "image/bmp",
];

/// How long a redirect's URL holds, where nothing ends it earlier.
const PRESIGNED: Duration = Duration::from_secs(15 * 60);

/// How a browser will use the answer (Fetch Metadata Request Headers, W3C).
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// `attr-char` of RFC 5987.
const ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

problems!(
    ContentProblems: NotFound,
    ObjectMissing,
    OtherStore,
    RangeNotSatisfiable,
    DatabaseUnavailable,
    StoreUnavailable,
    StoreCredentials,
);

/// An image's bytes
///
/// Either the bytes, or a redirect to a URL of the store that is signed for this object and holds for
/// 15 minutes: see `CONTENT_DELIVERY`. Raster formats that browsers draw are shown in place; all
/// others are a download. `HEAD` answers the same without the bytes.
#[utoipa::path(
    get,
    path = "/api/images/{id}/content",
    tag = "images",
    operation_id = "getContent",
    params(
        ("id" = i64, Path, description = "The image's number", example = 4711),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the last answer"),
        ("Range" = Option<String>, Header, description = "One range of bytes; other forms are ignored", example = "bytes=0-1023"),
        ("If-Range" = Option<String>, Header, description = "The `ETag` for which the range holds"),
    ),
    responses(
        (status = 200, description = "The image", content((Vec<u8> = "image/*"), (Vec<u8> = "application/octet-stream")),
            headers(("ETag" = String, description = "The SHA-256 of the bytes"))),
        (status = 206, description = "The range", content((Vec<u8> = "image/*"), (Vec<u8> = "application/octet-stream")),
            headers(("Content-Range" = String, description = "`bytes FIRST-LAST/SIZE`"))),
        (status = 302, description = "The image is at the store",
            headers(("Location" = String, description = "Signed, and secret for as long as it holds"))),
        (status = 304, description = "Nothing has changed"),
        ContentProblems,
    )
)]
pub(crate) async fn content(
    State(app): State<Arc<App>>,
    InPath(id): InPath,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    let image = find(&app, &id).await?.image;
    let tag = format!("\"{}\"", image.sha256);
    let mut response = if matches_tag(&headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let key = key(&app, &image)?;
        if may_leave(&app, &method, &headers)
            && let Some(redirect) = redirect(&app, &image, &key).await?
        {
            return Ok(redirect);
        }
        bytes(&app, &image, &key, &method, range(&headers, &tag)).await?
    };
    let value = |text: String| HeaderValue::try_from(text).map_err(Problem::internal);
    let head = response.headers_mut();
    head.insert(ETAG, value(tag)?);
    head.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("private, max-age=3600"),
    );
    head.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox"),
    );
    head.insert(CONTENT_DISPOSITION, value(disposition(&image))?);
    head.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    head.insert(VARY, HeaderValue::from_name(SEC_FETCH_MODE));
    head.append(VARY, HeaderValue::from_static(KEY_HEADERS));
    Ok(response)
}

/// The key of an image that is in our store.
pub(crate) fn key(app: &App, image: &Image) -> Result<Key> {
    let here = image.provider == app.objects.store.provider()
        && (image.provider == "local" || image.bucket == app.objects.store.bucket());
    if !here {
        return Err(Problem::new(
            Code::OtherStore,
            format!(
                "This image is in {} bucket {}, which this gateway does not serve.",
                image.provider, image.bucket
            ),
        ));
    }
    Key::new(image.object_key.as_str()).map_err(Problem::internal)
}

/// A script in a browser may not read what another origin answers, unless that allows it; and a
/// signed URL is for GET alone.
fn may_leave(app: &App, method: &Method, headers: &HeaderMap) -> bool {
    let script = headers
        .get(SEC_FETCH_MODE)
        .is_some_and(|mode| mode.as_bytes() == b"cors");
    app.objects.delivery == Delivery::Redirect && *method == Method::GET && !script
}

/// To the store, which will say the same of the bytes as we would; `None` where it cannot.
async fn redirect(app: &App, image: &Image, key: &Key) -> Result<Option<Response>> {
    let wanted = Presign {
        ttl: PRESIGNED,
        // The store sends no `nosniff`; what is not shown is no type at all there.
        content_type: if is_shown(image) {
            image.mime_type.clone()
        } else {
            "application/octet-stream".to_owned()
        },
        content_disposition: disposition(image),
    };
    let presigned = app.objects.store.presign(key, &wanted);
    let Some(url) = app.objects.ask(presigned).await? else {
        return Ok(None);
    };
    let value = |text: String| HeaderValue::try_from(text).map_err(Problem::internal);
    let mut response = StatusCode::FOUND.into_response();
    let head = response.headers_mut();
    head.insert(LOCATION, value(url.into())?);
    let age = PRESIGNED_AT_LEAST.as_secs();
    head.insert(CACHE_CONTROL, value(format!("private, max-age={age}"))?);
    head.insert(VARY, HeaderValue::from_name(SEC_FETCH_MODE));
    head.append(VARY, HeaderValue::from_static(KEY_HEADERS));
    Ok(Some(response))
}

/// Somebody took the object away behind our back.
pub(crate) fn gone() -> Problem {
    Problem::new(
        Code::ObjectMissing,
        "The image's object is no longer in the bucket.",
    )
}

async fn bytes(
    app: &App,
    image: &Image,
    key: &Key,
    method: &Method,
    range: Option<Range>,
) -> Result<Response> {
    let mut response = if *method == Method::HEAD {
        let head = app.objects.ask(app.objects.store.head(key)).await?;
        let head = head.ok_or_else(gone)?;
        let mut response = Response::new(Body::empty());
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(head.size));
        response
    } else {
        let found = app.objects.ask(app.objects.store.get(key, range)).await;
        let found = found
            .map_err(|problem| of_size(problem, image.size))?
            .ok_or_else(gone)?;
        let length = HeaderValue::from(found.size);
        let part = (found.size > 0 && range.is_some()).then(|| {
            format!(
                "bytes {}-{}/{}",
                found.offset,
                found.offset + found.size - 1,
                found.total_size
            )
        });
        let mut response = Response::new(Body::from_stream(found.stream));
        response.headers_mut().insert(CONTENT_LENGTH, length);
        if let Some(part) = part {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let part = HeaderValue::try_from(part).map_err(Problem::internal)?;
            response.headers_mut().insert(CONTENT_RANGE, part);
        }
        response
    };
    let kind = HeaderValue::try_from(image.mime_type.as_str());
    let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

/// The range asked for, unless the client holds another version (RFC 9110, section 13.1.5).
fn range(headers: &HeaderMap, tag: &str) -> Option<Range> {
    if headers
        .get(IF_RANGE)
        .is_some_and(|known| known.as_bytes() != tag.as_bytes())
    {
        return None;
    }
    headers
        .get(RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(Range::parse_header)
}

/// A range outside of the image is told how large that is.
fn of_size(problem: Problem, size: u64) -> Problem {
    match HeaderValue::try_from(format!("bytes */{size}")) {
        Ok(range) if problem.code == Code::RangeNotSatisfiable => {
            problem.with_header(CONTENT_RANGE, range)
        }
        _ => problem,
    }
}

fn is_shown(image: &Image) -> bool {
    SHOWN.contains(&image.mime_type.as_str())
}

fn disposition(image: &Image) -> String {
    let how = if is_shown(image) {
        "inline"
    } else {
        "attachment"
    };
    let plain: String = image
        .name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || " ._-()".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    let exact = utf8_percent_encode(&image.name, ATTR_CHAR);
    format!("{how}; filename=\"{plain}\"; filename*=UTF-8''{exact}")
}
