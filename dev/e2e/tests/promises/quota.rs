//! The whole fleet stays within one quota, whoever comes and goes.

use drive_sim::{Faults, Stats};
use e2e::{assert_every_byte, bucket, drive};
use testkit::{Fleet, fleet, until};

use crate::{DEADLINE, ack_wait, status};

fn refused(stats: &Stats) -> u64 {
    stats.faults.get("quota").copied().unwrap_or(0)
}

async fn imported(fleet: &Fleet, job: &str, images: u64) {
    until("some images have arrived", DEADLINE, || async {
        let status = status(fleet, job).await;
        (status["imported_count"].as_u64() >= Some(images)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_ever_refused_though_workers_come_and_go() {
    // 50 images a second; Drive tolerates no more than three seconds' worth at once.
    const UNITS: u64 = 600_000;
    let (drive_env, sim) = drive(Faults {
        quota_units_per_minute: Some(UNITS),
        quota_burst_ms: Some(3_000),
        ..Faults::default()
    })
    .await;
    let (store_env, store) = bucket("quota-shared").await;
    let own = vec![("DRIVE_QUOTA_UNITS_PER_MINUTE", UNITS.to_string())];
    let env = [drive_env, store_env, own, ack_wait("3s")].concat();
    let mut fleet = Fleet::start(&fleet::program().unwrap(), 3, &env)
        .await
        .unwrap();
    let job = fleet.import("sim-n1500-s5k").await.unwrap();
    imported(&fleet, &job, 400).await;
    fleet.workers[0].kill().await.unwrap();
    fleet.workers.remove(0);
    imported(&fleet, &job, 800).await;
    let newcomer = fleet.another("worker-late", "worker", &[]).unwrap();
    fleet.workers.push(newcomer);
    let status = fleet.ended(&job, DEADLINE).await.unwrap();
    assert_eq!(
        (&status["status"], &status["imported_count"]),
        (&"completed".into(), &1500.into()),
        "{status}"
    );
    let stats = sim.stats();
    assert_eq!(refused(&stats), 0, "{:?}", stats.statuses);
    assert!(stats.max_quota_units_per_minute <= UNITS, "{stats:?}");
    assert_every_byte(&fleet.url, &store, 1500).await;
    fleet.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_lower_than_configured_is_found_out() {
    const IMAGES: u64 = 800;
    let (drive_env, sim) = drive(Faults {
        quota_units_per_minute: Some(400_000),
        quota_burst_ms: Some(1_000),
        ..Faults::default()
    })
    .await;
    let (store_env, store) = bucket("quota-lower").await;
    let own = vec![("DRIVE_QUOTA_UNITS_PER_MINUTE", "1600000".to_owned())];
    let env = [drive_env, store_env, own].concat();
    let fleet = Fleet::start(&fleet::program().unwrap(), 2, &env)
        .await
        .unwrap();
    let job = fleet.import("sim-n800-s5k").await.unwrap();
    let status = fleet.ended(&job, 2 * DEADLINE).await.unwrap();
    assert_eq!(
        (&status["status"], status["imported_count"].as_u64()),
        (&"completed".into(), Some(IMAGES)),
        "{status}"
    );
    let refused = refused(&sim.stats());
    assert!(refused > 0, "the quota never bound");
    assert!(refused < IMAGES / 4, "{refused} requests were refused");
    assert_every_byte(&fleet.url, &store, IMAGES as usize).await;
    fleet.stop().await.unwrap();
}
