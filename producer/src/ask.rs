//! Questions to the read model, asked until it answers.

use std::fmt::Display;
use std::future::Future;

use runtime::Health;
use runtime::backoff::Reconnect;

use crate::Producer;

const SQL: &str = "sql";

/// Held while somebody waits for an answer, or gives up waiting.
struct Waiting<'a>(&'a Health);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.ready(SQL);
    }
}

impl Producer {
    /// Whatever is wrong with the database, somebody will mend it: until then its user waits, and
    /// health says so.
    pub(crate) async fn ask<T, E, F, Fut>(&self, query: F) -> T
    where
        E: Display,
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let health = &self.service.health;
        let _waiting = Waiting(health);
        let mut pause = Reconnect::default();
        loop {
            match query().await {
                Ok(answer) => return answer,
                Err(error) => {
                    health.waiting(SQL, error.to_string());
                    tracing::warn!(error = %error, "waiting for the read model");
                }
            }
            pause.wait().await;
        }
    }
}
