//! `imagefleet imports`.

use console::{Alignment, measure_text_width, pad_str, style, truncate_str};
use indicatif::HumanCount;
use runtime::Env;
use serde::Deserialize;
use serde_json::Value;

use crate::api::{Api, Progress};
use crate::cli::Imports;
use crate::exit::Exit;
use crate::output;

const MAX_FOLDER_WIDTH: usize = 40;

/// One import in the list.
#[derive(Deserialize)]
struct Row {
    id: String,
    created_at: String,
    #[serde(flatten)]
    progress: Progress,
}

pub(crate) async fn run(env: &Env, args: &Imports) -> anyhow::Result<Exit> {
    let answer = Api::from_env(env, args.api.api.as_ref())?
        .imports(args.limit)
        .await?;
    if args.json {
        output::json(&answer)?;
        return Ok(Exit::Success);
    }
    let rows = answer
        .get("imports")
        .map(Vec::<Row>::deserialize)
        .transpose()?;
    let rows = rows.unwrap_or_default();
    if rows.is_empty() {
        output::say("No imports yet. Start one with `imagefleet import FOLDER_URL`.");
        return Ok(Exit::Success);
    }
    let header = [
        "ID",
        "STATUS",
        "TOTAL",
        "IMPORTED",
        "SKIPPED",
        "FAILED",
        "STARTED (UTC)",
        "FOLDER",
    ];
    let mut table = vec![header.map(str::to_owned)];
    table.extend(rows.iter().map(cells));
    print(&table)?;
    let total = answer
        .get("total")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let shown = rows.len() as u64;
    if total > shown {
        output::say(format!(
            "The newest {shown} of {total}; --limit shows up to 100."
        ));
    }
    Ok(Exit::Success)
}

fn cells(row: &Row) -> [String; 8] {
    let progress = &row.progress;
    let known = if progress.listing { "≥ " } else { "" };
    let folder = progress.folder_name.as_ref().or(progress.folder.as_ref());
    let folder = output::printable(folder.map_or("", |name| name.as_str()));
    [
        row.id.clone(),
        progress.status.clone(),
        format!("{known}{}", HumanCount(progress.total)),
        HumanCount(progress.imported_count).to_string(),
        HumanCount(progress.skipped).to_string(),
        HumanCount(progress.failed).to_string(),
        row.created_at
            .chars()
            .take(19)
            .collect::<String>()
            .replace('T', " "),
        truncate_str(&folder, MAX_FOLDER_WIDTH, "…").into_owned(),
    ]
}

fn print(table: &[[String; 8]]) -> std::io::Result<()> {
    let width = |column: usize| {
        table
            .iter()
            .map(|row| measure_text_width(&row[column]))
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..8).map(width).collect();
    for (number, row) in table.iter().enumerate() {
        let cells = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                let alignment = if (2..=5).contains(&column) {
                    Alignment::Right
                } else {
                    Alignment::Left
                };
                pad_str(cell, *width, alignment, None).into_owned()
            });
        let line = cells.collect::<Vec<_>>().join("  ");
        let line = line.trim_end();
        output::line(if number == 0 {
            style(line).bold().to_string()
        } else {
            line.to_owned()
        })?;
    }
    Ok(())
}
