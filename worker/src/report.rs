//! Telling what came of a task, durably, before it is settled.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::connection::State;
use bytes::Bytes;
use contracts::event::Timings;
use contracts::{
    Cause, Event, EventBody, ImportId, ImportImage, Object, SourceFile, Task, subjects,
};
use jetstream::{PublishError, at_schedule};
use runtime::backoff::Reconnect;
use time::OffsetDateTime;

use crate::Worker;
use crate::download::{Stored, Took};
use crate::import::chain;

impl Worker {
    /// Publish until it is stored: the task is held meanwhile, so nothing is lost by waiting.
    pub(crate) async fn announce(&self, import: &ImportId, id: &str, body: EventBody) {
        let subject = subjects::event(import, body.kind());
        let message_id = format!("{import}.{}.{id}", body.kind());
        let payload = match contracts::encode(&Event::now(import.clone(), body)) {
            Ok(payload) => Bytes::from(payload),
            Err(error) => {
                tracing::error!(import.id = %import, error = %error, "event cannot be encoded");
                return;
            }
        };
        self.until_stored(|| {
            self.nats
                .publish(subject.clone(), &message_id, payload.clone())
        })
        .await;
    }

    /// One image is whole in the store.
    pub(crate) async fn imported(&self, task: &ImportImage, file: SourceFile, stored: Stored) {
        let body = EventBody::ImageImported {
            run: task.run,
            attempt: task.attempt,
            file,
            object: Object {
                provider: self.store.provider().to_owned(),
                bucket: self.store.bucket().to_owned(),
                key: stored.key.as_str().to_owned(),
                size: stored.size,
                md5: stored.md5,
                sha256: stored.sha256,
                content_type: stored.facts.content_type.to_owned(),
                width: stored.facts.width,
                height: stored.facts.height,
                taken_at: stored.facts.exif.taken_at,
                orientation: stored.facts.exif.orientation,
            },
            timings: stored.took.as_ref().map(timings).unwrap_or_default(),
            worker: self.instance.clone(),
        };
        self.announce(&task.import_id, &event_id(task), body).await;
    }

    /// The dead letter.
    pub(crate) async fn failed(&self, task: ImportImage, cause: Cause, message: String) {
        let id = event_id(&task);
        let import = task.import_id.clone();
        let attempts = task.attempt;
        let body = EventBody::ImageFailed {
            cause,
            message,
            attempts,
            task: Box::new(task),
        };
        self.announce(&import, &id, body).await;
    }

    /// Another execution after `delay`: the scheduled copy first, because it must not be lost.
    pub(crate) async fn retry(
        &self,
        task: &ImportImage,
        cause: Cause,
        message: String,
        delay: Duration,
    ) {
        let due = OffsetDateTime::now_utc() + delay;
        let next = Task::ImportImage(ImportImage {
            attempt: task.attempt + 1,
            ..task.clone()
        });
        let payload = match contracts::encode(&next) {
            Ok(payload) => Bytes::from(payload),
            Err(error) => {
                return self
                    .failed(task.clone(), Cause::InternalError, error.to_string())
                    .await;
            }
        };
        let subject = subjects::retry(&task.import_id, &task.file.item_id);
        let target = subjects::task(&task.import_id);
        self.until_stored(|| {
            self.nats.publish_with_headers(
                subject.clone(),
                at_schedule(due, &target),
                payload.clone(),
            )
        })
        .await;
        let body = EventBody::ImageRetrying {
            run: task.run,
            attempt: task.attempt,
            item_id: task.file.item_id.clone(),
            name: task.file.name.clone(),
            cause,
            message,
            due,
        };
        self.announce(&task.import_id, &event_id(task), body).await;
    }

    /// Publish until it is stored; its sequence.
    pub(crate) async fn until_stored<F, Fut>(&self, publish: F) -> u64
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<u64, PublishError>>,
    {
        let mut pause = Reconnect::default();
        let mut waited = BTreeSet::new();
        let sequence = loop {
            let error = match publish().await {
                Ok(sequence) => break sequence,
                Err(error) => error,
            };
            // Apart from the connection: a full disk stops publishing only.
            let missing = match self.nats.client.connection_state() {
                State::Connected => "events",
                State::Pending | State::Disconnected => "nats",
            };
            self.health.waiting(
                missing,
                format!("NATS did not store a message: {}", chain(&error)),
            );
            if waited.is_empty() {
                tracing::warn!(error = %chain(&error), "NATS did not store a message; trying until it does");
            }
            waited.insert(missing);
            pause.wait().await;
        };
        for missing in waited {
            self.health.ready(missing);
        }
        sequence
    }
}

fn timings(took: &Took) -> Timings {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Timings {
        quota_ms: millis(took.quota),
        download_ms: millis(took.download),
        upload_ms: millis(took.upload),
    }
}

fn event_id(task: &ImportImage) -> String {
    format!("{}.{}.{}", task.run, task.attempt, task.file.item_id)
}
