//! Downloads that break off and go on.

use contracts::{Cause, EventBody, SourceFile};
use drive_sim::Faults;

use crate::images::assert_no_leftovers;
use crate::support::{self, Fixture, Running};

const MIB: u64 = 1 << 20;

fn cut_after(bytes: u64) -> Faults {
    Faults {
        cut_after: Some(bytes),
        ..Faults::default()
    }
}

/// One file of `folder`, imported by a worker that has one attempt, over a line with `faults`.
async fn at_first_attempt(folder: &str, faults: Faults) -> (Fixture, SourceFile) {
    let it = support::start(Faults::default()).await;
    let files = it.listed(folder).await;
    it.sim.reset();
    it.sim.set_faults(faults);
    it.publish_all(files.clone()).await;
    let mut config = it.config();
    config.retry.max_attempts = 1;
    let worker = Running::start(config);
    it.all_done().await;
    worker.stop().await;
    (it, files.into_iter().next().unwrap())
}

/// The cause that the only file failed for.
async fn cause(it: &Fixture) -> Cause {
    assert_eq!(it.objects().await.len(), 0);
    assert_no_leftovers(it);
    match it.events().await.pop().unwrap().body {
        EventBody::ImageFailed { cause, .. } => cause,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn over_a_line_that_breaks_every_few_megabytes_each_byte_comes_once() {
    let (it, file) = at_first_attempt("sim-n1-s20m", cut_after(5 * MIB)).await;
    it.assert_imported(std::slice::from_ref(&file), 1).await;
    let stats = it.sim.stats();
    assert_eq!(stats.statuses, [(200, 1), (206, 3)].into());
    assert_eq!(stats.bytes, 20 * MIB);
    // Nothing else was asked: a resumption is paid like a download.
    assert_eq!(stats.quota_units, 4 * 200);
}

#[tokio::test]
async fn a_small_image_goes_on_too() {
    let (it, file) = at_first_attempt("sim-n1-s400k", cut_after(150 << 10)).await;
    it.assert_imported(std::slice::from_ref(&file), 1).await;
    let stats = it.sim.stats();
    // Once it is asked about a file that nobody has: is it the line, or is it Drive?
    assert_eq!(stats.statuses, [(200, 1), (206, 2), (404, 1)].into());
    assert_eq!(stats.bytes, 400 << 10);
}

#[tokio::test]
async fn many_resumptions_are_no_failure_while_they_bring_something() {
    let faults = cut_after(MIB + 1000);
    let (it, file) = at_first_attempt("sim-n1-s12m", faults).await;
    it.assert_imported(std::slice::from_ref(&file), 1).await;
    assert_eq!(it.downloads(&file.id), 12);
    assert_eq!(it.sim.stats().bytes, 12 * MIB);
}

#[tokio::test]
async fn an_outage_amid_a_large_image_is_waited_out_and_the_rest_follows() {
    let it = support::start(Faults::default()).await;
    let files = it.listed("sim-n1-s48m").await;
    it.sim.reset();
    // The first connection breaks; what is asked while it lasts decides about what follows.
    it.sim.set_faults(cut_after(40 * MIB));
    let mut watch = it.sim.watch();
    it.publish_all(files.clone()).await;
    let mut config = it.config();
    config.retry.max_attempts = 1;
    let worker = Running::start(config);
    while let Some(moment) = watch.next().await {
        if moment.kind == drive_sim::Kind::Download && moment.answered == Some(200) {
            break;
        }
    }
    it.sim.set_faults(Faults {
        error_503: 1.0,
        ..Faults::default()
    });
    worker.waits_for("drive").await;
    it.sim.set_faults(Faults::default());
    it.assert_imported(&files, 1).await;
    worker.stop().await;
    let stats = it.sim.stats();
    assert_eq!(stats.bytes, 48 * MIB, "nothing came twice");
    assert_eq!(it.downloads(&files[0].id), 2);
}

#[tokio::test]
async fn a_line_that_brings_too_little_is_given_up() {
    let (it, file) = at_first_attempt("sim-n1-s40k", cut_after(1_000)).await;
    assert_eq!(cause(&it).await, Cause::NetworkError);
    assert_eq!(it.downloads(&file.id), 4, "three resumptions");
    assert_eq!(it.sim.stats().bytes, 4_000);
}

#[tokio::test]
async fn a_drive_that_ignores_ranges_costs_an_attempt_and_no_wrong_byte() {
    let faults = Faults {
        ignore_range: 1.0,
        ..cut_after(4 * MIB)
    };
    let (it, file) = at_first_attempt("sim-n1-s9m", faults).await;
    assert_eq!(cause(&it).await, Cause::NetworkError);
    assert_eq!(it.downloads(&file.id), 2);
}

#[tokio::test]
async fn a_file_without_a_checksum_is_not_put_together_from_parts() {
    let it = support::start(Faults::default()).await;
    let mut file = it.listed("sim-n1-s9m").await.remove(0);
    (file.md5, file.sha256) = (None, None);
    it.sim.reset();
    it.sim.set_faults(cut_after(4 * MIB));
    it.publish(it.task(file.clone())).await;
    let mut config = it.config();
    config.retry.max_attempts = 1;
    let worker = Running::start(config);
    it.all_done().await;
    worker.stop().await;
    assert_eq!(cause(&it).await, Cause::NetworkError);
    assert_eq!(it.downloads(&file.id), 1);
}

#[tokio::test]
async fn parts_of_two_files_are_told_apart_by_the_whole() {
    // The file is another than was listed, and so are its parts.
    let it = support::start(Faults::default()).await;
    let mut file = it.listed("sim-n1-s9m").await.remove(0);
    file.md5 = Some("0".repeat(32));
    it.sim.set_faults(cut_after(4 * MIB));
    it.publish(it.task(file.clone())).await;
    let worker = it.work();
    it.all_done().await;
    worker.stop().await;
    // Drive was asked, and said what the file is now: it is imported as that.
    let imported = it.events().await.pop().unwrap().body;
    let EventBody::ImageImported {
        attempt, object, ..
    } = imported
    else {
        panic!("{imported:?}");
    };
    assert_eq!(attempt, 1);
    let content = drive_sim::content(file.id.as_str()).unwrap();
    let objects = it.objects().await;
    assert_eq!(objects.len(), 1);
    assert!(objects[&object.key] == content);
    assert_no_leftovers(&it);
}
