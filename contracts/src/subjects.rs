//! Every subject, spelled once: a function for publishers, a constant for consumers.

use crate::{FileId, ImportId};

/// Where other systems and the gateway publish import requests.
pub const REQUESTS: &str = "imports.requests";
/// Where the gateway and other systems publish commands to imports.
pub const COMMANDS: &str = "imports.commands";
/// What workers consume.
pub const TASKS: &str = "images.tasks.*";
/// Scheduled retries.
pub const RETRIES: &str = "images.retries.*.*";
/// Tasks of paused imports.
pub const PARKED: &str = "images.parked.*.*";
/// Listing checkpoints.
pub const CHECKPOINTS: &str = "images.checkpoints.*";
/// Every event.
pub const EVENTS: &str = "events.>";

/// Tasks of one import.
#[must_use]
pub fn task(import: &ImportId) -> String {
    format!("images.tasks.{import}")
}

/// The import of a subject that [`task`] made.
#[must_use]
pub fn import_of_task(subject: &str) -> Option<ImportId> {
    subject.strip_prefix("images.tasks.")?.parse().ok()
}

/// Scheduled retry of one file of one import.
#[must_use]
pub fn retry(import: &ImportId, file: &FileId) -> String {
    format!("images.retries.{import}.{file}")
}

/// All scheduled retries of one import.
#[must_use]
pub fn retries_of(import: &ImportId) -> String {
    format!("images.retries.{import}.*")
}

/// One task of a paused import: the last one parked there is kept.
#[must_use]
pub fn parked(import: &ImportId, item: &FileId) -> String {
    format!("images.parked.{import}.{item}")
}

/// All parked tasks of one import.
#[must_use]
pub fn parked_of(import: &ImportId) -> String {
    format!("images.parked.{import}.*")
}

/// Listing checkpoint of one import.
#[must_use]
pub fn checkpoint(import: &ImportId) -> String {
    format!("images.checkpoints.{import}")
}

/// One kind of event of one import; `kind` as in [`crate::EventBody::kind`].
#[must_use]
pub fn event(import: &ImportId, kind: &str) -> String {
    format!("events.{import}.{kind}")
}

/// All events of one import.
#[must_use]
pub fn events_of(import: &ImportId) -> String {
    format!("events.{import}.>")
}

/// The subject that stands for all of the same purpose, such as [`TASKS`]; itself if there is none.
#[must_use]
pub fn template(subject: &str) -> &str {
    [TASKS, RETRIES, PARKED, CHECKPOINTS, EVENTS]
        .into_iter()
        .find(|template| matches(template, subject))
        .unwrap_or(subject)
}

/// Whether `subject` falls under `filter`, by NATS' rules: `*` is one token, `>` one or more.
#[must_use]
pub fn matches(filter: &str, subject: &str) -> bool {
    let mut subject = subject.split('.');
    for token in filter.split('.') {
        match (token, subject.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (token, Some(found)) if token == found => {}
            _ => return false,
        }
    }
    subject.next().is_none()
}
