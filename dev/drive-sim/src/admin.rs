//! `/admin`: what happened, and what shall go wrong from now on. Needs no key.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::json;

use crate::{body::Body, faults::Faults, server::State};

const SETTINGS_LIMIT: usize = 64 << 10;

/// Answers one request beneath `/admin`.
pub(crate) async fn answer(state: &State, parts: &Parts, body: Incoming) -> Response<Body> {
    match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/admin/stats") => ok(&state.stats.stats()),
        (&Method::GET, "/admin/faults") => ok(&*state.faults.current()),
        (&Method::PUT, "/admin/faults") => match read_faults(body).await {
            Ok(faults) => {
                state.set_faults(faults);
                ok(&*state.faults.current())
            }
            Err(problem) => refuse(StatusCode::BAD_REQUEST, &problem),
        },
        (&Method::POST, "/admin/reset") => {
            state.reset();
            ok(&state.stats.stats())
        }
        _ => refuse(
            StatusCode::NOT_FOUND,
            "GET /admin/stats, GET or PUT /admin/faults, POST /admin/reset",
        ),
    }
}

async fn read_faults(body: Incoming) -> Result<Faults, String> {
    let bytes: Bytes = match Limited::new(body, SETTINGS_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Err(error.to_string()),
    };
    let faults: Faults = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    faults
        .check()
        .map_err(|name| format!("{name} must be from 0 to 1"))?;
    Ok(faults)
}

fn ok(value: &impl Serialize) -> Response<Body> {
    let mut response = Response::new(Body::text(
        serde_json::to_vec(value).unwrap_or_default(),
        None,
    ));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn refuse(status: StatusCode, problem: &str) -> Response<Body> {
    let mut response = ok(&json!({ "error": problem }));
    *response.status_mut() = status;
    response
}
