//! Prometheus' settings and rules, by Prometheus' own tool, and what it does not look at.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use contracts::Cause;
use testkit::tools::{self, workspace};

fn folder() -> PathBuf {
    workspace().join("deploy/prometheus")
}

fn text(path: &str) -> String {
    std::fs::read_to_string(folder().join(path)).unwrap()
}

fn files(of: &str) -> Vec<String> {
    let mut files: Vec<String> = std::fs::read_dir(folder().join(of))
        .unwrap()
        .map(|entry| format!("{of}/{}", entry.unwrap().file_name().display()))
        .collect();
    files.sort();
    files
}

fn promtool(arguments: &[&str]) {
    let output = Command::new(tools::prometheus("promtool").unwrap())
        .args(arguments)
        .current_dir(folder())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

#[test]
fn promtool_finds_nothing_wrong() {
    promtool(&["check", "config", "prometheus.yml"]);
    for rules in files("rules") {
        promtool(&["check", "rules", &rules]);
    }
}

#[test]
fn alerts_fire_when_they_must_and_are_silent_when_they_must_not() {
    // Side by side: days are simulated.
    std::thread::scope(|all| {
        for tests in files("tests") {
            all.spawn(move || promtool(&["test", "rules", &tests]));
        }
    });
}

/// Names of the alerts, in order.
fn alerts() -> Vec<String> {
    let rules = text("rules/imagefleet.yml");
    let lines = rules.lines().map(str::trim);
    lines
        .filter_map(|line| line.strip_prefix("- alert: "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_alert_has_what_people_need_and_is_tested_in_both_directions() {
    let rules = text("rules/imagefleet.yml");
    let tests: String = files("tests").iter().map(|file| text(file)).collect();
    let alerts = alerts();
    assert_eq!(alerts.iter().collect::<BTreeSet<_>>().len(), alerts.len());
    assert!(alerts.len() >= 14, "{alerts:?}");
    for (n, alert) in alerts.iter().enumerate() {
        let from = rules.find(&format!("- alert: {alert}\n")).unwrap();
        let to = match alerts.get(n + 1) {
            Some(next) => rules.find(&format!("- alert: {next}\n")).unwrap(),
            None => rules.len(),
        };
        let rule = &rules[from..to];
        let anchor = format!("runbook_url: deploy/RUNBOOK.md#{}\n", alert.to_lowercase());
        for needed in [
            "        # ",
            "for: ",
            "summary: ",
            "description: ",
            anchor.as_str(),
        ] {
            assert!(rule.contains(needed), "{alert} lacks {needed:?}");
        }
        let severities = ["severity: critical\n", "severity: warning\n"];
        assert!(severities.iter().any(|one| rule.contains(one)), "{alert}");
        let fires = tests.split("- alertname: ").any(|test| {
            let test = test.split("- name: ").next().unwrap();
            test.starts_with(&format!("{alert}\n")) && test.contains("exp_annotations:")
        });
        assert!(
            fires,
            "no test says that {alert} fires, and with which texts"
        );
        let silent = tests.contains(&format!("{{alertname: {alert}, eval_time: "));
        assert!(silent, "no test says that {alert} does not fire");
    }
}

#[test]
fn what_rules_say_of_causes_and_metrics_exists() {
    let known: BTreeSet<&str> = Cause::ALL.iter().map(|cause| cause.code()).collect();
    for file in files("rules") {
        let rules = text(&file);
        for (at, _) in rules.match_indices("cause") {
            let Some(list) = rules[at + "cause".len()..].strip_prefix(['=', '!']) else {
                continue;
            };
            let list = list.trim_start_matches('~').trim_start_matches('"');
            for cause in list.split('"').next().unwrap().split('|') {
                assert!(known.contains(cause), "{file}: {cause}");
            }
        }
    }
}
