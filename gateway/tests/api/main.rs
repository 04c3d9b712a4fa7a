//! The gateway over HTTP, with a real nats-server, a real read model and a real store.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod access;
mod bulk;
mod config;
mod connections;
mod content;
mod contract;
mod control;
mod errors;
mod events;
mod export;
mod halfway;
mod headers;
mod images;
mod imports;
mod items;
mod keys;
mod limits;
mod live;
mod metrics;
mod openapi;
mod outages;
mod overview;
mod page;
mod repeated;
mod seed;
mod silence;
mod status;
mod store;
mod streams;
mod submit;
mod support;
mod thumbnail;
