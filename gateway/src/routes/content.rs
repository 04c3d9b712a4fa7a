//! `GET /api/images/{id}/content`: an image's bytes, streamed from the store.
//!
//! The bytes come from strangers. Only raster formats that browsers draw are shown in place; all
//! others, SVG with its scripts above all, are a download. Nothing is sniffed or run.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE,
};
use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use read_model::Image;
use storage::{Key, Range};

use crate::app::App;
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

pub(crate) async fn content(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    let image = find(&app, &id).await?.image;
    let tag = format!("\"{}\"", image.sha256);
    let mut response = if matches_tag(&headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        bytes(&app, &image, &method, range(&headers, &tag)).await?
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
    Ok(response)
}

async fn bytes(
    app: &App,
    image: &Image,
    method: &Method,
    range: Option<Range>,
) -> Result<Response> {
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
    let key = Key::new(image.object_key.as_str()).map_err(Problem::internal)?;
    let gone = || {
        Problem::new(
            Code::ObjectMissing,
            "The image's object is no longer in the bucket.",
        )
    };

    let mut response = if *method == Method::HEAD {
        let head = app.objects.ask(app.objects.store.head(&key)).await?;
        let head = head.ok_or_else(gone)?;
        let mut response = Response::new(Body::empty());
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(head.size));
        response
    } else {
        let found = app.objects.ask(app.objects.store.get(&key, range)).await;
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

fn disposition(image: &Image) -> String {
    let how = if SHOWN.contains(&image.mime_type.as_str()) {
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
