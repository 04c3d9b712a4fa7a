//! A whole projector in this process, against a real nats-server and a database file.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod outages;
mod rebuild;
mod removals;
mod standby;
mod support;
mod tables;
