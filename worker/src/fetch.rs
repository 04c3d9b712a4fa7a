//! A download that survives broken connections and outages: it goes on where it broke off.
//!
//! Only files whose checksum Drive listed are resumed, because only the checksum of the whole tells
//! that the parts belong together.

use bytes::Bytes;
use contracts::SourceFile;
use drive::{Download, DriveError, ErrorKind, cost, outcome};
use runtime::backoff::Reconnect;

use crate::Worker;
use crate::import::{LONGEST_PAUSE, chain};

/// So many resumptions in a row may bring less than [`PROGRESS`]; then the execution has failed.
const FRUITLESS: u32 = 3;
/// What a resumption must bring to count as progress.
const PROGRESS: u64 = 1 << 20;

/// The bytes of a file, as they arrive, over as many connections as it takes.
pub(crate) struct Fetch<'a> {
    worker: &'a Worker,
    file: &'a SourceFile,
    body: Download,
    /// Bytes of the whole file, if Drive said.
    length: Option<u64>,
    received: u64,
    /// `received` when the current connection began.
    begun_at: u64,
    /// Resumptions since there was progress.
    fruitless: u32,
    pause: Reconnect,
}

impl Worker {
    /// Begin to download `file`. It is paid for.
    pub(crate) async fn fetch<'a>(&'a self, file: &'a SourceFile) -> Result<Fetch<'a>, DriveError> {
        let key = file.resource_key.as_deref();
        let body = self.drive.download(&file.id, key).await?;
        Ok(Fetch {
            worker: self,
            file,
            length: body.length,
            body,
            received: 0,
            begun_at: 0,
            fruitless: 0,
            pause: Reconnect::default(),
        })
    }
}

impl Fetch<'_> {
    /// Bytes of the whole file, if Drive said.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next bytes; `None` once all have arrived.
    ///
    /// # Errors
    /// What broke the connection, if the file cannot be resumed or resuming it brings too little;
    /// else what Drive says to going on.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, DriveError> {
        loop {
            match self.body.chunk().await {
                Ok(Some(bytes)) => {
                    self.received += bytes.len() as u64;
                    self.worker.metrics.downloaded.inc_by(bytes.len() as u64);
                    return Ok(Some(bytes));
                }
                Ok(None) => return Ok(None),
                Err(broken) => self.resume(broken).await?,
            }
        }
    }

    /// Open a connection for the rest of the file.
    async fn resume(&mut self, broken: DriveError) -> Result<(), DriveError> {
        let checked = self.file.md5.is_some() || self.file.sha256.is_some();
        let Some(length) = self
            .length
            .filter(|length| checked && (1..*length).contains(&self.received))
        else {
            return Err(broken);
        };
        loop {
            if self.received - self.begun_at >= PROGRESS {
                self.fruitless = 0;
                self.pause.reset();
            }
            // At once after progress. Else: is it this line, or is it Drive?
            if self.fruitless > 0 {
                match self.worker.why_drive_is_away().await {
                    Some(why) => self.wait_out(&why).await,
                    None if self.fruitless >= FRUITLESS => return Err(broken),
                    None => tokio::time::sleep(self.pause.next_delay()).await,
                }
            }
            self.fruitless += 1;
            self.begun_at = self.received;
            self.worker.quota.acquire(cost::DOWNLOAD).await;
            let key = self.file.resource_key.as_deref();
            let rest = self
                .worker
                .drive
                .download_from(&self.file.id, key, self.received, length)
                .await;
            let outcome = rest.as_ref().map_or_else(outcome::of, |_| outcome::OK);
            self.worker.metrics.asked_drive("resume", outcome);
            let error = match rest {
                Ok(rest) => {
                    tracing::debug!(
                        image.id = %self.file.id,
                        at_bytes = self.received,
                        error = %broken,
                        "download resumed"
                    );
                    self.body = rest;
                    return Ok(());
                }
                Err(DriveError::NotResumable) => return Err(broken),
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Retry { .. } => {}
                ErrorKind::Outage | ErrorKind::Credentials => self.wait_out(&chain(&error)).await,
                // Everybody was too fast; it says nothing about this line.
                ErrorKind::Throttled { after } => {
                    self.fruitless -= 1;
                    self.worker.quota.throttled(after);
                    let after = after.unwrap_or_default().min(LONGEST_PAUSE);
                    tokio::time::sleep(self.pause.next_delay().max(after)).await;
                }
                ErrorKind::Item | ErrorKind::Page => return Err(error),
            }
        }
    }

    /// Drive is away: wait until it is back. What broke before says nothing about this line.
    async fn wait_out(&mut self, why: &str) {
        if let Some(permit) = self.worker.drive_breaker.try_admit() {
            permit.away(why);
        }
        // Dropped without a word: the next request tells.
        let _permit = self.worker.admit_to_drive().await;
        self.fruitless = 0;
    }
}
