//! SeaweedFS as an S3 server on this machine.

use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::time::sleep;

use crate::keeper::{Keeper, client};

const ACCESS_KEY: &str = "weed-access-key";
const SECRET_KEY: &str = "weed-secret-key";
/// How long a server may take to start; it takes 3 s on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running SeaweedFS: master, volume server, filer and S3 gateway in one process, with
/// authentication, in a temporary directory. Gone when dropped.
#[derive(Debug)]
pub struct Weed {
    // Declared before the directory, so the server is gone before its files are.
    server: Option<Keeper>,
    directory: TempDir,
    ports: Ports,
    secret: String,
}

/// HTTP and gRPC ports of each part. All are named to the server, which would derive some of them
/// by adding 10,000 otherwise.
#[derive(Debug, Clone, Copy)]
struct Ports(u16);

impl Ports {
    const COUNT: u16 = 8;
    const MASTER: u16 = 0;
    const VOLUME: u16 = 2;
    const FILER: u16 = 4;
    const S3: u16 = 6;

    /// A run of free ports, below those that the system gives to outgoing connections.
    fn find() -> anyhow::Result<Self> {
        for _ in 0..200 {
            let first = 10_000 + u16::try_from(RandomState::new().hash_one(()) % 20_000)?;
            let free = |offset| TcpListener::bind(("127.0.0.1", first + offset)).is_ok();
            if (0..Self::COUNT).all(free) {
                return Ok(Self(first));
            }
        }
        bail!(
            "no {} free ports in a row between 10000 and 30008",
            Self::COUNT
        )
    }

    fn http(self, part: u16) -> u16 {
        self.0 + part
    }

    fn grpc(self, part: u16) -> u16 {
        self.0 + part + 1
    }
}

impl Weed {
    /// Starts a server and waits until it stores objects.
    ///
    /// # Errors
    /// There is no `weed`, or it does not start; the error holds the end of its log.
    pub async fn start() -> anyhow::Result<Self> {
        let mut lost = None;
        for _ in 0..5 {
            let directory = tempfile::Builder::new().prefix("weed-").tempdir()?;
            let mut weed = Self {
                server: None,
                directory,
                ports: Ports::find()?,
                secret: SECRET_KEY.to_owned(),
            };
            match weed.resume().await {
                Ok(()) => return Ok(weed),
                // Somebody took one of the ports meanwhile.
                Err(error) if error.to_string().contains("address already in use") => {
                    lost = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(lost.unwrap_or_else(|| anyhow::anyhow!("weed never started")))
    }

    /// One server for all tests of a binary, started by the first that asks; they keep apart by
    /// bucket. It ends with the process.
    ///
    /// # Errors
    /// As [`Weed::start`].
    pub async fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceCell<Weed> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// The S3 server's URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.http(Ports::S3))
    }

    /// The URL beneath which the server keeps each bucket as a folder, which needs no credentials:
    /// for looking at what is there past S3.
    #[must_use]
    pub fn buckets(&self) -> String {
        format!("http://127.0.0.1:{}/buckets", self.ports.http(Ports::FILER))
    }

    /// The access key id of an administrator.
    #[must_use]
    pub fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    /// The secret for [`Weed::access_key`].
    #[must_use]
    pub fn secret_key(&self) -> &str {
        &self.secret
    }

    /// Take another secret for [`Weed::access_key`] from the next [`Weed::resume`] on: whoever has
    /// the old one is refused.
    pub fn set_secret_key(&mut self, secret: &str) {
        secret.clone_into(&mut self.secret);
    }

    /// Creates a bucket; no error if it exists.
    ///
    /// # Errors
    /// The server refuses the name (3 to 63 of `[a-z0-9.-]`), or is away.
    pub async fn create_bucket(&self, name: &str) -> anyhow::Result<()> {
        self.filer("POST", &format!("/buckets/{name}/")).await
    }

    /// Kills the server at once and keeps its data: an outage.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts a stopped server again, with the same data and address.
    ///
    /// # Errors
    /// As [`Weed::start`].
    pub async fn resume(&mut self) -> anyhow::Result<()> {
        let directory = self.directory.path();
        std::fs::write(directory.join("s3.json"), identities(&self.secret))?;
        self.server = Some(Keeper::start(
            directory,
            &sockets(self.ports),
            &crate::tools::find("weed")?,
            arguments(directory, self.ports),
            // Three volumes per bucket rather than seven: less to create before the first write.
            &[("WEED_MASTER_VOLUME_GROWTH_COPY_1", "3")],
        )?);
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.probe().await {
            let log = || log_end(self.directory.path());
            if self.server.as_ref().is_some_and(Keeper::is_dead) {
                self.server = None;
                bail!("weed ended at once:\n{}", log());
            }
            if Instant::now() > deadline {
                bail!(
                    "weed stores nothing after {PATIENCE:?}: {error:#}\n{}",
                    log()
                );
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Stores a file through the filer (so there is a volume to write to) and reaches S3.
    async fn probe(&self) -> anyhow::Result<()> {
        // Without credentials S3 answers 403; any answer shows that it listens.
        client()?.get(self.endpoint()).send().await?;
        self.filer("PUT", "/ready").await
    }

    async fn filer(&self, method: &str, path: &str) -> anyhow::Result<()> {
        let url = format!("http://127.0.0.1:{}{path}", self.ports.http(Ports::FILER));
        let method = method.parse::<reqwest::Method>()?;
        let answer = client()?.request(method, &url).body("ready").send().await?;
        let status = answer.status();
        // A folder that exists already is a conflict.
        if !status.is_success() && status != reqwest::StatusCode::CONFLICT {
            bail!(
                "{url}: {status} {}",
                answer.text().await.unwrap_or_default()
            );
        }
        Ok(())
    }
}

fn identities(secret: &str) -> String {
    serde_json::json!({ "identities": [{
        "name": "tests",
        "credentials": [{ "accessKey": ACCESS_KEY, "secretKey": secret }],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }] })
    .to_string()
}

/// Sockets that the server makes besides its ports, at fixed places.
fn sockets(ports: Ports) -> String {
    let parts = [
        ("master", Ports::MASTER),
        ("volume", Ports::VOLUME),
        ("filer", Ports::FILER),
        ("s3", Ports::S3),
    ];
    parts
        .map(|(name, part)| format!("/tmp/seaweedfs-{name}-grpc-{}.sock", ports.grpc(part)))
        .join(" ")
}

fn arguments(directory: &Path, ports: Ports) -> Vec<String> {
    let directory = directory.display();
    let port = |name: &str, part: u16| {
        [
            format!("-{name}.port={}", ports.http(part)),
            format!("-{name}.port.grpc={}", ports.grpc(part)),
        ]
    };
    let mut arguments: Vec<String> = vec!["-logtostderr=true".into(), "server".into()];
    arguments.extend(port("master", Ports::MASTER));
    arguments.extend(port("volume", Ports::VOLUME));
    arguments.extend(port("filer", Ports::FILER));
    arguments.extend(port("s3", Ports::S3));
    arguments.extend([
        format!("-dir={directory}"),
        format!("-s3.config={directory}/s3.json"),
        format!("-filer.localSocket={directory}/filer.sock"),
        format!("-s3.localSocket={directory}/s3.sock"),
    ]);
    let fixed = [
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.iam=false",
        // A missing bucket is an error, as on Amazon's.
        "-s3.autoCreateBucket=false",
        // No election among one.
        "-master.peers=none",
        "-master.telemetry=false",
        // Many small volumes, none of them allocated before it is used.
        "-master.volumeSizeLimitMB=64",
        "-volume.max=2000",
        "-volume.minFreeSpace=1",
        "-volume.preStopSeconds=0",
    ];
    arguments.extend(fixed.map(str::to_owned));
    arguments
}

/// Why the server ended, if it said so, or else the end of its log. What follows a line marked `F`
/// is the state of every thread.
fn log_end(directory: &Path) -> String {
    let log = std::fs::read(directory.join("log")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    if let Some(fatal) = log.lines().rev().find(|line| line.starts_with('F')) {
        return fatal.to_owned();
    }
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fatal_line_explains_an_end() -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        let log = "I1 starting\nF2 bind: address already in use\ngoroutine 1 [running]:\nmain()\n";
        std::fs::write(directory.path().join("log"), log)?;
        assert_eq!(log_end(directory.path()), "F2 bind: address already in use");
        Ok(())
    }
}
