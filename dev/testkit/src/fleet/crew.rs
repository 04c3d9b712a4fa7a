//! More processes of a fleet, and others in place of those that were killed.

use super::Fleet;
use crate::Process;

impl Fleet {
    /// Another process of `role` (`producer`, `worker`, …) under a name of its own, with `env` in
    /// addition to the fleet's settings. It is the caller's.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn another(
        &self,
        name: &str,
        role: &str,
        env: &[(&str, String)],
    ) -> anyhow::Result<Process> {
        let mut all = [self.nats.env_of_role(role), self.env.clone()].concat();
        all.extend(
            env.iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        Process::start(name, &self.program, &[role], &all, self.folder.path())
    }

    /// The value of one of the fleet's settings.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        let mut found = self.env.iter().rev();
        found
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}
