//! How many events a second are folded into each database.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Args;
use contracts::{Event, EventBody, FileId, ImportId, Object, SourceFile, Timings};
use read_model::{ReadModel, ReadModelConfig, SqlServerConfig};
use serde::Serialize;
use time::OffsetDateTime;

/// The ADO string of a database to measure in.
const URL: &str = "TEST_SQLSERVER_URL";
/// The schema the tables are in there. It stays.
const SCHEMA: &str = "imagefleet_bench";
/// Events folded at once, as by the projector.
const BATCH: u64 = 500;
/// Entries of a page of a listing.
const PAGE: u64 = 1_000;

#[derive(Args)]
pub(crate) struct Fold {
    /// Images, each of which is listed and imported.
    #[arg(long, default_value_t = 50_000)]
    images: u64,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Measured {
    database: &'static str,
    /// Images whose `image.imported` was folded, each second.
    events_per_second: f64,
    /// Entries of listings that were folded, each second.
    listed_per_second: f64,
}

/// Measure in SQLite, and in SQL Server where `TEST_SQLSERVER_URL` says which.
pub(crate) async fn run(args: Fold) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let sqlite = ReadModelConfig::sqlite(folder.path().join("bench.db"));
    let mut all = vec![measure("SQLite", &sqlite, args.images).await?];
    let env = runtime::Env::from_process();
    if let Some(url) = env.get(URL) {
        let mut server = SqlServerConfig::from_ado(URL, url)?;
        server.schema = SCHEMA.parse()?;
        let server = ReadModelConfig::SqlServer(Box::new(server));
        all.push(measure("SQL Server", &server, args.images).await?);
    }
    if args.json {
        println!("{}", serde_json::to_string(&all)?);
        return Ok(());
    }
    for measured in all {
        println!(
            "{:10}  {:>8.0} events/s  {:>8.0} listed entries/s",
            measured.database, measured.events_per_second, measured.listed_per_second
        );
    }
    Ok(())
}

async fn measure(
    database: &'static str,
    config: &ReadModelConfig,
    images: u64,
) -> anyhow::Result<Measured> {
    let model = ReadModel::open(config).await?;
    // Rows and checkpoint of this run only, in tables that may hold those of others.
    let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let name = format!("bench-{run}");
    let import: ImportId = name.parse()?;
    let base = u64::try_from(run)? << 20;
    let file = |n: u64| -> anyhow::Result<FileId> { Ok(format!("1aB_{run}-{n}").parse()?) };

    let pages: Vec<EventBody> = (0..images.div_ceil(PAGE))
        .map(|page| {
            let entries = page * PAGE..images.min((page + 1) * PAGE);
            let queued = entries.map(file).collect::<anyhow::Result<_>>()?;
            Ok(EventBody::ImportListed {
                page: page + 1,
                queued,
                skipped: Vec::new(),
            })
        })
        .collect::<anyhow::Result<_>>()?;
    let imported: Vec<EventBody> = (0..images)
        .map(|n| Ok(imported(file(n)?)))
        .collect::<anyhow::Result<_>>()?;

    let mut at = 0;
    let begun = Instant::now();
    // About as many as fit into the bytes that a projector folds at once.
    at = fold(&model, &name, &import, at, base, pages, 50).await?;
    let listed = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    fold(&model, &name, &import, at, base, imported, BATCH).await?;
    let folded = begun.elapsed().as_secs_f64();

    let row = model.import(&import).await?.context("the import is gone")?;
    anyhow::ensure!(row.imported == images, "{} imported", row.imported);
    #[allow(clippy::cast_precision_loss)]
    let images = images as f64;
    Ok(Measured {
        database,
        events_per_second: images / folded,
        listed_per_second: images / listed,
    })
}

/// Fold `bodies`; events are numbered from `at` on, above `base`.
async fn fold(
    model: &ReadModel,
    name: &str,
    import: &ImportId,
    mut at: u64,
    base: u64,
    bodies: Vec<EventBody>,
    size: u64,
) -> anyhow::Result<u64> {
    let mut bodies = bodies.into_iter().peekable();
    while bodies.peek().is_some() {
        let first = at.max(base) + 1;
        let batch: Vec<(u64, Event)> = (first..first + size)
            .zip(&mut bodies)
            .map(|(sequence, body)| {
                let event = Event {
                    import_id: import.clone(),
                    at: OffsetDateTime::now_utc(),
                    body,
                };
                (sequence, event)
            })
            .collect();
        let to = first + batch.len() as u64 - 1;
        model.fold(name, at, batch, to).await?;
        at = to;
    }
    Ok(at)
}

fn imported(id: FileId) -> EventBody {
    let key = format!("bench/{id}.jpg");
    EventBody::ImageImported {
        run: 1,
        attempt: 1,
        file: SourceFile {
            item_id: id.clone(),
            name: format!("{id}.jpg"),
            id,
            mime_type: "image/jpeg".to_owned(),
            size: Some(100_000),
            md5: Some("d41d8cd98f00b204e9800998ecf8427e".to_owned()),
            sha256: None,
            modified_time: Some(OffsetDateTime::UNIX_EPOCH),
            resource_key: None,
            path: "holiday/2026".to_owned(),
        },
        object: Object {
            provider: "local".to_owned(),
            bucket: "images".to_owned(),
            key,
            size: 100_000,
            md5: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
            sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".to_owned(),
            content_type: "image/jpeg".to_owned(),
            width: Some(4000),
            height: Some(3000),
            taken_at: Some("2024-05-01T12:00:00".to_owned()),
            orientation: Some(1),
        },
        timings: Timings::default(),
        worker: "bench".to_owned(),
    }
}
