//! One delivery, from decoding to settling.

use std::sync::Arc;
use std::time::Instant;

use contracts::{Cause, DecodeError, EventBody, ImportId, ImportImage, Task, streams};
use jetstream::Delivery;
use tokio_util::sync::CancellationToken;

use crate::Worker;
use crate::import::Outcome;

/// Work on one delivery until its outcome is durable, then settle it; when told to give up, hand
/// it back instead.
pub(crate) async fn handle(worker: Arc<Worker>, delivery: Delivery, give_up: CancellationToken) {
    let held = Held::new(&worker);
    let done = tokio::select! {
        biased;
        () = work(&worker, &delivery) => true,
        () = give_up.cancelled() => false,
    };
    let begun = Instant::now();
    let settled = if done {
        delivery.ack().await
    } else {
        delivery.nak().await
    };
    worker.metrics.phase("settle", begun.elapsed());
    if let Err(error) = settled {
        tracing::warn!(error = %error, "settling failed; the task will be delivered again");
    }
    drop(held);
}

/// Counts what is held, and tells the fleet whether there is work for this process's quota share.
struct Held<'a>(&'a Worker);

impl<'a> Held<'a> {
    fn new(worker: &'a Worker) -> Self {
        worker.metrics.in_flight.inc();
        worker.activity.set_busy(true);
        Self(worker)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.metrics.in_flight.dec();
        if self.0.metrics.in_flight.get() == 0 {
            self.0.activity.set_busy(false);
        }
    }
}

async fn work(worker: &Worker, delivery: &Delivery) {
    if delivery.delivered() > 1 {
        worker.metrics.redeliveries.inc();
    }
    match contracts::decode::<Task>(delivery.payload()) {
        Ok(Task::ImportImage(task)) if delivery.delivered() > streams::MAX_CRASH_DELIVERIES => {
            let message = format!(
                "delivered {} times without an outcome",
                delivery.delivered()
            );
            finish(
                worker,
                task,
                Outcome::Rejected(Cause::WorkerCrashed, message),
            )
            .await;
        }
        Ok(Task::ImportImage(task)) => {
            let outcome = worker
                .import(&task, delivery.delivered() > 1 || task.attempt > 1)
                .await;
            finish(worker, task, outcome).await;
        }
        Ok(Task::DeleteObject(task)) => worker.delete(&task).await,
        Err(error) => unreadable(worker, delivery, &error).await,
    }
}

async fn finish(worker: &Worker, task: ImportImage, outcome: Outcome) {
    let begun = Instant::now();
    let images = &worker.metrics.images;
    match outcome {
        Outcome::Imported(file, stored) => {
            worker.metrics.bytes.inc_by(stored.size);
            for (phase, took) in [
                ("quota", stored.quota),
                ("download", stored.download),
                ("upload", stored.upload),
            ] {
                worker.metrics.phase(phase, took);
            }
            worker.imported(&task, file, *stored).await;
            images.with_label_values(&["imported", ""]).inc();
        }
        Outcome::Retry(cause, message, after) => {
            match worker.retry.delay_after(task.attempt, after) {
                Some(delay) => {
                    let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
                    tracing::info!(import.id = %task.import_id, image.id = %task.file.item_id, attempt = task.attempt,
                    cause = %cause, error = message, delay_ms, "image failed; retrying");
                    worker.retry(&task, cause, message, delay).await;
                    images.with_label_values(&["retrying", cause.code()]).inc();
                }
                None => fail(worker, task, cause, message).await,
            }
        }
        Outcome::Rejected(cause, message) => fail(worker, task, cause, message).await,
    }
    worker.metrics.phase("report", begun.elapsed());
}

async fn fail(worker: &Worker, task: ImportImage, cause: Cause, message: String) {
    tracing::warn!(import.id = %task.import_id, image.id = %task.file.item_id, attempt = task.attempt,
        cause = %cause, error = message, "image failed for good");
    worker.failed(task, cause, message).await;
    worker
        .metrics
        .images
        .with_label_values(&["failed", cause.code()])
        .inc();
}

/// Kept as an event for people to look at, because it names no image that could be counted.
async fn unreadable(worker: &Worker, delivery: &Delivery, error: &DecodeError) {
    let cause = match error {
        DecodeError::Malformed { .. } => Cause::MalformedTask,
        DecodeError::UnknownVersion { .. } => Cause::UnknownVersion,
    };
    let import = delivery
        .subject()
        .rsplit('.')
        .next()
        .and_then(|token| token.parse().ok());
    let import: ImportId = import.unwrap_or_else(|| {
        ImportId::of_stored_request(delivery.stored_ms(), delivery.stream_sequence())
    });
    tracing::error!(import.id = %import, cause = %cause, error = %error, "task cannot be read; kept as an event");
    let payload: String = String::from_utf8_lossy(delivery.payload())
        .chars()
        .take(4096)
        .collect();
    let body = EventBody::TaskUnreadable {
        cause,
        message: error.to_string(),
        payload,
    };
    worker
        .announce(&import, &delivery.stream_sequence().to_string(), body)
        .await;
    worker
        .metrics
        .images
        .with_label_values(&["unreadable", cause.code()])
        .inc();
}
