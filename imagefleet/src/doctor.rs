//! `imagefleet doctor`: every setting and every service behind it, tried for real.

mod google;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use console::style;
use contracts::streams;
use jetstream::topology::{self, TopologyConfig};
use jetstream::{ConnectError, NatsConfig};
use read_model::{ReadModel, ReadModelConfig, ReadModelError, Refusal};
use runtime::{ConfigError, Env};
use serde::{Deserialize, Serialize};
use storage::{Store, StoreConfig};

use crate::cli::Doctor;
use crate::exit::Exit;
use crate::{broker, fleet, output};

/// However something hangs, a check ends.
const PATIENCE: Duration = Duration::from_secs(30);

/// The outcome of one check. When it failed, `detail` says what to do.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    detail: String,
}

#[derive(Serialize)]
struct Report {
    ok: bool,
    checks: Vec<Check>,
}

/// Check everything.
pub(crate) async fn run(env: &Env, args: &Doctor) -> anyhow::Result<Exit> {
    let data = std::path::absolute(&args.data).context("the data folder's path")?;
    let env = fleet::with_defaults(env.clone(), &data)?;
    let mut checks = settings(&env);
    let (nats, drive, store, database, ports) = tokio::join!(
        Box::pin(nats(&env)),
        check("drive", google::check(&env, args.folder.as_deref())),
        check("store", store(&env)),
        check("database", database(&env)),
        ports(&env),
    );
    checks.extend(nats);
    checks.extend([drive, store, database]);
    checks.extend(ports);
    let report = Report {
        ok: checks.iter().all(|check| check.ok),
        checks,
    };
    if args.json {
        output::json(&report)?;
    } else {
        for Check { name, ok, detail } in &report.checks {
            let mark = if *ok {
                style("✓").green()
            } else {
                style("✗").red().bold()
            };
            output::line(format!("{mark} {name}: {}", output::printable(detail)))?;
        }
    }
    Ok(if report.ok {
        Exit::Success
    } else {
        Exit::Failure
    })
}

async fn check(name: &'static str, tried: impl Future<Output = anyhow::Result<String>>) -> Check {
    match tokio::time::timeout(PATIENCE, Box::pin(tried)).await {
        Ok(Ok(detail)) => Check {
            name,
            ok: true,
            detail,
        },
        Ok(Err(error)) => Check {
            name,
            ok: false,
            detail: format!("{error:#}"),
        },
        Err(_) => Check {
            name,
            ok: false,
            detail: format!(
                "no answer within {} s; check the network",
                PATIENCE.as_secs()
            ),
        },
    }
}

/// What is wrong with the settings; a mistake that concerns several roles is told once.
fn settings(env: &Env) -> Vec<Check> {
    let parsed = [
        TopologyConfig::from_env(env).err(),
        producer::Config::from_env(env).err(),
        worker::Config::from_env(env).err(),
        projector::Config::from_env(env).err(),
        fleet::gateway_config(env).err(),
    ];
    let mut wrong: Vec<ConfigError> = parsed.into_iter().flatten().collect();
    wrong.dedup();
    if wrong.is_empty() {
        let detail = "all can be read (`imagefleet config` shows them)".to_owned();
        return vec![Check {
            name: "settings",
            ok: true,
            detail,
        }];
    }
    let failed = |error: ConfigError| Check {
        name: "settings",
        ok: false,
        detail: error.to_string(),
    };
    wrong.into_iter().map(failed).collect()
}

async fn nats(env: &Env) -> Vec<Check> {
    let connected = async {
        let config = NatsConfig::from_env(env, "imagefleet-doctor")?;
        match jetstream::connect(&config).await {
            Ok(nats) => Ok(Some(nats)),
            Err(ConnectError::Unreachable { .. }) if env.get("NATS_URL").is_none() => Ok(None),
            Err(error) => Err(anyhow::Error::from(error)),
        }
    };
    match connected.await {
        Err(error) => vec![Check {
            name: "nats",
            ok: false,
            detail: format!("{error:#}"),
        }],
        Ok(None) => vec![check("nats", own_server(env)).await],
        Ok(Some(nats)) => {
            let info = nats.client.server_info();
            let detail = format!(
                "version {} at {}:{}, with JetStream",
                info.version, info.host, info.port
            );
            let topology = check("nats topology", async {
                topology::verify(&nats).await?;
                Ok("every stream, consumer and bucket is as it must be".to_owned())
            });
            vec![
                Check {
                    name: "nats",
                    ok: true,
                    detail,
                },
                topology.await,
            ]
        }
    }
}

/// Without `NATS_URL`, `imagefleet up` starts a server.
async fn own_server(env: &Env) -> anyhow::Result<String> {
    let program = broker::find(env)?;
    let asked = tokio::process::Command::new(&program)
        .arg("--version")
        .output()
        .await
        .with_context(|| format!("{} cannot be run; see NATS_SERVER_BIN", program.display()))?;
    let text = String::from_utf8_lossy(&asked.stdout);
    let version = text
        .trim()
        .rsplit(['v', ' '])
        .next()
        .unwrap_or_default()
        .to_owned();
    let mut parts = version
        .split('.')
        .map(|part| part.parse::<u64>().unwrap_or_default());
    let found = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let (major, minor) = streams::MIN_SERVER;
    anyhow::ensure!(
        found >= (major, minor),
        "{} is version {version}, and {major}.{minor} or newer is needed; run `bin/just tools` and \
         set NATS_SERVER_BIN=.tools/bin/nats-server",
        program.display()
    );
    Ok(format!(
        "NATS_URL is not set; `imagefleet up` starts nats-server {version} ({})",
        program.display()
    ))
}

async fn store(env: &Env) -> anyhow::Result<String> {
    let store = Store::open(StoreConfig::from_env(env)?).await?;
    store.check().await?;
    Ok(format!(
        "{} {}: an object was written, read and deleted",
        store.provider(),
        store.bucket()
    ))
}

async fn database(env: &Env) -> anyhow::Result<String> {
    let config = ReadModelConfig::from_env(env)?;
    let path = match &config {
        ReadModelConfig::Sqlite(path) => path,
        ReadModelConfig::SqlServer(server) => {
            let primary = config.primary();
            let found = database_server(&primary).await?;
            let written = match ReadModel::rehearse(&primary).await {
                Ok(()) => "can be written (tried, and rolled back)",
                Err(ReadModelError::Refused {
                    problem: Refusal::Permission,
                    ..
                }) => {
                    "may only be read by this login, which will do for producer and gateway; a \
                     projector's must own the schema"
                }
                Err(error) => return Err(error.into()),
            };
            let found = format!("{found}, and {written}");
            let Some(replica) = &server.read_server else {
                return Ok(format!("{config} {found}"));
            };
            let replica = &replica.host;
            let read = database_server(&config)
                .await
                .with_context(|| format!("the replica {replica} (DB_READ_SERVER)"))?;
            return Ok(format!("{config} {found}; its replica {replica} {read}"));
        }
    };
    let file = path.display();
    // SQLite writes beside the file, too. The projector makes folders that are not there yet.
    let folder = path
        .ancestors()
        .skip(1)
        .find(|folder| folder.is_dir())
        .unwrap_or(Path::new("."));
    tempfile::tempfile_in(folder).with_context(|| {
        format!(
            "{} cannot be written; change its owner or set DATABASE_PATH",
            folder.display()
        )
    })?;
    if path.exists() {
        std::fs::OpenOptions::new()
            .append(true)
            .open(path)
            .with_context(|| {
                format!("{file} cannot be written; change its owner or set DATABASE_PATH")
            })?;
    }
    match ReadModel::open_read_only(&config).statistics().await {
        Ok(statistics) => {
            let images: u64 = statistics.iter().map(|provider| provider.images).sum();
            ReadModel::rehearse(&config).await.with_context(|| {
                format!("{file} cannot be written; change its owner or set DATABASE_PATH")
            })?;
            Ok(format!(
                "{file} holds {images} images and can be written (tried, and rolled back)"
            ))
        }
        Err(ReadModelError::NotReady) => Ok(format!(
            "{file} can be written; the projector makes the tables when it starts"
        )),
        Err(ReadModelError::Unavailable(_)) if !path.exists() => Ok(format!(
            "{file} can be made; the projector makes it when it starts"
        )),
        Err(error) => Err(error.into()),
    }
}

/// Log in to SQL Server and read.
async fn database_server(config: &ReadModelConfig) -> anyhow::Result<String> {
    match ReadModel::open_read_only(config).statistics().await {
        Ok(statistics) => {
            let images: u64 = statistics.iter().map(|provider| provider.images).sum();
            Ok(format!("holds {images} images"))
        }
        Err(ReadModelError::NotReady) => {
            Ok("can be logged in to; the projector makes the tables when it starts".to_owned())
        }
        Err(ReadModelError::Unavailable(why)) => anyhow::bail!(
            "{config} does not answer: {why}; check DB_SERVER and DB_PORT, that the server runs and \
             takes TCP connections, and that no firewall stands between"
        ),
        Err(error) => Err(error.into()),
    }
}

/// What a role's health endpoint says about it.
#[derive(Deserialize)]
struct Role {
    role: String,
    version: String,
}

async fn ports(env: &Env) -> Vec<Check> {
    let gateway = fleet::gateway_config(env).ok().map(|config| config.listen);
    let producer = producer::Config::from_env(env)
        .ok()
        .and_then(|config| config.health_listen);
    let projector = projector::Config::from_env(env)
        .ok()
        .and_then(|config| config.health_listen);
    let worker = worker::Config::from_env(env)
        .ok()
        .and_then(|config| config.health_listen);
    let wanted = [
        ("gateway port", gateway, "GATEWAY_PORT"),
        ("producer port", producer, "PRODUCER_HEALTH_ADDR"),
        ("projector port", projector, "PROJECTOR_HEALTH_ADDR"),
        ("worker port", worker, "WORKER_HEALTH_ADDR"),
    ];
    let mut checks = Vec::new();
    for (name, address, setting) in wanted {
        if let Some(address) = address {
            checks.push(check(name, port(address, setting)).await);
        }
    }
    checks
}

async fn port(address: SocketAddr, setting: &str) -> anyhow::Result<String> {
    match tokio::net::TcpListener::bind(address).await {
        Ok(_) => return Ok(format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {}
        Err(error) => {
            return Err(error)
                .with_context(|| format!("cannot listen on {address}; set {setting}"));
        }
    }
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()?;
    let answer = async {
        http.get(format!("http://{address}/livez"))
            .send()
            .await?
            .json::<Role>()
            .await
    };
    match answer.await {
        Ok(Role { role, version }) => {
            Ok(format!("{address}: imagefleet {role} {version} is running"))
        }
        Err(_) => anyhow::bail!("{address} is taken by another program; stop it or set {setting}"),
    }
}
