//! How imports are doing, for `/metrics`: from the tables, on a clock of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use contracts::ImportId;
use prometheus::{IntGaugeVec, Registry, register_int_gauge_vec_with_registry};
use read_model::{CHECKPOINT, ImportRow, ImportStatus, ImportsQuery};
use tokio::time::Instant;

use crate::problem::Result;
use crate::reads::Reads;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(10);
/// Before another look after one that failed.
const RETRY: Duration = Duration::from_secs(1);
/// Imports told of by name at most: each makes a handful of series.
const MOST: usize = 20;
/// How long one is told of after its end, so that its last numbers are seen.
const LINGER: Duration = Duration::from_secs(120);
/// Imports read at once.
const ROWS: u32 = 500;

type Count = fn(&ImportRow) -> u64;

/// States of entries, and how many of an import's are in each.
const STATES: [(&str, Count); 4] = [
    ("listed", |row| row.total),
    ("imported", |row| row.imported),
    ("skipped", |row| row.skipped),
    ("failed", |row| row.failed),
];

pub(crate) struct Metrics {
    imports: IntGaugeVec,
    /// Without labels: a vector can be empty, a gauge cannot.
    images: IntGaugeVec,
    image_bytes: IntGaugeVec,
    items: IntGaugeVec,
    bytes: IntGaugeVec,
    listing: IntGaugeVec,
    started: IntGaugeVec,
}

/// The imports told of by name.
#[derive(Default)]
struct Known {
    /// The last event that is folded into them; `None` before the first look.
    checkpoint: Option<u64>,
    imports: BTreeMap<ImportId, Import>,
}

struct Import {
    row: ImportRow,
    /// When it was first seen to have ended.
    ended: Option<Instant>,
}

/// Keep `metrics` current, for ever.
pub(crate) async fn watch(reads: &Reads, metrics: &Metrics) {
    let mut known = Known::default();
    loop {
        let pause = match look(reads, metrics, &mut known).await {
            Ok(()) => EVERY,
            Err(problem) => {
                known = Known::default();
                metrics.hide();
                tracing::debug!(code = problem.code.as_str(), "the tables cannot be counted");
                RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn look(reads: &Reads, metrics: &Metrics, known: &mut Known) -> Result<()> {
    let model = &reads.model;
    let (stored, counts, checkpoint) = reads
        .ask(async {
            Ok((
                model.statistics().await?,
                model.count_imports().await?,
                model.checkpoint(CHECKPOINT).await?,
            ))
        })
        .await?;
    match known.checkpoint {
        Some(at) if at <= checkpoint => changes(reads, known, at).await?,
        // The first look; or the tables were made anew, and are not as far yet.
        _ => {
            *known = Known::default();
            metrics.hide();
            for status in [ImportStatus::Processing, ImportStatus::Paused] {
                let query = ImportsQuery {
                    per_page: ROWS,
                    status: Some(status),
                    ..ImportsQuery::default()
                };
                known.put(reads.ask(model.imports(query)).await?.items);
            }
        }
    }
    known.checkpoint = Some(checkpoint);
    let forgotten = known.forget();
    for status in ImportStatus::ALL {
        let count = counts.iter().find(|(found, _)| *found == status);
        set(
            &metrics.imports,
            &[status.code()],
            count.map_or(0, |(_, count)| *count),
        );
    }
    let images = stored.iter().map(|provider| provider.images).sum();
    set(&metrics.images, &[], images);
    let bytes = stored.iter().map(|provider| provider.bytes).sum();
    set(&metrics.image_bytes, &[], bytes);
    for import in forgotten {
        metrics.forget(&import);
    }
    for import in known.imports.values() {
        metrics.show(&import.row);
    }
    Ok(())
}

/// What has changed since `after`.
async fn changes(reads: &Reads, known: &mut Known, mut after: u64) -> Result<()> {
    loop {
        let rows = reads.ask(reads.model.changed_imports(after, ROWS)).await?;
        let last = rows.last().map(|row| row.revision);
        let more = rows.len() == ROWS as usize;
        known.put(rows);
        match last {
            Some(last) if more => after = last,
            _ => return Ok(()),
        }
    }
}

impl Known {
    fn put(&mut self, rows: Vec<ImportRow>) {
        for row in rows {
            let before = self.imports.remove(&row.id);
            let ended = before.and_then(|import| import.ended);
            let ended = row
                .status
                .is_final()
                .then(|| ended.unwrap_or_else(Instant::now));
            self.imports.insert(row.id.clone(), Import { row, ended });
        }
    }

    /// Keep those that changed last, and of those that have ended none for long.
    fn forget(&mut self) -> Vec<ImportId> {
        let over = |import: &Import| import.ended.is_some_and(|at| at.elapsed() >= LINGER);
        let mut revisions: Vec<u64> = self
            .imports
            .values()
            .filter(|import| !over(import))
            .map(|import| import.row.revision)
            .collect();
        revisions.sort_unstable_by(|a, b| b.cmp(a));
        let least = revisions.get(MOST - 1).copied().unwrap_or(0);
        let gone = |import: &Import| over(import) || import.row.revision < least;
        let gone: Vec<ImportId> = self
            .imports
            .values()
            .filter(|import| gone(import))
            .map(|import| import.row.id.clone())
            .collect();
        for import in &gone {
            self.imports.remove(import);
        }
        gone
    }
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let by = |label: &[&str], name, help| {
            register_int_gauge_vec_with_registry!(name, help, label, registry)
        };
        Ok(Self {
            imports: by(&["status"], "imagefleet_imports", "Imports, by status")?,
            images: by(&[], "imagefleet_images_stored", "Rows of images")?,
            image_bytes: by(&[], "imagefleet_images_stored_bytes", "Size of the images")?,
            items: by(
                &["import", "state"],
                "imagefleet_import_items",
                "Entries of an import, by state",
            )?,
            bytes: by(
                &["import"],
                "imagefleet_import_bytes",
                "Bytes of an import that are in the store",
            )?,
            listing: by(
                &["import"],
                "imagefleet_import_listing",
                "1 while the folder of an import is being listed",
            )?,
            started: by(
                &["import"],
                "imagefleet_import_started_timestamp_seconds",
                "Unix time of the first event of an import",
            )?,
        })
    }

    fn show(&self, row: &ImportRow) {
        let import = row.id.as_str();
        for (state, count) in STATES {
            set(&self.items, &[import, state], count(row));
        }
        set(&self.bytes, &[import], row.bytes);
        let listing = !row.listing_completed && !row.status.is_final();
        set(&self.listing, &[import], u64::from(listing));
        let started = row.created_at.unix_timestamp();
        self.started.with_label_values(&[import]).set(started);
    }

    /// What is not there need not be removed, so what goes wrong says nothing.
    fn forget(&self, import: &ImportId) {
        let import = import.as_str();
        for (state, _) in STATES {
            let _ = self.items.remove_label_values(&[import, state]);
        }
        for gauges in [&self.bytes, &self.listing, &self.started] {
            let _ = gauges.remove_label_values(&[import]);
        }
    }

    fn hide(&self) {
        for gauges in [
            &self.imports,
            &self.images,
            &self.image_bytes,
            &self.items,
            &self.bytes,
            &self.listing,
            &self.started,
        ] {
            gauges.reset();
        }
    }
}

fn set(gauges: &IntGaugeVec, labels: &[&str], value: u64) {
    gauges
        .with_label_values(labels)
        .set(i64::try_from(value).unwrap_or(i64::MAX));
}
