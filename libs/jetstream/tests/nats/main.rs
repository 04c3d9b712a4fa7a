//! Everything here talks to real nats-servers. One binary, because linking ten takes longer.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod batch;
mod connect;
mod consume;
mod denials;
mod durability;
mod logins;
mod presence;
mod server;
mod topology;
mod users;
