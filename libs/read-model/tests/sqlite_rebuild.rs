//! Fresh tables beside the live ones: whoever dies over them leaves the live ones as they were.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{
    PROJECTOR, dump, file_in, fold, import_id, imported, imported_as, model, object, source,
};
use read_model::{ReadModel, ReadModelConfig, ReadModelError, Rebuild};

/// Names the live file that a child process of these tests holds.
const FILE: &str = "READ_MODEL_TEST_REBUILD";

async fn fold_three(model: &ReadModel) {
    let moved = imported_as(source("a"), object("moved", 10), 1);
    let bodies = vec![imported("a", 1), imported("b", 1), moved];
    fold(model, &import_id("one"), bodies).await;
}

fn at(path: &Path) -> ReadModelConfig {
    ReadModelConfig::sqlite(path)
}

fn fresh_files(live: &Path) -> Vec<PathBuf> {
    ["", "-wal", "-shm", ".migrate.lock"]
        .map(|companion| PathBuf::from(format!("{}.rebuild{companion}", live.display())))
        .into_iter()
        .filter(|path| path.exists())
        .collect()
}

/// Also the child process of the next test.
#[tokio::test]
async fn live_tables_that_are_let_go_are_as_they_were() {
    let child = std::env::var_os(FILE).map(PathBuf::from);
    let (model, folder) = model().await;
    let live = child.clone().unwrap_or_else(|| file_in(&folder));
    if child.is_none() {
        fold_three(&model).await;
    }
    let before = dump(&live);
    let rebuild = Rebuild::begin(&at(&live)).await.unwrap();
    fold_three(rebuild.fresh()).await;
    let held = rebuild.hold(PROJECTOR).await.unwrap();
    if child.is_some() {
        println!("held");
        // Until it is killed.
        let _ = std::io::stdin().read(&mut [0]);
    }
    drop((held, rebuild));
    assert_eq!(dump(&live), before);
    assert_eq!(fresh_files(&live), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn what_a_killed_rebuild_leaves_behind_the_next_one_removes() {
    let (model, folder) = model().await;
    let live = file_in(&folder);
    fold_three(&model).await;
    let before = dump(&live);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "live_tables_that_are_let_go_are_as_they_were",
        ])
        .env(FILE, &live)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stdout = child.stdout.take().unwrap();
    while !said.contains("held\n") {
        let mut some = [0; 256];
        let read = stdout.read(&mut some).unwrap();
        assert!(read > 0, "{said}");
        said += &String::from_utf8_lossy(&some[..read]);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!fresh_files(&live).is_empty(), "it was killed too late");
    assert_eq!(dump(&live), before);

    let rebuild = Rebuild::begin(&at(&live)).await.unwrap();
    assert_eq!(rebuild.fresh().checkpoint(PROJECTOR).await.unwrap(), 0);
    drop(rebuild);
    assert_eq!(fresh_files(&live), Vec::<PathBuf>::new());
    fold(&model, &import_id("one"), vec![imported("c", 1)]).await;
}

#[tokio::test]
async fn a_rebuild_of_nothing_makes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let absent = Rebuild::begin(&at(&file_in(&folder))).await.unwrap_err();
    assert!(matches!(absent, ReadModelError::NotReady), "{absent}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
