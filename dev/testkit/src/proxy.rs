//! A TCP proxy that spoils what passes through it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::dice::Dice;

/// What the proxy does to connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// Connections are reset and new ones refused.
    Cut,
    /// Every chunk is held for so long, both ways.
    Slow(Duration),
    /// Nothing passes, and nobody is told.
    Stall,
    /// A chunk in so many per thousand resets its connection, after half of it has passed.
    Reset(u64),
}

/// A running proxy. Stops when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    trouble: watch::Sender<Trouble>,
    struck: Arc<AtomicU64>,
    acceptor: JoinHandle<()>,
    // Bound and never listening: keeps the port ours while connections to it are refused.
    _claim: TcpSocket,
}

impl Proxy {
    /// Listen on a free port and pass everything on to `target`.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(target: SocketAddr, seed: u64) -> anyhow::Result<Self> {
        let claim = bound(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = claim.local_addr()?;
        let (trouble, seen) = watch::channel(Trouble::None);
        let struck = Arc::new(AtomicU64::new(0));
        let line = Line {
            target,
            trouble: seen,
            struck: Arc::clone(&struck),
        };
        let acceptor = tokio::spawn(accept(address, line, seed));
        Ok(Self {
            address,
            trouble,
            struck,
            acceptor,
            _claim: claim,
        })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begin this trouble, and end the one before.
    pub fn set(&self, trouble: Trouble) {
        self.trouble.send_replace(trouble);
    }

    /// Connections reset or cut so far.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.struck.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

fn bound(address: SocketAddr) -> anyhow::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Both of ours share the port; of them only the listener is connected to.
    socket.set_reuseport(true)?;
    socket.set_reuseaddr(true)?;
    socket
        .bind(address)
        .with_context(|| format!("cannot bind {address}"))?;
    Ok(socket)
}

/// What connections share.
#[derive(Debug, Clone)]
struct Line {
    target: SocketAddr,
    trouble: watch::Receiver<Trouble>,
    struck: Arc<AtomicU64>,
}

/// Accepts until aborted; connections end with it. While cut, there is no listener.
async fn accept(address: SocketAddr, mut line: Line, seed: u64) {
    let mut dice = Dice::new(seed);
    loop {
        // An error means that the proxy is gone, and this task with it.
        if line
            .trouble
            .wait_for(|now| *now != Trouble::Cut)
            .await
            .is_err()
        {
            return;
        }
        let listener = match bound(address).and_then(|socket| Ok(socket.listen(1024)?)) {
            Ok(listener) => listener,
            Err(error) => {
                eprintln!("the proxy cannot listen: {error:#}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let mut connections = JoinSet::new();
        let mut trouble = line.trouble.clone();
        loop {
            tokio::select! {
                accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                    connections.spawn(converse(stream, line.clone(), dice.number()));
                },
                Some(_) = connections.join_next() => {}
                cut = trouble.wait_for(|now| *now == Trouble::Cut) => match cut {
                    Ok(_) => break,
                    Err(_) => return,
                },
            }
        }
        drop(listener);
        // Each sees the cut for itself and resets; what does not see it in time is dropped.
        let ended = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(1), ended).await;
    }
}

/// How one direction ended.
enum End {
    /// Its sender is done.
    Closed,
    /// Both must be reset.
    Broken,
}

async fn converse(client: TcpStream, line: Line, seed: u64) {
    let _ = client.set_nodelay(true);
    let mut trouble = line.trouble.clone();
    let connecting = async {
        let _ = trouble.wait_for(|now| *now != Trouble::Stall).await;
        TcpStream::connect(line.target).await
    };
    let Ok(server) = connecting.await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut dice = Dice::new(seed);
    let up = pass(from_client, to_server, &line, Dice::new(dice.number()));
    let down = pass(from_server, to_client, &line, Dice::new(dice.number()));
    // Closing is passed on in each direction; breaking breaks both.
    let (mut up, mut down) = (Box::pin(up), Box::pin(down));
    let broken = tokio::select! {
        end = &mut up => matches!(end, End::Broken) || matches!(down.await, End::Broken),
        end = &mut down => matches!(end, End::Broken) || matches!(up.await, End::Broken),
    };
    if broken {
        line.struck.fetch_add(1, Ordering::Relaxed);
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, line: &Line, mut dice: Dice) -> End {
    let mut trouble = line.trouble.clone();
    let mut chunk = vec![0; 16 << 10];
    loop {
        let read = tokio::select! {
            biased;
            _ = trouble.wait_for(|now| *now == Trouble::Cut) => return broken(&from, &to),
            read = from.read(&mut chunk) => read,
        };
        let mut length = match read {
            Ok(0) => {
                let _ = to.shutdown().await;
                return End::Closed;
            }
            Ok(length) => length,
            Err(_) => return broken(&from, &to),
        };
        let now = *trouble.borrow();
        let mut breaks = false;
        match now {
            Trouble::None => {}
            Trouble::Cut => return broken(&from, &to),
            Trouble::Slow(by) => tokio::time::sleep(by).await,
            Trouble::Stall => {
                let _ = trouble.wait_for(|now| *now != Trouble::Stall).await;
            }
            Trouble::Reset(per_mille) => {
                breaks = dice.within(0..1000) < per_mille;
                if breaks {
                    length /= 2;
                }
            }
        }
        let written = tokio::select! {
            biased;
            _ = trouble.wait_for(|now| *now == Trouble::Cut) => return broken(&from, &to),
            written = to.write_all(&chunk[..length]) => written,
        };
        if breaks || written.is_err() {
            return broken(&from, &to);
        }
    }
}

/// Closing with no time to linger sends RST rather than FIN.
fn broken(from: &OwnedReadHalf, to: &OwnedWriteHalf) -> End {
    let from: &TcpStream = from.as_ref();
    let to: &TcpStream = to.as_ref();
    let _ = from.set_zero_linger();
    let _ = to.set_zero_linger();
    End::Broken
}
