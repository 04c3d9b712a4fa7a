//! Liveness, readiness and metrics over HTTP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use prometheus::{Encoder, Registry, TextEncoder};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// What a process waits for, shared by all its parts.
#[derive(Clone)]
pub struct Health {
    role: &'static str,
    dependencies: Arc<Mutex<BTreeMap<String, Known>>>,
}

#[derive(Default)]
struct Known {
    /// Why it is waited for; `None` while it answers.
    why: Option<String>,
    /// How often its breakers opened; `None` if it has none.
    opened: Option<u64>,
}

/// What of a dependency is counted.
pub(crate) struct Tally {
    pub(crate) dependency: String,
    pub(crate) ready: bool,
    pub(crate) opened: Option<u64>,
}

/// A snapshot of [`Health`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthReport {
    /// `ok` or `waiting`.
    pub status: &'static str,
    /// Which service answers.
    pub role: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Each dependency it has used.
    pub dependencies: BTreeMap<String, Dependency>,
}

/// One dependency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// Whether it answers.
    pub ready: bool,
    /// What is being waited for, when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Health {
    /// Nothing is known to be missing yet.
    #[must_use]
    pub fn new(role: &'static str) -> Self {
        Self {
            role,
            dependencies: Arc::default(),
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.dependencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, dependency: &str, why: Option<String>) {
        self.all().entry(dependency.to_owned()).or_default().why = why;
    }

    /// `dependency` answers.
    pub fn ready(&self, dependency: &str) {
        self.set(dependency, None);
    }

    /// `dependency` is away, or is not what it should be; `why` is for people.
    pub fn waiting(&self, dependency: &str, why: impl Into<String>) {
        self.set(dependency, Some(why.into()));
    }

    /// A breaker of `dependency` opened, or `times` is 0 and it merely has one.
    pub(crate) fn opened(&self, dependency: &str, times: u64) {
        let mut all = self.all();
        let state = all.entry(dependency.to_owned()).or_default();
        state.opened = Some(state.opened.unwrap_or(0) + times);
    }

    /// The role that was named.
    pub(crate) fn role(&self) -> &'static str {
        self.role
    }

    pub(crate) fn tally(&self) -> Vec<Tally> {
        let all = self.all();
        all.iter()
            .map(|(dependency, state)| Tally {
                dependency: dependency.clone(),
                ready: state.why.is_none(),
                opened: state.opened,
            })
            .collect()
    }

    /// What holds now.
    #[must_use]
    pub fn snapshot(&self) -> HealthReport {
        let all = self.all();
        let ready = all.values().all(|state| state.why.is_none());
        HealthReport {
            status: if ready { "ok" } else { "waiting" },
            role: self.role,
            version: env!("CARGO_PKG_VERSION"),
            dependencies: all
                .iter()
                .map(|(name, state)| {
                    (
                        name.clone(),
                        Dependency {
                            ready: state.why.is_none(),
                            why: state.why.clone(),
                        },
                    )
                })
                .collect(),
        }
    }

    /// Each dependency that is away, and why.
    #[must_use]
    pub fn missing(&self) -> BTreeMap<String, String> {
        let all = self.all();
        all.iter()
            .filter_map(|(name, state)| Some((name.clone(), state.why.clone()?)))
            .collect()
    }

    /// Whether every dependency answers.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.snapshot().status == "ok"
    }
}

#[derive(Clone)]
struct Shared {
    health: Health,
    registry: Registry,
}

/// `/health` and `/livez` (200 while the process runs), `/readyz` (503 while it waits for
/// something) and `/metrics`.
pub fn router(health: Health, registry: Registry) -> Router {
    Router::new()
        .route("/health", get(livez))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Shared { health, registry })
}

async fn livez(State(shared): State<Shared>) -> Response {
    Json(shared.health.snapshot()).into_response()
}

async fn readyz(State(shared): State<Shared>) -> Response {
    let report = shared.health.snapshot();
    let status = if report.status == "ok" {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(report)).into_response()
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let encoder = TextEncoder::new();
    let mut body = Vec::new();
    match encoder.encode(&shared.registry.gather(), &mut body) {
        Ok(()) => (
            [(header::CONTENT_TYPE, encoder.format_type().to_owned())],
            body,
        )
            .into_response(),
        Err(error) => {
            tracing::error!(error = %error, "metrics could not be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Serve [`router`] on `listen` until `stop`. `None` serves nothing: the role runs inside a process
/// that has a health server already.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(
    listen: Option<std::net::SocketAddr>,
    health: Health,
    registry: Registry,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    use anyhow::Context as _;
    let Some(listen) = listen else {
        stop.cancelled().await;
        return Ok(());
    };
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen} for health checks"))?;
    tracing::info!(address = %listener.local_addr()?, "health server listens");
    // Health answers are one short write each: nothing needs draining.
    tokio::select! {
        served = axum::serve(listener, router(health, registry)) => Ok(served?),
        () = stop.cancelled() => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_missing_dependency_makes_it_wait() {
        let health = Health::new("worker");
        assert!(health.is_ready());
        health.ready("nats");
        health.waiting("drive", "connection refused");
        let report = health.snapshot();
        assert_eq!(report.status, "waiting");
        assert_eq!(
            report.dependencies["drive"].why.as_deref(),
            Some("connection refused")
        );
        health.ready("drive");
        assert!(health.is_ready());
    }
}
