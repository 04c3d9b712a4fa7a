//! No query may read a large table from end to end: `EXPLAIN QUERY PLAN` of each says so.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use rusqlite::Connection;

use super::images::{self, Filters};
use super::schema::open_writer;
use super::{imports, rows};

fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut explain = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap();
    for parameter in 1..=explain.parameter_count() {
        explain.raw_bind_parameter(parameter, 1).unwrap();
    }
    let mut plan = Vec::new();
    let mut steps = explain.raw_query();
    while let Some(step) = steps.next().unwrap() {
        plan.push(step.get("detail").unwrap());
    }
    plan
}

/// Why this plan would not do on a table of ten million rows.
fn objection(plan: &[String]) -> Option<String> {
    let small = |step: &str| step.starts_with("SCAN statistics") || step.starts_with("SCAN listed");
    let objectionable =
        |step: &&String| (step.starts_with("SCAN") && !small(step)) || step.contains("TEMP B-TREE");
    plan.iter().find(objectionable).cloned()
}

fn every_filter() -> impl Iterator<Item = Filters> {
    (0..16).map(|bits| Filters {
        name: bits & 1 > 0,
        provider: bits & 2 > 0,
        import: bits & 4 > 0,
        mime_type: bits & 8 > 0,
    })
}

fn every_filter_of_imports() -> impl Iterator<Item = imports::Filters> {
    (0..4).map(|bits| imports::Filters {
        status: bits & 1 > 0,
        search: bits & 2 > 0,
    })
}

#[test]
fn every_query_goes_through_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open_writer(&folder.path().join("read-model.sqlite")).unwrap();
    let mut queries: Vec<String> = [
        rows::IMPORT,
        rows::ITEM,
        rows::IMAGE,
        rows::STATISTICS,
        rows::REMOVALS,
        images::BY_ID,
        images::LATEST,
        images::UNCHANGED,
        imports::CHECKPOINT,
        imports::CREATED_AT,
        images::WITH_IDS,
        imports::CHANGED,
        imports::IMAGE_OF,
        imports::ITEMS,
        imports::ITEMS_IN,
        imports::FAILED,
        imports::FAILED_BY_CAUSE,
        imports::FAILURES,
    ]
    .map(str::to_owned)
    .into();
    queries.extend(every_filter().map(Filters::page_sql));
    // A search without another filter has to read every name to count them; nothing else has.
    let bounded =
        every_filter().filter(|filters| filters.import || filters.provider || filters.mime_type);
    queries.extend(bounded.filter_map(Filters::total_sql));
    // A search reads every import in the order of the page; its total is in `imports_are_counted…`.
    queries.extend(every_filter_of_imports().map(imports::Filters::page_sql));
    queries.push(
        imports::Filters {
            status: true,
            search: true,
        }
        .total_sql(),
    );
    assert!(queries.len() > 45);
    for sql in queries {
        let plan = plan(&connection, &sql);
        assert!(!plan.is_empty(), "{sql}");
        assert_eq!(objection(&plan), None, "{sql}\n{plan:#?}");
    }
}

#[test]
fn imports_are_counted_in_an_index_alone() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open_writer(&folder.path().join("read-model.sqlite")).unwrap();
    let totals = every_filter_of_imports().filter(|filters| !filters.search);
    for sql in totals
        .map(imports::Filters::total_sql)
        .chain([imports::COUNTS.to_owned()])
    {
        let plan = plan(&connection, &sql);
        assert!(
            plan.iter()
                .all(|step| step.contains("USING COVERING INDEX")),
            "{sql} {plan:?}"
        );
    }
}

#[test]
fn a_query_without_an_index_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open_writer(&folder.path().join("read-model.sqlite")).unwrap();
    for sql in [
        "SELECT * FROM images WHERE md5 = ?1",
        "SELECT * FROM images ORDER BY name",
        "SELECT count(*) FROM import_items",
    ] {
        assert!(objection(&plan(&connection, sql)).is_some(), "{sql}");
    }
}
