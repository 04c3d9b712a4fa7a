//! A nats-server of a test's own, with the project's configuration.

use std::path::PathBuf;

use jetstream::server::{Server, ServerOptions};
use jetstream::topology::{self, TopologyConfig};
use jetstream::{Nats, NatsConfig};
use tempfile::TempDir;

use crate::tools;

/// A running server on a free port. Stopped, and its data removed, on drop.
pub struct NatsServer {
    server: Option<Server>,
    port: u16,
    url: String,
    data: TempDir,
}

impl NatsServer {
    /// Start one.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start() -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let server = Server::start(&options(data.path().into(), None)?).await?;
        let port = server
            .port()
            .ok_or_else(|| anyhow::anyhow!("no port in {}", server.url()))?;
        let url = format!("nats://127.0.0.1:{port}");
        Ok(Self {
            server: Some(server),
            port,
            url,
            data,
        })
    }

    /// Start one with the streams, consumers and buckets in place, and connect.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_with_topology() -> anyhow::Result<(Self, Nats)> {
        let server = Self::start().await?;
        let nats = server.connect().await?;
        topology::setup(&nats, TopologyConfig::default()).await?;
        Ok((server, nats))
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The settings to reach it.
    #[must_use]
    pub fn config(&self) -> NatsConfig {
        NatsConfig {
            url: self.url.clone(),
            user: None,
            password: None,
            creds: None,
            name: "test".into(),
        }
    }

    /// A connection.
    ///
    /// # Errors
    /// When it is down.
    pub async fn connect(&self) -> anyhow::Result<Nats> {
        Ok(jetstream::connect(&self.config()).await?)
    }

    /// Its process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.server.as_ref().and_then(Server::pid)
    }

    /// Stop it, keeping its data.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    /// Start it again on the same port with the same data.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.stop().await;
        self.server =
            Some(Server::start(&options(self.data.path().into(), Some(self.port))?).await?);
        Ok(())
    }
}

fn options(data: PathBuf, port: Option<u16>) -> anyhow::Result<ServerOptions> {
    Ok(ServerOptions {
        program: tools::find("nats-server")?,
        config: tools::workspace().join("nats.conf"),
        data,
        port,
    })
}
