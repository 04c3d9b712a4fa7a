//! Dashboards and alerts: every metric is shown, every panel shows something, every alert is tested.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod boards;
mod live;
mod promql;
mod rules;
mod structure;
