//! Real servers for tests: nats-server, SeaweedFS, our own binary.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod nats;
pub mod tools;
pub mod wait;
pub mod weed;

pub use nats::NatsServer;
pub use wait::until;
