//! Real servers for tests: nats-server, SeaweedFS, Azurite, Prometheus, our own binary; and a collector.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod azurite;
pub mod cluster;
pub mod collector;
pub mod dice;
pub mod fleet;
mod health;
mod keeper;
pub mod nats;
pub mod process;
pub mod prometheus;
pub mod proxy;
mod signals;
pub mod tools;
pub mod wait;
pub mod weed;

pub use cluster::NatsCluster;
pub use collector::{Collector, Span};
pub use fleet::Fleet;
pub use nats::NatsServer;
pub use process::Process;
pub use prometheus::Prometheus;
pub use wait::until;
