//! `imagefleet import` and `imagefleet status`.

use indicatif::{DecimalBytes, HumanCount};
use runtime::Env;
use serde_json::Value;

use crate::api::{Api, FailureGroup, NewImport, Progress};
use crate::cli::{Import, Status};
use crate::exit::Exit;
use crate::{output, progress};

pub(crate) async fn run(env: &Env, args: &Import) -> anyhow::Result<Exit> {
    let api = Api::from_env(env, args.api.api.as_ref())?;
    let import = NewImport {
        folder_url: args.folder.clone(),
        recursive: args.recursive,
        destination_prefix: args.prefix.clone(),
        skip_unchanged: !args.no_skip_unchanged,
        requested_by: "imagefleet import",
    };
    let (answer, id) = api.submit(&import).await?;
    if args.watch {
        output::say(format!("Import {id} has started."));
        return watch(&api, &id, args.json).await;
    }
    if args.json {
        output::json(&answer)?;
    } else {
        output::line(&id)?;
        output::say(format!(
            "The import has started. Watch it: imagefleet status {id} --watch"
        ));
    }
    Ok(Exit::Success)
}

pub(crate) async fn status(env: &Env, args: &Status) -> anyhow::Result<Exit> {
    let api = Api::from_env(env, args.api.api.as_ref())?;
    if args.watch {
        return watch(&api, &args.id, args.json).await;
    }
    let (value, progress) = api.progress(&args.id).await?;
    report(&api, &args.id, value, &progress, args.json).await
}

async fn watch(api: &Api, id: &str, json: bool) -> anyhow::Result<Exit> {
    let ended = tokio::select! {
        ended = progress::watch(api, id) => ended,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            output::say(format!(
                "The import goes on without you. Watch it: imagefleet status {id} --watch"
            ));
            return Ok(Exit::Interrupted);
        }
    };
    let (value, progress) = ended?;
    report(api, id, value, &progress, json).await
}

async fn report(
    api: &Api,
    id: &str,
    mut value: Value,
    progress: &Progress,
    json: bool,
) -> anyhow::Result<Exit> {
    let failures = if progress.failed > 0 {
        Some(api.failures(id).await?)
    } else {
        None
    };
    let (raw, groups) = failures.unwrap_or((Value::Array(Vec::new()), Vec::new()));
    if json {
        value["failures"] = raw;
        output::json(&value)?;
    } else {
        for line in summary(progress).into_iter().chain(failed_files(&groups)) {
            output::line(line)?;
        }
        if let Some(hint) = next_step(id, progress) {
            output::say(hint);
        }
    }
    Ok(outcome(progress))
}

/// The code for an import in this state; one under way is well so far.
fn outcome(progress: &Progress) -> Exit {
    match (progress.status.as_str(), progress.cause.as_deref()) {
        ("failed", Some("not_a_folder_url" | "not_a_folder" | "folder_not_found")) => {
            Exit::NotFound
        }
        ("failed" | "cancelled", _) => Exit::Failure,
        _ if progress.failed > 0 => Exit::Failure,
        _ => Exit::Success,
    }
}

/// What can be done about it from here.
fn next_step(id: &str, progress: &Progress) -> Option<String> {
    match progress.status.as_str() {
        "paused" => Some(format!("Go on with it: imagefleet resume {id}")),
        "cancelled" => None,
        _ if progress.failed > 0 => Some(format!(
            "Once the cause is mended, try again: imagefleet retry {id} [--cause CAUSE]"
        )),
        _ => None,
    }
}

fn summary(progress: &Progress) -> Vec<String> {
    let count = |n| HumanCount(n).to_string();
    let total = match progress.listing {
        true => format!("at least {}, still listing", count(progress.total)),
        false => count(progress.total),
    };
    let mut lines = vec![format!(
        "{}: {} imported ({}), {} skipped, {} failed, of {total}",
        progress.status,
        count(progress.imported_count),
        DecimalBytes(progress.bytes),
        count(progress.skipped),
        count(progress.failed),
    )];
    if progress.retrying > 0 {
        lines.push(format!(
            "{} wait for another attempt",
            count(progress.retrying)
        ));
    }
    lines.extend(progress.error.as_deref().map(output::printable));
    // The error of an import that could not begin holds the advice already.
    let said = progress.error.as_deref().unwrap_or_default();
    lines.extend(
        progress
            .advice
            .as_deref()
            .filter(|advice| !said.contains(advice))
            .map(|advice| format!("What to do: {advice}")),
    );
    lines
}

fn failed_files(groups: &[FailureGroup]) -> Vec<String> {
    let mut lines = Vec::new();
    for group in groups {
        lines.push(String::new());
        lines.push(format!(
            "{} failed with {}. {}",
            HumanCount(group.count),
            group.cause,
            group.advice
        ));
        for sample in &group.samples {
            let name = output::printable(sample.name.as_deref().unwrap_or("(name unknown)"));
            let message = sample
                .message
                .as_deref()
                .map(output::printable)
                .unwrap_or_default();
            lines.push(format!("  {name}: {message}"));
        }
        let more = group.count.saturating_sub(group.samples.len() as u64);
        if more > 0 {
            lines.push(format!("  and {} more", HumanCount(more)));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(status: &str, failed: u64, cause: Option<&str>) -> Exit {
        let cause = cause.map(str::to_owned);
        outcome(&Progress {
            status: status.to_owned(),
            failed,
            cause,
            ..Progress::default()
        })
    }

    #[test]
    fn what_can_be_done_is_said() {
        let steps = |status: &str, failed| {
            next_step(
                "an-id",
                &Progress {
                    status: status.to_owned(),
                    failed,
                    ..Progress::default()
                },
            )
        };
        assert!(steps("paused", 0).is_some_and(|step| step.contains("resume an-id")));
        assert!(steps("completed", 2).is_some_and(|step| step.contains("retry an-id")));
        assert_eq!(steps("completed", 0), None);
        assert_eq!(steps("cancelled", 2), None, "it is final");
    }

    #[test]
    fn only_a_clean_end_is_success() {
        assert_eq!(ended("completed", 0, None), Exit::Success);
        assert_eq!(ended("completed", 1, None), Exit::Failure);
        assert_eq!(ended("cancelled", 0, None), Exit::Failure);
        assert_eq!(ended("failed", 0, Some("folder_forbidden")), Exit::Failure);
        assert_eq!(ended("failed", 0, Some("folder_not_found")), Exit::NotFound);
    }
}
