//! Every statement is T-SQL, and none is left out.

#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;
use crate::sqlserver::{connect, images, imports, migrate, pool};

const ALL: &[&str] = &[
    BEGIN,
    COMMIT,
    ROLLBACK,
    WRITE_PROBE,
    CHANGED,
    MOVE_CHECKPOINT,
    MAKE_CHECKPOINT,
    HOLD_CHECKPOINT,
    CHECKPOINT,
    LOAD,
    LOAD_ITEMS,
    UPDATE_STATISTICS,
    INSERT_STATISTICS,
    UPDATE_IMPORTS,
    INSERT_IMPORTS,
    UPDATE_ITEMS,
    INSERT_ITEMS,
    UPDATE_IMAGES,
    INSERT_IMAGES,
    DELETE_IMAGES,
    DELETE_REMOVALS,
    INSERT_REMOVALS,
    FORGET_REMOVALS,
    IMPORT,
    CREATED_AT,
    CHANGED_IMPORTS,
    COUNT_IMPORTS,
    ITEMS,
    ITEMS_IN,
    ITEM,
    FAILED,
    FAILED_BY_CAUSE,
    FAILURES,
    IMAGE,
    LATEST,
    WITH_IDS,
    UNCHANGED,
    REMOVALS,
    STATISTICS,
    LOCK_MIGRATIONS,
    SCHEMA_ID,
    MAKE_HISTORY,
    VERSIONS,
    NOTE_MIGRATION,
    LOCK_REBUILD,
    ALL_IMPORTS,
    ALL_ITEMS,
    ALL_IMAGES,
    ALL_STATISTICS,
];

/// Everything that is ever sent, but what `migrate.rs` puts together of a schema's name.
fn everything() -> Vec<String> {
    let mut everything: Vec<String> = ALL.iter().map(|sql| (*sql).to_owned()).collect();
    everything.push(format!("{MOVE_CHECKPOINT}{CHANGED}"));
    everything.extend(DELETE_ALL.map(str::to_owned));
    everything.extend([connect::SESSION, pool::PING].map(str::to_owned));
    everything.push(migrate::create_schema(&Schema::default()));
    everything.extend(images::every_page());
    everything.extend(imports::every_page());
    let runner = migrate::embedded::migrations::runner();
    let migrations = runner.get_migrations().iter();
    everything.extend(migrations.map(|migration| migration.sql().unwrap().to_owned()));
    everything
}

#[test]
fn no_statement_is_left_out() {
    let constants = include_str!("../statements.rs")
        .matches("pub(super) const ")
        .count();
    // DELETE_ALL is an array.
    assert_eq!(ALL.len(), constants - 1);
    assert_eq!(everything().len(), ALL.len() + 1 + 4 + 3 + 16 + 4 + 3);
}

#[test]
fn another_schema_takes_the_place_of_ours_everywhere() {
    let other: Schema = "other".parse().unwrap();
    for statement in everything() {
        assert_eq!(within(&statement, &Schema::default()), statement);
        let moved = within(&statement, &other);
        assert!(!moved.contains("imagefleet."), "{moved}");
    }
    assert!(within(LOAD, &other).contains("[other].imports"));
}

/// sqlglot is a reader of T-SQL that was written by others. What it does not know it reads as a
/// `Command`.
#[test]
fn every_statement_is_tsql() {
    const READ: &str = "import json, sys, sqlglot
from sqlglot import exp
for sql in json.load(sys.stdin):
    try:
        read = sqlglot.parse(sql, read='tsql')
        unknown = [c.sql() for s in read if s for c in s.find_all(exp.Command)]
        if unknown or not any(read):
            print('not understood:', unknown, sql)
    except Exception as error:
        print(error, sql)
print('done')";
    let library = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.tools/python");
    let mut python = Command::new("python3")
        .args(["-c", READ])
        .env("PYTHONPATH", library)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 is not installed");
    let statements = serde_json::to_vec(&everything()).unwrap();
    // Where it ends early, what it says tells why.
    let _ = python.stdin.take().unwrap().write_all(&statements);
    let output = python.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        said, "done\n",
        "{complaint}\n(sqlglot is installed by `bin/just tools`)"
    );
}
