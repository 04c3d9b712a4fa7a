//! Telling whoever watches what is asked and answered, at the moment it happens.

use tokio::sync::broadcast;

use crate::stats::Kind;

/// Moments kept for a watcher that is slow to look; older ones are passed over.
const KEPT: usize = 16_384;

/// One moment of one request to the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// What was asked for.
    pub kind: Kind,
    /// The file's id; of a list, the folder's query.
    pub id: String,
    /// The status of its answer, the body of which is yet to be sent; `None` when it was asked.
    pub answered: Option<u16>,
}

/// Follows the requests to one server.
#[derive(Debug)]
pub struct Watch(broadcast::Receiver<Moment>);

impl Watch {
    /// The next moment; `None` once the server is gone.
    pub async fn next(&mut self) -> Option<Moment> {
        loop {
            match self.0.recv().await {
                Ok(moment) => return Some(moment),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// Forget what happened so far.
    pub fn skip(&mut self) {
        self.0 = self.0.resubscribe();
    }
}

/// Where the server tells it.
#[derive(Debug)]
pub(crate) struct Watched(broadcast::Sender<Moment>);

impl Default for Watched {
    fn default() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }
}

impl Watched {
    pub(crate) fn watch(&self) -> Watch {
        Watch(self.0.subscribe())
    }

    pub(crate) fn tell(&self, kind: Kind, id: &str, answered: Option<u16>) {
        if self.0.receiver_count() > 0 {
            // An error means that the last watcher has just left.
            let _ = self.0.send(Moment {
                kind,
                id: id.to_owned(),
                answered,
            });
        }
    }
}
