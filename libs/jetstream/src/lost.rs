//! Giving up what a lost connection will never answer.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;

/// How often a connection is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The connection broke before the answer came.
#[derive(Debug, thiserror::Error)]
#[error("the connection to NATS was lost")]
pub(crate) struct Lost;

/// `work`, unless the connection is lost meanwhile: what was sent on it before will never be
/// answered, so that waiting for the time-out would only delay the next try.
pub(crate) async fn unless_lost<T>(
    client: &Client,
    work: impl Future<Output = T>,
) -> Result<T, Lost> {
    let statistics = client.statistics();
    let begun = statistics.connects.load(Ordering::Relaxed);
    let lost = async {
        let mut look = tokio::time::interval(LOOK);
        loop {
            look.tick().await;
            // Lost and found again between two looks is lost as well.
            if !is_connected(client) || statistics.connects.load(Ordering::Relaxed) != begun {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = lost => Err(Lost),
    }
}

/// Wait for a connection.
pub(crate) async fn connected(client: &Client) {
    while !is_connected(client) {
        tokio::time::sleep(LOOK).await;
    }
}

pub(crate) fn is_connected(client: &Client) -> bool {
    client.connection_state() == State::Connected
}
