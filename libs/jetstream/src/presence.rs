//! Who is there, who shares the Drive quota right now, and what each waits for: every process renews
//! an entry in the `FLEET` bucket.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::kv;
use contracts::kv::{Presence, QuotaUse};
use contracts::{ImportId, streams};
use futures::StreamExt as _;
use runtime::backoff::Reconnect;
use runtime::{Health, Quota};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::appetite::Appetite;
use crate::lost::{connected, unless_lost};
use crate::share::Share;
use crate::{Members, Nats};

/// Work that ends is followed by more, as a rule: a share that is given away for less than this
/// would be missed more than it would be used.
const LINGER: Duration = Duration::from_secs(2);
/// How often the entry is renewed.
const RENEW: Duration = Duration::from_secs(1);
/// How often the share is looked at, for what comes about by time alone.
const LOOK: Duration = Duration::from_millis(250);

/// Announces whether this process has work for its share, and how large a share that takes.
#[derive(Clone, Default)]
pub struct Activity {
    /// `None` weighs what everybody of its role does.
    appetite: Option<Appetite>,
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
    holds: BTreeMap<ImportId, u32>,
}

impl Activity {
    /// For a process that takes as large a share as its `appetite` says.
    #[must_use]
    pub fn with(appetite: Appetite) -> Self {
        Self {
            appetite: Some(appetite),
            inner: Arc::default(),
        }
    }

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

    /// Say that one more task of `import` is held.
    pub fn hold(&self, import: ImportId) {
        *self.state().holds.entry(import).or_default() += 1;
    }

    /// Say that one task of `import` is held no more.
    pub fn release(&self, import: &ImportId) {
        let holds = &mut self.state().holds;
        if let Some(count) = holds.get_mut(import) {
            *count -= 1;
            if *count == 0 {
                holds.remove(import);
            }
        }
    }

    /// Tasks held, by import.
    #[must_use]
    pub fn holds(&self) -> BTreeMap<ImportId, u32> {
        self.state().holds.clone()
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

/// Keep this process's `entry` (role and instance) alive, with what `health` waits for, and its
/// `quota` share current, until `stop`.
///
/// Whoever cannot renew its entry spends nothing once it has expired: the others divide its share.
/// While NATS is away for everybody nothing could be reported anyway.
pub async fn run(
    nats: &Nats,
    entry: (&str, &str),
    quota: &Quota,
    activity: &Activity,
    health: &Health,
    stop: &CancellationToken,
) {
    // Nothing is spent before it is known who else is there.
    quota.set_share(0.0);
    let members = Members::default();
    let following = again(nats, || {
        follow(nats, entry, &members, quota, activity, health)
    });
    let sharing = async {
        let mut share = Share::default();
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = members.changed() => {}
            }
            quota.set_share(share.of(entry.1, &members));
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = following => {}
        () = sharing => {}
    }
    leave(nats, entry.1).await;
}

/// Keep the entry of a process alive that spends no quota, with what `health` waits for, until
/// `stop`.
pub async fn tell(nats: &Nats, entry: (&str, &str), health: &Health, stop: &CancellationToken) {
    let idle = Activity::default();
    let telling = again(nats, || async {
        let bucket = nats.context.get_key_value(streams::FLEET).await?;
        renew(&bucket, entry, None, &idle, health).await
    });
    tokio::select! {
        () = stop.cancelled() => {}
        () = telling => {}
    }
    leave(nats, entry.1).await;
}

/// `attempt` for ever, anew whenever it fails or its connection is lost.
async fn again<F>(nats: &Nats, attempt: impl Fn() -> F)
where
    F: Future<Output = Result<(), async_nats::Error>>,
{
    let mut reconnect = Reconnect::default();
    loop {
        let begun = Instant::now();
        if let Ok(Err(error)) = unless_lost(&nats.client, attempt()).await {
            tracing::warn!(error = %error, "the fleet's entries cannot be kept or followed; trying again");
        }
        if begun.elapsed() > streams::PRESENCE_TTL {
            reconnect.reset();
        }
        reconnect.wait().await;
        connected(&nats.client).await;
    }
}

/// Best effort: the entry expires by itself.
async fn leave(nats: &Nats, instance: &str) {
    let leaving = async {
        if let Ok(bucket) = nats.context.get_key_value(streams::FLEET).await {
            let _ = bucket.delete(instance).await;
        }
    };
    let _ = unless_lost(&nats.client, leaving).await;
}

async fn follow(
    nats: &Nats,
    entry: (&str, &str),
    members: &Members,
    quota: &Quota,
    activity: &Activity,
    health: &Health,
) -> Result<(), async_nats::Error> {
    let bucket = nats.context.get_key_value(streams::FLEET).await?;
    let mut changes = bucket.watch_with_history(">").await?;
    let listening = async {
        while let Some(change) = changes.next().await {
            members.take(change?);
        }
        Ok(())
    };
    tokio::select! {
        ended = renew(&bucket, entry, Some(quota), activity, health) => ended,
        ended = listening => ended,
    }
}

fn spending(quota: &Quota) -> Option<QuotaUse> {
    let units_per_minute = quota.limit()?;
    let used = quota.spent_lately();
    Some(QuotaUse {
        units_per_minute,
        used,
    })
}

/// Put the entry, again and again, until that fails.
async fn renew(
    bucket: &kv::Store,
    (role, instance): (&str, &str),
    quota: Option<&Quota>,
    activity: &Activity,
    health: &Health,
) -> Result<(), async_nats::Error> {
    let mut due = tokio::time::interval(RENEW);
    loop {
        tokio::select! {
            _ = due.tick() => {}
            () = activity.inner.began.notified() => {}
        }
        let mine = Presence {
            v: 1,
            role: role.to_owned(),
            busy: activity.is_busy(),
            weight: activity.appetite.as_ref().map(Appetite::weight),
            holds: activity.holds(),
            waiting: health.missing(),
            quota: quota.and_then(spending),
        };
        let mine = serde_json::to_vec(&mine)?;
        bucket.put(instance, mine.into()).await?;
    }
}
