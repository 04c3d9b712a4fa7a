//! Who shares the Drive quota right now: each process renews an entry in the `FLEET` bucket.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contracts::kv::Presence;
use contracts::streams;
use futures::StreamExt as _;
use runtime::backoff::Reconnect;
use runtime::{Health, Quota};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::lost::{connected, unless_lost};
use crate::share::Share;
use crate::{Members, Nats};

/// Work that ends is followed by more, as a rule: a share that is given away for less than this
/// would be missed more than it would be used.
const LINGER: Duration = Duration::from_secs(2);
/// How often the entry is renewed.
const RENEW: Duration = Duration::from_millis(1250);
/// How often the share is looked at, for what comes about by time alone.
const LOOK: Duration = Duration::from_millis(250);

/// Announces whether this process has work for its share.
#[derive(Clone, Default)]
pub struct Activity {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    began: Notify,
}

#[derive(Default)]
struct State {
    busy: bool,
    ended: Option<Instant>,
}

impl Activity {
    /// Say whether there is work. Cheap when nothing changes.
    pub fn set_busy(&self, busy: bool) {
        let mut state = self.state();
        if state.busy == busy {
            return;
        }
        let began = busy && !state.is_busy();
        state.busy = busy;
        state.ended = Some(Instant::now());
        drop(state);
        if began {
            self.inner.began.notify_one();
        }
    }

    /// Whether there is work, or was a moment ago.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.state().is_busy()
    }

    /// Wait until there has been no work for a while.
    pub async fn rests(&self) {
        while self.is_busy() {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_busy(&self) -> bool {
        self.busy || self.ended.is_some_and(|at| at.elapsed() < LINGER)
    }
}

/// Keep this process's entry alive, with what `health` waits for, and its `quota` share current,
/// until `stop`.
///
/// Whoever cannot renew its entry spends nothing once it has expired: the others divide its share.
/// While NATS is away for everybody nothing could be reported anyway.
pub async fn run(
    nats: &Nats,
    (role, instance): (&str, &str),
    quota: &Quota,
    activity: &Activity,
    health: &Health,
    stop: &CancellationToken,
) {
    // Nothing is spent before it is known who else is there.
    quota.set_share(0.0);
    let members = Members::default();
    let following = async {
        let mut reconnect = Reconnect::default();
        loop {
            let begun = Instant::now();
            let following = follow(nats, (role, instance), &members, activity, health);
            if let Ok(Err(error)) = unless_lost(&nats.client, following).await {
                tracing::warn!(error = %error, "quota shares cannot be followed; trying again");
            }
            if begun.elapsed() > streams::PRESENCE_TTL {
                reconnect.reset();
            }
            reconnect.wait().await;
            connected(&nats.client).await;
        }
    };
    let sharing = async {
        let mut share = Share::default();
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = members.changed() => {}
            }
            quota.set_share(share.of(instance, &members));
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = following => {}
        () = sharing => {}
    }
    // Best effort: the entry expires by itself.
    let leaving = async {
        if let Ok(bucket) = nats.context.get_key_value(streams::FLEET).await {
            let _ = bucket.delete(instance).await;
        }
    };
    let _ = unless_lost(&nats.client, leaving).await;
}

async fn follow(
    nats: &Nats,
    (role, instance): (&str, &str),
    members: &Members,
    activity: &Activity,
    health: &Health,
) -> Result<(), async_nats::Error> {
    let bucket = nats.context.get_key_value(streams::FLEET).await?;
    let mut changes = bucket.watch_with_history(">").await?;
    let mut renew = tokio::time::interval(RENEW);
    let renewing = async {
        loop {
            tokio::select! {
                _ = renew.tick() => {}
                () = activity.inner.began.notified() => {}
            }
            let mine = Presence {
                v: 1,
                role: role.to_owned(),
                busy: activity.is_busy(),
                waiting: health.missing(),
            };
            let mine = serde_json::to_vec(&mine)?;
            bucket.put(instance, mine.into()).await?;
        }
    };
    let listening = async {
        while let Some(change) = changes.next().await {
            members.take(change?);
        }
        Ok(())
    };
    tokio::select! {
        ended = renewing => ended,
        ended = listening => ended,
    }
}
