//! One stream of events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use contracts::ImportId;
use futures::stream;
use read_model::CHECKPOINT;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::board::{Board, Frame};
use super::{News, Seat};
use crate::app::App;
use crate::routes::imports::Known;

/// Imports taken from the board at once.
const TAKEN: usize = 64;

const RETRY: Bytes = Bytes::from_static(b"retry: 2000\n\n");
const ALIVE: Bytes = Bytes::from_static(b":\n\n");
const BYE: Bytes = Bytes::from_static(b"event: bye\ndata: {}\n\n");

/// What one client is told, and how far it is.
pub(crate) struct Follower {
    seat: Seat,
    news: watch::Receiver<News>,
    scope: Scope,
    ready: VecDeque<Bytes>,
    /// Nothing more comes after what is ready.
    over: bool,
    spoke: Instant,
}

enum Scope {
    All(All),
    One(One),
}

/// Every import that changes, and the overview.
struct All {
    /// Where the client says that it is.
    last: Option<u64>,
    /// The board that was begun with.
    epoch: Option<u64>,
    /// The client has every import up to this revision.
    seen: u64,
    overviews: u64,
}

/// One import.
struct One {
    app: Arc<App>,
    import: ImportId,
    epoch: Option<u64>,
    /// The revision that the client has.
    sent: u64,
    /// Up to this one nothing was missed.
    synced: u64,
}

impl Follower {
    /// Imports that change after `last` (without it, at first those that are not final), and the overview.
    pub(crate) fn of_all(seat: Seat, last: Option<u64>) -> Self {
        Self::new(
            seat,
            Scope::All(All {
                last,
                epoch: None,
                seen: 0,
                overviews: 0,
            }),
        )
    }

    /// The import that is `known` as of the revision `synced`; told unless the client has it, as `last`
    /// says.
    pub(crate) fn of_one(
        seat: Seat,
        app: Arc<App>,
        known: &Known,
        synced: u64,
        last: Option<u64>,
    ) -> Self {
        let (import, frame) = match known {
            Known::Row(row) => (row.id.clone(), Frame::of(row)),
            Known::Accepted(submission) => {
                (submission.import_id.clone(), Frame::of_view(&known.view()))
            }
        };
        let one = One {
            app,
            import,
            epoch: None,
            sent: frame.revision,
            synced,
        };
        let mut follower = Self::new(seat, Scope::One(one));
        if last != Some(frame.revision) {
            follower.ready.push_back(frame.import);
        }
        follower.finish(frame.end);
        follower
    }

    fn new(seat: Seat, scope: Scope) -> Self {
        Self {
            news: seat.hub.news.subscribe(),
            seat,
            scope,
            ready: VecDeque::from([RETRY]),
            over: false,
            spoke: Instant::now(),
        }
    }

    /// The body of the answer.
    pub(crate) fn into_body(self) -> Body {
        Body::from_stream(stream::unfold(self, |mut follower| async move {
            let next = follower.next().await?;
            Some((Ok::<_, Infallible>(next), follower))
        }))
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                self.spoke = Instant::now();
                return Some(next);
            }
            if self.over {
                return None;
            }
            let closing = self.news.borrow_and_update().closing;
            if self.take() {
                self.read_again().await;
            }
            if closing {
                self.bye();
            }
            if !self.ready.is_empty() || self.over {
                continue;
            }
            match timeout_at(self.spoke + self.seat.hub.keep_alive, self.news.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => self.over = true,
                Err(_) => self.ready.push_back(ALIVE),
            }
        }
    }

    /// What is new on the board; true if the tables have to be asked instead.
    fn take(&mut self) -> bool {
        let hub = Arc::clone(&self.seat.hub);
        let board = hub.board();
        match &mut self.scope {
            Scope::All(all) => {
                if !all.take(&board, &mut self.ready) {
                    self.bye();
                }
                false
            }
            Scope::One(one) => {
                let Some((epoch, revision)) = board.known() else {
                    return false;
                };
                let other = one.epoch.is_some_and(|known| known != epoch);
                if other || board.floor() > one.synced {
                    return true;
                }
                one.epoch = Some(epoch);
                one.synced = one.synced.max(revision);
                let frame = board.of(&one.import);
                let frame = frame.filter(|frame| frame.revision > one.sent).cloned();
                drop(board);
                if let Some(frame) = frame {
                    self.tell(frame);
                }
                false
            }
        }
    }

    /// The one import as the tables have it, for whoever may have missed something. Where they cannot be
    /// read, this is tried again with the next news.
    async fn read_again(&mut self) {
        let Scope::One(one) = &mut self.scope else {
            return;
        };
        let reads = &one.app.reads;
        let read = reads.ask(async {
            let checkpoint = reads.model.checkpoint(CHECKPOINT).await?;
            Ok((checkpoint, reads.model.import(&one.import).await?))
        });
        let Ok((checkpoint, row)) = read.await else {
            return;
        };
        one.epoch = None;
        one.synced = checkpoint;
        if let Some(row) = row.filter(|row| row.revision != one.sent) {
            self.tell(Frame::of(&row));
        }
    }

    fn tell(&mut self, frame: Frame) {
        if let Scope::One(one) = &mut self.scope {
            one.sent = frame.revision;
        }
        self.ready.push_back(frame.import);
        self.finish(frame.end);
    }

    fn finish(&mut self, end: Option<Bytes>) {
        if let Some(end) = end {
            self.ready.push_back(end);
            self.over = true;
        }
    }

    /// The client is to come again.
    fn bye(&mut self) {
        if !self.over {
            self.ready.push_back(BYE);
            self.over = true;
        }
    }
}

impl All {
    /// False if the client has missed something that the board does not hold any more.
    fn take(&mut self, board: &Board, ready: &mut VecDeque<Bytes>) -> bool {
        if let Some((epoch, revision)) = board.known() {
            if self.epoch.is_none() {
                self.epoch = Some(epoch);
                let known = board.floor()..=revision;
                match self.last.filter(|last| known.contains(last)) {
                    Some(last) => self.seen = last,
                    None => {
                        ready.extend(board.live().map(|frame| frame.import.clone()));
                        self.seen = revision;
                    }
                }
            }
            if self.epoch != Some(epoch) || self.seen < board.floor() {
                return false;
            }
            for frame in board.after(self.seen).take(TAKEN) {
                ready.push_back(frame.import.clone());
                self.seen = frame.revision;
            }
        }
        if let Some((number, overview)) = board.overview(self.overviews) {
            ready.push_back(overview);
            self.overviews = number;
        }
        true
    }
}
