//! What every service shares: settings, telemetry, health, signals, backoff, breaker, quota.

pub mod backoff;
pub mod breaker;
pub mod env;
pub mod health;
pub mod metrics;
pub mod quota;
mod service;
pub mod signals;
pub mod telemetry;
pub mod trace;

pub use breaker::Breaker;
pub use env::{ConfigError, Env};
pub use health::Health;
pub use quota::{Quota, Ticket};
pub use service::Service;

/// Install the process-wide TLS provider (aws-lc-rs). Call once, first thing in `main`.
pub fn install_tls_provider() {
    // An error means that it is installed already, which is what we want.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
