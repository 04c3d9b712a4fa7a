//! What changes, told to everybody who listens: one reader for all streams, and only while there are
//! any.
//!
//! The reader asks for the projection's checkpoint, and for rows only when that has moved. What it finds
//! goes to a [`Board`] that holds the latest state of each import, written once for all. Streams are woken
//! and take from the board what they have not sent yet; one that is slow finds only the latest state
//! when it comes, and nobody waits for it.

mod board;
mod follow;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntGauge;
use read_model::{CHECKPOINT, ImportStatus, ImportsQuery};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::App;
use crate::config::Limits;
use crate::problem::{Code, Problem, Result};

use board::Board;
pub(crate) use follow::Follower;

/// Between two looks at the checkpoint.
const LOOK: Duration = Duration::from_millis(300);
/// Between two overviews.
const OVERVIEW: Duration = Duration::from_secs(1);
/// Imports read at once.
const ROWS: u32 = 500;

/// Where streams get what they send.
pub(crate) struct Hub {
    board: Mutex<Board>,
    /// Told whenever there is something new on the board, and when all streams are to end.
    news: watch::Sender<News>,
    /// Open streams.
    open: watch::Sender<usize>,
    most: usize,
    keep_alive: Duration,
    gauge: IntGauge,
}

/// Why streams are woken.
#[derive(Clone, Copy, Default)]
struct News {
    /// Rises with everything new.
    number: u64,
    closing: bool,
}

/// An open stream's place, given back on drop.
pub(crate) struct Seat {
    hub: Arc<Hub>,
}

impl Hub {
    /// For as many streams as `limits` allow, which `gauge` counts.
    pub(crate) fn new(limits: &Limits, gauge: IntGauge) -> Arc<Self> {
        Arc::new(Self {
            board: Mutex::default(),
            news: watch::Sender::default(),
            open: watch::Sender::default(),
            most: limits.streams,
            keep_alive: limits.keep_alive,
            gauge,
        })
    }

    /// A place for one more stream.
    pub(crate) fn join(self: &Arc<Self>) -> Result<Seat> {
        let joined = self.open.send_if_modified(|open| {
            let room = *open < self.most;
            *open += usize::from(room);
            room
        });
        if !joined || self.news.borrow().closing {
            if joined {
                drop(Seat::taken(self));
            }
            let detail =
                "As many streams are open as this gateway serves. Ask again in a few seconds.";
            return Err(Problem::new(Code::TooManyStreams, detail));
        }
        Ok(Seat::taken(self))
    }

    /// Ends every stream.
    pub(crate) fn close(&self) {
        self.news.send_modify(|news| news.closing = true);
    }

    /// Reads for the streams for as long as there are any, for ever.
    pub(crate) async fn run(&self, app: &App) {
        let mut open = self.open.subscribe();
        loop {
            let _ = open.wait_for(|open| *open > 0).await;
            tokio::select! {
                () = self.follow_rows(app) => {}
                () = self.follow_overview(app) => {}
                _ = open.wait_for(|open| *open == 0) => {}
            }
        }
    }

    async fn follow_rows(&self, app: &App) {
        let mut due = interval(LOOK);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            // Why not is what the overview tells under `waiting_for`.
            if let Err(problem) = self.read(app).await {
                tracing::debug!(
                    code = problem.code.as_str(),
                    "the tables cannot be followed"
                );
            }
        }
    }

    async fn read(&self, app: &App) -> Result<()> {
        let reads = &app.reads;
        let checkpoint = reads.ask(reads.model.checkpoint(CHECKPOINT)).await?;
        let known = self.board().known();
        let Some((epoch, from)) = known.filter(|(_, from)| *from <= checkpoint) else {
            return self.begin(app, checkpoint).await;
        };
        if from == checkpoint {
            return Ok(());
        }
        let mut after = from;
        loop {
            let rows = reads.ask(reads.model.changed_imports(after, ROWS)).await?;
            let last = rows.last().map(|row| row.revision);
            let more = rows.len() == ROWS as usize;
            // A page that is not the last one leaves the board short of the checkpoint.
            let until = if more {
                last.unwrap_or(from)
            } else {
                checkpoint
            };
            if !self.board().put(epoch, rows, until) {
                return Ok(());
            }
            self.tell();
            match last {
                Some(last) if more => after = last,
                _ => return Ok(()),
            }
        }
    }

    /// The imports that are not final, as of `checkpoint`: as many as the board holds, those that go on
    /// before those that are paused.
    async fn begin(&self, app: &App, checkpoint: u64) -> Result<()> {
        let reads = &app.reads;
        let mut rows = Vec::new();
        for status in [ImportStatus::Processing, ImportStatus::Paused] {
            let mut query = ImportsQuery {
                per_page: ROWS,
                status: Some(status),
                ..ImportsQuery::default()
            };
            while rows.len() < board::MOST {
                let page = reads.ask(reads.model.imports(query.clone())).await?;
                query.after = page.items.last().map(|row| row.id.clone());
                rows.extend(page.items);
                if !page.has_more {
                    break;
                }
            }
        }
        rows.truncate(board::MOST);
        self.board().begin(checkpoint, rows);
        self.tell();
        Ok(())
    }

    async fn follow_overview(&self, app: &App) {
        let mut due = interval(OVERVIEW);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            let overview = app.look.overview(app).await;
            if self.board().put_overview(&overview) {
                self.tell();
            }
        }
    }

    fn tell(&self) {
        self.news.send_modify(|news| news.number += 1);
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    fn taken(hub: &Arc<Hub>) -> Self {
        hub.gauge.inc();
        Self {
            hub: Arc::clone(hub),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.gauge.dec();
        let hub = &self.hub;
        hub.open.send_modify(|open| {
            *open = open.saturating_sub(1);
            if *open == 0 {
                // Nobody keeps it current from now on.
                hub.board().clear();
            }
        });
    }
}
