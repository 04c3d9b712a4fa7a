//! The dashboards as Grafana reads them.

use std::path::PathBuf;

use serde_json::Value;
use testkit::tools::workspace;

/// A dashboard's JSON.
pub(crate) struct Board(pub(crate) Value);

/// A query of a panel.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// `Fleet / row / panel`, as docs/metrics.md writes it.
    pub(crate) panel: String,
    pub(crate) expr: String,
}

/// Every dashboard there is.
pub(crate) fn boards() -> Vec<Board> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(workspace().join("deploy/grafana/dashboards"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 2, "{files:?}");
    files
        .iter()
        .map(|file| Board(serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()))
        .collect()
}

impl Board {
    pub(crate) fn uid(&self) -> &str {
        self.0["uid"].as_str().unwrap()
    }

    pub(crate) fn panels(&self) -> &[Value] {
        self.0["panels"].as_array().unwrap()
    }

    pub(crate) fn variables(&self) -> &[Value] {
        self.0["templating"]["list"].as_array().unwrap()
    }

    /// All queries, in order.
    pub(crate) fn queries(&self) -> Vec<Query> {
        let board = self.0["title"].as_str().unwrap();
        let board = board.strip_prefix("Imagefleet / ").unwrap();
        let mut row = "";
        let mut queries = Vec::new();
        for panel in self.panels() {
            let title = panel["title"].as_str().unwrap();
            if panel["type"] == "row" {
                row = title;
                continue;
            }
            for target in panel["targets"].as_array().unwrap() {
                queries.push(Query {
                    panel: format!("{board} / {row} / {title}"),
                    expr: target["expr"].as_str().unwrap().to_owned(),
                });
            }
        }
        queries
    }
}

/// Metric and label of `label_values(metric, label)`.
pub(crate) fn label_values(variable: &Value) -> Option<(&str, &str)> {
    let query = variable["query"]["query"].as_str()?;
    let call = query.strip_prefix("label_values(")?.strip_suffix(')')?;
    call.split_once(", ")
}
