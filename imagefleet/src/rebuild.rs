//! `imagefleet rebuild`: the tables folded anew from the events.

use anyhow::Context as _;
use console::style;
use projector::{Options, Rebuilt};
use read_model::{Difference, DifferenceKind};
use runtime::Env;
use serde::Serialize;

use crate::cli::Rebuild;
use crate::exit::Exit;
use crate::{fleet, login, output};

/// What `--json` prints.
#[derive(Serialize)]
struct Outcome<'a> {
    /// The last event the tables hold.
    checkpoint: u64,
    /// Events folded.
    events: u64,
    /// Whether live and rebuilt tables are the same; a rebuild makes them so.
    equal: bool,
    /// Rows compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    /// Rows that differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    differences: Option<u64>,
    /// The first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<&'a [Difference]>,
}

/// Rebuild, or with `--check` compare.
pub(crate) async fn run(env: Env, args: &Rebuild) -> anyhow::Result<Exit> {
    let data = std::path::absolute(&args.data).context("the data folder's path")?;
    let env = login::find(fleet::with_defaults(env, &data)?, &data.join("nats"));
    let config = projector::Config::from_env(&env)?;
    let options = Options {
        check: args.check,
        allow_expired: args.allow_expired,
    };
    let rebuilt = Box::pin(projector::rebuild(&config, options)).await?;
    let equal = rebuilt
        .comparison
        .as_ref()
        .is_none_or(|comparison| comparison.differences == 0);
    if args.json {
        let comparison = rebuilt.comparison.as_ref();
        output::json(&Outcome {
            checkpoint: rebuilt.checkpoint,
            events: rebuilt.events,
            equal,
            rows: comparison.map(|comparison| comparison.rows),
            differences: comparison.map(|comparison| comparison.differences),
            first: comparison.map(|comparison| comparison.first.as_slice()),
        })?;
    } else {
        print(&rebuilt)?;
    }
    Ok(if equal { Exit::Success } else { Exit::Failure })
}

fn print(rebuilt: &Rebuilt) -> std::io::Result<()> {
    let Rebuilt {
        checkpoint, events, ..
    } = rebuilt;
    let Some(comparison) = &rebuilt.comparison else {
        return output::line(format!(
            "rebuilt: {events} events folded, the tables hold those up to {checkpoint}"
        ));
    };
    let rows = comparison.rows;
    if comparison.differences == 0 {
        return output::line(format!(
            "equal: {rows} rows say what {events} events up to {checkpoint} say"
        ));
    }
    output::line(format!(
        "{} {} of {rows} rows are not what {events} events up to {checkpoint} say",
        style("different:").red().bold(),
        comparison.differences
    ))?;
    for difference in &comparison.first {
        output::line(output::printable(&described(difference)))?;
    }
    let further = comparison
        .differences
        .saturating_sub(comparison.first.len() as u64);
    if further > 0 {
        output::line(format!("  and {further} more"))?;
    }
    output::say("`imagefleet rebuild` without --check puts them right.");
    Ok(())
}

fn described(Difference { table, key, kind }: &Difference) -> String {
    match kind {
        DifferenceKind::Missing => format!("  {table} {key}: is missing"),
        DifferenceKind::Extra => format!("  {table} {key}: should not be there"),
        DifferenceKind::Different {
            column,
            live,
            rebuilt,
        } => format!("  {table} {key}: {column} is {live}, must be {rebuilt}"),
    }
}
