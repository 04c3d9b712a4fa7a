//! Telling an outage from one image's trouble, and waiting while something is away.

use drive::{DriveError, Entry, ErrorKind, cost, outcome};
use runtime::breaker::Permit;

use crate::Worker;
use crate::import::chain;

impl Worker {
    /// Leave to use Drive. While it is away one task at a time asks a cheap question; an image is
    /// downloaded only once that is answered.
    pub(crate) async fn admit_to_drive(&self) -> Permit {
        loop {
            let permit = self.drive_breaker.admit().await;
            if !self.drive_breaker.is_open() {
                return permit;
            }
            match self.why_drive_is_away().await {
                Some(why) => permit.away(&why),
                None => permit.answered(),
            }
        }
    }

    /// Ask Drive about a file that nobody has: an answer, even a refusal, means that it is there.
    /// The image's own file would not do, because one broken file is no outage.
    pub(crate) async fn why_drive_is_away(&self) -> Option<String> {
        let error = self.ask(&self.nobody, None).await.err()?;
        match error.kind() {
            ErrorKind::Retry { .. } | ErrorKind::Outage | ErrorKind::Credentials => {
                Some(chain(&error))
            }
            ErrorKind::Throttled { .. } | ErrorKind::Item | ErrorKind::Page => None,
        }
    }

    /// Metadata of a file.
    pub(crate) async fn ask(
        &self,
        file: &contracts::FileId,
        resource_key: Option<&str>,
    ) -> Result<Entry, DriveError> {
        self.quota.acquire(cost::GET).await;
        let answer = self.drive.file(file, resource_key).await;
        let outcome = answer.as_ref().map_or_else(outcome::of, |_| outcome::OK);
        self.metrics.asked_drive("get", outcome);
        answer
    }

    /// Wait while something is away, as long as somebody here holds a task: whoever holds one finds
    /// out when it is back. With nobody left to do so, the next task will.
    pub(crate) async fn may_fetch(&self) {
        let closed = async {
            self.drive_breaker.closed().await;
            self.store_breaker.closed().await;
        };
        tokio::select! {
            biased;
            () = closed => {}
            () = self.held.none() => {}
        }
    }

    /// Returns if the stop comes while something is away: a drain does not wait for an outage.
    pub(crate) async fn stopped_in_outage(&self) {
        self.stop.cancelled().await;
        if !self.drive_breaker.is_open() && !self.store_breaker.is_open() {
            std::future::pending::<()>().await;
        }
    }
}
