//! One image: look, transfer, and judge what went wrong.

use std::time::Duration;

use contracts::{Cause, ImportImage, SourceFile};
use drive::{DriveError, Entry, ErrorKind, cost};
use runtime::breaker::Permit;

use crate::Worker;
use crate::download::{Failure, Mismatch, Stored};

/// What came of one execution.
pub(crate) enum Outcome {
    /// It is whole in the store; the file as Drive describes it now.
    Imported(SourceFile, Box<Stored>),
    /// It failed for a reason of its own that may pass.
    Retry(Cause, String, Option<Duration>),
    /// It failed for good.
    Rejected(Cause, String),
}

/// What to do after a failed transfer.
enum Next {
    /// End this execution.
    End(Outcome),
    /// Again, without spending an attempt: something was away.
    Again,
    /// Again, once: the file changed, or its bytes were damaged.
    AgainWith(SourceFile, Option<Mismatch>),
}

impl Worker {
    /// Execute `task`; `seen_before` says that an earlier delivery may have got far.
    pub(crate) async fn import(&self, task: &ImportImage, seen_before: bool) -> Outcome {
        let mut file = task.file.clone();
        if seen_before && let Some(stored) = self.look_first(task).await {
            return Outcome::Imported(file, Box::new(stored));
        }
        let mut mismatch: Option<Mismatch> = None;
        loop {
            let drive = self.drive_breaker.admit().await;
            let store = self.store_breaker.admit().await;
            let result = self.transfer(&file, &task.destination_prefix).await;
            self.count_download(&result);
            match result {
                Ok(stored) => {
                    drive.answered();
                    store.answered();
                    self.quota.accepted();
                    return Outcome::Imported(file, Box::new(stored));
                }
                Err(failure) => match self
                    .judge(failure, &file, mismatch.take(), drive, store)
                    .await
                {
                    Next::End(outcome) => return outcome,
                    Next::Again => {}
                    Next::AgainWith(now, seen) => (file, mismatch) = (now, seen),
                },
            }
        }
    }

    /// Whether an earlier delivery stored it already. Costs Drive nothing.
    async fn look_first(&self, task: &ImportImage) -> Option<Stored> {
        loop {
            let permit = self.store_breaker.admit().await;
            match self
                .already_stored(&task.file, &task.destination_prefix)
                .await
            {
                Ok(found) => {
                    permit.answered();
                    return found;
                }
                Err(error) if error.kind() == storage::ErrorKind::Outage => {
                    permit.away(&error.to_string())
                }
                // Not being able to look is no reason not to do it.
                Err(_) => return None,
            }
        }
    }

    async fn judge(
        &self,
        failure: Failure,
        file: &SourceFile,
        seen: Option<Mismatch>,
        drive: Permit,
        store: Permit,
    ) -> Next {
        let message = chain(&failure);
        match failure {
            Failure::Drive(error) => self.judge_drive(&error, message, file, drive).await,
            Failure::Store(error) => {
                drive.answered();
                match error.kind() {
                    storage::ErrorKind::Outage => {
                        store.away(&message);
                        Next::Again
                    }
                    storage::ErrorKind::Retry => {
                        store.answered();
                        Next::End(Outcome::Retry(Cause::CorruptTransfer, message, None))
                    }
                    storage::ErrorKind::Object => {
                        store.answered();
                        Next::End(Outcome::Rejected(Cause::StoreRejected, message))
                    }
                }
            }
            Failure::Rejected(cause, message) => {
                drive.answered();
                store.answered();
                Next::End(Outcome::Rejected(cause, message))
            }
            Failure::Mismatch(mismatch) => {
                drive.answered();
                store.answered();
                self.judge_mismatch(mismatch, message, file, seen).await
            }
        }
    }

    async fn judge_drive(
        &self,
        error: &DriveError,
        message: String,
        file: &SourceFile,
        permit: Permit,
    ) -> Next {
        let retry = |cause, after| Next::End(Outcome::Retry(cause, message.clone(), after));
        match error.kind() {
            ErrorKind::Outage | ErrorKind::Credentials => {
                permit.away(&message);
                Next::Again
            }
            ErrorKind::Throttled { after } => {
                permit.answered();
                self.quota.throttled(after);
                retry(Cause::DriveThrottled, after)
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
            // Is it this file, or is it Drive? A cheap question tells: an attempt is spent only if
            // Drive answers it.
            ErrorKind::Retry { after } => match self.ask(file).await {
                Err(probe) if away(&probe) => {
                    permit.away(&message);
                    Next::Again
                }
                _ => {
                    permit.answered();
                    let cause = match error {
                        DriveError::Server { .. } | DriveError::Protocol(_) => {
                            Cause::DriveUnavailable
                        }
                        _ => Cause::NetworkError,
                    };
                    retry(cause, after)
                }
            },
        }
    }

    /// Other bytes than listed: the file changed, the bytes were damaged, or Drive's checksum is
    /// wrong (seen with Google Photos). A second download tells the last two apart.
    async fn judge_mismatch(
        &self,
        mismatch: Mismatch,
        message: String,
        file: &SourceFile,
        seen: Option<Mismatch>,
    ) -> Next {
        if let Ok(Entry::File(now)) = self.ask(file).await {
            let changed = (&now.md5, &now.sha256, now.size) != (&file.md5, &file.sha256, file.size);
            if changed {
                let now = SourceFile {
                    mime_type: now.mime_type,
                    size: now.size,
                    md5: now.md5,
                    sha256: now.sha256,
                    modified_time: now.modified_time,
                    ..file.clone()
                };
                return Next::AgainWith(now, None);
            }
        }
        match seen {
            None => Next::AgainWith(file.clone(), Some(mismatch)),
            Some(first) if first.md5 == mismatch.md5 => {
                Next::End(Outcome::Rejected(Cause::ChecksumMismatch, message))
            }
            Some(_) => Next::End(Outcome::Retry(Cause::CorruptTransfer, message, None)),
        }
    }

    async fn ask(&self, file: &SourceFile) -> Result<Entry, DriveError> {
        self.quota.acquire(cost::GET).await;
        let answer = self
            .drive
            .file(&file.id, file.resource_key.as_deref())
            .await;
        let outcome = if answer.is_ok() { "ok" } else { "error" };
        self.metrics
            .drive_requests
            .with_label_values(&["get", outcome])
            .inc();
        answer
    }

    fn count_download(&self, result: &Result<Stored, Failure>) {
        let outcome = match result {
            Err(Failure::Drive(error)) => match error.kind() {
                ErrorKind::Retry { .. } => "retry",
                ErrorKind::Throttled { .. } => "throttled",
                ErrorKind::Outage => "outage",
                ErrorKind::Credentials => "credentials",
                ErrorKind::Item | ErrorKind::Page => "refused",
            },
            _ => "ok",
        };
        self.metrics
            .drive_requests
            .with_label_values(&["download", outcome])
            .inc();
    }
}

/// Whether the answer to a cheap question says that Drive is away for everybody.
fn away(error: &DriveError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Retry { .. } | ErrorKind::Outage | ErrorKind::Credentials
    )
}

/// The error with everything that led to it, without repeating what a source says again.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
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
