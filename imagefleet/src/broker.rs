//! A nats-server of our own, started again when it dies.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jetstream::server::{self, Server, ServerError, ServerOptions};
use jetstream::{Logins, User};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use runtime::backoff::Reconnect;
use runtime::{Env, Health};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::login;

/// The name in health reports.
const DEPENDENCY: &str = "nats-server";
const CONFIG: &str = include_str!("../../nats.conf");
/// How long the server of an `up` that was killed may take to end.
const PREDECESSOR: Duration = Duration::from_secs(10);

/// Between two looks at whether it still runs.
const LOOK: Duration = Duration::from_millis(200);

/// A supervised nats-server.
pub(crate) struct Broker {
    url: String,
    logins: Logins,
    data: PathBuf,
    stop: CancellationToken,
    supervisor: JoinHandle<()>,
}

impl Broker {
    /// Start it with its data under `data`, on a free port that it keeps when it is started again.
    ///
    /// # Errors
    /// When there is no nats-server to run, or it does not come up.
    pub(crate) async fn start(env: &Env, data: PathBuf, health: Health) -> anyhow::Result<Self> {
        let program = find(env)?;
        tokio::fs::create_dir_all(&data)
            .await
            .with_context(|| format!("cannot create {}", data.display()))?;
        let config = data.join("nats.conf");
        tokio::fs::write(&config, CONFIG)
            .await
            .with_context(|| format!("cannot write {}", config.display()))?;
        wait_for_predecessor(&data).await;
        let logins = Logins::from_env(env);
        let mut options = ServerOptions {
            program,
            config,
            data: data.clone(),
            port: None,
            env: logins.server_env(),
        };
        let server = Server::start(&options).await?;
        options.port = server.port();
        login::leave(&data, server.url(), &logins)
            .with_context(|| format!("cannot write to {}", data.display()))?;
        health.ready(DEPENDENCY);
        let (url, stop) = (server.url().to_owned(), CancellationToken::new());
        let supervisor = tokio::spawn(supervise(server, options, health, stop.clone()));
        Ok(Self {
            url,
            logins,
            data,
            stop,
            supervisor,
        })
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The settings of a role that logs in as `user`.
    pub(crate) fn login(&self, env: &Env, user: User) -> Env {
        self.logins.login(env, user)
    }

    /// Stop it and wait until it is gone.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        // It panics in no case that we know of; then the server ended with it.
        let _ = self.supervisor.await;
        login::remove(&self.data);
    }
}

/// nats-server as `NATS_SERVER_BIN`, PATH and the tool folder have it.
pub(crate) fn find(env: &Env) -> Result<PathBuf, ServerError> {
    server::find(env.get("NATS_SERVER_BIN"), env.get("PATH"), &tool_folder())
}

/// `.tools/bin` beside the justfile, looked for from the current directory up and from this
/// program up.
fn tool_folder() -> PathBuf {
    let starts = [std::env::current_dir().ok(), std::env::current_exe().ok()];
    starts
        .iter()
        .flatten()
        .flat_map(|start| start.ancestors())
        .map(|folder| folder.join(".tools/bin"))
        .find(|folder| folder.is_dir())
        .unwrap_or_else(|| PathBuf::from(".tools/bin"))
}

async fn supervise(
    mut server: Server,
    options: ServerOptions,
    health: Health,
    stop: CancellationToken,
) {
    let mut reconnect = Reconnect::default();
    loop {
        let started = Instant::now();
        tokio::select! {
            () = stop.cancelled() => return server.stop().await,
            () = ended(&server) => {}
        }
        if started.elapsed() > Duration::from_secs(60) {
            reconnect.reset();
        }
        health.waiting(DEPENDENCY, "it ended and is being started again");
        tracing::error!("nats-server ended; starting it again");
        server = loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = reconnect.wait() => {}
            }
            match Server::start(&options).await {
                Ok(server) => break server,
                Err(error) => {
                    health.waiting(DEPENDENCY, error.to_string());
                    tracing::error!(error = %format!("{:#}", anyhow::Error::from(error)), "nats-server could not be started again");
                }
            }
        };
        health.ready(DEPENDENCY);
        tracing::info!("nats-server runs again");
    }
}

/// Wait until the process is gone. [`Server::ended`] would close the pipe that tells nats-server that
/// its parent lives.
async fn ended(server: &Server) {
    while server.pid().is_none_or(runs) {
        tokio::time::sleep(LOOK).await;
    }
}

/// The server of an `up` that was killed ends a moment after it. Two servers must not write the
/// same files.
async fn wait_for_predecessor(data: &Path) {
    let Ok(text) = tokio::fs::read_to_string(data.join("run/nats.pid")).await else {
        return;
    };
    let Ok(pid) = text.trim().parse::<i32>() else {
        return;
    };
    let started = Instant::now();
    while runs(pid) && started.elapsed() < PREDECESSOR {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn runs(pid: i32) -> bool {
    // Numbers are used again: on Linux, look whose it is now.
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
    let another = name.is_ok_and(|name| name.trim() != "nats-server");
    !another && kill(Pid::from_raw(pid), None).is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_killed_server_is_started_again_on_its_port() {
        let data = tempfile::tempdir().unwrap();
        let health = Health::new("test");
        let env = Env::from_process();
        let broker = Broker::start(&env, data.path().to_owned(), health.clone())
            .await
            .unwrap();
        let login = broker.login(&env.with("NATS_URL", broker.url()), User::Admin);
        let config = jetstream::NatsConfig::from_env(&login, "test").unwrap();
        let first = std::fs::read_to_string(data.path().join("run/nats.pid")).unwrap();
        let first: i32 = first.trim().parse().unwrap();
        kill(Pid::from_raw(first), nix::sys::signal::Signal::SIGKILL).unwrap();

        let pid = || std::fs::read_to_string(data.path().join("run/nats.pid")).ok();
        testkit::until("it runs again", Duration::from_secs(30), || async {
            let second: i32 = pid()?.trim().parse().ok()?;
            (second != first && health.is_ready() && runs(second)).then_some(())
        })
        .await;
        jetstream::connect(&config).await.unwrap();
        let last: i32 = pid().unwrap().trim().parse().unwrap();
        broker.stop().await;
        assert!(!runs(last), "nats-server was left behind");
    }
}
