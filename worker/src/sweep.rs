//! Uploads that workers began and did not live to end.

use std::time::Duration;

use storage::{Cleaned, Store};
use uuid::Uuid;

use crate::import::chain;

/// No upload takes as long, so whoever began an older one is dead.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);
const PAUSE: Duration = Duration::from_secs(60 * 60);
/// Between sweeps while there is more.
const SHORT_PAUSE: Duration = Duration::from_secs(60);

/// Removes them, for ever: soon after the start, then every hour. Every worker does; what another
/// one removed meanwhile is no error.
pub(crate) async fn run(store: &Store) {
    let mut told = String::new();
    let mut pause = SHORT_PAUSE;
    loop {
        tokio::time::sleep(spread(pause)).await;
        pause = PAUSE;
        match Box::pin(store.clean(OLD)).await {
            Ok(Cleaned { removed, more }) => {
                told.clear();
                if removed > 0 {
                    tracing::info!(removed, "uploads that dead workers left were removed");
                }
                if more {
                    pause = SHORT_PAUSE;
                }
            }
            // Images are imported all the same. Said once, not every hour.
            Err(error) => {
                let error = chain(&error);
                if error != told {
                    tracing::warn!(
                        error,
                        "uploads that dead workers left cannot be looked for; grant \
                         s3:ListBucketMultipartUploads, or give the bucket a lifecycle rule that \
                         aborts incomplete multipart uploads"
                    );
                    told = error;
                }
            }
        }
    }
}

/// Up to a quarter more or less, so that a fleet that was started at once does not ask at once.
fn spread(pause: Duration) -> Duration {
    let part = f64::from(u32::from(Uuid::new_v4().as_bytes()[0])) / 255.0;
    pause.mul_f64(0.75 + part / 2.0)
}
