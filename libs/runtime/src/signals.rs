//! Stopping on SIGTERM and SIGINT.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled at the first SIGTERM or SIGINT. A second one ends the process at once
/// with code 130, for people who press Ctrl-C twice.
///
/// # Errors
/// When the handlers cannot be installed.
// The second Ctrl-C is the one place where the process must end without draining.
#[allow(clippy::disallowed_methods)]
pub fn stop_token() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let token = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => if token.is_cancelled() { std::process::exit(130) },
            }
            token.cancel();
        }
    });
    Ok(stop)
}
