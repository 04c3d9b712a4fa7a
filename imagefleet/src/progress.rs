//! Watching an import: a bar on a terminal, plain lines anywhere else.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::api::{Api, ApiError, Progress};
use crate::output;

const POLL: Duration = Duration::from_millis(500);
/// Between two lines where there is no terminal.
const LINES: Duration = Duration::from_secs(5);
/// How long a gateway may be away before watching is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Show progress until the import ends; gives the last answer. A gateway that goes away meanwhile
/// is waited for: the import goes on without it.
pub(crate) async fn watch(api: &Api, id: &str) -> Result<(Value, Progress), ApiError> {
    let mut display = Display::new();
    let mut answered = None;
    loop {
        match api.progress(id).await {
            Ok((value, progress)) => {
                answered = Some(Instant::now());
                display.show(&progress);
                if progress.is_final() {
                    return Ok((value, progress));
                }
            }
            // The first answer decides whether there is anything to watch.
            Err(error)
                if error.is_outage() && answered.is_some_and(|at| at.elapsed() < PATIENCE) =>
            {
                display.away(&error);
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(POLL).await;
    }
}

enum Display {
    Bar {
        bar: ProgressBar,
        listing: bool,
    },
    Lines {
        shown: Option<Instant>,
        last: String,
    },
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Self::Bar { bar, .. } = self {
            bar.finish_and_clear();
        }
    }
}

impl Display {
    fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines {
                shown: None,
                last: String::new(),
            };
        }
        let bar = ProgressBar::new(0);
        bar.set_style(style("{spinner} {wide_msg}"));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self::Bar { bar, listing: true }
    }

    fn show(&mut self, progress: &Progress) {
        match self {
            Self::Bar { bar, listing } => {
                // A bar that grows from a total that grows says nothing.
                if *listing && !progress.listing {
                    *listing = false;
                    bar.set_style(style("{bar:24.green} {wide_msg}"));
                }
                bar.set_length(progress.total);
                bar.set_position(progress.settled());
                bar.set_message(describe(progress));
            }
            Self::Lines { shown, last } => {
                let line = describe(progress);
                let due = shown.is_none_or(|at| at.elapsed() >= LINES) || progress.is_final();
                if due && line != *last {
                    output::say(&line);
                    *shown = Some(Instant::now());
                    *last = line;
                }
            }
        }
    }

    fn away(&mut self, error: &ApiError) {
        match self {
            Self::Bar { bar, .. } => bar.set_message(format!("waiting: {error}")),
            Self::Lines { last, .. } => {
                let line = format!("waiting: {error}");
                if line != *last {
                    output::say(&line);
                    *last = line;
                }
            }
        }
    }
}

/// Only constants are given here; a mistake in one would show as the default style.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// One line: how much of what, how fast, how much longer.
fn describe(progress: &Progress) -> String {
    let mut line = counts(progress);
    if progress.status == "paused" {
        // Nothing is waited for but somebody.
        return line;
    }
    for (dependency, why) in &progress.waiting_for {
        line += &format!(" · waiting for {dependency}: {why}");
    }
    line
}

fn counts(progress: &Progress) -> String {
    let paused = progress.status == "paused";
    if progress.listing && progress.total == 0 {
        let what = match paused {
            true => "paused before anything was listed; `imagefleet resume` goes on",
            false => "listing the folder",
        };
        return what.to_owned();
    }
    let count = |n| HumanCount(n).to_string();
    let of = match progress.listing {
        true if paused => format!(" of at least {}", count(progress.total)),
        true => format!(" · still listing (≥ {})", count(progress.total)),
        false => format!("/{}", count(progress.total)),
    };
    let mut parts = vec![format!("{}{of}", count(progress.settled()))];
    let left = progress
        .eta_seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    if paused {
        parts.push("paused; `imagefleet resume` goes on".to_owned());
    } else {
        parts.push(format!("{:.1}/s", progress.rate));
    }
    if let Some(left) = left.filter(|_| !paused) {
        parts.push(format!("{:#} left", HumanDuration(left)));
    }
    for (n, what) in [
        (progress.failed, "failed"),
        (progress.retrying, "retrying"),
        (progress.skipped, "skipped"),
    ] {
        if n > 0 {
            parts.push(format!("{} {what}", count(n)));
        }
    }
    let bytes = DecimalBytes(progress.bytes);
    let per_second = DecimalBytes(progress.bytes_per_second as u64);
    parts.push(match paused {
        true => bytes.to_string(),
        false => format!("{bytes} ({per_second}/s)"),
    });
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_that_still_grows_is_said_to_grow() {
        let mut progress = Progress {
            status: "processing".to_owned(),
            listing: true,
            total: 1998,
            imported_count: 40,
            rate: 12.34,
            ..Progress::default()
        };
        assert_eq!(
            describe(&progress),
            "40 · still listing (≥ 1,998) · 12.3/s · 0 B (0 B/s)"
        );
        progress.listing = false;
        progress.failed = 2;
        progress.eta_seconds = Some(120.0);
        assert_eq!(
            describe(&progress),
            "42/1,998 · 12.3/s · 2m left · 2 failed · 0 B (0 B/s)"
        );
    }

    #[test]
    fn a_paused_import_has_no_speed_and_says_how_to_go_on() {
        let mut progress = Progress {
            status: "paused".to_owned(),
            total: 1998,
            imported_count: 40,
            rate: 12.34,
            eta_seconds: Some(120.0),
            ..Progress::default()
        };
        let resume = "paused; `imagefleet resume` goes on";
        assert_eq!(describe(&progress), format!("40/1,998 · {resume} · 0 B"));
        progress.listing = true;
        assert_eq!(
            describe(&progress),
            format!("40 of at least 1,998 · {resume} · 0 B")
        );
        progress = Progress {
            status: "paused".to_owned(),
            listing: true,
            ..Progress::default()
        };
        assert!(describe(&progress).starts_with("paused before"));
    }
}
