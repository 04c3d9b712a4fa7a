//! What a role is given besides its settings.

use prometheus::Registry;
use tokio_util::sync::CancellationToken;

use crate::{Health, metrics};

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

impl Service {
    /// That of a process of its own: its build, what it waits for, and its memory, files and CPU time
    /// are registered.
    ///
    /// # Errors
    /// None that is known: the registry is new.
    pub fn new(role: &'static str, stop: CancellationToken) -> prometheus::Result<Self> {
        let health = Health::new(role);
        let registry = Registry::new();
        metrics::process(&health, &registry)?;
        Ok(Self {
            health,
            registry,
            stop,
        })
    }
}
