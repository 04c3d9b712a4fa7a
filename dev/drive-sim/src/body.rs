//! Answers' bodies, and how they are damaged on the way.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use tokio::{fs::File, io::Take, sync::Notify, time::timeout};

use crate::{server::State, stats::Ticket};

/// How long a stalled body hangs if the client does not leave.
const STALL: Duration = Duration::from_secs(600);
const DISK_CHUNK: usize = 128 << 10;

/// The connection an answer goes to.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) state: Arc<State>,
    /// Tells the connection's task to reset it.
    pub(crate) reset: Arc<Notify>,
}

/// A body of known length.
pub(crate) struct Body {
    source: Source,
    len: u64,
    sent: u64,
    damage: Damage,
    flushed: bool,
    stall: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// None for what does not count: `/admin`.
    context: Option<(Link, Ticket)>,
    counts_bytes: bool,
}

/// Where a body comes from.
pub(crate) enum Source {
    Memory([Bytes; 2]),
    /// The rest of a file, as far as it is limited.
    Disk(Take<File>),
}

/// What happens to a body, at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    None,
    Flip(u64),
    Close(u64),
    Reset(u64),
    Stall(u64),
}

impl Body {
    pub(crate) fn text(text: impl Into<Bytes>, context: Option<(Link, Ticket)>) -> Self {
        Self::new(
            Source::Memory([text.into(), Bytes::new()]),
            Damage::None,
            context,
        )
    }

    /// The bytes of a file.
    pub(crate) fn file(source: Source, damage: Damage, link: Link, ticket: Ticket) -> Self {
        Self {
            counts_bytes: true,
            ..Self::new(source, damage, Some((link, ticket)))
        }
    }

    fn new(source: Source, damage: Damage, context: Option<(Link, Ticket)>) -> Self {
        let len = match &source {
            Source::Memory(chunks) => chunks.iter().map(|chunk| chunk.len() as u64).sum(),
            Source::Disk(file) => file.limit(),
        };
        Self {
            source,
            len,
            sent: 0,
            damage,
            flushed: false,
            stall: None,
            context,
            counts_bytes: false,
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        match &mut self.source {
            Source::Memory([head, tail]) => {
                let first = std::mem::take(head);
                Poll::Ready(Ok(if first.is_empty() {
                    std::mem::take(tail)
                } else {
                    first
                }))
            }
            Source::Disk(file) => {
                let mut buffer = BytesMut::with_capacity(DISK_CHUNK);
                ready!(tokio_util::io::poll_read_buf(
                    Pin::new(file),
                    cx,
                    &mut buffer
                ))?;
                Poll::Ready(Ok(buffer.freeze()))
            }
        }
    }

    fn poll_break(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        // What was handed over so far leaves for the socket once this body has nothing to offer.
        if !self.flushed {
            self.flushed = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match (self.damage, &self.context) {
            (Damage::Reset(_), Some((link, _))) => {
                link.reset.notify_one();
                return Poll::Pending;
            }
            (Damage::Stall(_), Some((link, _))) => {
                let stall = self.stall.get_or_insert_with(|| {
                    let outage = link.state.faults.outage();
                    Box::pin(async move { drop(timeout(STALL, outage).await) })
                });
                ready!(stall.as_mut().poll(cx));
                if link.state.faults.current().down {
                    link.reset.notify_one();
                    return Poll::Pending;
                }
            }
            _ => {}
        }
        Poll::Ready(Some(Err(io::Error::other("broken off on purpose"))))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if let Some((link, _)) = &this.context
            && link.state.faults.current().down
        {
            link.reset.notify_one();
            return Poll::Pending;
        }
        let end = match this.damage {
            Damage::Close(at) | Damage::Reset(at) | Damage::Stall(at) => at,
            Damage::None | Damage::Flip(_) => u64::MAX,
        };
        if this.sent >= end {
            return this.poll_break(cx);
        }
        let mut chunk = ready!(this.poll_chunk(cx))?;
        if chunk.is_empty() {
            return Poll::Ready(None);
        }
        chunk.truncate(usize::try_from(end - this.sent).unwrap_or(usize::MAX));
        if let Damage::Flip(at) = this.damage
            && (this.sent..this.sent + chunk.len() as u64).contains(&at)
        {
            let mut copy = chunk.to_vec();
            copy[(at - this.sent) as usize] ^= 0x55;
            chunk = copy.into();
        }
        this.sent += chunk.len() as u64;
        if let (true, Some((_, ticket))) = (this.counts_bytes, &this.context) {
            ticket.0.sent(chunk.len() as u64);
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent == self.len
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len - self.sent)
    }
}
