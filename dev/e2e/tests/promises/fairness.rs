//! A small import beside a huge one takes its own time, not the other's.

use contracts::EventBody;
use drive_sim::Faults;
use e2e::{bucket, drive, events};
use testkit::{Fleet, fleet, until};

use crate::{DEADLINE, status};

/// Counted in images rather than seconds: alone, a hundred images are over when the fleet has done a
/// hundred.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_images_beside_twenty_thousand() {
    const UNITS: u64 = 160_000;
    let (drive_env, _sim) = drive(Faults {
        quota_units_per_minute: Some(UNITS),
        ..Faults::default()
    })
    .await;
    let (store_env, _store) = bucket("fairness").await;
    let own = vec![("DRIVE_QUOTA_UNITS_PER_MINUTE", UNITS.to_string())];
    let env = [drive_env, store_env, own].concat();
    let fleet = Fleet::start(&fleet::program().unwrap(), 2, &env)
        .await
        .unwrap();
    let huge = fleet.import("sim-n20000-s256").await.unwrap();
    until("the huge one is well under way", DEADLINE, || async {
        let status = status(&fleet, &huge).await;
        (status["imported_count"].as_u64() >= Some(100)).then_some(())
    })
    .await;
    let submitted = events(&fleet).await.last().unwrap().0;
    let small = fleet.import("sim-n100-s300").await.unwrap();
    let ended = fleet.ended(&small, DEADLINE).await.unwrap();
    assert_eq!(
        (&ended["status"], &ended["imported_count"]),
        (&"completed".into(), &100.into()),
        "{ended}"
    );
    let since: Vec<String> = events(&fleet)
        .await
        .into_iter()
        .filter(|(sequence, event)| {
            *sequence > submitted && matches!(event.body, EventBody::ImageImported { .. })
        })
        .map(|(_, event)| event.import_id.to_string())
        .collect();
    let last = since.iter().rposition(|import| *import == small).unwrap();
    println!("over after {} images of the fleet", last + 1);
    assert!(
        last < 300,
        "the small import's last image was the fleet's {}th since its submission",
        last + 1
    );
    let others = status(&fleet, &huge).await;
    assert_eq!(
        others["status"], "processing",
        "the huge one must not be over"
    );
    fleet.stop().await.unwrap();
}
