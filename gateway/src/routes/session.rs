//! `GET /api/session`: what the caller may do.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

use crate::app::App;
use crate::caller::Caller;
use crate::keys::Scope;
use crate::openapi::problems;

/// What the caller may do here.
#[derive(Serialize, ToSchema)]
pub(crate) struct Session {
    authentication: Authentication,
    /// `read`, and `write` where changes are allowed.
    #[schema(example = json!(["read", "write"]))]
    scopes: Vec<&'static str>,
    /// The gateway's release.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

/// What is asked for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Authentication {
    /// Nothing: everybody may do everything.
    None,
    /// A key.
    Key,
}

problems!(SessionProblems:);

/// What the caller may do
///
/// With a wrong key, or without one where one is needed, the answer is the 401 of all others.
#[utoipa::path(
    get,
    path = "/api/session",
    tag = "about",
    operation_id = "getSession",
    responses((status = 200, description = "What is allowed", body = Session), SessionProblems)
)]
pub(crate) async fn session(State(app): State<Arc<App>>, caller: Caller) -> Json<Session> {
    let scopes = [Scope::Read, Scope::Write].into_iter();
    Json(Session {
        authentication: if app.api_keys.is_empty() {
            Authentication::None
        } else {
            Authentication::Key
        },
        scopes: scopes
            .filter(|scope| caller.scope >= Some(*scope))
            .map(Scope::code)
            .collect(),
        version: env!("CARGO_PKG_VERSION"),
    })
}
