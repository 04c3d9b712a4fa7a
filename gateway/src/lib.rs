//! The HTTP API and the page.
//!
//! Requests become messages on NATS; answers come from the read model and the store. The gateway
//! writes no table and lists no folder, and it serves while NATS or the database is away.

mod app;
mod broker;
mod caller;
mod config;
mod cursor;
mod dependency;
mod edge;
mod effect;
mod guard;
mod input;
mod keys;
mod links;
mod live;
mod look;
mod metrics;
mod objects;
mod openapi;
mod params;
mod problem;
mod progress;
mod queue;
mod rate;
mod reads;
mod routes;
mod server;
mod stall;
mod thumbnail;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use prometheus::{IntGauge, Registry};
use read_model::ReadModel;
use runtime::health::{self, Health};
use storage::Store;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use config::{Config, Delivery, Limits};
pub use keys::{ApiKey, Scope};

use crate::app::App;
use crate::edge::Edge;
use crate::live::Hub;
use crate::look::Look;
use crate::objects::Objects;
use crate::reads::Reads;

/// The description of the HTTP API (OpenAPI 3.1), as `/api/openapi.json` serves it.
///
/// # Errors
/// None today: the description is plain data.
pub fn openapi_json() -> anyhow::Result<String> {
    Ok(openapi::json()?)
}

const ROLE: &str = "gateway";

/// A gateway whose address is bound and that is ready to serve.
pub struct Gateway {
    listener: TcpListener,
    local_addr: SocketAddr,
    router: Router,
    limits: Limits,
    connections: IntGauge,
    hub: Arc<Hub>,
    /// Keeps NATS connected and watches the database; ends when dropped.
    background: JoinSet<()>,
}

impl Gateway {
    /// Binds the address and begins to connect in the background.
    ///
    /// # Errors
    /// The address is taken or, without keys, open to other machines; the local store's directory
    /// cannot be made; the registry has a gateway's metrics already.
    pub async fn bind(config: Config, registry: Registry, health: Health) -> anyhow::Result<Self> {
        config.check()?;
        keys::warn_of_plain(&config.api_keys);
        let (metrics, queue, progress) = metrics(&registry).context("the gateway's metrics")?;
        let expire = [config.nats.expire().await, config.store.expire()].concat();
        runtime::metrics::credentials(&registry, ROLE, &expire)?;
        let read_model = ReadModel::open_read_only(&config.read_model);
        read_model.register(ROLE, &registry)?;
        let store = Box::pin(Store::open(config.store.clone()))
            .await
            .context("the store cannot be opened")?;
        let listener = TcpListener::bind(config.listen).await.with_context(|| {
            format!(
                "cannot listen on {}; set HOST and GATEWAY_PORT",
                config.listen
            )
        })?;
        let local_addr = listener.local_addr()?;
        let limits = config.limits;
        let mut background = JoinSet::new();
        let reads = Reads::start(read_model, limits.request, health.clone(), &mut background);
        let objects = Objects::start(
            store,
            config.delivery,
            limits.patience,
            health.clone(),
            &mut background,
        )?;
        let storage_origins = [
            config
                .storage_public_url
                .as_ref()
                .map(|url| url.origin().ascii_serialization()),
            objects.redirect_origin(),
        ];
        let hub = Hub::new(&limits, metrics.streams.clone());
        let connections = metrics.connections.clone();
        let edge = Edge {
            deadline: limits.request,
            https: config
                .public_url
                .as_ref()
                .is_some_and(|url| url.scheme() == "https"),
            metrics,
        };
        let app = Arc::new(App {
            local_addr,
            page_policy: routes::page::policy(storage_origins)?,
            description: routes::docs::Description::new()?,
            limits,
            guard: guard::Guard::new(
                config.local_names_only(),
                config.public_url.clone(),
                config.cors_origins.clone(),
            ),
            broker: broker::Broker::start(
                config.nats,
                limits.patience,
                health.clone(),
                &mut background,
            ),
            reads,
            objects,
            thumbnails: thumbnail::Thumbnails::new(),
            look: Look::default(),
            hub: Arc::clone(&hub),
            api_keys: config.api_keys,
            trusted_proxies: config.trusted_proxies,
            public_url: config.public_url,
            storage_public_url: config.storage_public_url,
        });
        background.spawn({
            let (app, hub) = (Arc::clone(&app), Arc::clone(&hub));
            async move { hub.run(&app).await }
        });
        background.spawn({
            let app = Arc::clone(&app);
            async move { queue::watch(&app.broker, &queue).await }
        });
        background.spawn({
            let app = Arc::clone(&app);
            async move { progress::watch(&app.reads, &progress).await }
        });
        let router = app::router(
            app,
            edge,
            health::router(health, registry),
            config.cors_origins,
            config.rate_limit,
            &mut background,
        );
        Ok(Self {
            listener,
            local_addr,
            router,
            limits,
            connections,
            hub,
            background,
        })
    }

    /// Where it listens: with port 0 in the settings, the port that was given.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `stop`, then finishes open requests within [`Limits::drain`].
    ///
    /// # Errors
    /// None today; callers treat all services alike.
    pub async fn serve(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        tracing::info!(address = %self.local_addr, "gateway listens");
        // Streams have no end of their own, and would take all of the drain.
        self.background.spawn({
            let (hub, stop) = (self.hub, stop.clone());
            async move {
                stop.cancelled().await;
                hub.close();
            }
        });
        server::serve(
            self.listener,
            self.router,
            self.limits,
            self.connections,
            stop,
        )
        .await;
        self.background.shutdown().await;
        tracing::info!("gateway stopped");
        Ok(())
    }
}

fn metrics(
    registry: &Registry,
) -> prometheus::Result<(metrics::Metrics, queue::Metrics, progress::Metrics)> {
    Ok((
        metrics::Metrics::new(registry)?,
        queue::Metrics::new(registry)?,
        progress::Metrics::new(registry)?,
    ))
}

/// Binds and serves until `stop`.
///
/// # Errors
/// As [`Gateway::bind`].
pub async fn run(
    config: Config,
    registry: Registry,
    health: Health,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    Gateway::bind(config, registry, health)
        .await?
        .serve(stop)
        .await
}
