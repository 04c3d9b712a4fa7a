//! The promises, kept by whole fleets, and each broken into from outside: processes are killed, paused
//! and cut off. One binary, so that the tests run beside each other while they wait.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod chaos;
mod cluster;
mod fairness;
mod fleet;
mod memory;
mod metrics;
mod museum;
mod outages;
mod poison;
mod producer_crashes;
mod quota;
mod reimport;
mod traces;
mod upgrade;

use std::time::Duration;

use serde_json::Value;
use testkit::Fleet;

/// For anything that takes seconds on a quiet machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// So short that a test can wait for the end of a lease, again and again.
fn ack_wait(wait: &str) -> Vec<(&'static str, String)> {
    vec![("NATS_ACK_WAIT", wait.to_owned())]
}

/// The status of an import, now.
async fn status(fleet: &Fleet, job: &str) -> Value {
    let url = format!("{}/api/import/status/{job}", fleet.url);
    reqwest::get(url).await.unwrap().json().await.unwrap()
}
