//! The one writing connection, on a thread of its own behind a channel.

use std::path::PathBuf;
use std::thread;

use contracts::Event;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::schema::{open_writer, unavailable};
use super::write::fold;
use crate::{Folded, ReadModelError, Result};

/// What one fold is asked to do.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) name: String,
    pub(super) expected: u64,
    pub(super) events: Vec<(u64, Event)>,
    pub(super) new_checkpoint: u64,
}

#[derive(Debug)]
struct Order {
    batch: Batch,
    answer: oneshot::Sender<Result<Folded>>,
}

/// The thread ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    orders: mpsc::Sender<Order>,
}

impl Writer {
    pub(super) async fn start(path: PathBuf) -> Result<Self> {
        let file = path.clone();
        let connection = spawn_blocking(move || open_writer(&file))
            .await
            .map_err(unavailable)??;
        let (orders, inbox) = mpsc::channel(1);
        thread::Builder::new()
            .name("read-model".to_owned())
            .spawn(move || work(&path, connection, inbox))
            .map_err(unavailable)?;
        Ok(Self { orders })
    }

    pub(super) async fn fold(&self, batch: Batch) -> Result<Folded> {
        let (answer, folded) = oneshot::channel();
        self.orders
            .send(Order { batch, answer })
            .await
            .map_err(|_| WriterGone)?;
        folded.await.map_err(|_| WriterGone)?
    }
}

fn work(path: &std::path::Path, connection: Connection, mut inbox: mpsc::Receiver<Order>) {
    let mut open = Some(connection);
    while let Some(Order { batch, answer }) = inbox.blocking_recv() {
        let folded = match open.take().map_or_else(|| open_writer(path), Ok) {
            Ok(mut connection) => {
                let folded = fold(&mut connection, &batch);
                // After an error other than a lost race, nothing is assumed about the connection.
                if matches!(folded, Ok(_) | Err(ReadModelError::Fenced { .. })) {
                    open = Some(connection);
                }
                folded
            }
            Err(error) => Err(error),
        };
        // Nobody waits any more: whoever asked will read the checkpoint.
        let _ = answer.send(folded);
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
