//! The verdict must be able to be *guilty*: evidence that is tampered with is seen through.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;

use chaos::check::check;
use chaos::evidence::{Evidence, Expected};
use chaos::expect::{Content, Entry, Outcome};
use chaos::journal::Broken;
use chaos::tables::{ItemRow, Tables};
use contracts::Event;
use serde_json::{Value, json};

const JOB: &str = "import-1";

fn event(sequence: u64, body: Value) -> (u64, Event) {
    let mut event = json!({"v": 1, "import_id": JOB, "at": "2026-11-23T12:00:00Z"});
    for (name, value) in body.as_object().unwrap() {
        event[name] = value.clone();
    }
    let bytes = serde_json::to_vec(&event).unwrap();
    (sequence, contracts::decode(&bytes).unwrap())
}

fn file(id: &str) -> Value {
    json!({"item_id": id, "id": id, "name": format!("{id}.jpg"), "mime_type": "image/jpeg"})
}

fn imported(sequence: u64, id: &str, content: &Content) -> (u64, Event) {
    let object = json!({
        "provider": "aws", "bucket": "chaos", "key": format!("{id}.jpg"), "size": content.size,
        "md5": "0", "sha256": content.sha256, "content_type": "image/jpeg",
    });
    let timings = json!({"quota_ms": 0, "download_ms": 1, "upload_ms": 1});
    event(
        sequence,
        json!({"kind": "image.imported", "run": 1, "attempt": 1, "file": file(id),
               "object": object, "timings": timings, "worker": "w"}),
    )
}

/// Two images, one planned failure, and nothing wrong.
fn innocent() -> Evidence {
    let contents: BTreeMap<String, Content> = ["a", "b"]
        .map(|id| (id.to_owned(), Content::of(id.repeat(300).as_bytes())))
        .into();
    let task = json!({"import_id": JOB, "run": 1, "attempt": 1, "file": file("c")});
    let events = vec![
        event(
            1,
            json!({"kind": "import.listed", "page": 1, "queued": ["a", "b", "c"]}),
        ),
        imported(2, "a", &contents["a"]),
        event(
            3,
            json!({"kind": "image.failed", "cause": "source_gone", "message": "gone",
                   "attempts": 1, "task": task}),
        ),
        event(4, json!({"kind": "import.listing_completed", "pages": 1})),
        imported(5, "b", &contents["b"]),
    ];
    let entry = |id: &str, outcome| {
        let file = id.to_owned();
        (id.to_owned(), Entry { file, outcome })
    };
    let expected = Expected {
        job: JOB.to_owned(),
        commanded: Vec::new(),
        seen: Value::Null,
        entries: BTreeMap::from([
            entry("a", Outcome::Imported),
            entry("b", Outcome::Imported),
            entry("c", Outcome::Failed("source_gone".to_owned())),
        ]),
    };
    let objects = contents
        .iter()
        .map(|(id, content)| (format!("{id}.jpg"), content.clone()));
    Evidence {
        imports: vec![expected],
        objects: objects.collect(),
        tables: Tables::told_by(&events),
        contents,
        events,
        ..Evidence::default()
    }
}

fn item<'a>(evidence: &'a mut Evidence, id: &str) -> &'a mut ItemRow {
    let key = (JOB.to_owned(), id.to_owned());
    evidence.tables.items.get_mut(&key).unwrap()
}

#[test]
fn the_innocent_are_let_go() {
    let evidence = innocent();
    assert_eq!(check(&evidence), []);
    assert_eq!(evidence.tables.imports[JOB].status, "completed");
    assert_eq!(evidence.tables.imports[JOB].imported, 2);
}

/// Tampers once, and expects at least one complaint of this kind that names `what`.
fn guilty(broken: Broken, what: &str, tamper: impl FnOnce(&mut Evidence)) {
    let mut evidence = innocent();
    tamper(&mut evidence);
    let found = check(&evidence);
    assert!(
        found
            .iter()
            .any(|violation| violation.broken == broken && violation.what.contains(what)),
        "{broken:?} {what:?} is not among {found:?}"
    );
}

#[test]
fn what_is_missing_is_lost() {
    guilty(Broken::Lost, "the object of a", |evidence| {
        evidence.objects.remove("a.jpg");
    });
    guilty(Broken::Lost, "a has no row", |evidence| {
        evidence.tables.images.remove("a");
    });
    guilty(Broken::Lost, "does not know c", |evidence| {
        let key = (JOB.to_owned(), "c".to_owned());
        evidence.tables.items.remove(&key);
    });
    guilty(Broken::Lost, "has no row", |evidence| {
        evidence.tables.imports.clear();
    });
    guilty(Broken::Lost, "was not re-driven", |evidence| {
        evidence.imports[0].commanded.push("retry");
    });
}

#[test]
fn what_is_too_much_is_doubled() {
    guilty(
        Broken::Doubled,
        "no row names the object x.jpg",
        |evidence| {
            evidence
                .objects
                .insert("x.jpg".to_owned(), Content::of(b"x"));
        },
    );
    guilty(Broken::Doubled, "name one object", |evidence| {
        let key = evidence.tables.images["a"].key.clone();
        evidence.tables.images.get_mut("b").unwrap().key = key;
    });
    guilty(Broken::Doubled, "which its folder has not", |evidence| {
        evidence.imports[0].entries.remove("b");
    });
}

#[test]
fn wrong_bytes_are_corrupt() {
    guilty(Broken::Corrupt, "a is not a.jpg", |evidence| {
        let mut flipped = "a".repeat(300).into_bytes();
        flipped[150] ^= 1;
        evidence
            .objects
            .insert("a.jpg".to_owned(), Content::of(&flipped));
    });
    guilty(Broken::Corrupt, "not what its row says", |evidence| {
        evidence.tables.images.get_mut("a").unwrap().size += 1;
    });
}

#[test]
fn wrong_outcomes_are_seen() {
    guilty(Broken::Outcome, "a of import", |evidence| {
        let item = item(evidence, "a");
        item.state = "failed".to_owned();
        item.cause = Some("network_error".to_owned());
    });
    guilty(Broken::Outcome, "c of import", |evidence| {
        item(evidence, "c").cause = Some("worker_crashed".to_owned());
    });
    guilty(Broken::Outcome, "a of import", |evidence| {
        let item = item(evidence, "a");
        item.state = "skipped".to_owned();
        item.cause = Some("unchanged".to_owned());
    });
    guilty(Broken::Unfinished, "processing", |evidence| {
        evidence.tables.imports.get_mut(JOB).unwrap().status = "processing".to_owned();
    });
}

#[test]
fn wrong_counters_are_seen_by_the_rows_and_by_the_events() {
    for broken in [Broken::Counters, Broken::Projection] {
        guilty(broken, JOB, |evidence| {
            evidence.tables.imports.get_mut(JOB).unwrap().imported += 1;
        });
        guilty(broken, JOB, |evidence| {
            evidence.tables.imports.get_mut(JOB).unwrap().bytes -= 1;
        });
    }
    guilty(Broken::Projection, "statistics", |evidence| {
        evidence.tables.statistics.get_mut("aws").unwrap().0 += 1;
    });
    guilty(Broken::Projection, "image \"b\"", |evidence| {
        evidence.tables.images.get_mut("b").unwrap().id = 4;
    });
    guilty(Broken::Projection, "rebuilt", |evidence| {
        evidence.rebuilt = Some("one row".to_owned());
    });
}

#[test]
fn an_event_that_was_not_folded_is_seen() {
    guilty(Broken::Projection, "image \"b\"", |evidence| {
        evidence.tables = Tables::told_by(&evidence.events[..4]);
    });
}

#[test]
fn a_cancelled_import_that_moves_is_seen() {
    guilty(Broken::Progress, "was cancelled at", |evidence| {
        evidence.imports[0].seen = json!({"status": "cancelled", "total": 3, "imported_count": 1, "skipped": 0, "failed": 1});
    });
}

#[test]
fn leftovers_are_seen() {
    guilty(Broken::Leftover, "unfinished upload", |evidence| {
        evidence.uploads.push("a.jpg".to_owned());
    });
    guilty(Broken::Leftover, "download.tmp", |evidence| {
        evidence.stray_files.push("download.tmp".to_owned());
    });
    guilty(Broken::Leftover, "messages in", |evidence| {
        evidence.messages.insert("tasks".to_owned(), 1);
    });
    guilty(Broken::Leftover, "removal", |evidence| {
        evidence
            .tables
            .removals
            .insert("a.jpg".to_owned(), JOB.to_owned());
    });
    guilty(Broken::Quota, "downloaded", |evidence| {
        evidence.downloads.insert("a".to_owned(), 1_000);
    });
}
