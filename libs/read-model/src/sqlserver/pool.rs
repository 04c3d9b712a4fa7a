//! A pool of connections: some are kept, further ones are opened while there is more to do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool::managed::{Manager, Metrics, Object, PoolError, RecycleError, RecycleResult};
use tiberius::Config;
use tiberius::error::Error;
use tokio::time::timeout;

use super::connect::Connection;
use super::fault::{Fault, timed_out};
use crate::metrics::{Connections, Waits};

/// How long to wait for one of the open connections when there may be no further one; longer than
/// making one takes, so that the server's own words are heard.
const WAIT: Duration = Duration::from_secs(9);
/// A connection that was used within this time is taken to be alive. Firewalls forget idle ones
/// after minutes (Azure's after four).
const IDLE: Duration = Duration::from_secs(30);
/// How long an idle one may take to say that it is alive.
const PROBE: Duration = Duration::from_secs(5);
/// None is kept for longer than this, so that they follow a server that moves.
const AGE: Duration = Duration::from_secs(30 * 60);

pub(super) const PING: &str = "SELECT 1";

/// Makes connections and tells which are still good.
#[derive(Debug)]
pub(super) struct Maker {
    settings: Config,
}

impl Manager for Maker {
    type Type = Connection;
    type Error = Error;

    async fn create(&self) -> Result<Connection, Error> {
        Connection::open(&self.settings).await
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Error> {
        if connection.made.elapsed() > AGE {
            return Err(RecycleError::message("it is old"));
        }
        if connection.used.elapsed() > IDLE {
            timeout(PROBE, connection.batch(PING))
                .await
                .map_err(|_| RecycleError::message("it does not answer"))??;
        }
        Ok(())
    }
}

/// Connections to one server.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    inner: deadpool::managed::Pool<Maker>,
    kept: usize,
    waits: Arc<Waits>,
}

impl Pool {
    /// Up to `kept` connections that stay, and `overflow` that are closed after use.
    pub(super) fn new(settings: Config, kept: usize, overflow: usize) -> Self {
        let inner = deadpool::managed::Pool::builder(Maker { settings })
            .max_size(kept.saturating_add(overflow))
            // The latest used first, so that a quiet time lets the others grow old.
            .queue_mode(deadpool::managed::QueueMode::Lifo)
            .build();
        // Building fails only where deadpool is to time things out; here nothing is.
        let inner = inner.unwrap_or_else(|error| unreachable!("{error}"));
        Self {
            inner,
            kept,
            waits: Arc::default(),
        }
    }

    pub(super) fn waits(&self) -> &Waits {
        &self.waits
    }

    pub(super) fn connections(&self) -> Connections {
        let status = self.inner.status();
        Connections {
            idle: status.available.min(status.size),
            busy: status.size.saturating_sub(status.available),
            limit: status.max_size,
        }
    }

    /// A connection that is not of the pool, for requests that may take `patience`.
    pub(super) async fn apart(&self, patience: Duration) -> Result<Connection, Error> {
        Connection::open_for(&self.inner.manager().settings, patience).await
    }

    /// Open a connection in the background, so that the first request need not wait for TLS and
    /// login. Whatever is wrong is told to that request.
    pub(super) fn warm_up(&self) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let pool = self.clone();
            runtime.spawn(async move {
                if let Ok(mut lease) = pool.lease().await {
                    lease.give_back();
                }
            });
        }
    }

    pub(super) async fn lease(&self) -> Result<Lease, Fault> {
        let asked = Instant::now();
        let object = timeout(WAIT, Box::pin(self.inner.get())).await;
        self.waits.note(asked.elapsed());
        let object =
            object.map_err(|_| timed_out("waiting for a free connection (DB_POOL_SIZE)", WAIT))?;
        match object {
            Ok(object) => Ok(Lease {
                object: Some(object),
                kept: self.kept,
                sound: false,
            }),
            Err(PoolError::Backend(error)) => Err(error.into()),
            Err(error) => Err(Fault::Final(super::fault::unavailable(error))),
        }
    }
}

/// A connection in use. Unless it is given back it is closed, and the server rolls back what was
/// not committed: nothing is assumed about a connection after an error, nor when whoever used it
/// stopped waiting.
#[derive(Debug)]
pub(super) struct Lease {
    object: Option<Object<Maker>>,
    kept: usize,
    sound: bool,
}

impl Lease {
    pub(super) fn connection(&mut self) -> Result<&mut Connection, Fault> {
        let gone = || Error::Protocol("the connection was given back".into());
        let object = self.object.as_mut().ok_or_else(gone)?;
        Ok(object)
    }

    /// It is idle, and outside of any transaction.
    pub(super) fn give_back(&mut self) {
        if let Some(connection) = &mut self.object {
            connection.used = Instant::now();
        }
        self.sound = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else {
            return;
        };
        let open = Object::pool(&object).map_or(0, |pool| pool.status().size);
        if !self.sound || open > self.kept {
            drop(Object::take(object));
        }
    }
}
