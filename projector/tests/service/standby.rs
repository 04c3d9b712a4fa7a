//! Two projectors never corrupt: one works, the other stands by and takes over.

use crate::support::{self, import};

#[tokio::test]
async fn two_at_once_stay_exact_and_one_takes_over() {
    let it = support::start().await;
    let first = it.project();
    let second = it.project();
    it.publish(&import("shared", 900)).await;
    it.assert_exact().await;
    let events =
        |running: &support::Running| running.metric("imagefleet_projector_events_total") as u64;
    assert_eq!(
        events(&first) + events(&second),
        it.last().await,
        "an event was folded twice"
    );

    first.stop().await;
    it.publish(&import("alone", 100)).await;
    it.assert_exact().await;
    second.stop().await;
}
