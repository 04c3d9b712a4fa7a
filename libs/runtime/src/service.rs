//! What a role is given besides its settings.

use prometheus::Registry;
use tokio_util::sync::CancellationToken;

use crate::Health;

/// Shared by the roles of one process.
#[derive(Clone)]
pub struct Service {
    /// What is being waited for.
    pub health: Health,
    /// Where metrics are registered.
    pub registry: Registry,
    /// Cancelled to drain and end.
    pub stop: CancellationToken,
}
