use std::collections::VecDeque;

use super::*;

/// When what was spent.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Instant, u32)>>>);

impl Log {
    fn note(&self, units: u32) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.push((Instant::now(), units));
    }

    /// The most units in any 60 s.
    fn most(&self) -> u64 {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut window, mut sum, mut most) = (VecDeque::new(), 0, 0);
        for (at, units) in log.iter() {
            window.push_back((*at, *units));
            sum += u64::from(*units);
            while let Some((first, units)) = window.front()
                && *at - *first >= Duration::from_secs(60)
            {
                sum -= u64::from(*units);
                window.pop_front();
            }
            most = most.max(sum);
        }
        most
    }

    fn total(&self) -> u64 {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().map(|(_, units)| u64::from(*units)).sum()
    }
}

/// Spend for `minutes` with `callers` at once, each as `call` does.
async fn spend<F: Future<Output = ()> + Send>(
    minutes: u64,
    callers: usize,
    call: impl Fn(usize) -> F + Clone + Send + 'static,
) {
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let callers: Vec<_> = (0..callers)
        .map(|caller| {
            let call = call.clone();
            tokio::spawn(async move {
                while Instant::now() < end {
                    call(caller).await;
                }
            })
        })
        .collect();
    for caller in callers {
        let _ = caller.await;
    }
}

/// Downloads, by `callers` at once.
async fn download(quota: &Quota, minutes: u64, callers: usize) -> Log {
    let log = Log::default();
    let (quota, notes) = (quota.clone(), log.clone());
    spend(minutes, callers, move |_| {
        let (quota, notes) = (quota.clone(), notes.clone());
        async move {
            quota.acquire(200).await;
            notes.note(200);
        }
    })
    .await;
    log
}

#[tokio::test(start_paused = true)]
async fn no_minute_exceeds_the_quota_and_97_percent_is_used() {
    for (quota, callers) in [(1_000, 1), (60_000, 1), (60_000, 64), (1_000_000, 64)] {
        let log = download(&Quota::new(Some(quota)), 10, callers).await;
        let (most, total) = (log.most(), log.total());
        assert!(most <= u64::from(quota), "{most} of {quota} in 60 s");
        let allowed = f64::from(quota) * 10.0;
        // All but the first minute's last call, which nothing was saved up for.
        assert!(
            total as f64 >= 0.97 * allowed - 200.0,
            "only {total} of {allowed} with {callers} callers"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_spent_is_forgotten_after_a_minute() {
    let quota = Quota::new(Some(60_000));
    assert_eq!((quota.limit(), quota.spent_lately()), (Some(60_000), 0));
    quota.acquire(200).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    quota.acquire(5).await;
    assert_eq!(quota.spent_lately(), 205);
    tokio::time::sleep(Duration::from_millis(30_500)).await;
    assert_eq!(quota.spent_lately(), 5);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((quota.spent_lately(), quota.spent()), (0, 205));

    let unlimited = Quota::new(None);
    unlimited.acquire(200).await;
    assert_eq!((unlimited.limit(), unlimited.spent_lately()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn calls_of_all_prices_and_pauses_between_them_stay_within_it() {
    let quota = Quota::new(Some(60_000));
    let log = Log::default();
    let notes = log.clone();
    spend(10, 9, move |caller| {
        let (quota, notes) = (quota.clone(), notes.clone());
        async move {
            let units = [5, 100, 200][caller % 3];
            quota.acquire(units).await;
            notes.note(units);
            if caller > 5 {
                // Idle for a while, then all at once.
                tokio::time::sleep(Duration::from_secs(47)).await;
            }
        }
    })
    .await;
    let (most, total) = (log.most(), log.total());
    assert!(most <= 60_000, "{most}");
    assert!(total as f64 >= 0.97 * 600_000.0, "{total}");
}

#[tokio::test(start_paused = true)]
async fn a_burst_after_idling_takes_nothing_from_the_minute() {
    for limit in [5_100, 60_000] {
        let quota = Quota::new(Some(limit));
        tokio::time::sleep(Duration::from_secs(300)).await;
        let log = download(&quota, 5, 8).await;
        let (most, total) = (log.most(), log.total());
        assert!(most <= u64::from(limit), "{most} of {limit}");
        assert!(total as f64 >= 0.97 * 5.0 * f64::from(limit), "{total}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_binds_at_once_even_for_those_who_wait() {
    let quota = Quota::new(Some(60_000));
    quota.set_share(0.25);
    let log = download(&quota, 4, 16).await;
    assert!(log.most() <= 15_000, "{}", log.most());
    assert!(log.total() as f64 >= 0.97 * 60_000.0, "{}", log.total());
}

#[tokio::test(start_paused = true)]
async fn a_debt_to_a_small_share_does_not_outlive_it() {
    let quota = Quota::new(Some(60_000));
    quota.set_share(0.005);
    let begun = Instant::now();
    let waiting = tokio::spawn({
        let quota = quota.clone();
        async move { quota.acquire(200).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    quota.set_share(1.0);
    let _ = waiting.await;
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_share_too_small_for_a_call_a_minute_still_gets_one() {
    let quota = Quota::new(Some(60_000));
    quota.set_share(0.001);
    let begun = Instant::now();
    quota.acquire(200).await;
    let took = begun.elapsed().as_secs();
    assert!((200..300).contains(&took), "{took} s for 200 units at 1/s");
}

#[tokio::test(start_paused = true)]
async fn tickets_are_paid_before_they_are_used() {
    let quota = Quota::new(Some(60_000));
    let log = Log::default();
    let notes = log.clone();
    spend(5, 1, {
        let quota = quota.clone();
        move |_| {
            let (quota, notes) = (quota.clone(), notes.clone());
            async move {
                for ticket in quota.reserve(200, 64).await {
                    let notes = notes.clone();
                    tokio::spawn(async move {
                        // What comes between fetching and downloading.
                        tokio::time::sleep(Duration::from_millis(40)).await;
                        ticket.redeem().await;
                        notes.note(200);
                    });
                }
            }
        }
    })
    .await;
    let (most, total) = (log.most(), log.total());
    assert!(most <= 60_000, "{most}");
    assert!(total as f64 >= 0.97 * 300_000.0, "{total}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_used_is_given_back() {
    let quota = Quota::new(Some(60_000));
    let log = Log::default();
    let notes = log.clone();
    spend(5, 1, {
        let quota = quota.clone();
        move |_| {
            let (quota, notes) = (quota.clone(), notes.clone());
            async move {
                let mut tickets = quota.reserve(200, 3).await;
                // Nothing was there to call for.
                tokio::time::sleep(Duration::from_millis(20)).await;
                let used = tickets.pop();
                drop(tickets);
                if let Some(ticket) = used {
                    ticket.redeem().await;
                    notes.note(200);
                }
                drop(quota.reserve(200, 2).await);
            }
        }
    })
    .await;
    let (most, total) = (log.most(), log.total());
    assert!(most <= 60_000, "{most}");
    assert!(total as f64 >= 0.97 * 300_000.0, "{total}");
    assert_eq!(quota.spent(), total, "only what was used counts");
}

#[tokio::test(start_paused = true)]
async fn tickets_held_long_neither_pile_up_nor_block_a_question() {
    let quota = Quota::new(Some(60_000));
    let mut held = quota.reserve(200, 64).await;
    let more = async {
        loop {
            held.extend(quota.reserve(200, 64).await);
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(60), more).await;
    assert!(held.len() <= 3, "{} paid ahead", held.len());
    let begun = Instant::now();
    quota.acquire(5).await;
    assert!(begun.elapsed() < Duration::from_secs(1));
    for ticket in held {
        ticket.redeem().await;
    }
}

#[tokio::test(start_paused = true)]
async fn complaints_lower_the_pace_and_success_restores_it() {
    let quota = Quota::new(Some(60_000));
    for _ in 0..50 {
        quota.throttled(None);
    }
    let adapted = || quota.pace().adapted;
    assert!(
        (adapted() - 0.5).abs() < 1e-9,
        "many complaints of one moment count once"
    );
    let halved = Instant::now();
    while adapted() < 1.0 {
        quota.acquire(200).await;
        quota.accepted();
    }
    let took = halved.elapsed().as_secs();
    assert!((25..40).contains(&took), "{took} s, however many calls");

    quota.throttled(None);
    tokio::time::sleep(Duration::from_secs(600)).await;
    quota.accepted();
    assert!(adapted() < 0.6, "time without calls proves nothing");
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_was_asked_for_holds_for_everybody() {
    let quota = Quota::new(Some(60_000));
    let ticket = quota.reserve(200, 1).await.pop();
    let asked = Instant::now();
    quota.throttled(Some(Duration::from_secs(7)));
    quota.acquire(1).await;
    assert!(asked.elapsed() >= Duration::from_secs(7));

    let asked = Instant::now();
    quota.throttled(Some(Duration::from_secs(3)));
    if let Some(ticket) = ticket {
        ticket.redeem().await;
    }
    assert!(
        asked.elapsed() >= Duration::from_secs(3),
        "paid or not paid"
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_nothing_waits() {
    let quota = Quota::new(None);
    let before = Instant::now();
    for _ in 0..5_000 {
        quota.acquire(200).await;
    }
    let tickets = quota.reserve(200, 5_000).await;
    assert_eq!(tickets.len(), 5_000);
    for ticket in tickets {
        ticket.redeem().await;
    }
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(quota.spent(), 2_000_000);
}
