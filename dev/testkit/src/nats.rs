//! A nats-server of a test's own, with the project's configuration.

use std::path::Path;

use anyhow::Context as _;
use jetstream::server::{Server, ServerOptions};
use jetstream::topology::{self, TopologyConfig};
use jetstream::{Logins, Nats, NatsConfig, User};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use crate::tools;

/// A running server on a free port. Stopped, and its data removed, on drop.
pub struct NatsServer {
    server: Option<Server>,
    options: ServerOptions,
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
        Self::start_on(tempfile::tempdir()?, &tools::workspace().join("nats.conf")).await
    }

    /// Start one on the project's configuration, changed.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_with(change: &dyn Fn(&str) -> String) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let shipped = std::fs::read_to_string(tools::workspace().join("nats.conf"))?;
        let changed = change(&shipped);
        anyhow::ensure!(changed != shipped, "nothing was changed");
        let config = data.path().join("nats.conf");
        std::fs::write(&config, changed)?;
        Self::start_on(data, &config).await
    }

    async fn start_on(data: TempDir, config: &Path) -> anyhow::Result<Self> {
        let logins = Logins::random();
        let mut options = ServerOptions {
            program: tools::find("nats-server")?,
            config: config.to_path_buf(),
            data: data.path().to_path_buf(),
            port: None,
            env: logins.server_env(),
        };
        let server = Server::start(&options).await?;
        let port = server
            .port()
            .ok_or_else(|| anyhow::anyhow!("no port in {}", server.url()))?;
        options.port = Some(port);
        Ok(Self {
            server: Some(server),
            options,
            url: format!("nats://127.0.0.1:{port}"),
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

    /// Where it keeps its data.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.data.path()
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    ///
    /// # Errors
    /// When it does not run.
    pub fn freeze(&self) -> anyhow::Result<()> {
        let pid = self.pid().context("nats-server does not run")?;
        Ok(kill(Pid::from_raw(pid), Signal::SIGSTOP)?)
    }

    /// SIGKILL, and wait until it is gone. [`Self::restart`] starts it again.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let pid = self.pid().context("nats-server does not run")?;
        kill(Pid::from_raw(pid), Signal::SIGKILL)?;
        // The shell that watches it ends with it.
        self.stop().await;
        Ok(())
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
        self.server = Some(Server::start(&self.options).await?);
        Ok(())
    }
}
