//! `imagefleet demo`: the fleet, a simulated Google Drive, and an import of it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use drive_sim::{DEFAULT_API_KEY, DEMO_FOLDER, Faults, LOCAL_FOLDER, Options};
use runtime::Env;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, NewImport, Progress};
use crate::cli::Demo;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::verify::{Source, verify};
use crate::{output, progress};

/// A demo never touches what belongs to the user's own installation, so of the settings it takes
/// only these.
const SETTINGS_TAKEN: [&str; 5] = [
    "PATH",
    "NATS_SERVER_BIN",
    "RUST_LOG",
    "LOG_FORMAT",
    "WORKER_CONCURRENCY",
];
/// How many images are on their way at once where people watch.
const WATCHED_CONCURRENCY: u64 = 8;
/// About how long an import takes where people watch.
const WATCHED_MS: u64 = 25_000;

/// What one line of `--once --json` says.
#[derive(Debug, Serialize)]
struct Outcome {
    import_id: String,
    total: u64,
    imported: u64,
    skipped: u64,
    failed: u64,
    causes: BTreeMap<String, u64>,
    /// From the first event to the last.
    seconds: f64,
    images_per_second: f64,
}

/// Run the demo.
pub(crate) async fn run(env: &Env, args: &Demo, stop: CancellationToken) -> anyhow::Result<Exit> {
    let temporary = match &args.data {
        Some(_) => None,
        None => Some(tempfile::tempdir().context("cannot create a temporary folder")?),
    };
    let data = match (&args.data, &temporary) {
        (Some(data), _) => data.as_path(),
        (None, temporary) => temporary
            .as_ref()
            .map_or(Path::new("."), |folder| folder.path()),
    };
    let data = std::path::absolute(data)?;
    let source = match &args.photos {
        Some(folder) => Source::read(folder)?,
        None => Source::Generated { files: args.files },
    };
    let drive = drive_sim::serve(Options {
        folder: args.photos.clone(),
        faults: if args.once {
            Faults::default()
        } else {
            pace(source.files())
        },
        ..Options::default()
    })
    .await?;
    let fleet = Fleet::start(settings(env, args, &drive.url()), &data, stop.clone()).await?;
    let Some(fleet) = fleet else {
        return Ok(Exit::Interrupted);
    };
    let api = Api::new(fleet.url.clone(), None)?;
    let mut running = tokio::spawn(fleet.run());
    let shown = tokio::select! {
        ended = &mut running => {
            ended??;
            return Ok(Exit::Interrupted);
        }
        // The roles drain now; watching them would only report that the gateway is gone.
        () = stop.cancelled() => {
            running.await??;
            // Ctrl-C is how a demo that people watch ends.
            return Ok(if args.once { Exit::Interrupted } else { Exit::Success });
        }
        shown = show(&api, args, &source, &data) => shown,
    };
    if !args.once && shown.is_ok() {
        running.await??;
        return Ok(Exit::Success);
    }
    stop.cancel();
    running.await??;
    shown
}

/// The settings of the demo's fleet.
fn settings(env: &Env, args: &Demo, drive: &str) -> Env {
    let taken = SETTINGS_TAKEN
        .iter()
        .filter_map(|name| Some((*name, env.get(name)?)));
    let port = args.port.unwrap_or(if args.once { 0 } else { 5000 });
    let mut env = Env::from_pairs(taken)
        .with("GATEWAY_PORT", port.to_string())
        .with("STORAGE_PROVIDER", "local")
        .with("GOOGLE_DRIVE_ENDPOINT", drive)
        .with("GOOGLE_API_KEY", DEFAULT_API_KEY);
    if !args.once {
        env = env.or("WORKER_CONCURRENCY", WATCHED_CONCURRENCY.to_string());
    }
    env
}

/// So slow a Drive that people see the images arrive.
fn pace(files: u64) -> Faults {
    let each_ms = (WATCHED_MS * WATCHED_CONCURRENCY / files.max(1)).min(1_000);
    Faults {
        latency_ms: each_ms / 2,
        jitter_ms: each_ms,
        ..Faults::default()
    }
}

/// Import, watch, and with `--once` check.
async fn show(api: &Api, args: &Demo, source: &Source, data: &Path) -> anyhow::Result<Exit> {
    let import = NewImport {
        folder_url: folder(source),
        recursive: true,
        destination_prefix: None,
        // Data kept from an earlier demo must not make this one empty.
        skip_unchanged: false,
        requested_by: "imagefleet demo",
    };
    let (_, id) = api.submit(&import).await?;
    if !args.once {
        output::say(format!(
            "Importing {}. Watch it in the browser:",
            source.describe()
        ));
        output::line(api.base().join(&format!("imports/{id}"))?)?;
    }
    let (value, progress) = progress::watch(api, &id).await?;
    let outcome = outcome(api, id, &value, &progress).await?;
    if args.json {
        output::json(&outcome)?;
    } else {
        output::say(describe(&outcome));
    }
    let wrong = verify(
        api,
        source,
        &outcome.import_id,
        &progress,
        &outcome.causes,
        data,
    )
    .await?;
    for difference in &wrong {
        output::say(format!("not as planned: {difference}"));
    }
    if wrong.is_empty() && !args.json {
        output::say(
            "Everything is as planned, and every stored byte was compared with its source.",
        );
    }
    if args.data.is_some() {
        output::say(format!(
            "The images are in {}.",
            data.join("images").display()
        ));
    }
    if !args.once {
        output::say("Ctrl-C ends the demo.");
    }
    Ok(if wrong.is_empty() {
        Exit::Success
    } else {
        Exit::Failure
    })
}

fn folder(source: &Source) -> String {
    let id = match source {
        Source::Generated { files } => format!("{DEMO_FOLDER}-n{files}"),
        Source::Photos { .. } => LOCAL_FOLDER.to_owned(),
    };
    format!("https://drive.google.com/drive/folders/{id}")
}

async fn outcome(
    api: &Api,
    import_id: String,
    value: &Value,
    progress: &Progress,
) -> anyhow::Result<Outcome> {
    let (_, groups) = api.failures(&import_id).await?;
    let time = |name: &str| {
        let text = value.get(name).and_then(Value::as_str);
        text.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
    };
    let seconds = match (time("created_at"), time("finished_at")) {
        (Some(from), Some(until)) => (until - from).as_seconds_f64(),
        _ => 0.0,
    };
    let per_second = if seconds > 0.0 {
        progress.imported_count as f64 / seconds
    } else {
        0.0
    };
    Ok(Outcome {
        import_id,
        total: progress.total,
        imported: progress.imported_count,
        skipped: progress.skipped,
        failed: progress.failed,
        causes: groups
            .into_iter()
            .map(|group| (group.cause, group.count))
            .collect(),
        seconds: (seconds * 1000.0).round() / 1000.0,
        images_per_second: (per_second * 10.0).round() / 10.0,
    })
}

fn describe(outcome: &Outcome) -> String {
    let mut text = format!(
        "{} imported, {} skipped, {} failed in {:.1} s ({:.1}/s)",
        outcome.imported,
        outcome.skipped,
        outcome.failed,
        outcome.seconds,
        outcome.images_per_second,
    );
    for (cause, count) in &outcome.causes {
        text.push_str(&format!("\n  {count} × {cause}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_takes_nothing_of_the_users_installation() {
        let env = Env::from_pairs([
            ("PATH", "/bin"),
            ("NATS_URL", "nats://production:4222"),
            ("STORAGE_PROVIDER", "aws"),
            ("DATABASE_PATH", "/var/lib/production.db"),
            ("GOOGLE_API_KEY", "precious"),
            ("API_KEYS", "precious"),
        ]);
        let args = Demo {
            photos: None,
            files: 9,
            data: None,
            port: None,
            once: true,
            json: true,
        };
        let env = settings(&env, &args, "http://127.0.0.1:1");
        assert_eq!(env.get("PATH"), Some("/bin"));
        assert_eq!(env.get("STORAGE_PROVIDER"), Some("local"));
        assert_eq!(env.get("GOOGLE_API_KEY"), Some(DEFAULT_API_KEY));
        for name in ["NATS_URL", "DATABASE_PATH", "API_KEYS"] {
            assert_eq!(env.get(name), None, "{name}");
        }
    }
}
