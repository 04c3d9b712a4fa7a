//! Every role in one process: `imagefleet up`, and what `imagefleet demo` runs.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use gateway::Gateway;
use jetstream::topology::{self, TopologyConfig};
use jetstream::{NatsConfig, User, connect_when_up};
use read_model::{ReadModel, ReadModelConfig};
use runtime::{ConfigError, Env, Service};
use storage::StoreConfig;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::broker::Broker;
use crate::cli::Up;
use crate::exit::Exit;
use crate::output;

/// `imagefleet up`.
pub(crate) async fn up(env: Env, args: &Up, stop: CancellationToken) -> anyhow::Result<Exit> {
    let env = match args.port {
        Some(port) => env.with("GATEWAY_PORT", port.to_string()),
        None => env,
    };
    let Some(fleet) = Fleet::start(env, &args.data, stop).await? else {
        return Ok(Exit::Success);
    };
    if let Some(broker) = &fleet.broker {
        output::say(format!("NATS listens at {}", broker.url()));
    }
    output::say("The page and the API are at");
    output::line(fleet.url.as_str())?;
    output::say("Ctrl-C ends it; work under way is finished first.");
    fleet.run().await?;
    Ok(Exit::Success)
}

type Roles = JoinSet<(&'static str, anyhow::Result<()>)>;

/// Every role, running.
pub(crate) struct Fleet {
    /// Where the page is.
    pub(crate) url: Url,
    roles: Roles,
    broker: Option<Broker>,
    stop: CancellationToken,
    /// Held as long as the data is in use.
    _lock: File,
}

impl Fleet {
    /// Start everything that is not told otherwise under `data`. `None` when `stop` came first.
    ///
    /// # Errors
    /// When a setting is wrong, the port or the data folder is taken, or there is no nats-server.
    pub(crate) async fn start(
        env: Env,
        data: &Path,
        stop: CancellationToken,
    ) -> anyhow::Result<Option<Self>> {
        let data = std::path::absolute(data).context("the data folder's path")?;
        let env = with_defaults(env, &data)?;
        // Before anything is started, so that a wrong setting leaves no trace.
        check(&env)?;
        let lock = lock(&data)?;
        // Roles also end when one of them fails.
        let service = Service::new("up", stop.child_token())?;
        let (env, broker) = match env.get("NATS_URL") {
            Some(_) => (env, None),
            None => {
                let broker = Broker::start(&env, data.join("nats"), service.health.clone()).await?;
                (env.with("NATS_URL", broker.url()), Some(broker))
            }
        };
        match start_roles(&env, broker.as_ref(), &service).await {
            Ok(Some((url, roles))) => {
                settle(&service).await;
                Ok(Some(Self {
                    url,
                    roles,
                    broker,
                    stop: service.stop,
                    _lock: lock,
                }))
            }
            not_started => {
                service.stop.cancel();
                if let Some(broker) = broker {
                    broker.stop().await;
                }
                not_started.map(|_| None)
            }
        }
    }

    /// Run until `stop`, then drain: the roles first, then nats-server.
    ///
    /// # Errors
    /// The first error of a role; the others are drained then.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        while let Some(ended) = self.roles.join_next().await {
            let result = match ended {
                Ok((role, Ok(()))) if !self.stop.is_cancelled() => {
                    Err(anyhow::anyhow!("the {role} ended unasked"))
                }
                Ok((role, result)) => result.with_context(|| format!("the {role} failed")),
                Err(error) => Err(error).context("a role panicked"),
            };
            if let Err(error) = result {
                if outcome.is_ok() {
                    outcome = Err(error);
                } else {
                    tracing::error!(error = format!("{error:#}"), "another role failed, too");
                }
            }
            self.stop.cancel();
        }
        if let Some(broker) = self.broker {
            broker.stop().await;
        }
        outcome
    }
}

/// What `up` assumes where nothing is set.
pub(crate) fn with_defaults(env: Env, data: &Path) -> Result<Env, ConfigError> {
    let data = data.to_str().ok_or_else(|| {
        ConfigError::new("--data", "is a path that is not UTF-8; use another folder")
    })?;
    Ok(env
        .or("LOCAL_STORAGE_PATH", format!("{data}/images"))
        .or("DATABASE_PATH", format!("{data}/imagefleet.db")))
}

/// Parse the settings of every role.
fn check(env: &Env) -> Result<(), ConfigError> {
    TopologyConfig::from_env(env)?;
    producer::Config::from_env(env)?;
    worker::Config::from_env(env)?;
    projector::Config::from_env(env)?;
    gateway_config(env)?;
    Ok(())
}

/// The gateway's settings with those it shares.
pub(crate) fn gateway_config(env: &Env) -> Result<gateway::Config, ConfigError> {
    gateway::Config::from_env(
        env,
        NatsConfig::from_env(env, "imagefleet-gateway")?,
        StoreConfig::from_env(env)?,
        ReadModelConfig::from_env(env)?,
    )
}

/// Two processes on the same data would destroy it. The system frees the lock with the process.
fn lock(data: &Path) -> anyhow::Result<File> {
    std::fs::create_dir_all(data).with_context(|| format!("cannot create {}", data.display()))?;
    let path = data.join("up.lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => anyhow::bail!(
            "another `imagefleet up` uses {}; stop it, or choose another folder with --data",
            data.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

async fn start_roles(
    env: &Env,
    broker: Option<&Broker>,
    service: &Service,
) -> anyhow::Result<Option<(Url, Roles)>> {
    // Each role has its own login on a server of ours; on another, all have the one that is set.
    let login = |user| match broker {
        Some(broker) => broker.login(env, user),
        None => env.clone(),
    };
    let nats = NatsConfig::from_env(&login(User::Admin), "imagefleet-setup")?;
    let Some(nats) = connect_when_up(&nats, &service.health, &service.stop).await? else {
        return Ok(None);
    };
    topology::setup(&nats, TopologyConfig::from_env(env)?).await?;
    drop(nats);

    // So that the gateway finds the tables, though the projector starts after it.
    let projector = projector::Config {
        health_listen: None,
        ..projector::Config::from_env(&login(User::Projector))?
    };
    drop(ReadModel::open(&projector.read_model).await?);
    let registry = service.registry.clone();
    let config = gateway_config(&login(User::Gateway))?;
    let gateway = Gateway::bind(config, registry, service.health.clone())
        .await
        .map_err(|error| {
            let taken = |link: &(dyn std::error::Error + 'static)| {
                link.downcast_ref::<std::io::Error>()
                    .is_some_and(|e| e.kind() == ErrorKind::AddrInUse)
            };
            if error.chain().any(taken) {
                error.context("choose another port with --port")
            } else {
                error
            }
        })?;
    let url = page(gateway.local_addr())?;
    // One address answers for the whole process: the gateway's.
    let producer = producer::Config {
        health_listen: None,
        ..producer::Config::from_env(&login(User::Producer))?
    };
    let worker = worker::Config {
        health_listen: None,
        ..worker::Config::from_env(&login(User::Worker))?
    };
    let mut roles = Roles::new();
    roles.spawn(named(
        "projector",
        projector::run(projector, service.clone()),
    ));
    roles.spawn(named(
        "worker",
        Box::pin(worker::run(worker, service.clone())),
    ));
    roles.spawn(named(
        "producer",
        Box::pin(producer::run(producer, service.clone())),
    ));
    roles.spawn(named("gateway", gateway.serve(service.stop.clone())));
    Ok(Some((url, roles)))
}

/// Give the roles a moment to find each other, so that the first request finds them ready. They work
/// without, too.
async fn settle(service: &Service) {
    let ready = async {
        while !service.health.is_ready() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        _ = tokio::time::timeout(Duration::from_secs(5), ready) => {}
        () = service.stop.cancelled() => {}
    }
}

async fn named(
    role: &'static str,
    run: impl Future<Output = anyhow::Result<()>>,
) -> (&'static str, anyhow::Result<()>) {
    (role, run.await)
}

/// The address that a browser on this machine can open.
fn page(address: SocketAddr) -> anyhow::Result<Url> {
    let ip = match address.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    Ok(Url::parse(&format!(
        "http://{}/",
        SocketAddr::new(ip, address.port())
    ))?)
}
