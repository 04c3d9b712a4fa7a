//! Who shares the Drive quota right now: each process renews an entry in the `FLEET` bucket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use contracts::kv::Presence;
use contracts::streams;
use futures::StreamExt as _;
use runtime::backoff::Reconnect;
use runtime::{Health, Quota};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{Members, Nats};

/// What a producer weighs beside a worker: listing a page of 999 images costs half of what
/// downloading one of them does.
const PRODUCER_WEIGHT: f64 = 0.02;

/// Announces whether this process has work for its share.
#[derive(Clone, Default)]
pub struct Activity {
    inner: Arc<(AtomicBool, Notify)>,
}

impl Activity {
    /// Say whether there is work. Cheap when nothing changes.
    pub fn set_busy(&self, busy: bool) {
        if self.inner.0.swap(busy, Ordering::Relaxed) != busy {
            self.inner.1.notify_one();
        }
    }
}

fn weight(presence: &Presence) -> f64 {
    match (presence.role.as_str(), presence.busy) {
        ("producer", true) => PRODUCER_WEIGHT,
        (_, true) => 1.0,
        // Nobody is ever without a share: the first call after idling must not wait for the fleet.
        (_, false) => PRODUCER_WEIGHT / 4.0,
    }
}

/// Keep this process's entry alive, with what `health` waits for, and its `quota` share current,
/// until `stop`.
///
/// While NATS is away the last share stays in force: it was right when it was set, and nobody can
/// join without NATS.
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
    let mut reconnect = Reconnect::default();
    while !stop.is_cancelled() {
        let ended = tokio::select! {
            () = stop.cancelled() => break,
            ended = follow(nats, (role, instance), quota, activity, health) => ended,
        };
        if let Err(error) = ended {
            tracing::warn!(error = %error, "quota shares cannot be followed; keeping the last one");
        }
        reconnect.wait().await;
    }
    if let Ok(bucket) = nats.context.get_key_value(streams::FLEET).await {
        // Best effort: the entry expires by itself.
        let _ = bucket.delete(instance).await;
    }
}

async fn follow(
    nats: &Nats,
    (role, instance): (&str, &str),
    quota: &Quota,
    activity: &Activity,
    health: &Health,
) -> Result<(), async_nats::Error> {
    let bucket = nats.context.get_key_value(streams::FLEET).await?;
    let mut changes = bucket.watch_with_history(">").await?;
    let members = Members::default();
    let mut renew = tokio::time::interval(streams::PRESENCE_TTL / 4);
    loop {
        tokio::select! {
            _ = renew.tick() => {}
            () = activity.inner.1.notified() => {}
            change = changes.next() => {
                let Some(change) = change else { return Ok(()) };
                members.take(change?);
                share(&members, instance, quota);
                continue;
            }
        }
        let mine = Presence {
            v: 1,
            role: role.to_owned(),
            busy: activity.inner.0.load(Ordering::Relaxed),
            waiting: health.missing(),
        };
        bucket
            .put(instance, serde_json::to_vec(&mine)?.into())
            .await?;
        share(&members, instance, quota);
    }
}

fn share(members: &Members, instance: &str, quota: &Quota) {
    let live = members.live();
    let total: f64 = live.values().map(|(presence, _)| weight(presence)).sum();
    if let Some((mine, _)) = live.get(instance) {
        quota.set_share(weight(mine) / total);
    }
}
