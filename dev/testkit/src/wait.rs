//! Waiting on conditions.

use std::future::Future;
use std::time::{Duration, Instant};

/// Poll `condition` until it gives something. Panics after `deadline`, naming `what` was awaited.
///
/// # Panics
/// When the deadline passes: the test has failed.
pub async fn until<T, F, Fut>(what: &str, deadline: Duration, mut condition: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(
            start.elapsed() < deadline,
            "waited {deadline:?} in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
