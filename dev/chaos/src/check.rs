//! Judging: evidence in, broken promises out. Does no I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use crate::evidence::{Evidence, Expected};
use crate::expect::Outcome;
use crate::journal::{Broken, Violation};
use crate::tables::{ImportRow, ItemRow, Tables};

/// Downloads of one file that deaths and faults explain; more would be a loop.
const MOST_DOWNLOADS: u64 = 40;

/// Every promise that the evidence shows broken.
#[must_use]
pub fn check(evidence: &Evidence) -> Vec<Violation> {
    let mut court = Court {
        evidence,
        found: Vec::new(),
    };
    court.imports();
    court.images();
    court.objects();
    court.leftovers();
    court.projection();
    court.downloads();
    court.found
}

struct Court<'a> {
    evidence: &'a Evidence,
    found: Vec<Violation>,
}

impl Court<'_> {
    fn find(&mut self, broken: Broken, what: impl Into<String>) {
        self.found.push(Violation::new(broken, what));
    }

    /// Each import came to its end, its counters are its rows, and each entry ended as it should.
    fn imports(&mut self) {
        let tables = &self.evidence.tables;
        let shared = shared_files(&self.evidence.imports);
        for expected in &self.evidence.imports {
            let job = &expected.job;
            let Some(row) = tables.imports.get(job) else {
                self.find(Broken::Lost, format!("import {job} has no row"));
                continue;
            };
            let items = items_of(tables, job);
            self.counters(job, row, &items);
            self.afterwards(expected, row);
            let cancelled = row.status == "cancelled" && expected.commanded.contains(&"cancel");
            if !cancelled && row.status != "completed" {
                self.find(Broken::Unfinished, format!("import {job} ended as {row:?}"));
            }
            for id in items
                .keys()
                .filter(|id| !expected.entries.contains_key(**id))
            {
                self.find(
                    Broken::Doubled,
                    format!("import {job} has {id}, which its folder has not"),
                );
            }
            for (id, entry) in &expected.entries {
                match items.get(id.as_str()) {
                    None if cancelled => {}
                    None => self.find(Broken::Lost, format!("import {job} does not know {id}")),
                    Some(item) => {
                        let unchanged = shared.contains(entry.file.as_str());
                        let right = as_expected(item, &entry.outcome, unchanged)
                            || (cancelled && matches!(item.state.as_str(), "queued" | "retrying"));
                        if !right {
                            self.find(
                                Broken::Outcome,
                                format!(
                                    "{id} of import {job} is {item:?}, should be {:?}",
                                    entry.outcome
                                ),
                            );
                        }
                    }
                }
            }
            self.redrive(expected, &items);
        }
    }

    fn counters(&mut self, job: &str, row: &ImportRow, items: &BTreeMap<&str, &ItemRow>) {
        let count = |state: &str| items.values().filter(|item| item.state == state).count() as u64;
        let bytes = items
            .values()
            .filter(|item| item.state == "imported")
            .filter_map(|item| item.size);
        let counted = ImportRow {
            status: row.status.clone(),
            total: items.len() as u64,
            imported: count("imported"),
            skipped: count("skipped"),
            failed: count("failed"),
            retrying: count("retrying"),
            bytes: bytes.sum(),
            listed: row.listed,
        };
        if counted != *row {
            self.find(
                Broken::Counters,
                format!("import {job} says {row:?}, its rows say {counted:?}"),
            );
        }
        let settled = row.imported + row.skipped + row.failed;
        if settled > row.total || (row.status == "completed" && settled != row.total) {
            self.find(
                Broken::Counters,
                format!("import {job} has {settled} settled: {row:?}"),
            );
        }
    }

    /// Once cancelled, an import's counters stay as its requester saw them then.
    fn afterwards(&mut self, expected: &Expected, row: &ImportRow) {
        let seen = |name: &str| expected.seen[name].as_u64();
        let said = [
            seen("total"),
            seen("imported_count"),
            seen("skipped"),
            seen("failed"),
        ];
        let now = [row.total, row.imported, row.skipped, row.failed].map(Some);
        if expected.seen["status"] == "cancelled" && said != now {
            let job = &expected.job;
            self.find(
                Broken::Progress,
                format!("import {job} was cancelled at {said:?} and is at {now:?}"),
            );
        }
    }

    /// What failed before a re-drive failed again, in a later run.
    fn redrive(&mut self, expected: &Expected, items: &BTreeMap<&str, &ItemRow>) {
        if !expected.commanded.contains(&"retry") {
            return;
        }
        for (id, item) in items {
            if item.state == "failed" && item.run < 2 {
                self.find(
                    Broken::Lost,
                    format!("{id} of import {} was not re-driven", expected.job),
                );
            }
        }
    }

    /// One row for each imported file, which says what Drive has.
    fn images(&mut self) {
        let evidence = self.evidence;
        let mut wanted = BTreeSet::new();
        for (import, item) in evidence
            .tables
            .items
            .iter()
            .filter(|(_, item)| item.state == "imported")
        {
            let expected = evidence
                .imports
                .iter()
                .find(|expected| expected.job == import.0);
            if let Some(entry) = expected.and_then(|expected| expected.entries.get(&import.1)) {
                wanted.insert(entry.file.as_str());
                if item.size
                    != evidence
                        .contents
                        .get(&entry.file)
                        .map(|content| content.size)
                {
                    self.find(
                        Broken::Corrupt,
                        format!("{} is said to have {:?} bytes", import.1, item.size),
                    );
                }
            }
        }
        for expected in evidence
            .imports
            .iter()
            .filter(|expected| completed(evidence, expected))
        {
            let files = expected
                .entries
                .values()
                .filter(|entry| entry.outcome == Outcome::Imported);
            wanted.extend(files.map(|entry| entry.file.as_str()));
        }
        for file in &wanted {
            if !evidence.tables.images.contains_key(*file) {
                self.find(Broken::Lost, format!("{file} has no row"));
            }
        }
        for (file, row) in &evidence.tables.images {
            match evidence.contents.get(file) {
                None => self.find(
                    Broken::Outcome,
                    format!("{file} has a row and should have none"),
                ),
                Some(content) if (content.size, &content.sha256) != (row.size, &row.sha256) => {
                    self.find(
                        Broken::Corrupt,
                        format!("{file} is not what its row says: {row:?}"),
                    );
                }
                // A cancelled import's images have rows, counted or not.
                Some(_) => {}
            }
        }
    }

    /// One object for each row, byte for byte, and none besides.
    fn objects(&mut self) {
        let evidence = self.evidence;
        let mut named: BTreeMap<&str, &str> = BTreeMap::new();
        for (file, row) in &evidence.tables.images {
            if let Some(other) = named.insert(&row.key, file) {
                self.find(
                    Broken::Doubled,
                    format!("{file} and {other} name one object, {}", row.key),
                );
            }
            match (evidence.objects.get(&row.key), evidence.contents.get(file)) {
                (None, _) => self.find(
                    Broken::Lost,
                    format!("the object of {file} is missing: {}", row.key),
                ),
                (Some(found), Some(content)) if found != content => {
                    self.find(
                        Broken::Corrupt,
                        format!(
                            "{file} is not {} as in Drive: {found:?}, should be {content:?}",
                            row.key
                        ),
                    );
                }
                _ => {}
            }
        }
        for key in evidence
            .objects
            .keys()
            .filter(|key| !named.contains_key(key.as_str()))
        {
            self.find(Broken::Doubled, format!("no row names the object {key}"));
        }
    }

    fn leftovers(&mut self) {
        let evidence = self.evidence;
        for key in &evidence.uploads {
            self.find(Broken::Leftover, format!("an unfinished upload of {key}"));
        }
        for file in &evidence.stray_files {
            self.find(Broken::Leftover, format!("the file {file}"));
        }
        for (key, import) in &evidence.tables.removals {
            self.find(
                Broken::Leftover,
                format!("nobody asked for the removal of {key} of import {import}"),
            );
        }
        for (subject, count) in &evidence.messages {
            self.find(Broken::Leftover, format!("{count} messages in {subject}"));
        }
    }

    /// The tables are what the events tell.
    fn projection(&mut self) {
        let told = Tables::told_by(&self.evidence.events);
        let live = &self.evidence.tables;
        self.compare("import", &told.imports, &live.imports);
        self.compare("item", &told.items, &live.items);
        self.compare("image", &told.images, &live.images);
        self.compare("statistics of", &told.statistics, &live.statistics);
        if let Some(difference) = &self.evidence.rebuilt {
            self.find(
                Broken::Projection,
                format!("rebuilt tables differ: {difference}"),
            );
        }
    }

    fn compare<K: Ord + Debug, V: PartialEq + Debug>(
        &mut self,
        what: &str,
        told: &BTreeMap<K, V>,
        live: &BTreeMap<K, V>,
    ) {
        let keys: BTreeSet<&K> = told.keys().chain(live.keys()).collect();
        for key in keys {
            let (told, live) = (told.get(key), live.get(key));
            if told != live {
                self.find(
                    Broken::Projection,
                    format!("{what} {key:?} is {live:?}, by the events {told:?}"),
                );
            }
        }
    }

    fn downloads(&mut self) {
        for (file, count) in &self.evidence.downloads {
            if *count > MOST_DOWNLOADS {
                self.find(
                    Broken::Quota,
                    format!("{file} was downloaded {count} times"),
                );
            }
        }
    }
}

fn completed(evidence: &Evidence, expected: &Expected) -> bool {
    let row = evidence.tables.imports.get(&expected.job);
    row.is_some_and(|row| row.status == "completed")
}

fn items_of<'a>(tables: &'a Tables, job: &str) -> BTreeMap<&'a str, &'a ItemRow> {
    let first = (job.to_owned(), String::new());
    let of_import = tables
        .items
        .range(first..)
        .take_while(|((import, _), _)| import == job);
    of_import
        .map(|((_, id), item)| (id.as_str(), item))
        .collect()
}

/// Files that more than one import has.
fn shared_files(imports: &[Expected]) -> BTreeSet<&str> {
    let (mut seen, mut shared) = (BTreeSet::new(), BTreeSet::new());
    for entry in imports
        .iter()
        .flat_map(|expected| expected.entries.values())
    {
        if !seen.insert(entry.file.as_str()) {
            shared.insert(entry.file.as_str());
        }
    }
    shared
}

fn as_expected(item: &ItemRow, outcome: &Outcome, may_be_unchanged: bool) -> bool {
    let cause = item.cause.as_deref();
    match outcome {
        Outcome::Imported => {
            item.state == "imported"
                || (may_be_unchanged && item.state == "skipped" && cause == Some("unchanged"))
        }
        Outcome::Skipped(reason) => item.state == "skipped" && cause == Some(reason),
        Outcome::Failed(wanted) => item.state == "failed" && cause == Some(wanted),
    }
}
