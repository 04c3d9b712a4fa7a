//! A whole worker in this process, against a real nats-server, a simulated Drive and a real store.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod broker;
mod controls;
mod drain;
mod faults;
mod images;
mod odd_drive;
mod outages;
mod redelivery;
mod resume;
mod s3;
mod support;
mod tasks;
