//! Opening the file: by whom, in which order, and in which state it may be.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::{PROJECTOR, file_in, fold, import_id, imported, model};
use read_model::{ImagesQuery, ReadModel, ReadModelError};
use rusqlite::Connection;

/// Names the file that a child process of these tests opens.
const FILE: &str = "READ_MODEL_TEST_FILE";

#[tokio::test]
async fn a_reader_may_come_before_the_projector() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not/yet/there.sqlite");
    let reader = ReadModel::open_sqlite_read_only(&path);
    let early = reader.import(&import_id("one")).await;
    assert!(matches!(early, Err(ReadModelError::NotReady)), "{early:?}");
    assert!(!path.exists(), "a reader makes nothing");

    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, b"").unwrap();
    let empty = reader.statistics().await.unwrap_err();
    assert!(matches!(empty, ReadModelError::NotReady) && empty.is_outage());

    let model = ReadModel::open_sqlite(&path).await.unwrap();
    fold(&model, &import_id("one"), vec![imported("a", 1)]).await;
    assert_eq!(
        reader
            .import(&import_id("one"))
            .await
            .unwrap()
            .unwrap()
            .imported,
        1
    );
    assert_eq!(reader.checkpoint(PROJECTOR).await.unwrap(), 1);
}

#[tokio::test]
async fn a_reader_does_not_write() {
    let (_model, folder) = model().await;
    let reader = ReadModel::open_sqlite_read_only(&file_in(&folder));
    let refused = reader.fold(PROJECTOR, 0, Vec::new(), 1).await;
    assert!(matches!(refused, Err(ReadModelError::ReadOnly)));
    assert_eq!(reader.checkpoint(PROJECTOR).await.unwrap(), 0);
}

#[tokio::test]
async fn an_empty_batch_moves_the_checkpoint() {
    let (model, folder) = model().await;
    model.fold(PROJECTOR, 0, Vec::new(), 41).await.unwrap();
    drop(model);
    let model = ReadModel::open_sqlite(&file_in(&folder)).await.unwrap();
    assert_eq!(model.checkpoint(PROJECTOR).await.unwrap(), 41);
}

#[tokio::test]
async fn tables_of_a_newer_release_are_left_alone() {
    let (model, folder) = model().await;
    drop(model);
    let path = file_in(&folder);
    Connection::open(&path)
        .unwrap()
        .execute(
            "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
             VALUES (999, 'future', '2030-01-01T00:00:00Z', '1')",
            [],
        )
        .unwrap();
    let newer = |error: &ReadModelError| matches!(error, ReadModelError::Newer { found: 999, known } if *known < 999);
    let writer = ReadModel::open_sqlite(&path).await.unwrap_err();
    assert!(newer(&writer), "{writer}");
    let reader = ReadModel::open_sqlite_read_only(&path);
    let read = reader.images(ImagesQuery::default()).await.unwrap_err();
    assert!(newer(&read) && !read.is_outage(), "{read}");
}

/// The first release's tables, with an import and an entry in them.
fn first_tables(path: &std::path::Path) {
    let first = include_str!("../migrations/sqlite/V1__read_model.sql");
    let migration = refinery::Migration::unapplied("V1__read_model", first).unwrap();
    let sql = Connection::open(path).unwrap();
    sql.execute_batch(first).unwrap();
    sql.execute_batch(&format!(
        "CREATE TABLE refinery_schema_history (version INT4 PRIMARY KEY, name VARCHAR(255),
           applied_on VARCHAR(255), checksum VARCHAR(255));
         INSERT INTO refinery_schema_history VALUES
           (1, 'read_model', '2026-01-01T00:00:00Z', '{}');
         INSERT INTO imports VALUES ('old', 'processing', 'F', 'Holiday', '', NULL, 1, 1, 1, 0, 0, 0,
           0, 0, 0, 1, NULL, NULL, 1, 1, NULL, 1);
         INSERT INTO import_items VALUES ('old', 'a', NULL, 'retrying', 1, 1, 'a.jpg', NULL,
           'network_error', 'reset', NULL, 1);",
        migration.checksum()
    ))
    .unwrap();
}

#[tokio::test]
async fn tables_of_the_first_release_are_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    first_tables(&path);
    let reader = ReadModel::open_sqlite_read_only(&path);
    let early = reader.import(&import_id("old")).await;
    assert!(matches!(early, Err(ReadModelError::NotReady)), "{early:?}");

    let model = ReadModel::open_sqlite(&path).await.unwrap();
    let old = import_id("old");
    let import = reader.import(&old).await.unwrap().unwrap();
    assert_eq!(
        (import.folder_name.as_deref(), import.revision),
        (Some("Holiday"), 0)
    );
    let items = model.items(&old, None, 9).await.unwrap();
    assert_eq!(items[0].history, []);
    fold(&model, &old, vec![imported("a", 1)]).await;
    let item = model
        .item(&old, &common::file_id("a"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(item.item.timeline().len(), 2);
    assert_eq!(reader.changed_imports(0, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_of_another_kind_is_corrupt_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    std::fs::write(&path, "these are notes, not tables. ".repeat(100)).unwrap();
    let error = ReadModel::open_sqlite(&path).await.unwrap_err();
    assert!(
        matches!(error, ReadModelError::Corrupt(_)) && !error.is_outage(),
        "{error}"
    );
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .starts_with("these are notes")
    );
}

#[tokio::test]
async fn a_locked_database_is_an_outage_that_passes() {
    let (model, folder) = model().await;
    let one = import_id("one");
    let other = Connection::open(file_in(&folder)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let event = common::event(&one, common::seconds(1), imported("a", 1));
    let busy = model
        .fold(PROJECTOR, 0, vec![(1, event.clone())], 1)
        .await
        .unwrap_err();
    assert!(busy.is_outage(), "{busy}");
    assert_eq!(
        model.import(&one).await.unwrap(),
        None,
        "readers are not blocked"
    );
    other.execute_batch("ROLLBACK").unwrap();
    model.fold(PROJECTOR, 0, vec![(1, event)], 1).await.unwrap();
    assert_eq!(model.import(&one).await.unwrap().unwrap().imported, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_tasks_may_open_the_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    let opening = (0..8).map(|_| {
        let path = path.clone();
        tokio::spawn(async move { ReadModel::open_sqlite(&path).await })
    });
    for opened in opening.collect::<Vec<_>>() {
        let model = opened.await.unwrap().unwrap();
        assert_eq!(model.checkpoint(PROJECTOR).await.unwrap(), 0);
    }
}

/// Also the child process of the next test.
#[tokio::test]
async fn opening_makes_the_tables() {
    let folder = tempfile::tempdir().unwrap();
    let path = std::env::var_os(FILE).map_or_else(|| file_in(&folder), PathBuf::from);
    let model = ReadModel::open_sqlite(&path).await.unwrap();
    assert!(model.statistics().await.unwrap().is_empty());
}

#[test]
fn several_processes_may_open_the_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let spawn = |_| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "opening_makes_the_tables"])
            .env(FILE, file_in(&folder))
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = (0..6).map(spawn).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
    }
    assert!(file_in(&folder).exists());
}

#[tokio::test]
async fn a_file_that_is_gone_is_waited_for_and_one_put_back_is_used() {
    let (model, folder) = model().await;
    let one = import_id("one");
    let path = file_in(&folder);
    let reader = ReadModel::open_sqlite_read_only(&path);
    fold(&model, &one, vec![imported("a", 1)]).await;
    let backup = folder.path().join("backup");
    let copy = format!("VACUUM INTO '{}'", backup.display());
    Connection::open(&path)
        .unwrap()
        .execute_batch(&copy)
        .unwrap();
    fold(&model, &one, vec![imported("b", 1)]).await;
    assert_eq!(reader.checkpoint(PROJECTOR).await.unwrap(), 2);

    for companion in ["", "-wal", "-shm"] {
        std::fs::remove_file(format!("{}{companion}", path.display())).unwrap();
    }
    let next = |n| vec![(n, common::event(&one, common::seconds(n), imported("c", 1)))];
    for _ in 0..2 {
        let gone = model.fold(PROJECTOR, 2, next(3), 3).await.unwrap_err();
        assert!(
            gone.is_outage() && gone.to_string().contains("gone"),
            "{gone}"
        );
    }
    let early = reader.checkpoint(PROJECTOR).await;
    assert!(matches!(early, Err(ReadModelError::NotReady)), "{early:?}");
    assert!(!path.exists(), "nothing is made in its place");

    std::fs::rename(&backup, &path).unwrap();
    let older = model.fold(PROJECTOR, 2, next(3), 3).await.unwrap_err();
    assert!(matches!(older, ReadModelError::Fenced { .. }), "{older}");
    assert_eq!(reader.checkpoint(PROJECTOR).await.unwrap(), 1);
    model.fold(PROJECTOR, 1, next(2), 2).await.unwrap();
    assert_eq!(reader.import(&one).await.unwrap().unwrap().imported, 2);
}

#[tokio::test]
async fn a_file_that_is_replaced_by_another_is_written_at_once() {
    let (model, folder) = model().await;
    let one = import_id("one");
    let path = file_in(&folder);
    fold(&model, &one, vec![imported("a", 1)]).await;
    let (other, other_folder) = common::model().await;
    fold(&other, &import_id("two"), vec![imported("x", 1)]).await;
    drop(other);
    // Its owner is gone, so that the file is whole without its companions.
    let whole = Connection::open(file_in(&other_folder)).unwrap();
    whole
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    drop(whole);
    for companion in ["-wal", "-shm"] {
        std::fs::remove_file(format!("{}{companion}", path.display())).unwrap();
    }
    std::fs::rename(file_in(&other_folder), &path).unwrap();

    fold(&model, &one, vec![imported("b", 1)]).await;
    drop(model);
    let found = ReadModel::open_sqlite(&path).await.unwrap();
    assert_eq!(found.checkpoint(PROJECTOR).await.unwrap(), 2);
    let imports = found.imports(Default::default()).await.unwrap();
    assert_eq!(imports.total, 2);
}
