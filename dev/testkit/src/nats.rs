//! A nats-server of a test's own, with the project's configuration.

use std::path::PathBuf;

use jetstream::server::{Server, ServerOptions};
use jetstream::topology::{self, TopologyConfig};
use jetstream::{Logins, Nats, NatsConfig, User};
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use crate::tools;

/// A running server on a free port. Stopped, and its data removed, on drop.
pub struct NatsServer {
    server: Option<Server>,
    port: u16,
    url: String,
    data: TempDir,
    logins: Logins,
}

impl NatsServer {
    /// Start one.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start() -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let logins = Logins::random();
        let server = Server::start(&options(data.path().into(), None, &logins)?).await?;
        let port = server
            .port()
            .ok_or_else(|| anyhow::anyhow!("no port in {}", server.url()))?;
        let url = format!("nats://127.0.0.1:{port}");
        Ok(Self {
            server: Some(server),
            port,
            url,
            data,
            logins,
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

    /// The settings to reach it as a user that may do anything.
    #[must_use]
    pub fn config(&self) -> NatsConfig {
        self.config_of(User::Admin)
    }

    /// The settings to reach it as `user`, who may do only what `nats.conf` grants.
    #[must_use]
    pub fn config_of(&self, user: User) -> NatsConfig {
        NatsConfig {
            user: Some(user.name().to_owned()),
            password: Some(self.logins.password(user).clone()),
            inbox_prefix: format!("_INBOX_{}", user.name()),
            ..NatsConfig::new(&self.url, "test")
        }
    }

    /// The environment in which a process reaches it as `user`.
    #[must_use]
    pub fn env_of(&self, user: User) -> Vec<(String, String)> {
        let password = self.logins.password(user).expose_secret();
        [
            ("NATS_URL", self.url.as_str()),
            ("NATS_USER", user.name()),
            ("NATS_PASSWORD", password),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// [`Self::env_of`] for a subcommand of ours: a role logs in as itself, `setup` and the rest as
    /// the admin.
    #[must_use]
    pub fn env_of_role(&self, role: &str) -> Vec<(String, String)> {
        let user = User::ALL.into_iter().find(|user| user.name() == role);
        self.env_of(user.unwrap_or(User::Admin))
    }

    /// A connection that may do anything.
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
        self.server = Some(
            Server::start(&options(
                self.data.path().into(),
                Some(self.port),
                &self.logins,
            )?)
            .await?,
        );
        Ok(())
    }
}

fn options(data: PathBuf, port: Option<u16>, logins: &Logins) -> anyhow::Result<ServerOptions> {
    Ok(ServerOptions {
        program: tools::find("nats-server")?,
        config: tools::workspace().join("nats.conf"),
        data,
        port,
        env: logins.server_env(),
    })
}
