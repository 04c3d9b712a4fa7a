//! Listing a folder tree, page by page, each page one atomic batch or several.

use bytes::Bytes;
use contracts::{Cause, EventBody, ImportId, ImportRequest, Task, subjects};
use drive::{DriveError, ErrorKind, Page};
use jetstream::batch::{self, BatchError, Checkpoint as Checkpointed, Message};
use runtime::backoff::Reconnect;
use runtime::trace::{self, TraceContext};
use tokio::time::Instant;

use crate::checkpoint::{Checkpoint, FolderNode, PagePart};
use crate::metrics::took;
use crate::sort::Sorted;
use crate::{Producer, announce, checkpoint};

/// A checkpoint must fit into one message (`max_payload` is 8 MB), its page's event included.
const MAX_CHECKPOINT_BYTES: usize = 6 << 20;

/// Tasks in one batch at most; the checkpoint is one message more.
const MAX_TASKS: usize = batch::MAX_MESSAGES - 1;
/// So many ids of folders in the checkpoint weigh about as much as one task.
const IDS_PER_TASK: usize = 16;

/// Why listing an import ended early.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// Another producer has taken over.
    Fenced,
    /// The import cannot go on.
    Failed {
        cause: Cause,
        message: String,
        /// Batches published before.
        pages: u64,
        /// Stream sequence of the checkpoint it got to; 0 if it got to none.
        sequence: u64,
    },
    /// NATS is away or refuses; the import goes on when it is delivered again.
    Interrupted(anyhow::Error),
}

/// A page that was listed before its turn. It is in no checkpoint: whoever takes over lists it.
type Ahead = (PagePart, Result<Page, DriveError>);

impl<E: Into<anyhow::Error>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Interrupted(error.into())
    }
}

impl Producer {
    /// List `request`'s folder to the end, from the last checkpoint on.
    pub(crate) async fn list_import(
        &self,
        import: &ImportId,
        request: &ImportRequest,
    ) -> Result<(), Stopped> {
        let (mut at, mut sequence) = match checkpoint::load(&self.nats, import).await? {
            Some(found) => found,
            None => (self.open(import, request).await?, 0),
        };
        if let Some(event) = at.announce.take() {
            announce::event(&self.nats, import, at.pages, event).await?;
        }
        if at.done {
            return Ok(());
        }
        let mut relist = Reconnect::default();
        let mut ahead = None;
        while let Some(part) = at.next() {
            let folder = part.folder.clone();
            // A page may hold as many.
            let trace = TraceContext::current().batch(at.queued, MAX_TASKS);
            let listed = match ahead.take() {
                Some((of, listed)) if of == part => listed,
                _ => {
                    self.room(import).await?;
                    let listing = self.list_page(&folder, part.token.as_deref());
                    trace.clone().around(listing).await
                }
            };
            let (page, next) = match listed {
                Ok(page) => {
                    let next = page.next.clone();
                    (Ok(page), next)
                }
                Err(DriveError::PageTokenRejected) => {
                    // Tokens live for hours only. List the folder again: every entry is counted by
                    // its id, so those already listed count no second time.
                    tracing::warn!(import.id = %import, folder.id = %folder.id, "page token expired; listing the folder again");
                    relist.wait().await;
                    at.frontier.push(folder);
                    continue;
                }
                Err(error) if folder.is_root() => {
                    return Err(self.refused(&error, at.pages, sequence));
                }
                Err(error) => {
                    // A subfolder that vanished or is closed to us costs only itself, but it must
                    // show: what it holds is unknown.
                    tracing::warn!(import.id = %import, folder.id = %folder.id, error = %error, "subfolder cannot be listed");
                    (Err(Sorted::unreadable(&folder)), None)
                }
            };
            relist.reset();
            let mut sorted = match page {
                Ok(page) => {
                    if page.incomplete {
                        tracing::warn!(import.id = %import, folder.id = %folder.id, "Drive says that it may have left out entries of this page");
                    }
                    self.sort_out(request, &folder, page, &mut at).await
                }
                Err(unreadable) => unreadable,
            };
            sorted.without(&part.published);
            at.partial = Some(part);
            let next = next.map(|token| (folder, token));
            let upcoming = at.upcoming(next.as_ref());
            let publish = self.publish_page(import, request, sorted, &mut at, next, sequence);
            // Meanwhile the next page is asked for, so that workers do not wait for Drive, too.
            let list_ahead = trace.around(self.list_ahead(upcoming));
            (sequence, ahead) = tokio::try_join!(publish, async { Ok(list_ahead.await) })?;
        }
        let pages = at.pages;
        let completed = EventBody::ImportListingCompleted { pages };
        checkpoint::finish(&self.nats, import, completed, pages, sequence).await?;
        Ok(())
    }

    /// List a page before its turn. What Drive says of it, good or bad, is seen to when its turn comes.
    async fn list_ahead(&self, part: Option<PagePart>) -> Option<Ahead> {
        let part = part?;
        let listed = self.list_page(&part.folder, part.token.as_deref()).await;
        Some((part, listed))
    }

    /// Wait until the queue has room for tasks of `import`; for how many.
    async fn room(&self, import: &ImportId) -> anyhow::Result<usize> {
        let begun = Instant::now();
        let room = self.window.wait_for_room(&self.nats, import).await?;
        took(&self.metrics.phases.room, begun.elapsed());
        Ok(room)
    }

    /// Publish a sorted page as the queue has room, in batches. After the last one listing goes on
    /// at `next`.
    async fn publish_page(
        &self,
        import: &ImportId,
        request: &ImportRequest,
        mut sorted: Sorted,
        at: &mut Checkpoint,
        next: Option<(FolderNode, String)>,
        mut sequence: u64,
    ) -> Result<u64, Stopped> {
        loop {
            // A batch repeats what is known of the folders, so with much of that it holds more.
            let least = at.visited.len() / IDS_PER_TASK;
            let room = self.room(import).await?;
            let room = room.max(least).min(MAX_TASKS);
            let now = sorted.split(room);
            at.pages += 1;
            if sorted.is_empty() {
                at.partial = None;
                at.current.clone_from(&next);
            } else if let Some(partial) = &mut at.partial {
                partial.published.extend(now.ids());
            }
            self.metrics
                .entries
                .with_label_values(&["skipped"])
                .inc_by(now.skipped.len() as u64);
            let tasks = now.tasks(import, &request.destination_prefix);
            let event = now.event(at.pages);
            at.announce = Some(event.clone());
            let first = at.queued;
            at.queued += tasks.len() as u64;
            let trace = TraceContext::current().batch(first, tasks.len());
            let publish = async {
                let publish = self.publish_batch(import, tasks, first, at, sequence);
                let sequence = publish.await?;
                announce::event(&self.nats, import, at.pages, event).await?;
                Ok::<_, Stopped>(sequence)
            };
            sequence = trace.around(publish).await?;
            at.announce = None;
            if at.partial.is_none() {
                return Ok(sequence);
            }
        }
    }

    /// Look the folder up and say that the import has begun.
    async fn open(
        &self,
        import: &ImportId,
        request: &ImportRequest,
    ) -> Result<Checkpoint, Stopped> {
        let folder =
            drive::parse_folder(request.source.folder()).map_err(|error| Stopped::Failed {
                cause: Cause::NotAFolderUrl,
                message: error.to_string(),
                pages: 0,
                sequence: 0,
            })?;
        let found = self
            .look_up(&folder)
            .await
            .map_err(|error| self.refused(&error, 0, 0))?;
        let accepted = EventBody::ImportAccepted {
            request: request.clone(),
            folder_name: Some(found.name),
        };
        announce::event(&self.nats, import, 0, accepted).await?;
        Ok(Checkpoint::start(FolderNode {
            id: found.id,
            resource_key: found.resource_key.or(folder.resource_key),
            drive_id: found.drive_id,
            path: String::new(),
        }))
    }

    /// One batch: tasks, from the import's `first` on, and the checkpoint behind them. Gives the checkpoint's sequence.
    async fn publish_batch(
        &self,
        import: &ImportId,
        tasks: Vec<Task>,
        first: u64,
        at: &Checkpoint,
        expected: u64,
    ) -> Result<u64, Stopped> {
        let payload = contracts::encode(at)?;
        if payload.len() > MAX_CHECKPOINT_BYTES {
            let cause = Cause::FolderTreeTooLarge;
            return Err(Stopped::Failed {
                cause,
                message: format!(
                    "{} folders have been found so far. {}",
                    at.visited.len(),
                    cause.advice()
                ),
                pages: at.pages - 1,
                sequence: expected,
            });
        }
        let subject = subjects::task(import);
        let messages = tasks
            .iter()
            .zip(first..)
            .map(|(task, n)| {
                Ok(Message {
                    subject: subject.clone(),
                    payload: Bytes::from(contracts::encode(task)?),
                    recorded: trace::is_recorded(n),
                })
            })
            .collect::<Result<Vec<_>, serde_json::Error>>()?;
        let checkpoint = Checkpointed {
            subject: subjects::checkpoint(import),
            payload: payload.into(),
            expected,
        };
        let begun = Instant::now();
        let published = batch::publish(&self.nats, messages, checkpoint).await;
        took(&self.metrics.phases.publish, begun.elapsed());
        match published {
            Ok(sequence) => {
                self.metrics.batches.inc();
                self.metrics
                    .entries
                    .with_label_values(&["queued"])
                    .inc_by(tasks.len() as u64);
                Ok(sequence)
            }
            Err(BatchError::Fenced) => Err(Stopped::Fenced),
            Err(error) => Err(error.into()),
        }
    }

    /// The folder itself cannot be listed: the import fails, with advice.
    fn refused(&self, error: &DriveError, pages: u64, sequence: u64) -> Stopped {
        let cause = match error {
            DriveError::NotAFolder => Cause::NotAFolder,
            DriveError::NotFound => Cause::FolderNotFound,
            DriveError::Forbidden { .. } => Cause::FolderForbidden,
            error if error.kind() == ErrorKind::Credentials => Cause::CredentialsRejected,
            _ => Cause::DriveRejected,
        };
        let credentials = self.drive.auth().credentials();
        let share = match (cause, credentials.and_then(|all| all.address())) {
            (Cause::FolderNotFound | Cause::FolderForbidden, Some(address)) => {
                format!("Imagefleet reads Drive as {address}. ")
            }
            _ => String::new(),
        };
        Stopped::Failed {
            cause,
            message: format!("{error}. {share}{}", cause.advice()),
            pages,
            sequence,
        }
    }
}
