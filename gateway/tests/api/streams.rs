//! What streams of events begin with, and how they are kept open.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway::Limits;

use crate::live::{QUIET, follow};
use crate::seed::{accepted, import_id, paused};
use crate::support::{start, start_with};

#[tokio::test]
async fn a_quiet_stream_gives_signs_of_life() {
    assert_eq!(Limits::default().keep_alive, Duration::from_secs(15));
    let brief = Duration::from_millis(100);
    let mut gateway = start_with(|config| config.limits.keep_alive = brief).await;
    gateway.fold(vec![accepted(&import_id("one"))]).await;
    let mut events = follow(&gateway, "/api/imports/one/events").await;
    events.next_named("import").await;
    events.is_quiet(QUIET).await;
    assert!((2..=9).contains(&events.comments), "{}", events.comments);
}

#[tokio::test]
async fn a_stream_begins_with_what_is_not_final_up_to_its_bound() {
    let mut gateway = start().await;
    let named = |prefix: &str, n: u32| import_id(&format!("{prefix}-{n}"));
    let (going, held) = (1..=1_990, 1..=30);
    let mut events: Vec<_> = going.map(|n| accepted(&named("going", n))).collect();
    events.extend(held.flat_map(|n| [accepted(&named("held", n)), paused(&named("held", n))]));
    gateway.fold(events).await;

    let mut stream = follow(&gateway, "/api/events").await;
    let mut statuses = BTreeMap::<String, u32>::new();
    for _ in 0..2_000 {
        let import = stream.next_named("import").await.data;
        let status = import["status"].as_str().unwrap().to_owned();
        *statuses.entry(status).or_default() += 1;
    }
    stream.is_quiet(QUIET).await;
    assert_eq!(
        statuses,
        [("paused".into(), 10), ("processing".into(), 1_990)].into()
    );
}
