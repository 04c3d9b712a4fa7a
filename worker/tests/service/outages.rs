//! While something is away work waits: no attempt is spent, nothing becomes a dead letter, and
//! readiness says what is waited for.

use std::time::Duration;

use contracts::{EventBody, SourceFile};
use drive::Auth;
use drive_sim::Faults;
use testkit::until;

use crate::support::{self, Fixture, PATIENCE, Running};

/// Drive takes its time, so that there is a middle.
pub(crate) fn slow() -> Faults {
    Faults {
        latency_ms: 30,
        ..Faults::default()
    }
}

pub(crate) async fn imported(it: &Fixture) -> usize {
    let events = it.events().await;
    events
        .iter()
        .filter(|e| matches!(e.body, EventBody::ImageImported { .. }))
        .count()
}

/// A worker that has done some of `files`, with the rest before it.
pub(crate) async fn in_the_middle() -> (Fixture, Vec<SourceFile>, Running) {
    let it = support::start(slow()).await;
    let files = it.listed("sim-n80-s4k").await;
    it.publish_all(files.clone()).await;
    let worker = it.work();
    until("some are imported", PATIENCE, || async {
        (imported(&it).await >= 10).then_some(())
    })
    .await;
    (it, files, worker)
}

/// Wait until every slot has met the outage and several probes have found it to last.
async fn has_struck(it: &Fixture, fault: &str) {
    until("Drive was asked in vain", PATIENCE, || async {
        let stats = it.sim.stats();
        (stats.faults.get(fault).copied().unwrap_or(0) >= 20).then_some(())
    })
    .await;
}

pub(crate) async fn all_imported(it: &Fixture, files: &[SourceFile], worker: Running) {
    it.assert_imported(files, 1).await;
    it.assert_nothing_failed().await;
    worker.is_ready().await;
    worker.stop().await;
}

#[tokio::test]
async fn drive_goes_away_and_returns() {
    let (it, files, worker) = in_the_middle().await;
    it.sim.set_faults(Faults {
        down: true,
        ..slow()
    });
    worker.waits_for("drive").await;
    has_struck(&it, "down").await;
    let before = imported(&it).await;
    assert!(before < files.len(), "there was no middle");
    it.sim.set_faults(slow());
    all_imported(&it, &files, worker).await;
}

async fn drive_answers_everybody_with(faults: Faults) {
    let it = support::start(slow()).await;
    let files = it.listed("sim-n20-s4k").await;
    it.sim.set_faults(faults);
    it.publish_all(files.clone()).await;
    let worker = it.work();
    worker.waits_for("drive").await;
    until("all slots have failed", PATIENCE, || async {
        (it.sim.stats().requests.get >= 10).then_some(())
    })
    .await;
    it.sim.set_faults(slow());
    all_imported(&it, &files, worker).await;
}

#[tokio::test]
async fn drive_fails_everybody() {
    let error_500 = Faults {
        error_500: 1.0,
        ..slow()
    };
    let error_503 = Faults {
        error_503: 1.0,
        ..slow()
    };
    let reset = Faults {
        reset: 1.0,
        ..slow()
    };
    tokio::join!(
        Box::pin(drive_answers_everybody_with(error_500)),
        Box::pin(drive_answers_everybody_with(error_503)),
        Box::pin(drive_answers_everybody_with(reset)),
    );
}

#[tokio::test]
async fn one_prober_at_a_time_asks_a_cheap_question() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n8-s4k").await;
    it.sim.set_faults(Faults {
        down: true,
        ..Faults::default()
    });
    it.publish_all(files.clone()).await;
    let worker = it.work();
    has_struck(&it, "down").await;
    let before = it.sim.stats().requests;
    until("it was asked again", PATIENCE, || async {
        (it.sim.stats().requests.get >= before.get + 2).then_some(())
    })
    .await;
    assert_eq!(
        it.sim.stats().requests.download,
        before.download,
        "an image was downloaded to find out"
    );
    it.sim.set_faults(Faults::default());
    all_imported(&it, &files, worker).await;
}

#[tokio::test]
async fn the_store_goes_away_and_returns() {
    let (it, files, worker) = in_the_middle().await;
    let aside = it.bucket().with_extension("aside");
    std::fs::rename(it.bucket(), &aside).unwrap();
    let why = worker.waits_for("store").await;
    assert!(why.contains("LOCAL_STORAGE_PATH"), "{why}");
    std::fs::rename(&aside, it.bucket()).unwrap();
    all_imported(&it, &files, worker).await;
}

/// The task that found the store away ends without asking it again: the file is gone. Somebody must
/// find out all the same that the store is back.
#[tokio::test]
async fn an_outage_ends_even_if_nobody_is_left_who_met_it() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n3-s4k").await;
    let worker = it.work();
    worker.is_ready().await;
    let aside = it.bucket().with_extension("aside");
    std::fs::rename(it.bucket(), &aside).unwrap();
    it.publish(it.task(files[0].clone())).await;
    worker.waits_for("store").await;
    it.sim.set_faults(Faults {
        download_quota: 1.0,
        ..Faults::default()
    });
    it.event("the only task ends", |body| {
        matches!(body, EventBody::ImageFailed { .. }).then_some(())
    })
    .await;
    it.sim.set_faults(Faults::default());
    std::fs::rename(&aside, it.bucket()).unwrap();
    it.publish_all(files[1..].to_vec()).await;
    it.assert_imported(&files[1..], 1).await;
    worker.is_ready().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_wrong_key_is_nobodys_failure() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n4-s4k").await;
    it.publish_all(files.clone()).await;
    let mut config = it.config();
    config.drive.auth = Auth::ApiKey("wrong".into());
    let worker = Running::start(config);
    let why = worker.waits_for("drive").await;
    assert!(why.contains("API key") && !why.contains("wrong"), "{why}");
    worker.stop().await;
    assert_eq!(it.events().await.len(), 0);
    let worker = it.work();
    all_imported(&it, &files, worker).await;
}

#[tokio::test]
async fn a_refused_sign_in_is_waited_out() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n4-s4k").await;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.json");
    std::fs::write(&key, it.sim.service_account_file()).unwrap();
    it.sim.set_faults(Faults {
        refuse_sign_in: Some(drive_sim::SignInRefusal::Revoked),
        ..Faults::default()
    });
    it.publish_all(files.clone()).await;
    let mut config = it.config();
    let credentials = drive::Credentials::read(&key).unwrap();
    config.drive.auth = Auth::Credentials(Box::new(credentials));
    let worker = Running::start(config);
    let why = worker.waits_for("drive").await;
    assert!(why.contains("GOOGLE_APPLICATION_CREDENTIALS"), "{why}");
    it.sim.set_faults(Faults::default());
    all_imported(&it, &files, worker).await;
}

#[tokio::test]
async fn being_too_fast_costs_no_attempt() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n25-s4k").await;
    it.sim.set_faults(Faults {
        // Ten downloads a second, five of them at once.
        quota_units_per_minute: Some(120_000),
        quota_burst_ms: Some(500),
        ..Faults::default()
    });
    it.publish_all(files.clone()).await;
    let worker = it.work();
    all_imported(&it, &files, worker).await;
    let refused = it.sim.stats().faults.get("quota").copied();
    assert!(refused > Some(0), "Drive never complained");
}

#[tokio::test]
async fn within_the_quota_drive_never_complains() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n25-s4k").await;
    it.sim.set_faults(Faults {
        quota_units_per_minute: Some(120_000),
        quota_burst_ms: Some(1_000),
        ..Faults::default()
    });
    it.publish_all(files.clone()).await;
    let mut config = it.config();
    config.quota = Some(120_000);
    let worker = Running::start(config);
    all_imported(&it, &files, worker).await;
    assert_eq!(it.sim.stats().faults.get("quota"), None);
}

#[tokio::test]
async fn a_stop_during_an_outage_does_not_wait_for_its_end() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n4-s4k").await;
    it.sim.set_faults(Faults {
        down: true,
        ..Faults::default()
    });
    it.publish_all(files.clone()).await;
    let mut config = it.config();
    config.grace = Duration::from_secs(3600);
    let worker = Running::start(config);
    worker.waits_for("drive").await;
    worker.stop().await;
    assert_eq!(it.tasks_ready().await, 4, "handed back at once");
}
