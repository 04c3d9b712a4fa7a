//! How calls to Drive show in metrics.

use crate::{DriveError, ErrorKind};

/// It was answered.
pub const OK: &str = "ok";
/// All that a call may come to.
pub const ALL: [&str; 6] = [OK, "retry", "throttled", "outage", "credentials", "refused"];

/// What a failed call came to.
#[must_use]
pub fn of(error: &DriveError) -> &'static str {
    match error.kind() {
        ErrorKind::Retry { .. } => "retry",
        ErrorKind::Throttled { .. } => "throttled",
        ErrorKind::Outage => "outage",
        ErrorKind::Credentials => "credentials",
        ErrorKind::Item | ErrorKind::Page => "refused",
    }
}
