//! One delivery, from decoding to settling.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::kv::Control;
use contracts::{Cause, DecodeError, EventBody, ImportId, ImportImage, Task};
use jetstream::{Delivery, SettleError};
use runtime::Ticket;
use runtime::trace::{self, TraceContext};
use tokio_util::sync::CancellationToken;

use crate::Worker;
use crate::import::Outcome;
use crate::metrics::took;
use crate::suspects::{self, Standing, deaths};

/// How to settle a delivery.
pub(crate) enum Settle {
    /// What came of it is durable.
    Done,
    /// It could not be done; deliver it again after a while.
    Later(Duration),
    /// It was not finished; deliver it again at once.
    HandBack,
}

/// Work on one delivery until its outcome is durable, then settle it; when told to give up, hand
/// it back instead.
pub(crate) async fn handle(
    worker: Arc<Worker>,
    delivery: Delivery,
    ticket: Ticket,
    give_up: CancellationToken,
) {
    let import = contracts::subjects::import_of_task(delivery.subject());
    let Some(hold) = worker.held.hold(delivery.stream_sequence(), import) else {
        // Heartbeats were late because NATS was away, and it was handed out again to ourselves. The
        // first delivery goes on and settles for both.
        tracing::info!("a task came again while it is being worked on; passed over");
        return;
    };
    let suspect = worker.suspects.hold(deaths(&delivery));
    let settle = tokio::select! {
        biased;
        settle = work(&worker, &delivery, ticket) => settle,
        () = give_up.cancelled() => Settle::HandBack,
        () = worker.stopped_in_outage() => Settle::HandBack,
    };
    let begun = Instant::now();
    let settled = match settle {
        Settle::Done => delivery.ack().await,
        Settle::Later(delay) => delivery.nak_after(delay).await,
        Settle::HandBack => hand_back(&worker, delivery).await,
    };
    took(&worker.metrics.phases.settle, begun.elapsed());
    if let Err(error) = settled {
        tracing::warn!(error = %error, "settling failed; the task will be delivered again");
    }
    drop(suspect);
    drop(hold);
}

/// The server counts a task handed back like one whose worker died. Before a task that is merely
/// handed back, again and again in a long outage, is taken for one that kills its workers, a fresh
/// copy takes its place.
async fn hand_back(worker: &Worker, delivery: Delivery) -> Result<(), SettleError> {
    if deaths(&delivery) + 1 < suspects::SUSPECT {
        return delivery.nak().await;
    }
    let id = format!("handed-back.{}", delivery.stream_sequence());
    let copied = worker
        .nats
        .publish(
            delivery.subject().to_owned(),
            &id,
            delivery.payload().clone(),
        )
        .await;
    match copied {
        Ok(_) => delivery.ack().await,
        Err(_) => delivery.nak().await,
    }
}

async fn work(worker: &Worker, delivery: &Delivery, ticket: Ticket) -> Settle {
    let again = deaths(delivery) > 0;
    if delivery.delivered() > 1 {
        worker.metrics.redeliveries.inc();
    }
    match contracts::decode::<Task>(delivery.payload()) {
        Ok(Task::ImportImage(task)) => {
            describe(&task);
            let _alone = match worker.suspects.judge(deaths(delivery)) {
                Standing::Clear => None,
                Standing::Alone(place) => {
                    worker.suspects.others_gone().await;
                    Some(place)
                }
                Standing::Later => {
                    return match worker.put_off(&task, delivery).await {
                        Ok(_) => Settle::Done,
                        Err(_) => Settle::HandBack,
                    };
                }
                Standing::Hopeless => {
                    let message =
                        format!("delivered {} times without an outcome", deaths(delivery));
                    fail(worker, task, Cause::WorkerCrashed, message).await;
                    return Settle::Done;
                }
            };
            let seen_before = again || task.attempt > 1 || task.run > 1;
            image(worker, delivery, task, seen_before, ticket).await;
        }
        Ok(Task::DeleteObject(task)) => {
            return worker.delete(&task, delivery.stream_sequence()).await;
        }
        Err(error) => unreadable(worker, delivery, &error).await,
    }
    Settle::Done
}

/// Say in the trace what is worked on.
fn describe(task: &ImportImage) {
    if TraceContext::current().is_sampled() {
        trace::note("import.id", task.import_id.as_str().to_owned());
        trace::note("image.id", task.file.item_id.to_string());
        trace::note("attempt", i64::from(task.attempt));
        trace::note("run", i64::from(task.run));
    }
}

async fn image(
    worker: &Worker,
    delivery: &Delivery,
    task: ImportImage,
    seen_before: bool,
    ticket: Ticket,
) {
    let mut outcome = None;
    if worker.controls.of(&task.import_id) == Control::Paused {
        // Parked, it begins anew, and nobody would know that it was stored before.
        if seen_before && let Some(stored) = worker.look_first(&task).await {
            outcome = Some(Outcome::Imported(task.file.clone(), Box::new(stored)));
        } else {
            match worker.park(delivery, &task).await {
                Control::Paused => {
                    trace::note("outcome", "parked");
                    worker.metrics.outcome("parked", None);
                    return;
                }
                Control::Cancelled => outcome = Some(Outcome::Dropped),
                Control::Running => {}
            }
        }
    }
    let outcome = match outcome {
        Some(outcome) => outcome,
        None => worker.import(&task, seen_before, ticket).await,
    };
    let begun = Instant::now();
    finish(worker, task, outcome).await;
    took(&worker.metrics.phases.report, begun.elapsed());
}

async fn finish(worker: &Worker, task: ImportImage, outcome: Outcome) {
    match outcome {
        Outcome::Imported(file, stored) => {
            if let Some(times) = &stored.took {
                let phases = &worker.metrics.phases;
                worker.metrics.bytes.inc_by(stored.size);
                took(&phases.quota, times.quota);
                took(&phases.download, times.download);
                took(&phases.verify, times.verify);
                took(&phases.upload, times.upload);
            }
            trace::note("outcome", "imported");
            worker.imported(&task, file, *stored).await;
            worker.metrics.imported(task.attempt);
        }
        Outcome::Retry(cause, message, after) => {
            match worker.retry.delay_after(task.attempt, after) {
                Some(delay) => {
                    let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
                    tracing::info!(
                        import.id = %task.import_id,
                        image.id = %task.file.item_id,
                        attempt = task.attempt,
                        cause = %cause,
                        error = message,
                        delay_ms,
                        "image failed; retrying"
                    );
                    trace::note("outcome", "retrying");
                    trace::fail(cause.code());
                    worker.retry(&task, cause, message, delay).await;
                    worker.metrics.outcome("retrying", Some(cause));
                }
                None => fail(worker, task, cause, message).await,
            }
        }
        Outcome::Rejected(cause, message) => fail(worker, task, cause, message).await,
        Outcome::Dropped => {
            tracing::debug!(
                import.id = %task.import_id,
                image.id = %task.file.item_id,
                "import was cancelled; task dropped"
            );
            trace::note("outcome", "dropped");
            worker.metrics.outcome("dropped", None);
        }
    }
}

async fn fail(worker: &Worker, task: ImportImage, cause: Cause, message: String) {
    tracing::warn!(
        import.id = %task.import_id,
        image.id = %task.file.item_id,
        attempt = task.attempt,
        cause = %cause,
        error = message,
        "image failed for good"
    );
    trace::note("outcome", "failed");
    trace::fail(cause.code());
    let attempts = task.attempt;
    worker.failed(task, cause, message).await;
    worker.metrics.failed(cause, attempts);
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
    worker.metrics.outcome("unreadable", Some(cause));
}
