//! One image: look, transfer, and judge what went wrong.

use std::time::Duration;

use contracts::{Cause, ImportImage, SourceFile};
use drive::{DriveError, Entry, ErrorKind};
use runtime::Ticket;
use runtime::backoff::Reconnect;
use runtime::breaker::Permit;
use storage::StoreError;

use crate::Worker;
use crate::control::Writing;
use crate::download::{Failure, Mismatch, Stored};

/// A throttled task waits no longer than this before it asks again, whatever Drive asks for: the
/// quota's pause is as long, and it holds for every task.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What came of one execution.
pub(crate) enum Outcome {
    /// It is whole in the store; the file as Drive describes it now.
    Imported(SourceFile, Box<Stored>),
    /// It failed for a reason of its own that may pass.
    Retry(Cause, String, Option<Duration>),
    /// It failed for good.
    Rejected(Cause, String),
    /// Its import was cancelled, and nothing of it is in the store.
    Dropped,
}

/// What to do after a failed transfer.
enum Next {
    /// End this execution.
    End(Outcome),
    /// Again, without spending an attempt: something was away.
    Again,
    /// Again, without spending an attempt, but not at once: everybody was too fast.
    AgainLater(Option<Duration>),
    /// Other bytes came than were listed.
    Mismatch(Mismatch),
}

/// What earlier transfers of one execution have told.
#[derive(Default)]
struct Seen {
    /// The MD5 of bytes that did not match.
    md5: Option<String>,
    /// The file was not as listed any more.
    changed: bool,
}

impl Worker {
    /// Execute `task`, unless its import is cancelled; `seen_before` says that an earlier execution
    /// may have got far.
    pub(crate) async fn import(
        &self,
        task: &ImportImage,
        seen_before: bool,
        ticket: Ticket,
    ) -> Outcome {
        if self.is_cancelled(task) {
            return self.drop_cancelled(task, seen_before).await;
        }
        let writing = Writing::default();
        let outcome = tokio::select! {
            biased;
            outcome = self.execute(task, seen_before, ticket, &writing) => outcome,
            () = self.cancelled(task, &writing) => Outcome::Dropped,
        };
        // No retry and no failure of a cancelled import is told; but no object goes untold, either.
        if matches!(outcome, Outcome::Imported(..)) || !self.is_cancelled(task) {
            return outcome;
        }
        self.drop_cancelled(task, seen_before || writing.may_have_stored())
            .await
    }

    /// Give up a task of a cancelled import. If an execution `may_have_stored` its object, and it is
    /// whole, that is reported: every object has its row.
    async fn drop_cancelled(&self, task: &ImportImage, may_have_stored: bool) -> Outcome {
        if may_have_stored && let Some(stored) = self.look_first(task).await {
            return Outcome::Imported(task.file.clone(), Box::new(stored));
        }
        Outcome::Dropped
    }

    async fn execute(
        &self,
        task: &ImportImage,
        seen_before: bool,
        ticket: Ticket,
        writing: &Writing,
    ) -> Outcome {
        let mut ticket = Some(ticket);
        let mut file = task.file.clone();
        if seen_before && let Some(stored) = self.look_first(task).await {
            return Outcome::Imported(file, Box::new(stored));
        }
        let mut seen = Seen::default();
        let mut pause = Reconnect::default();
        loop {
            let drive = self.admit_to_drive().await;
            let store = self.store_breaker.admit().await;
            let result = self.transfer(task, &file, &mut ticket, writing).await;
            if result.is_err() {
                writing.failed();
            }
            self.count_download(&result);
            let next = match result {
                Ok(stored) => {
                    drive.answered();
                    store.answered();
                    self.quota.accepted();
                    return Outcome::Imported(file, Box::new(stored));
                }
                Err(failure) => self.judge(failure, drive, store).await,
            };
            match next {
                Next::End(outcome) => return outcome,
                Next::Again => {}
                Next::AgainLater(after) => {
                    let after = after.unwrap_or_default().min(LONGEST_PAUSE);
                    tokio::time::sleep(pause.next_delay().max(after)).await;
                }
                Next::Mismatch(mismatch) => {
                    match self.look_again(mismatch, &mut file, &mut seen).await {
                        Some(outcome) => return outcome,
                        None => continue,
                    }
                }
            }
        }
    }

    /// Whether an earlier execution stored it already. Costs Drive nothing.
    pub(crate) async fn look_first(&self, task: &ImportImage) -> Option<Stored> {
        loop {
            let permit = self.store_breaker.admit().await;
            match self.already_stored(task).await {
                Ok(found) => {
                    permit.answered();
                    return found;
                }
                Err(error) if error.kind() == storage::ErrorKind::Outage => {
                    permit.away(&chain(&error));
                }
                // Not being able to look is no reason not to do it.
                Err(_) => return None,
            }
        }
    }

    async fn judge(&self, failure: Failure, drive: Permit, store: Permit) -> Next {
        let message = chain(&failure);
        match failure {
            // The store was not asked: its permit is dropped without a word.
            Failure::Drive(error) => self.judge_drive(&error, message, drive).await,
            Failure::Store(error) => {
                drive.answered();
                judge_store(&error, message, store)
            }
            Failure::Rejected(cause, message) => {
                drive.answered();
                Next::End(Outcome::Rejected(cause, message))
            }
            Failure::Mismatch(mismatch) => {
                drive.answered();
                Next::Mismatch(mismatch)
            }
        }
    }

    async fn judge_drive(&self, error: &DriveError, message: String, permit: Permit) -> Next {
        match error.kind() {
            ErrorKind::Outage | ErrorKind::Credentials => {
                permit.away(&message);
                Next::Again
            }
            ErrorKind::Throttled { after } => {
                permit.answered();
                self.quota.throttled(after);
                tracing::debug!(error = message, "Drive throttles; slowing down");
                Next::AgainLater(after)
            }
            ErrorKind::Item | ErrorKind::Page => {
                permit.answered();
                let cause = match error {
                    DriveError::NotFound => Cause::SourceGone,
                    DriveError::Forbidden { .. } => Cause::SourceForbidden,
                    DriveError::NotDownloadable => Cause::NotDownloadable,
                    DriveError::Abusive => Cause::SourceAbusive,
                    DriveError::DownloadQuotaExceeded => Cause::DownloadQuotaExceeded,
                    _ => Cause::DriveRejected,
                };
                Next::End(Outcome::Rejected(cause, message))
            }
            // Is it this file, or is it Drive? An attempt is spent only if Drive is there.
            ErrorKind::Retry { after } => {
                if let Some(why) = self.why_drive_is_away().await {
                    permit.away(&why);
                    return Next::Again;
                }
                permit.answered();
                let cause = match error {
                    DriveError::Server { .. } | DriveError::Protocol(_) => Cause::DriveUnavailable,
                    _ => Cause::NetworkError,
                };
                Next::End(Outcome::Retry(cause, message, after))
            }
        }
    }

    /// Other bytes than listed: the file changed, the bytes were damaged, or Drive's checksum is
    /// wrong (seen with Google Photos). A second download tells the last two apart. `None` asks for
    /// another download of `file`.
    async fn look_again(
        &self,
        mismatch: Mismatch,
        file: &mut SourceFile,
        seen: &mut Seen,
    ) -> Option<Outcome> {
        let message = Failure::Mismatch(mismatch.clone()).to_string();
        if let Ok(Entry::File(now)) = self.ask(&file.id, file.resource_key.as_deref()).await
            && (&now.md5, &now.sha256, now.size) != (&file.md5, &file.sha256, file.size)
        {
            if seen.changed {
                let message = format!("the file keeps changing in Drive; {message}");
                return Some(Outcome::Retry(Cause::CorruptTransfer, message, None));
            }
            file.mime_type = now.mime_type;
            file.size = now.size;
            file.md5 = now.md5;
            file.sha256 = now.sha256;
            file.modified_time = now.modified_time;
            *seen = Seen {
                md5: None,
                changed: true,
            };
            return None;
        }
        match seen.md5.replace(mismatch.md5.clone()) {
            None => None,
            Some(first) if first == mismatch.md5 => {
                Some(Outcome::Rejected(Cause::ChecksumMismatch, message))
            }
            Some(_) => Some(Outcome::Retry(Cause::CorruptTransfer, message, None)),
        }
    }

    fn count_download(&self, result: &Result<Stored, Failure>) {
        let outcome = match result {
            Err(Failure::Drive(error)) => drive::outcome::of(error),
            _ => drive::outcome::OK,
        };
        self.metrics.asked_drive("download", outcome);
    }
}

fn judge_store(error: &StoreError, message: String, permit: Permit) -> Next {
    match error.kind() {
        storage::ErrorKind::Outage => {
            permit.away(&message);
            Next::Again
        }
        storage::ErrorKind::Retry => {
            permit.answered();
            Next::End(Outcome::Retry(Cause::CorruptTransfer, message, None))
        }
        storage::ErrorKind::Object => {
            permit.answered();
            let cause = match error {
                StoreError::TooLarge => Cause::TooLarge,
                _ => Cause::StoreRejected,
            };
            Next::End(Outcome::Rejected(cause, message))
        }
    }
}

/// The error with everything that led to it, without repeating what a source says again.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}
