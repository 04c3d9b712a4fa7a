//! Giving an import up.

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::{DeleteMessageError, DeleteMessageErrorKind};
use contracts::{EventBody, ImportId, streams, subjects};
use futures::{StreamExt as _, TryStreamExt as _};

use super::next_message;
use crate::{Producer, announce, checkpoint};

/// Deletions under way at once.
const AT_ONCE: usize = 32;

impl Producer {
    /// Close the import to whoever still lists it, say so, and empty the queue.
    pub(super) async fn cancel(&self, import: &ImportId) -> anyhow::Result<()> {
        self.close(import).await?;
        let stream = self.nats.context.get_stream_no_info(streams::TASKS).await?;
        for waiting in [subjects::retries_of(import), subjects::parked_of(import)] {
            stream.purge().filter(waiting).await?;
        }
        self.take_back(import).await
    }

    /// After this no batch of a producer that still lists can be stored. If another one got its page
    /// in first, this fails, and is tried again.
    async fn close(&self, import: &ImportId) -> anyhow::Result<()> {
        let cancelled = EventBody::ImportCancelled {};
        match checkpoint::load(&self.nats, import).await? {
            Some((last, _)) if last.done => {
                announce::event(&self.nats, import, last.pages, cancelled).await
            }
            Some((last, sequence)) => {
                checkpoint::finish(&self.nats, import, cancelled, last.pages, sequence).await
            }
            None => checkpoint::finish(&self.nats, import, cancelled, 0, 0).await,
        }
    }

    /// Delete the tasks that no worker was ever handed. One that is held is its worker's: an object
    /// may be stored for it already, and must be reported.
    async fn take_back(&self, import: &ImportId) -> anyhow::Result<()> {
        let stream = self.nats.context.get_stream_no_info(streams::TASKS).await?;
        let tasks = subjects::task(import);
        loop {
            let workers = stream.consumer_info(streams::WORKERS).await?;
            let mut next = workers.delivered.stream_sequence + 1;
            let mut found = Vec::new();
            while let Some(message) = next_message(&stream, &tasks, next).await? {
                found.push(message.sequence);
                next = message.sequence + 1;
            }
            if found.is_empty() {
                return Ok(());
            }
            futures::stream::iter(found)
                .map(Ok)
                .try_for_each_concurrent(AT_ONCE, |sequence| {
                    let stream = &stream;
                    async move {
                        match stream.delete_message(sequence).await {
                            Ok(_) => Ok(()),
                            // Somebody was faster: another who carries this out, or a worker.
                            Err(error) if is_gone(&error) => Ok(()),
                            Err(error) => Err(anyhow::Error::from(error)),
                        }
                    }
                })
                .await?;
        }
    }
}

fn is_gone(error: &DeleteMessageError) -> bool {
    match error.kind() {
        DeleteMessageErrorKind::JetStream(error) => matches!(
            error.error_code(),
            ErrorCode::NO_MESSAGE_FOUND
                | ErrorCode::SEQUENCE_NOT_FOUND
                | ErrorCode::STREAM_MESSAGE_DELETE_FAILED
        ),
        DeleteMessageErrorKind::Request | DeleteMessageErrorKind::TimedOut => false,
    }
}
