//! `GET /api/openapi.json` and `/api/docs`: the API's description, for programs and for people.
//!
//! Neither asks for a key. They tell what the sources tell, and nothing of this gateway's.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
};
use sha2::{Digest, Sha256};
use utoipa_swagger_ui::Config;

use crate::app::App;
use crate::openapi;
use crate::openapi::problems;
use crate::params::InPath;
use crate::problem::{Problem, Result};
use crate::routes::status::matches_tag;

/// Swagger UI styles its elements in place and draws icons from `data:`. It loads nothing from
/// elsewhere, and neither may anything that a description could bring in.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The description as it is sent.
pub(crate) struct Description {
    json: Bytes,
    tag: HeaderValue,
}

impl Description {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let json = openapi::json()?;
        let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&json)[..16]));
        Ok(Self {
            json: json.into(),
            tag: HeaderValue::try_from(tag)?,
        })
    }
}

problems!(DescriptionProblems:);

/// This document
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "about",
    operation_id = "getOpenApi",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of the last answer")),
    responses(
        (status = 200, description = "The API's description, OpenAPI 3.1", body = Object,
            headers(("ETag" = String, description = "Changes with the release"))),
        (status = 304, description = "Nothing has changed"),
        DescriptionProblems,
    )
)]
pub(crate) async fn openapi(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let Description { json, tag } = &app.description;
    let known = tag.to_str().is_ok_and(|tag| matches_tag(&headers, tag));
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(json.clone()))
    };
    let head = response.headers_mut();
    head.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    head.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    head.insert(ETAG, tag.clone());
    response
}

/// The description in a browser: Swagger UI, compiled in. Its addresses are relative, so that a proxy
/// may serve it under a path of its own.
pub(crate) fn browser() -> Router<Arc<App>> {
    Router::new()
        .route("/api/docs", get(|| async { Redirect::temporary("docs/") }))
        .route("/api/docs/", get(|| async { file("index.html") }))
        .route(
            "/api/docs/{file}",
            get(|InPath(name): InPath| async move { file(&name) }),
        )
}

fn file(name: &str) -> Result<Response> {
    let config = Config::from("../openapi.json")
        .validator_url("none")
        .try_it_out_enabled(true)
        .display_operation_id(true);
    let found = utoipa_swagger_ui::serve(name, Arc::new(config))
        .map_err(|error| Problem::internal(anyhow::anyhow!("{error}")))?
        .ok_or_else(|| Problem::not_found("such path"))?;
    let kind = HeaderValue::try_from(found.content_type).map_err(Problem::internal)?;
    let mut response = Response::new(Body::from(found.bytes.into_owned()));
    let head = response.headers_mut();
    head.insert(CONTENT_TYPE, kind);
    head.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    head.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}
