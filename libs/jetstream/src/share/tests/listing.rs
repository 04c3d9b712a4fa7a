//! Listing beside downloading: what it takes of the quota, by how much it needs.

use super::*;
use crate::Appetite;
use crate::presence::Activity;

const LIST: u32 = 100;
/// Tasks that wait at most.
const WINDOW: usize = 300;

/// Lists pages of so many images for as long as it lives.
fn producer(fleet: &Fleet, images_per_page: usize) -> Activity {
    let appetite = Appetite::default();
    let activity = Activity::with(appetite.clone());
    let members = Members::default();
    fleet.bus.watch(Duration::from_millis(100), members.clone());
    let quota = Quota::new(Some(fleet.limit));
    let announces = {
        let (bus, activity, appetite) = (fleet.bus.clone(), activity.clone(), appetite.clone());
        async move {
            loop {
                let mine = Presence {
                    v: 1,
                    role: "producer".into(),
                    busy: activity.is_busy(),
                    weight: Some(appetite.weight()),
                    holds: BTreeMap::new(),
                    waiting: BTreeMap::new(),
                    quota: None,
                };
                bus.tell("producer-1", Some(mine));
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    };
    let shares = {
        let quota = quota.clone();
        async move {
            let mut share = Share::default();
            loop {
                quota.set_share(share.of("producer-1", &members));
                let _ = tokio::time::timeout(Duration::from_millis(250), members.changed()).await;
            }
        }
    };
    let lists = {
        let (queue, activity) = (fleet.queue.clone().unwrap(), activity.clone());
        async move {
            loop {
                while queue.available_permits() >= WINDOW {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                activity.set_busy(true);
                let asked = Instant::now();
                quota.acquire(LIST).await;
                appetite.waited(asked.elapsed());
                tokio::time::sleep(Duration::from_millis(20)).await;
                activity.set_busy(false);
                queue.add_permits(images_per_page);
            }
        }
    };
    tokio::spawn(async move {
        tokio::select! {
            () = announces => {}
            () = shares => {}
            () = lists => {}
        }
    });
    activity
}

/// What part of the downloads is made that the quota allows, besides what listing them costs.
async fn downloaded(workers: u64, images_per_page: usize) -> f64 {
    let mut fleet = Fleet::new(325_000);
    fleet.queue = Some(Arc::new(Semaphore::new(0)));
    let _listing = producer(&fleet, images_per_page);
    let _members: Vec<_> = (0..workers).map(|number| fleet.join(number)).collect();
    minutes(2).await;
    let begun = Instant::now();
    minutes(5).await;
    fleet.assert_within();
    let listing = f64::from(LIST) / images_per_page as f64;
    let possible = f64::from(DOWNLOAD) / (f64::from(DOWNLOAD) + listing);
    fleet.used(begun, 300) / possible
}

#[tokio::test(start_paused = true)]
async fn large_folders_leave_the_quota_to_the_downloads() {
    for workers in [1, 3, 10] {
        let part = downloaded(workers, 999).await;
        assert!(part >= 0.98, "{part} of what is possible by {workers}");
    }
}

#[tokio::test(start_paused = true)]
async fn folders_of_a_few_images_are_listed_as_fast_as_they_are_downloaded() {
    for workers in [1, 3, 10] {
        for images in [1, 3, 10, 50] {
            let part = downloaded(workers, images).await;
            assert!(
                part >= 0.85,
                "{part} of what is possible by {workers}, {images} a folder"
            );
        }
    }
}
