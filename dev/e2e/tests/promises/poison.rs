//! A task that kills whoever touches it is given up, and costs nobody else anything.

use std::collections::BTreeMap;
use std::time::Duration;

use drive_sim::{Faults, Kind};
use e2e::{bucket, drive, outcomes, rows};
use serde_json::Value;
use testkit::proxy::{Proxy, Trouble};
use testkit::{Fleet, fleet};

use crate::{DEADLINE, ack_wait, status};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_kills_its_workers_is_given_up_after_five() {
    const IMAGES: usize = 60;
    const POISON: &str = "sim-n60-s5k-f0";
    // Between question and answer there is time to die.
    let (drive_env, sim) = drive(Faults {
        latency_ms: 200,
        ..Faults::default()
    })
    .await;
    let (store_env, _store) = bucket("poison").await;
    let own = vec![("WORKER_CONCURRENCY", "16".to_owned())];
    let env = [drive_env, store_env, own, ack_wait("2s")].concat();
    let mut fleet = Fleet::start(&fleet::program().unwrap(), 0, &env)
        .await
        .unwrap();
    // Far from NATS, a worker that is killed as soon as it asks for the task has not settled those it
    // put off for its sake, unless it waited for that.
    let nats = fleet.nats.url().trim_start_matches("nats://");
    let distance = Proxy::start(nats.parse().unwrap(), 1).unwrap();
    distance.set(Trouble::Slow(Duration::from_millis(100)));
    let far = [("NATS_URL", format!("nats://{}", distance.address()))];
    fleet
        .workers
        .push(fleet.another("worker", "worker", &far).unwrap());
    let mut watch = sim.watch();
    let job = fleet.import("sim-n60-s5k").await.unwrap();
    let mut kills = 0;
    // Follow what is asked of Drive until nothing is, then see whether the import has ended.
    loop {
        let Ok(moment) = tokio::time::timeout(DEADLINE / 30, watch.next()).await else {
            let status = status(&fleet, &job).await;
            if status["status"] == "completed" {
                break;
            }
            assert!(kills <= 5, "the task was touched again: {status}");
            continue;
        };
        let moment = moment.unwrap();
        if (moment.kind, moment.answered, moment.id.as_str()) == (Kind::Download, None, POISON) {
            kills += 1;
            fleet.workers[0].kill().await.unwrap();
            let name = format!("worker-after-{kills}");
            fleet.workers[0] = fleet.another(&name, "worker", &far).unwrap();
        }
    }
    assert_eq!(kills, 5, "five deliveries, and none of them more");
    let failures: Value = reqwest::get(format!("{}/api/imports/{job}/failures", fleet.url))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let text = failures.to_string();
    assert!(
        text.contains("worker_crashed") && text.contains(POISON),
        "{text}"
    );
    let expected = BTreeMap::from([
        (("image.failed", 1), 1),
        (("image.imported", 1), IMAGES - 1),
    ]);
    assert_eq!(outcomes(&fleet).await, expected, "{text}");
    let rows = rows(&fleet.url).await;
    assert_eq!(rows.len(), IMAGES - 1);
    assert!(rows.iter().all(|row| row["google_drive_id"] != POISON));
    fleet.stop().await.unwrap();
}
