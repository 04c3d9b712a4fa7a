//! Kills everything while images are imported, and counts them from outside.
//!
//! [`run`] starts every role as a process of its own between proxies of ours, lets the faults of a
//! [`plan::Plan`] happen while people import, pause, cancel and re-drive, and afterwards gathers
//! [`evidence`] and [`check`]s it.

pub mod check;
pub mod crew;
pub mod evidence;
pub mod expect;
pub mod follow;
pub mod journal;
pub mod plan;
mod run;
pub mod tables;
pub mod world;

pub use run::{Options, Report, run};
