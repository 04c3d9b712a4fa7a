//! Prometheus on this machine.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::keeper::{Keeper, client};
use crate::tools;

/// How long it may take to start; it takes a second on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running Prometheus that scrapes every second and evaluates rules as often. Gone when dropped.
#[derive(Debug)]
pub struct Prometheus {
    // Declared before the directory, so the server is gone before its files are.
    server: Keeper,
    directory: TempDir,
    url: String,
}

impl Prometheus {
    /// Starts one that scrapes `targets`, each a job and an `http://` URL, and evaluates the rules in
    /// the files `rules` (a pattern). Waits until it answers.
    ///
    /// # Errors
    /// There is no Prometheus, or it does not start; the error holds its log.
    pub async fn start(targets: &[(&str, String)], rules: &Path) -> anyhow::Result<Self> {
        let program = tools::prometheus("prometheus")?;
        let directory = tempfile::Builder::new().prefix("prometheus-").tempdir()?;
        let jobs: Vec<Value> = targets
            .iter()
            .enumerate()
            .map(|(n, (job, url))| {
                let address = url.trim_start_matches("http://");
                // Several targets of one job are jobs of their own here, with one name.
                json!({
                    "job_name": format!("{job} {n}"),
                    "static_configs": [{"targets": [address], "labels": {"job": job}}],
                })
            })
            .collect();
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [rules],
            "scrape_configs": jobs,
        });
        // JSON is YAML.
        let path = directory.path().join("prometheus.yml");
        std::fs::write(&path, config.to_string())?;
        let arguments = vec![
            format!("--config.file={}", path.display()),
            format!(
                "--storage.tsdb.path={}",
                directory.path().join("data").display()
            ),
            "--web.listen-address=127.0.0.1:0".to_owned(),
        ];
        let server = Keeper::start(directory.path(), "", &program, arguments, &[])?;
        let mut started = Self {
            server,
            directory,
            url: String::new(),
        };
        started.listen().await?;
        Ok(started)
    }

    async fn listen(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let log =
                std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            if let Some((_, address)) = log.split_once("msg=\"Listening on\" address=") {
                let address = address.split_whitespace().next().unwrap_or_default();
                self.url = format!("http://{address}");
                let ready = client()?.get(format!("{}/-/ready", self.url)).send().await;
                if ready.is_ok_and(|answer| answer.status().is_success()) {
                    return Ok(());
                }
            }
            ensure!(!self.server.is_dead(), "Prometheus ended at once:\n{log}");
            ensure!(begun.elapsed() < PATIENCE, "Prometheus is not up:\n{log}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The data that its HTTP API answers with.
    ///
    /// # Errors
    /// It does not answer, or refuses: a query that cannot be parsed or evaluated.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
        let answer = client()?
            .get(format!("{}/api/v1/{path}", self.url))
            .query(query)
            .send()
            .await?;
        let mut body: Value = answer.json().await?;
        if body["status"] != "success" {
            bail!("{query:?}: {}", body["error"]);
        }
        Ok(body["data"].take())
    }

    /// What `expr` is now: each series' labels and value.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn query(&self, expr: &str) -> anyhow::Result<Vec<(Value, f64)>> {
        let mut data = self.get("query", &[("query", expr)]).await?;
        let series = data["result"].take();
        let series = series.as_array().context("no list of series")?;
        series
            .iter()
            .map(|series| {
                let value = series["value"][1].as_str().context("no value")?;
                let value = match value {
                    "+Inf" => f64::INFINITY,
                    "-Inf" => f64::NEG_INFINITY,
                    finite => finite.parse()?,
                };
                Ok((series["metric"].clone(), value))
            })
            .collect()
    }
}
