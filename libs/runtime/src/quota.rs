//! Pacing to a share of the Drive quota.
//!
//! Paced, a fleet uses nearly all of a quota; hitting the limit and retrying wastes a part of it.

mod ledger;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use ledger::{Ledger, STEP, WINDOW};

/// Seconds of the pace that may be saved up while nothing is asked for, and made good at once.
const BURST: f64 = 0.5;
/// Units of the dearest call, a download: one is saved up however small the share.
const DEAREST: f64 = 200.0;
/// The pace is never adapted below this part of the share.
const FLOOR: f64 = 0.05;
/// Part of the share by which the pace recovers in each second that calls go through. By time and
/// not by calls: one of ten workers must not need ten times as long as a single one.
const RECOVERY: f64 = 1.0 / 60.0;

/// This process's part of the quota. Clones share it.
#[derive(Clone)]
pub struct Quota {
    inner: Arc<Inner>,
}

struct Inner {
    /// Units per minute of the whole fleet; `None` is unlimited.
    units_per_minute: Option<u32>,
    pace: Mutex<Pace>,
    /// Fair (first come, first served): its holder is the next to pay.
    turn: tokio::sync::Mutex<()>,
    changed: Notify,
}

struct Pace {
    /// This process's part of the whole, 0 to 1.
    share: f64,
    /// Lowered when the other side complains, recovers with time.
    adapted: f64,
    lowered_at: Option<Instant>,
    recovered_at: Instant,
    /// Nothing is spent before this: the other side asked for a pause.
    not_before: Option<Instant>,
    spent: u64,
    /// Units saved up.
    balance: f64,
    as_of: Instant,
    /// Units of tickets that are paid and not used.
    reserved: u32,
    ledger: Ledger,
}

/// Leave for one call. Dropped unused, what was paid for it is given back.
#[must_use]
pub struct Ticket {
    quota: Quota,
    units: u32,
    paid: bool,
}

impl Ticket {
    /// Use it, now: the call follows at once. Waits if it is not paid yet, and while the other side
    /// wants a pause.
    pub async fn redeem(mut self) {
        if self.paid {
            self.quota.used(self.units).await;
            self.paid = false;
        } else {
            self.quota.acquire(self.units).await;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.paid {
            self.quota.refund(self.units);
        }
    }
}

impl Quota {
    /// `units_per_minute` for the whole fleet; this process starts with all of it.
    #[must_use]
    pub fn new(units_per_minute: Option<u32>) -> Self {
        let now = Instant::now();
        Self {
            inner: Arc::new(Inner {
                units_per_minute,
                pace: Mutex::new(Pace {
                    share: 1.0,
                    adapted: 1.0,
                    lowered_at: None,
                    recovered_at: now,
                    not_before: None,
                    spent: 0,
                    balance: 0.0,
                    as_of: now,
                    reserved: 0,
                    ledger: Ledger::default(),
                }),
                turn: tokio::sync::Mutex::new(()),
                changed: Notify::new(),
            }),
        }
    }

    /// Whether there is a limit at all.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.inner.units_per_minute.is_some()
    }

    /// Units per minute of the whole fleet; `None` is unlimited.
    #[must_use]
    pub fn limit(&self) -> Option<u32> {
        self.inner.units_per_minute
    }

    /// Units spent in the last minute; 0 without a limit, because then nobody keeps count.
    #[must_use]
    pub fn spent_lately(&self) -> u64 {
        self.pace().ledger.spent(Instant::now())
    }

    /// Units a minute that this process may spend now, after the other side's complaints; unlimited
    /// without a limit.
    pub(crate) fn pace_per_minute(&self) -> f64 {
        let pace = self.pace();
        let limit = self.inner.units_per_minute;
        limit.map_or(f64::INFINITY, |limit| {
            f64::from(limit) * pace.share * pace.adapted
        })
    }

    /// Units spent so far.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.pace().spent
    }

    /// This process's part of the fleet's quota from now on, 0 to 1.
    pub fn set_share(&self, share: f64) {
        let share = share.clamp(0.0, 1.0);
        let mut pace = self.pace();
        if pace.share.total_cmp(&share).is_eq() {
            return;
        }
        // What was allowed until now was so by the old share.
        pace.catch_up(self.inner.units_per_minute, 0.0);
        pace.share = share;
        drop(pace);
        self.inner.changed.notify_waiters();
    }

    /// The part in force.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.pace().share
    }

    /// The other side said it was too much: halve the pace, once for all complaints about the same
    /// second, and pause for `retry_after` if it asked for that.
    ///
    /// Only this process slows down. If the whole fleet is too fast, the others hear of it themselves,
    /// in proportion to what they ask for.
    pub fn throttled(&self, retry_after: Option<Duration>) {
        let now = Instant::now();
        let mut pace = self.pace();
        if pace
            .lowered_at
            .is_none_or(|at| now.duration_since(at) > Duration::from_secs(1))
        {
            pace.catch_up(self.inner.units_per_minute, 0.0);
            pace.adapted = (pace.adapted * 0.5).max(FLOOR);
            pace.lowered_at = Some(now);
            pace.recovered_at = now;
        }
        if let Some(pause) = retry_after {
            // Never for longer than a quota window: a pause for one image's sake is that image's.
            let until = now + pause.min(Duration::from_secs(60));
            pace.not_before = Some(pace.not_before.map_or(until, |at| at.max(until)));
        }
        drop(pace);
        self.inner.changed.notify_waiters();
    }

    /// A call went through: recover a little, from half the pace to all of it in half a minute.
    pub fn accepted(&self) {
        let now = Instant::now();
        let mut pace = self.pace();
        if pace.adapted < 1.0 {
            // Time in which nothing was asked proves nothing, except between two calls.
            let proven = now.duration_since(pace.recovered_at).as_secs_f64().min(5.0);
            pace.catch_up(self.inner.units_per_minute, 0.0);
            pace.adapted = (pace.adapted + proven * RECOVERY).min(1.0);
        }
        pace.recovered_at = now;
    }

    /// Wait until `units` may be spent, and spend them. First come, first served.
    pub async fn acquire(&self, units: u32) {
        let _turn = self.inner.turn.lock().await;
        self.until(|pace, limit| pace.spend(limit, units)).await;
    }

    /// Pay for calls before there is anything to call for: wait until one can be paid, then take as
    /// many more, up to `max`, as can be paid at once. First come, first served.
    pub async fn reserve(&self, units: u32, max: usize) -> Vec<Ticket> {
        let mut tickets = Vec::new();
        let _turn = self.inner.turn.lock().await;
        self.until(|pace, limit| {
            while tickets.len() < max {
                if let Err(wait) = pace.reserve(limit, units) {
                    return if tickets.is_empty() {
                        Err(wait)
                    } else {
                        Ok(())
                    };
                }
                tickets.push(self.ticket(units, limit.is_some()));
            }
            Ok(())
        })
        .await;
        tickets
    }

    /// A ticket that is paid when it is used.
    pub fn unpaid(&self, units: u32) -> Ticket {
        self.ticket(units, false)
    }

    fn ticket(&self, units: u32, paid: bool) -> Ticket {
        Ticket {
            quota: self.clone(),
            units,
            paid,
        }
    }

    async fn used(&self, units: u32) {
        self.until(|pace, limit| pace.redeem(limit, units)).await;
        // Its place in the burst is free.
        self.inner.changed.notify_waiters();
    }

    fn refund(&self, units: u32) {
        let mut pace = self.pace();
        pace.reserved = pace.reserved.saturating_sub(units);
        pace.balance += f64::from(units);
        drop(pace);
        self.inner.changed.notify_waiters();
    }

    /// Try until it is done; each refusal says how long to wait, `None` until something changes.
    async fn until(
        &self,
        mut attempt: impl FnMut(&mut Pace, Option<u32>) -> Result<(), Option<Duration>>,
    ) {
        loop {
            let changed = self.inner.changed.notified();
            let attempted = attempt(&mut self.pace(), self.inner.units_per_minute);
            match attempted {
                Ok(()) => return,
                Err(None) => changed.await,
                Err(Some(wait)) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep(wait) => {}
                },
            }
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.inner
            .pace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pace {
    /// Units per second that the share allows.
    fn allowed(&self, limit: u32) -> f64 {
        f64::from(limit) * self.share / WINDOW
    }

    /// Save up until now, `wanted` units at least.
    fn catch_up(&mut self, limit: Option<u32>, wanted: f64) {
        let now = Instant::now();
        let Some(limit) = limit else { return };
        let allowed = self.allowed(limit);
        self.ledger.allow(self.as_of, now, allowed);
        let earned = now.duration_since(self.as_of).as_secs_f64() * allowed * self.adapted;
        // Tickets not used yet are part of the burst: they may all be used at once.
        let most = ((allowed * BURST).max(DEAREST) - f64::from(self.reserved)).max(wanted);
        self.balance = (self.balance + earned).min(most);
        self.as_of = now;
    }

    fn spend(&mut self, limit: Option<u32>, units: u32) -> Result<(), Option<Duration>> {
        self.afford(limit, units, 0)?;
        self.balance -= f64::from(units);
        self.spent += u64::from(units);
        self.ledger.spend(units);
        Ok(())
    }

    fn reserve(&mut self, limit: Option<u32>, units: u32) -> Result<(), Option<Duration>> {
        if limit.is_none() {
            return Ok(());
        }
        self.afford(limit, units, self.reserved)?;
        self.balance -= f64::from(units);
        self.reserved += units;
        Ok(())
    }

    fn redeem(&mut self, limit: Option<u32>, units: u32) -> Result<(), Option<Duration>> {
        self.catch_up(limit, 0.0);
        self.ask(limit, units, 0)?;
        self.reserved = self.reserved.saturating_sub(units);
        self.spent += u64::from(units);
        self.ledger.spend(units);
        Ok(())
    }

    /// Whether `units` may be spent now, if `besides` are going to be as well.
    fn afford(
        &mut self,
        limit: Option<u32>,
        units: u32,
        besides: u32,
    ) -> Result<(), Option<Duration>> {
        let Some(per_minute) = limit else {
            return self.ask(limit, units, besides);
        };
        let wanted = f64::from(units);
        // With tickets that wait to be used, none is paid beyond the burst.
        self.catch_up(limit, if besides == 0 { wanted } else { 0.0 });
        let missing = wanted - self.balance;
        // A millionth of a unit: sums of fractions are never exact.
        if missing > 1e-6 {
            let per_second = self.allowed(per_minute) * self.adapted;
            let wait = Duration::try_from_secs_f64(missing / per_second).ok();
            // Never to the end of a long wait in one go: the timer's step is a millisecond, and
            // what is due may change.
            return Err(wait.map(|wait| wait.clamp(Duration::from_millis(1), STEP * 50)));
        }
        self.ask(limit, units, besides)
    }

    /// Whether the other side wants a pause, and whether the last minute has room.
    fn ask(&self, limit: Option<u32>, units: u32, besides: u32) -> Result<(), Option<Duration>> {
        let Some(limit) = limit else { return Ok(()) };
        let now = Instant::now();
        if let Some(pause) = self
            .not_before
            .and_then(|at| at.checked_duration_since(now))
            && !pause.is_zero()
        {
            return Err(Some(pause));
        }
        let wanted = f64::from(units) + f64::from(besides);
        // A share too small for one such call a minute saves up for longer than the ledger goes.
        let never = self.allowed(limit) * WINDOW < wanted && self.ledger.is_unspent();
        if never || self.ledger.room(now) + 1e-6 >= wanted {
            return Ok(());
        }
        Err(Some(STEP / 2))
    }
}
