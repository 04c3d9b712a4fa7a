//! Three nats-servers on loopback, by the project's `nats-cluster.conf`.

use std::net::TcpListener;

use anyhow::Context as _;
use jetstream::server::{Server, ServerOptions};
use jetstream::{Logins, Nats, NatsConfig, User};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use crate::tools;

/// Three servers. Stopped, and their data removed, on drop.
pub struct NatsCluster {
    nodes: Vec<Node>,
    logins: Logins,
    _data: TempDir,
}

struct Node {
    server: Option<Server>,
    options: ServerOptions,
}

impl NatsCluster {
    /// Start them; they find each other meanwhile.
    ///
    /// # Errors
    /// When one does not come up.
    pub async fn start() -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let logins = Logins::random();
        // Each must know the others' ports before any runs, so they are looked for here and not by
        // the servers. All are held until all are found.
        let free = || TcpListener::bind("127.0.0.1:0");
        let held = (0..6).map(|_| free()).collect::<Result<Vec<_>, _>>()?;
        let ports = held
            .iter()
            .map(|listener| Ok(listener.local_addr()?.port()))
            .collect::<std::io::Result<Vec<_>>>()?;
        drop(held);
        let password = logins.password(User::Admin).expose_secret();
        let routes: Vec<String> = ports[3..]
            .iter()
            .map(|port| format!("\"nats://route:{password}@127.0.0.1:{port}\""))
            .collect();
        let routes = format!("[{}]", routes.join(", "));
        let mut nodes = Vec::new();
        for n in 0..3 {
            let own = [
                ("NATS_NODE", format!("nats-{n}")),
                ("NATS_LISTEN", format!("127.0.0.1:{}", ports[n])),
                ("NATS_CLUSTER_LISTEN", format!("127.0.0.1:{}", ports[n + 3])),
                ("NATS_ROUTES", routes.clone()),
                ("NATS_CLUSTER_PASSWORD", password.to_owned()),
                // Replaced by a free one on the command line.
                ("NATS_MONITOR", "127.0.0.1:-1".to_owned()),
            ];
            let mut env = logins.server_env();
            env.extend(own.map(|(name, value)| (name.to_owned(), value)));
            let options = ServerOptions {
                program: tools::find("nats-server")?,
                config: tools::workspace().join("nats-cluster.conf"),
                data: data.path().join(n.to_string()),
                port: Some(ports[n]),
                env,
            };
            let server = Some(Server::start(&options).await?);
            nodes.push(Node { server, options });
        }
        Ok(Self {
            nodes,
            logins,
            _data: data,
        })
    }

    /// Where clients connect, all three.
    #[must_use]
    pub fn url(&self) -> String {
        let url = |node: &Node| {
            let port = node.options.port.unwrap_or_default();
            format!("nats://127.0.0.1:{port}")
        };
        self.nodes.iter().map(url).collect::<Vec<_>>().join(",")
    }

    /// The environment in which a subcommand of ours reaches them: a role as itself, the rest as the
    /// admin.
    #[must_use]
    pub fn env_of_role(&self, role: &str) -> Vec<(String, String)> {
        let user = User::ALL.into_iter().find(|user| user.name() == role);
        let user = user.unwrap_or(User::Admin);
        let password = self.logins.password(user).expose_secret();
        [
            ("NATS_URL", self.url()),
            ("NATS_USER", user.name().to_owned()),
            ("NATS_PASSWORD", password.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// A connection that may do anything.
    ///
    /// # Errors
    /// When none of them answers.
    pub async fn connect(&self) -> anyhow::Result<Nats> {
        let config = NatsConfig {
            user: Some(User::Admin.name().to_owned()),
            password: Some(self.logins.password(User::Admin).clone()),
            ..NatsConfig::new(self.url(), "test")
        };
        Ok(jetstream::connect(&config).await?)
    }

    /// The number of the server that leads `stream`, if one does and both others are up to date.
    ///
    /// # Errors
    /// When the servers do not answer.
    pub async fn settled_leader(nats: &Nats, stream: &str) -> anyhow::Result<Option<usize>> {
        let stream = nats.context.get_stream(stream).await?;
        let Some(cluster) = &stream.cached_info().cluster else {
            return Ok(None);
        };
        let current = cluster.replicas.iter().filter(|replica| replica.current);
        if current.count() < 2 {
            return Ok(None);
        }
        let number = cluster
            .leader
            .as_deref()
            .and_then(|name| name.strip_prefix("nats-"));
        Ok(number.and_then(|number| number.parse().ok()))
    }

    /// SIGKILL to one.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&mut self, number: usize) -> anyhow::Result<()> {
        let node = &mut self.nodes[number];
        let server = node.server.take().context("it does not run")?;
        kill(
            Pid::from_raw(server.pid().context("no pid")?),
            Signal::SIGKILL,
        )?;
        server.stop().await;
        Ok(())
    }

    /// Start one again with its data.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart(&mut self, number: usize) -> anyhow::Result<()> {
        let node = &mut self.nodes[number];
        node.server = Some(Server::start(&node.options).await?);
        Ok(())
    }
}
