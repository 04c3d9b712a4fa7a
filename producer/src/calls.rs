//! Calls to Drive: paced, counted, and patient while Drive is away.

use std::future::Future;
use std::sync::{MutexGuard, PoisonError};

use drive::{DriveError, Entry, ErrorKind, Folder, FolderRef, Page, cost, outcome};
use runtime::backoff::Reconnect;
use tokio::time::Instant;

use crate::Producer;
use crate::checkpoint::FolderNode;
use crate::metrics::took;

/// Answers that make no sense before a single item is held to be the reason.
const SENSELESS_ANSWERS: u32 = 5;

/// Failures of one call in a row after which Drive itself is asked whether it is there.
const SUSPICIOUS: u32 = 3;

/// A call for a page.
const LIST: &str = "list";
/// Held while something is asked of Drive: the process then takes its part of the quota.
struct Busy<'a>(&'a Producer);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut calls = self.0.calls();
        *calls -= 1;
        self.0.activity.set_busy(*calls > 0);
    }
}

impl Producer {
    fn busy(&self) -> Busy<'_> {
        let mut calls = self.calls();
        *calls += 1;
        self.activity.set_busy(true);
        Busy(self)
    }

    fn calls(&self) -> MutexGuard<'_, usize> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Look up the import's folder. Wrong credentials are an answer here: nothing has begun yet, and
    /// whoever asked should know at once.
    pub(crate) async fn look_up(&self, folder: &FolderRef) -> Result<Folder, DriveError> {
        let refused = |error: &DriveError, _| error.kind() == ErrorKind::Credentials;
        self.patiently("get", cost::GET, refused, || self.drive.folder(folder))
            .await
    }

    /// One page of a folder.
    pub(crate) async fn list_page(
        &self,
        folder: &FolderNode,
        token: Option<&str>,
    ) -> Result<Page, DriveError> {
        let folder = Folder {
            id: folder.id.clone(),
            name: String::new(),
            resource_key: folder.resource_key.clone(),
            drive_id: folder.drive_id.clone(),
        };
        let never = |_: &DriveError, _| false;
        self.patiently(LIST, cost::LIST, never, || self.drive.list(&folder, token))
            .await
    }

    /// What a shortcut points to. Metadata that makes no sense, time after time, is the target's
    /// own: it must not hold up the import.
    pub(crate) async fn target(&self, shortcut: &drive::Shortcut) -> Result<Entry, DriveError> {
        let key = shortcut.target_resource_key.as_deref();
        let senseless = |error: &DriveError, tries| {
            matches!(error, DriveError::Protocol(_)) && tries >= SENSELESS_ANSWERS
        };
        self.patiently("get", cost::GET, senseless, || {
            self.drive.file(&shortcut.target_id, key)
        })
        .await
    }

    /// Ask Drive about a file that nobody has: an answer, even a refusal, means that it is there.
    async fn why_drive_is_away(&self) -> Option<String> {
        self.quota.acquire(cost::GET).await;
        let answer = self.drive.file(&self.nobody, None).await;
        let outcome = answer.as_ref().map_or_else(outcome::of, |_| outcome::OK);
        self.metrics
            .drive_requests
            .with_label_values(&["get", outcome])
            .inc();
        let error = answer.err()?;
        match error.kind() {
            ErrorKind::Retry { .. } | ErrorKind::Outage | ErrorKind::Credentials => {
                Some(error.to_string())
            }
            ErrorKind::Throttled { .. } | ErrorKind::Item | ErrorKind::Page => None,
        }
    }

    /// Call until there is an answer. What may pass (faults, outages, wrong credentials) is waited
    /// out unless `give_up`, told the error and the number of tries, says otherwise; the caller's
    /// lease is heartbeaten meanwhile.
    async fn patiently<T, F, Fut>(
        &self,
        call: &str,
        units: u32,
        give_up: impl Fn(&DriveError, u32) -> bool,
        make: F,
    ) -> Result<T, DriveError>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, DriveError>>,
    {
        let _busy = self.busy();
        let mut pause = Reconnect::default();
        let mut tries = 0;
        loop {
            tries += 1;
            let permit = self.breaker.admit().await;
            let asked = Instant::now();
            self.quota.acquire(units).await;
            let waited = asked.elapsed();
            self.appetite.waited(waited);
            let asked = Instant::now();
            let result = make().await;
            if call == LIST {
                took(&self.metrics.phases.quota, waited);
                took(&self.metrics.phases.list, asked.elapsed());
            }
            let outcome = result.as_ref().map_or_else(outcome::of, |_| outcome::OK);
            self.metrics
                .drive_requests
                .with_label_values(&[call, outcome])
                .inc();
            let error = match result {
                Ok(value) => {
                    self.quota.accepted();
                    permit.answered();
                    return Ok(value);
                }
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Item | ErrorKind::Page => {
                    permit.answered();
                    return Err(error);
                }
                // The permit is dropped without a word: this neither opens nor closes the breaker.
                _ if give_up(&error, tries) => return Err(error),
                ErrorKind::Credentials | ErrorKind::Outage => permit.away(&error.to_string()),
                ErrorKind::Throttled { after } => {
                    permit.answered();
                    self.quota.throttled(after);
                    tracing::info!(call, error = %error, "Drive throttles; slowing down");
                    tokio::time::sleep(pause.next_delay().max(after.unwrap_or_default())).await;
                }
                ErrorKind::Retry { after } => {
                    // One broken folder is no outage, so it is not the folder that is asked about.
                    // Nor may one that has only begun to fail end the outage that others have found.
                    if (tries >= SUSPICIOUS || self.breaker.is_open())
                        && let Some(why) = self.why_drive_is_away().await
                    {
                        permit.away(&why);
                        tokio::time::sleep(after.unwrap_or_default()).await;
                        continue;
                    }
                    permit.answered();
                    tracing::warn!(call, error = %error, "Drive failed to answer; asking again");
                    tokio::time::sleep(pause.next_delay().max(after.unwrap_or_default())).await;
                }
            }
        }
    }
}
