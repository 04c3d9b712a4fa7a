//! What is sent to S3 and Azure, and what comes of answers that no server at hand gives.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod credentials;
mod fake;
mod requests;
