//! `/admin`: what happened, and what shall go wrong from now on. Needs no key.
//! `/token`: signing in.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::json;

use crate::{body::Body, faults::Faults, oauth, server::State};

const SETTINGS_LIMIT: usize = 64 << 10;

/// Answers one request for an access token; none if its connection must be reset.
pub(crate) async fn token(state: &State, parts: &Parts, body: Incoming) -> Option<Response<Body>> {
    state.stats.signed_in();
    let faults = state.faults.current();
    if faults.down {
        state.stats.injected("down");
        return None;
    }
    tokio::time::sleep(Duration::from_millis(faults.sign_in_latency_ms)).await;
    let luck = state.faults.draw(&["token"]);
    if luck.strikes("sign_in_500", faults.sign_in_500) {
        state.stats.injected("sign_in_500");
        let mut response = ok(&json!({"error": "internal_failure"}));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return Some(response);
    }
    if parts.method != Method::POST {
        return Some(refuse(StatusCode::METHOD_NOT_ALLOWED, "POST /token"));
    }
    let form = match Limited::new(body, SETTINGS_LIMIT).collect().await {
        Ok(form) => form.to_bytes(),
        Err(error) => return Some(refuse(StatusCode::BAD_REQUEST, &error.to_string())),
    };
    let (status, json) = state.oauth.grant(&form, &state.url, &faults);
    let mut response = ok(&json);
    *response.status_mut() = status;
    if let Some(date) = oauth::date(&faults).and_then(|date| date.parse().ok()) {
        response.headers_mut().insert(header::DATE, date);
    }
    Some(response)
}

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
        (&Method::GET, "/admin/service-account.json") => {
            ok(&state.oauth.service_account_file(&state.url))
        }
        (&Method::GET, "/admin/user.json") => ok(&state.oauth.user_file(&state.url)),
        _ => refuse(
            StatusCode::NOT_FOUND,
            "GET /admin/stats, GET or PUT /admin/faults, POST /admin/reset, \
             GET /admin/service-account.json, GET /admin/user.json",
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
