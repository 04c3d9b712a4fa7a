//! What a process of ours says of itself.

use anyhow::Context as _;
use serde_json::Value;

use crate::Process;

impl Process {
    /// Where its health server listens, by its log; the last one, if it was started anew.
    ///
    /// # Errors
    /// When it does not listen yet.
    pub fn health_url(&self) -> anyhow::Result<String> {
        let log = self.log();
        let address = log.lines().rev().find_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"] == "health server listens")
                .then(|| line["address"].as_str().map(str::to_owned))?
        });
        Ok(format!("http://{}", address.context("no health server")?))
    }

    /// The most memory it has had resident so far, in bytes.
    ///
    /// # Errors
    /// When it is gone.
    pub fn peak_rss(&self) -> anyhow::Result<u64> {
        self.status("VmHWM:")
    }

    /// Bytes, of a line of `/proc/PID/status` that is in kB.
    fn status(&self, line: &'static str) -> anyhow::Result<u64> {
        let pid = self.pid().context("the process is gone")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let found = status
            .lines()
            .find_map(|found| found.strip_prefix(line))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        Ok(1024 * found.with_context(|| format!("no {line}"))?)
    }

    /// [`Self::peak_rss`] without the pages of its program and libraries that are resident now: about
    /// what it holds itself. Too little, if fewer of those were resident at the peak.
    ///
    /// # Errors
    /// When it is gone.
    pub fn peak_held(&self) -> anyhow::Result<u64> {
        Ok(self.peak_rss()?.saturating_sub(self.status("RssFile:")?))
    }

    /// What it waits for: dependency and reason, empty when it is ready.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn waits_for(&self) -> anyhow::Result<Vec<(String, String)>> {
        let url = format!("{}/readyz", self.health_url()?);
        let response = reqwest::get(url).await?;
        let ready = response.status().is_success();
        let report: Value = response.json().await?;
        let missing: Vec<(String, String)> = report["dependencies"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, dependency)| dependency["ready"] == false)
            .map(|(name, dependency)| {
                let why = dependency["why"].as_str().unwrap_or_default();
                (name.clone(), why.to_owned())
            })
            .collect();
        anyhow::ensure!(
            ready == missing.is_empty(),
            "readiness contradicts itself: {report}"
        );
        Ok(missing)
    }
}
