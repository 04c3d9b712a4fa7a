//! What processes export, held against what docs/metrics.md says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use testkit::tools::workspace;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// A metric as the page or a process tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metric {
    /// `gauge`, `counter` or `histogram`.
    pub kind: String,
    /// The labels, and of each the values; `None` on the page where it does not list them.
    pub labels: BTreeMap<String, Option<BTreeSet<String>>>,
}

/// Metrics by name.
pub type Metrics = BTreeMap<String, Metric>;

/// Every metric that docs/metrics.md has a row for.
pub fn documented() -> Metrics {
    let page = std::fs::read_to_string(workspace().join("docs/metrics.md")).unwrap();
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| `imagefleet_"));
    rows.map(|row| {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let name = cells.next().unwrap().trim_matches('`').to_owned();
        let kind = cells.next().unwrap().to_owned();
        let labels = labels(cells.next().unwrap());
        (name, Metric { kind, labels })
    })
    .collect()
}

/// Reads `` `a`, `b` (`value`, `value`) ``. Where a list has an ellipsis, or is no list, any value will do.
fn labels(cell: &str) -> BTreeMap<String, Option<BTreeSet<String>>> {
    let mut found = BTreeMap::new();
    let mut rest = cell;
    while let Some((_, after)) = rest.split_once('`') {
        let (label, after) = after.split_once('`').unwrap();
        let (values, after) = match after.strip_prefix(" (") {
            Some(list) => list.split_once(')').unwrap(),
            None => ("…", after),
        };
        let listed = values.split('`').skip(1).step_by(2).map(str::to_owned);
        let open = values.contains('…') || !values.contains('`');
        found.insert(label.to_owned(), (!open).then(|| listed.collect()));
        rest = after;
    }
    found
}

/// Every metric of ours in `text`, a process's answer to `/metrics`.
pub fn exported(text: &str) -> Metrics {
    let mut all = Metrics::new();
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            all.entry(name.to_owned()).or_default().kind = kind.to_owned();
        }
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (sample, labels) = sample(line);
        let histogram = ["_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|part| sample.strip_suffix(part))
            .find(|name| {
                all.get(*name)
                    .is_some_and(|metric| metric.kind == "histogram")
            });
        let metric = all.get_mut(histogram.unwrap_or(sample)).unwrap();
        for (label, value) in labels {
            if histogram.is_some() && label == "le" {
                continue;
            }
            let values = metric.labels.entry(label).or_insert(Some(BTreeSet::new()));
            values.as_mut().unwrap().insert(value);
        }
    }
    // Of Prometheus' own naming, and described there.
    all.retain(|name, _| !name.starts_with("process_"));
    all
}

/// Name and labels of a sample. A value may hold anything, braces and commas included.
fn sample(line: &str) -> (&str, Vec<(String, String)>) {
    let Some((name, mut rest)) = line.split_once('{') else {
        return (line.split(' ').next().unwrap(), Vec::new());
    };
    let mut labels = Vec::new();
    while let Some((label, value)) = rest.split_once("=\"") {
        let mut text = String::new();
        let mut chars = value.char_indices();
        let end = loop {
            match chars.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => text.push(chars.next().unwrap().1),
                (_, char) => text.push(char),
            }
        };
        labels.push((label.to_owned(), text));
        rest = value[end + 1..].trim_start_matches(',');
    }
    (name, labels)
}

/// How `exported` contradicts the page: one line for each metric that is not on it, or not as it is.
pub fn undocumented(exported: &Metrics, page: &Metrics) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, metric) in exported {
        let Some(told) = page.get(name) else {
            wrong.push(format!("{name} is not on the page"));
            continue;
        };
        if metric.kind != told.kind {
            wrong.push(format!("{name} is a {}, not a {}", metric.kind, told.kind));
        }
        if !metric.labels.keys().eq(told.labels.keys()) {
            let (found, told) = (metric.labels.keys(), told.labels.keys());
            wrong.push(format!("{name} has the labels {found:?}, not {told:?}"));
            continue;
        }
        for (label, values) in &metric.labels {
            let (Some(values), Some(listed)) = (values, &told.labels[label]) else {
                continue;
            };
            let unlisted: Vec<_> = values.difference(listed).collect();
            if !unlisted.is_empty() {
                wrong.push(format!("{name}: {label} may not be {unlisted:?}"));
            }
        }
    }
    wrong
}

/// Have Prometheus' own tool read `text`: it must have nothing to say.
pub async fn assert_lint_free(text: &str) {
    let mut find = Command::new(workspace().join("bin/prometheus"));
    let found = find.arg("promtool").output().await.unwrap();
    assert!(
        found.status.success(),
        "{}",
        String::from_utf8_lossy(&found.stderr)
    );
    let promtool = String::from_utf8(found.stdout).unwrap();
    let mut promtool = Command::new(promtool.trim())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(text.as_bytes()).await.unwrap();
    drop(input);
    let said = promtool.wait_with_output().await.unwrap();
    let all = [said.stdout, said.stderr].concat();
    let all = String::from_utf8_lossy(&all);
    assert!(said.status.success() && all.is_empty(), "{all}");
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP a_seconds How long
# TYPE a_seconds histogram
a_seconds_bucket{route="/api/{id},x",le="0.1"} 1
a_seconds_bucket{route="/api/{id},x",le="+Inf"} 1
a_seconds_sum{route="/api/{id},x"} 0.05
a_seconds_count{route="/api/{id},x"} 1
# HELP b_count Named like a part of a histogram
# TYPE b_count gauge
b_count 3
# HELP process_threads Not ours
# TYPE process_threads gauge
process_threads 4
"#;

    fn metric(kind: &str, cell: &str) -> Metric {
        Metric {
            kind: kind.to_owned(),
            labels: labels(cell),
        }
    }

    #[test]
    fn whatever_differs_is_told() {
        let exported = exported(TEXT);
        assert_eq!(
            exported,
            Metrics::from([
                (
                    "a_seconds".into(),
                    metric("histogram", "`route` (`/api/{id},x`)")
                ),
                ("b_count".into(), metric("gauge", "")),
            ])
        );
        let told = |a: Metric, b: Option<Metric>| {
            let b = b.map(|b| ("b_count".to_owned(), b));
            let page = [("a_seconds".to_owned(), a)].into_iter().chain(b);
            undocumented(&exported, &page.collect()).len()
        };
        let route = || metric("histogram", "`route` (a template)");
        let b = || Some(metric("gauge", ""));
        assert_eq!(told(route(), b()), 0);
        assert_eq!(told(metric("histogram", "`route` (`/`, …)"), b()), 0);
        assert_eq!(told(metric("histogram", "`route` (`/`)"), b()), 1);
        assert_eq!(told(metric("counter", "`route`"), b()), 1);
        assert_eq!(told(metric("histogram", "`route`, `method`"), b()), 1);
        assert_eq!(told(metric("histogram", ""), b()), 1);
        assert_eq!(told(route(), None), 1);
    }

    #[tokio::test]
    async fn the_linter_is_heard() {
        assert_lint_free("# HELP a_total Help\n# TYPE a_total counter\na_total 1\n").await;
        let bad = "# TYPE a counter\na 1\n";
        let checked = tokio::spawn(assert_lint_free(bad)).await;
        assert!(checked.is_err(), "no help, and no _total");
    }
}
