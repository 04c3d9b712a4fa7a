//! Every role as a process of its own, around a real nats-server.

mod crew;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::Process;
use crate::{NatsServer, tools};

/// A running fleet. Everything it started ends with it.
pub struct Fleet {
    /// nats-server.
    pub nats: NatsServer,
    /// The producer.
    pub producer: Process,
    /// The workers.
    pub workers: Vec<Process>,
    /// The projector.
    pub projector: Process,
    /// The gateway.
    pub gateway: Process,
    /// Where the gateway listens, `http://…`.
    pub url: String,
    env: Vec<(String, String)>,
    program: PathBuf,
    folder: TempDir,
    http: reqwest::Client,
}

impl Fleet {
    /// Start one with `workers` workers. `env` says where Drive and the store are, and anything else
    /// that is not to be as by default.
    ///
    /// # Errors
    /// When something does not come up.
    pub async fn start(
        program: &Path,
        workers: usize,
        env: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let nats = NatsServer::start().await?;
        let mut all: Vec<(String, String)> = [
            (
                "DATABASE_PATH",
                folder.path().join("imagefleet.db").display().to_string(),
            ),
            ("LOG_FORMAT", "json".to_owned()),
            ("RUST_LOG", "info".to_owned()),
            ("GATEWAY_PORT", "0".to_owned()),
            ("PRODUCER_HEALTH_ADDR", "127.0.0.1:0".to_owned()),
            ("PROJECTOR_HEALTH_ADDR", "127.0.0.1:0".to_owned()),
            ("WORKER_HEALTH_ADDR", "127.0.0.1:0".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        all.extend(
            env.iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        // Each role logs in as its own user, so that every test shows that what it may do is enough.
        let start = |name: &str, role: &str| {
            let env = [nats.env_of_role(role), all.clone()].concat();
            Process::start(name, program, &[role], &env, folder.path())
        };
        let setup = start("setup", "setup")?;
        finished(setup).await?;
        let projector = start("projector", "projector")?;
        let producer = start("producer", "producer")?;
        let workers = (0..workers)
            .map(|n| start(&format!("worker-{n}"), "worker"))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut gateway = start("gateway", "gateway")?;
        let url = format!("http://{}", address(&mut gateway).await?);
        let http = reqwest::Client::new();
        ready(&http, &url).await?;
        Ok(Self {
            nats,
            producer,
            workers,
            projector,
            gateway,
            url,
            env: all,
            program: program.to_path_buf(),
            folder,
            http,
        })
    }

    /// One worker more.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn add_worker(&mut self) -> anyhow::Result<()> {
        let name = format!("worker-{}", self.workers.len());
        self.workers.push(Process::start(
            &name,
            &self.program,
            &["worker"],
            &[self.nats.env_of_role("worker"), self.env.clone()].concat(),
            self.folder.path(),
        )?);
        Ok(())
    }

    /// Submit a folder; the job id.
    ///
    /// # Errors
    /// When the gateway refuses it.
    pub async fn import(&self, folder: &str) -> anyhow::Result<String> {
        submit(&self.http, &self.url, folder).await
    }

    /// Wait until an import has ended; its status.
    ///
    /// # Errors
    /// When it does not end in time; the error holds the logs' last lines.
    pub async fn ended(&self, job: &str, deadline: Duration) -> anyhow::Result<Value> {
        ended(&self.http, &self.url, job, deadline)
            .await
            .map_err(|error| {
                let mut logs = String::new();
                for process in [&self.producer, &self.projector, &self.gateway]
                    .into_iter()
                    .chain(&self.workers)
                {
                    let log = process.log();
                    let tail: Vec<&str> = log.lines().rev().take(15).collect();
                    logs += &format!(
                        "---\n{}\n",
                        tail.into_iter().rev().collect::<Vec<_>>().join("\n")
                    );
                }
                error.context(logs)
            })
    }

    /// SIGTERM to everything; each must end with success.
    ///
    /// # Errors
    /// When one does not.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Self {
            producer,
            workers,
            projector,
            gateway,
            ..
        } = self;
        for process in [producer, projector, gateway].into_iter().chain(workers) {
            let log = process.log();
            let status = process.stop().await?;
            anyhow::ensure!(status.success(), "ended with {status}:\n{log}");
        }
        Ok(())
    }
}

async fn finished(mut process: Process) -> anyhow::Result<()> {
    let start = Instant::now();
    while process.is_running() {
        anyhow::ensure!(
            start.elapsed() < Duration::from_secs(30),
            "setup does not end:\n{}",
            process.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let log = process.log();
    anyhow::ensure!(process.stop().await?.success(), "setup failed:\n{log}");
    Ok(())
}

/// Where a gateway listens, by its log.
async fn address(gateway: &mut Process) -> anyhow::Result<String> {
    let start = Instant::now();
    loop {
        for line in gateway.log().lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            if let (Some("gateway listens"), Some(address)) =
                (line["message"].as_str(), line["address"].as_str())
            {
                return Ok(address.to_owned());
            }
        }
        anyhow::ensure!(
            gateway.is_running() && start.elapsed() < Duration::from_secs(30),
            "the gateway does not come up:\n{}",
            gateway.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Wait until the gateway at `url` waits for nothing.
///
/// # Errors
/// When it does not come up; the error holds what it waits for.
pub async fn ready(http: &reqwest::Client, url: &str) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let response = http.get(format!("{url}/readyz")).send().await?;
        if response.status().is_success() {
            return Ok(());
        }
        let report = response.text().await?;
        anyhow::ensure!(
            start.elapsed() < Duration::from_secs(30),
            "not ready: {report}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Submit a folder to the gateway at `url`; the job id.
///
/// # Errors
/// When the gateway refuses it.
pub async fn submit(http: &reqwest::Client, url: &str, folder: &str) -> anyhow::Result<String> {
    let response = http
        .post(format!("{url}/api/import/google-drive"))
        .json(&json!({"folder_url": format!("https://drive.google.com/drive/folders/{folder}")}))
        .send()
        .await?;
    let status = response.status();
    let body: Value = response.json().await?;
    anyhow::ensure!(status == 202, "{status}: {body}");
    body["job_id"]
        .as_str()
        .map(str::to_owned)
        .context("no job_id")
}

/// Wait until an import has ended; its status. Checks on the way that progress is honest.
///
/// # Errors
/// When it does not end in time, or when counters go back or exceed the total.
pub async fn ended(
    http: &reqwest::Client,
    url: &str,
    job: &str,
    deadline: Duration,
) -> anyhow::Result<Value> {
    let start = Instant::now();
    let mut last = 0;
    loop {
        let response = http
            .get(format!("{url}/api/import/status/{job}"))
            .send()
            .await?;
        anyhow::ensure!(
            response.status() != 404,
            "a status asked for after the 202 is never 404"
        );
        let status: Value = response.json().await?;
        let count = |name: &str| status[name].as_u64().unwrap_or(0);
        let settled = count("processed") + count("failed");
        anyhow::ensure!(settled >= last, "counters went back from {last}: {status}");
        anyhow::ensure!(
            settled <= count("total"),
            "more settled than listed: {status}"
        );
        last = settled;
        if matches!(
            status["status"].as_str(),
            Some("completed" | "failed" | "cancelled")
        ) {
            return Ok(status);
        }
        anyhow::ensure!(
            start.elapsed() < deadline,
            "not ended after {deadline:?}: {status}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The program under test, built with the tests.
///
/// # Errors
/// When it has not been built.
pub fn program() -> anyhow::Result<PathBuf> {
    tools::ours("imagefleet")
}
