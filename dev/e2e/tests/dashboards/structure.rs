//! What can be seen of dashboards without data.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use e2e::metrics::{Metrics, documented};
use testkit::tools::workspace;

use crate::boards::{boards, label_values};
use crate::promql;

/// What Prometheus adds to every series, and a histogram to its buckets.
const ADDED: [&str; 3] = ["job", "instance", "le"];

#[test]
fn dashboards_are_as_their_source_says() {
    let check = Command::new("python3")
        .arg(workspace().join("deploy/grafana/build.py"))
        .arg("--check")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&check.stderr);
    assert!(check.status.success(), "{said}");
}

#[test]
fn links_to_dashboards_and_panels_stay() {
    let boards = boards();
    let uids: Vec<&str> = boards.iter().map(|board| board.uid()).collect();
    assert_eq!(uids, ["imagefleet-fleet", "imagefleet-import"]);
    for board in &boards {
        let ids: BTreeSet<u64> = board
            .panels()
            .iter()
            .map(|panel| panel["id"].as_u64().unwrap())
            .collect();
        assert_eq!(ids.len(), board.panels().len(), "{}", board.uid());
        let first = &board.variables()[0];
        assert_eq!(
            (&first["type"], &first["name"]),
            (&"datasource".into(), &"datasource".into())
        );
        let variables = board.variables()[1..].iter();
        for from in variables.chain(board.panels()) {
            if from["type"] != "row" {
                assert_eq!(
                    from["datasource"]["uid"], "${datasource}",
                    "{}",
                    from["title"]
                );
            }
        }
    }
}

#[test]
fn every_panel_can_be_read() {
    for board in boards() {
        let mut asked = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for panel in board.panels() {
            let place = &panel["gridPos"];
            let at = |side: &str| place[side].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(
                        taken.insert((x, y)),
                        "{} covers another panel",
                        panel["title"]
                    );
                }
            }
            if panel["type"] == "row" {
                continue;
            }
            let title = panel["title"].as_str().unwrap();
            let about = panel["description"].as_str().unwrap();
            assert!(about.len() > 20 && about.ends_with('.'), "{title}: {about}");
            let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap();
            assert!(!unit.is_empty(), "{title}");
            let targets = panel["targets"].as_array().unwrap();
            let said = |of: &str| -> Vec<&str> {
                let each = targets.iter().map(|target| target[of].as_str().unwrap());
                each.collect()
            };
            let letters: BTreeSet<_> = said("refId").into_iter().collect();
            assert!(
                !letters.is_empty() && letters.len() == targets.len(),
                "{title}"
            );
            let legends = said("legendFormat");
            let told_apart = legends.iter().all(|legend| *legend != "__auto");
            assert!(
                panel["type"] == "stat" || told_apart,
                "{title}: {legends:?}"
            );
            for target in targets {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            }
            if let Some(other) = asked.insert(said("expr"), title) {
                panic!("{title} and {other} say the same");
            }
        }
    }
}

/// What rules record.
pub(crate) fn recorded() -> BTreeSet<String> {
    let rules = workspace().join("deploy/prometheus/rules/recording.yml");
    let rules = std::fs::read_to_string(rules).unwrap();
    let lines = rules.lines().map(str::trim);
    lines
        .filter_map(|line| line.strip_prefix("- record: "))
        .map(str::to_owned)
        .collect()
}

/// What `expr` asks for that docs/metrics.md does not have, nor a rule records: `or vector(0)` must not
/// hide a name that nobody exports.
pub(crate) fn unknown(expr: &str, page: &Metrics, recorded: &BTreeSet<String>) -> Vec<String> {
    let mut unknown = Vec::new();
    for (series, labels) in promql::selectors(expr) {
        if series.starts_with("process_") || recorded.contains(&series) {
            continue;
        }
        let Some(metric) = page
            .get(&series)
            .or_else(|| page.get(promql::base(&series)))
        else {
            unknown.push(series);
            continue;
        };
        for (label, value) in labels {
            let known = match metric.labels.get(&label) {
                None => ADDED.contains(&label.as_str()),
                Some(None) => true,
                Some(Some(values)) => {
                    value.is_empty() || value.starts_with('$') || values.contains(&value)
                }
            };
            if !known {
                unknown.push(format!("{series}{{{label}={value:?}}}"));
            }
        }
    }
    unknown
}

#[test]
fn panels_ask_for_nothing_that_is_not_exported() {
    let (page, recorded) = (documented(), recorded());
    for board in boards() {
        for query in board.queries() {
            let unknown = unknown(&query.expr, &page, &recorded);
            assert!(unknown.is_empty(), "{}: {unknown:?}", query.panel);
        }
        for (metric, label) in board.variables().iter().filter_map(label_values) {
            let metric = &page[promql::base(metric)];
            assert!(metric.labels.contains_key(label), "{label}");
        }
    }
    let wrong = r#"sum(rate(imagefleet_worker_images_total{outcome="faild"}[5m])) or vector(0)"#;
    assert_eq!(unknown(wrong, &page, &recorded).len(), 1);
}

#[test]
fn every_metric_is_shown_or_the_page_says_why_not() {
    let boards = boards();
    let shown: BTreeSet<String> = boards
        .iter()
        .flat_map(|board| board.queries())
        .flat_map(|query| promql::metrics(&query.expr))
        .collect();
    let page = std::fs::read_to_string(workspace().join("docs/metrics.md")).unwrap();
    for metric in documented().keys() {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| `{metric}` |")))
            .unwrap();
        let column = row
            .trim_end_matches('|')
            .rsplit(" | ")
            .next()
            .unwrap()
            .trim();
        let says = column.len() > 10;
        assert!(
            says,
            "{metric} is on no panel, and its last column does not say why"
        );
        let panel = column.contains(" / ");
        assert_eq!(panel, shown.contains(metric), "{metric}: {column}");
    }
}
