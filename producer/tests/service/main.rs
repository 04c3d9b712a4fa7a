//! The producer as a service: a real nats-server, the simulated Drive, one producer or several.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod fleet;

mod control;
mod crashes;
mod fairness;
mod outages;
mod pages;
mod requests;
mod retries;
mod strange;
mod unchanged;
