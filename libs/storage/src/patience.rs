//! How long to wait for an answer over the network.

use std::time::Duration;

/// Longest wait for the answer to a request without a body, quick retries included.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// A connection slower than this many bytes per second is given up.
const SLOWEST: u64 = 16 * 1024;

/// How long sending so many bytes may take.
pub(crate) fn time_for(bytes: usize) -> Duration {
    PATIENCE + Duration::from_secs(u64::try_from(bytes).unwrap_or(u64::MAX) / SLOWEST)
}
