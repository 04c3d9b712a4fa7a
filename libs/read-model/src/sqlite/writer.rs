//! The one writing connection, on a thread of its own behind a channel.

use std::path::PathBuf;
use std::thread;

use contracts::Event;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::file::{Opener, Reopened};
use super::schema::unavailable;
use super::write::{fold, forget_removals};
use crate::{Folded, ReadModelError, Result};

/// What one fold is asked to do.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) name: String,
    pub(super) expected: u64,
    pub(super) events: Vec<(u64, Event)>,
    pub(super) new_checkpoint: u64,
}

/// What the thread is asked to do, with where to put the answer.
#[derive(Debug)]
enum Order {
    Fold(Batch, oneshot::Sender<Result<Folded>>),
    ForgetRemovals(Vec<u64>, oneshot::Sender<Result<()>>),
}

/// The thread ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    orders: mpsc::Sender<Order>,
}

impl Writer {
    pub(super) async fn start(path: PathBuf, open: Opener) -> Result<Self> {
        let mut connection = spawn_blocking(move || Reopened::new(path, open))
            .await
            .map_err(unavailable)??;
        let (orders, mut inbox) = mpsc::channel(1);
        let work = move || {
            while let Some(order) = inbox.blocking_recv() {
                // Nobody waits any more: whoever asked will read the checkpoint.
                match order {
                    Order::Fold(batch, answer) => {
                        let _ = answer.send(connection.run(|sql| fold(sql, &batch)));
                    }
                    Order::ForgetRemovals(sequences, answer) => {
                        let _ = answer.send(connection.run(|sql| forget_removals(sql, &sequences)));
                    }
                }
            }
        };
        thread::Builder::new()
            .name("read-model".to_owned())
            .spawn(work)
            .map_err(unavailable)?;
        Ok(Self { orders })
    }

    pub(super) async fn fold(&self, batch: Batch) -> Result<Folded> {
        self.ask(|answer| Order::Fold(batch, answer)).await
    }

    pub(super) async fn forget_removals(&self, sequences: Vec<u64>) -> Result<()> {
        self.ask(|answer| Order::ForgetRemovals(sequences, answer))
            .await
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<Result<T>>) -> Order) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        self.orders
            .send(order(answer))
            .await
            .map_err(|_| WriterGone)?;
        answered.await.map_err(|_| WriterGone)?
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the writing thread has ended")]
struct WriterGone;

impl From<WriterGone> for ReadModelError {
    fn from(error: WriterGone) -> Self {
        unavailable(error)
    }
}
