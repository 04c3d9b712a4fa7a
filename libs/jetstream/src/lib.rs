//! JetStream as Imagefleet uses it.
//!
//! [`connect()`] and [`topology`] find a server that can do what we need and refuse any other;
//! [`batch`] publishes many messages or none; [`consume`] takes a slot before it fetches and hands
//! out [`Delivery`]s, which stay alive while they are worked on and settle exactly once.

mod appetite;
pub mod batch;
mod config;
mod connect;
pub mod consume;
mod controls;
mod delivery;
mod denials;
mod expiry;
mod logins;
mod lost;
mod members;
pub mod presence;
mod publish;
pub mod server;
mod share;
mod tls;
pub mod topology;
pub mod trace;

pub use appetite::Appetite;
pub use config::NatsConfig;
pub use connect::{ConnectError, Nats, connect, connect_when_up};
pub use controls::Controls;
pub use delivery::{Delivery, SettleError};
pub use denials::Denied;
pub use logins::{Logins, User};
pub use members::Members;
pub use publish::{PublishError, at_schedule};
