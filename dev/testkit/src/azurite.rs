//! Azurite as an Azure Blob server on this machine.

use std::time::{Duration, Instant};

use anyhow::bail;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::time::sleep;

use crate::keeper::{Keeper, client};

const ACCOUNT: &str = "imagefleettests";
/// Base64, as account keys are.
const KEY: &str = "YW4gYWNjb3VudCBrZXkgZm9yIHRlc3RzLCBrbm93biB0byBhbnlvbmU=";
/// How long a server may take to start; it takes 2 s on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running Azurite with one account, which keeps everything in memory. Gone when dropped.
#[derive(Debug)]
pub struct Azurite {
    // Declared before the directory, so the server is gone before its files are.
    server: Option<Keeper>,
    directory: TempDir,
    port: u16,
}

impl Azurite {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// There is no `azurite-blob`, or it does not start; the error holds its log.
    pub async fn start() -> anyhow::Result<Self> {
        let mut azurite = Self {
            server: None,
            directory: tempfile::Builder::new().prefix("azurite-").tempdir()?,
            port: 0,
        };
        azurite.resume().await?;
        Ok(azurite)
    }

    /// One server for all tests of a binary, started by the first that asks; they keep apart by
    /// container. It ends with the process.
    ///
    /// # Errors
    /// As [`Azurite::start`].
    pub async fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceCell<Azurite> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// The account's URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/{ACCOUNT}", self.port)
    }

    /// The account's name.
    #[must_use]
    pub fn account(&self) -> &'static str {
        ACCOUNT
    }

    /// The account's key.
    #[must_use]
    pub fn key(&self) -> &'static str {
        KEY
    }

    /// All that [`Azurite::endpoint`], [`Azurite::account`] and [`Azurite::key`] say.
    #[must_use]
    pub fn connection_string(&self) -> String {
        format!(
            "DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={};",
            self.endpoint()
        )
    }

    /// Kills the server at once, and with it all it holds: an outage.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts a stopped server again, empty, at the same address.
    ///
    /// # Errors
    /// As [`Azurite::start`].
    pub async fn resume(&mut self) -> anyhow::Result<()> {
        let log = self.directory.path().join("log");
        let _ = std::fs::remove_file(&log);
        let fixed = [
            "--inMemoryPersistence",
            "--disableTelemetry",
            "--skipApiVersionCheck",
            "--silent",
        ];
        let mut arguments = vec!["--blobPort".to_owned(), self.port.to_string()];
        arguments.extend(fixed.map(str::to_owned));
        let accounts = format!("{ACCOUNT}:{KEY}");
        let program = crate::tools::find("azurite-blob")?;
        let env = [("AZURITE_ACCOUNTS", accounts.as_str())];
        let server = Keeper::start(self.directory.path(), "", &program, arguments, &env)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            if server.is_dead() {
                bail!("azurite ended at once:\n{said}");
            }
            if let Some(port) = port(&said) {
                self.port = port;
                // Without credentials it answers 403; any answer shows that it listens.
                if client()?.get(self.endpoint()).send().await.is_ok() {
                    self.server = Some(server);
                    return Ok(());
                }
            }
            if Instant::now() > deadline {
                bail!("azurite does not answer after {PATIENCE:?}:\n{said}");
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Where the server says that it listens.
fn port(log: &str) -> Option<u16> {
    let (_, rest) = log.split_once("successfully listens on http://127.0.0.1:")?;
    rest.lines().next()?.trim().parse().ok()
}
