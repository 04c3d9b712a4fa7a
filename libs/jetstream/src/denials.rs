//! What the server denies us. It says so beside the call, which itself would wait for its time-out.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use contracts::subjects;
use runtime::Health;
use tokio::sync::broadcast;

use crate::Nats;

/// The name in health reports.
const DEPENDENCY: &str = "nats permissions";
/// Denials that a call may be behind by; more at once are of one cause.
const REMEMBERED: usize = 256;
/// What is tried again is denied again within this time. After it, the denial is taken for over.
const REPEATED: Duration = Duration::from_secs(60);

/// What the login in use may not do. Waiting does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A subject.
    #[error("NATS denies {who} to {action} {subject}; check the permissions in nats.conf")]
    Subject {
        /// The login's name.
        who: String,
        /// What was tried.
        action: &'static str,
        /// With what.
        subject: String,
    },
    /// Connecting again.
    #[error(
        "NATS refuses {who}: the login was changed, revoked or has expired; renew it and start again"
    )]
    Login {
        /// The login's name.
        who: String,
    },
}

impl Denied {
    /// What the server says, if that is a denial.
    fn from_server(who: &str, says: &str) -> Option<Self> {
        let (_, what) = says.split_once("Permissions Violation for ")?;
        let action = match what.split(' ').next()? {
            "Publish" => "publish to",
            "Subscription" => "subscribe to",
            _ => "use",
        };
        Some(Self::Subject {
            who: who.to_owned(),
            action,
            subject: what.split('"').nth(1)?.to_owned(),
        })
    }

    fn is_about(&self, uses: impl Fn(&str) -> bool) -> bool {
        matches!(self, Self::Subject { subject, .. } if uses(subject))
    }
}

/// Tells pending calls what the server denies.
#[derive(Clone)]
pub(crate) struct Denials {
    who: Arc<str>,
    sender: broadcast::Sender<Denied>,
}

impl Denials {
    /// `who` is how the login shows in errors.
    pub(crate) fn new(who: String) -> Self {
        Self {
            who: who.into(),
            sender: broadcast::Sender::new(REMEMBERED),
        }
    }

    /// The server reports an error. Returns it when it is a denial.
    pub(crate) fn hear(&self, says: &str) -> Option<Denied> {
        let denied = Denied::from_server(&self.who, says)?;
        // Without receivers nothing waits for it.
        let _ = self.sender.send(denied.clone());
        Some(denied)
    }

    /// The server does not let us in any more.
    pub(crate) fn refuse(&self) -> Denied {
        let denied = Denied::Login {
            who: self.who.to_string(),
        };
        // As above. Calls under way see that the connection is lost.
        let _ = self.sender.send(denied.clone());
        denied
    }

    /// `work`, unless a subject that it `uses` is denied meanwhile.
    pub(crate) async fn unless<T>(
        &self,
        uses: impl Fn(&str) -> bool,
        work: impl Future<Output = T>,
    ) -> Result<T, Denied> {
        let mut heard = self.sender.subscribe();
        let denied = async {
            loop {
                match heard.recv().await {
                    Ok(denied) if denied.is_about(&uses) => return denied,
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    // The sender is ours.
                    Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            biased;
            done = work => Ok(done),
            denied = denied => Err(denied),
        }
    }

    /// Show in `health` what is denied to anything on this connection, until nothing has been for a
    /// while. Ends with the connection.
    pub(crate) fn show(&self, health: &Health) {
        let (mut heard, health) = (self.sender.subscribe(), health.clone());
        tokio::spawn(async move {
            while let Some(first) = next(&mut heard).await {
                health.waiting(DEPENDENCY, first.to_string());
                while let Ok(Some(_)) = tokio::time::timeout(REPEATED, next(&mut heard)).await {}
                health.ready(DEPENDENCY);
            }
        });
    }
}

async fn next(heard: &mut broadcast::Receiver<Denied>) -> Option<Denied> {
    loop {
        match heard.recv().await {
            Ok(denied) => return Some(denied),
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}

impl Nats {
    /// `work`, unless the server denies a subject that one of `filters` covers meanwhile. Calls of
    /// `client` and `context` need it: by themselves they would wait for their time-out. Ours have
    /// it inside.
    ///
    /// # Errors
    /// What was denied.
    pub async fn unless_denied<T>(
        &self,
        filters: &[&str],
        work: impl Future<Output = T>,
    ) -> Result<T, Denied> {
        let uses = |subject: &str| {
            filters
                .iter()
                .any(|filter| subjects::matches(filter, subject))
        };
        self.denials.unless(uses, work).await
    }

    /// Show in `health` whatever this login is denied.
    pub fn show_denials(&self, health: &Health) {
        self.denials.show(health);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_are_told_from_other_errors() {
        let denied = |says| Denied::from_server("user worker", says).map(|d| d.to_string());
        assert_eq!(
            denied("nats: Permissions Violation for Publish to \"events.a.import.listed\"")
                .as_deref(),
            Some(
                "NATS denies user worker to publish to events.a.import.listed; check the permissions in \
                 nats.conf"
            )
        );
        assert_eq!(
            denied("Permissions Violation for Subscription to \"a.>\" using queue \"q\"")
                .as_deref(),
            Some("NATS denies user worker to subscribe to a.>; check the permissions in nats.conf")
        );
        assert_eq!(denied("nats: maximum connections exceeded"), None);
    }
}
