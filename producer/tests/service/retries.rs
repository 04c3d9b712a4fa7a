//! Re-drives: failed entries are queued again.

use std::collections::BTreeSet;

use contracts::{Action, Cause, EventBody, FileId, ImportId, ImportImage};
use read_model::ImportStatus;
use testkit::until;

use crate::fleet::{DEADLINE, Fleet, Running, each_once, images};

const FOLDER: &str = "sim-n450-s256";

fn all(cause: Option<Cause>) -> Action {
    Action::Retry {
        cause,
        item_id: None,
    }
}

/// An import of [`FOLDER`] of which every image failed: two of three because it is gone, one because
/// it is empty.
async fn failed_import(fleet: &Fleet) -> (Running, ImportId) {
    let producer = fleet.producer();
    let import = fleet.import(FOLDER).await;
    fleet.settled().await;
    for (n, task) in fleet.take_tasks().await.iter().enumerate() {
        fleet.fail(task, cause(n)).await;
    }
    let row = fleet.fold().await.import(&import).await.unwrap().unwrap();
    assert_eq!((row.status, row.failed), (ImportStatus::Completed, 450));
    (producer, import)
}

fn cause(n: usize) -> Cause {
    if n.is_multiple_of(3) {
        Cause::EmptyFile
    } else {
        Cause::SourceGone
    }
}

fn redriven(events: &[EventBody]) -> BTreeSet<(String, u32)> {
    let chunks = events.iter().filter_map(|event| match event {
        EventBody::ImportRedriven { items } => Some(items),
        _ => None,
    });
    chunks
        .flatten()
        .map(|item| (item.item_id.to_string(), item.run))
        .collect()
}

fn runs(tasks: &[ImportImage]) -> BTreeSet<(String, u32)> {
    assert!(tasks.iter().all(|task| task.attempt == 1));
    let runs = tasks.iter();
    runs.map(|task| (task.file.item_id.to_string(), task.run))
        .collect()
}

#[tokio::test]
async fn a_retry_queues_the_next_run_of_each_failure_and_says_so() {
    let fleet = Fleet::start().await;
    let (producer, import) = failed_import(&fleet).await;
    for run in 2..4 {
        fleet.command(&import, all(None)).await;
        fleet.obeyed().await;
        let tasks = fleet.take_tasks().await;
        assert_eq!(each_once(&tasks), images(FOLDER, 450));
        assert!(tasks.iter().all(|task| task.run == run));
        let row = fleet.fold().await.import(&import).await.unwrap().unwrap();
        assert_eq!((row.status, row.failed), (ImportStatus::Processing, 0));
        let said = redriven(&fleet.events(&import).await);
        assert!(said.is_superset(&runs(&tasks)));
        for task in &tasks {
            fleet.fail(task, Cause::SourceGone).await;
        }
        fleet.fold().await;
    }
    producer.stop().await;
}

#[tokio::test]
async fn a_retry_by_cause_and_by_item_touches_nothing_else() {
    let fleet = Fleet::start().await;
    let (producer, import) = failed_import(&fleet).await;
    fleet.command(&import, all(Some(Cause::EmptyFile))).await;
    fleet.obeyed().await;
    let empty = fleet.take_tasks().await;
    assert_eq!(each_once(&empty).len(), 150);
    assert_eq!(redriven(&fleet.events(&import).await), runs(&empty));
    fleet.fold().await;

    let one = |id: &str, cause| Action::Retry {
        cause,
        item_id: Some(id.parse::<FileId>().unwrap()),
    };
    let left: BTreeSet<String> = images(FOLDER, 450)
        .difference(&each_once(&empty))
        .cloned()
        .collect();
    let (first, last) = (left.first().unwrap(), left.last().unwrap());
    let taken = empty[0].file.item_id.to_string();
    fleet.command(&import, one(first, None)).await;
    fleet
        .command(&import, one(last, Some(Cause::SourceGone)))
        .await;
    // It failed for another cause; it is queued already; it is nobody.
    fleet
        .command(
            &import,
            one(left.iter().nth(7).unwrap(), Some(Cause::EmptyFile)),
        )
        .await;
    fleet.command(&import, one(&taken, None)).await;
    fleet.command(&import, one("nobody", None)).await;
    fleet.obeyed_and_folded().await;
    let expected = BTreeSet::from([first.clone(), last.clone()]);
    assert_eq!(each_once(&fleet.take_tasks().await), expected);
    producer.stop().await;
}

#[tokio::test]
async fn a_retry_given_three_times_queues_nothing_twice() {
    let fleet = Fleet::start().await;
    let (producer, import) = failed_import(&fleet).await;
    // The same command three times, to two producers.
    let second = fleet.producer();
    for _ in 0..3 {
        fleet.command(&import, all(None)).await;
    }
    let model = fleet.obeyed_and_folded().await;
    let tasks = fleet.take_tasks().await;
    assert_eq!(each_once(&tasks), images(FOLDER, 450));
    assert!(tasks.iter().all(|task| task.run == 2));
    let row = model.import(&import).await.unwrap().unwrap();
    assert_eq!((row.failed, row.total), (0, 450));
    producer.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_retry_waits_for_the_read_model_and_says_so() {
    let fleet = Fleet::start().await;
    let (producer, import) = failed_import(&fleet).await;
    let path = fleet.database();
    let away = path.with_extension("away");
    std::fs::rename(&path, &away).unwrap();
    std::fs::create_dir(&path).unwrap();
    fleet.command(&import, all(None)).await;
    let health = &producer.service.health;
    until("health says that SQL is waited for", DEADLINE, || async {
        let report = health.snapshot();
        let sql = report.dependencies.get("sql");
        sql.is_some_and(|sql| !sql.ready).then_some(())
    })
    .await;
    // A cancellation does not wait behind it.
    let other = ImportId::generate();
    fleet.command(&other, Action::Cancel).await;
    until("the cancellation is carried out", DEADLINE, || async {
        let events = fleet.events(&other).await;
        (events == [EventBody::ImportCancelled {}]).then_some(())
    })
    .await;
    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(&away, &path).unwrap();
    // The cancellation is an event that the read model does not know of yet.
    fleet.fold().await;
    fleet.obeyed().await;
    assert_eq!(each_once(&fleet.take_tasks().await), images(FOLDER, 450));
    until("health is well", DEADLINE, || async {
        health.is_ready().then_some(())
    })
    .await;
    producer.stop().await;
}

#[tokio::test]
async fn a_cancelled_import_is_not_retried() {
    let fleet = Fleet::start().await;
    let (producer, import) = failed_import(&fleet).await;
    fleet.command(&import, Action::Cancel).await;
    fleet.obeyed().await;
    fleet.fold().await;
    fleet.command(&import, all(None)).await;
    fleet.obeyed().await;
    assert_eq!(fleet.queued(&import).await, 0);
    assert!(redriven(&fleet.events(&import).await).is_empty());
    producer.stop().await;
}
