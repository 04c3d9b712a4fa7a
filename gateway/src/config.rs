//! Settings, read once and checked together.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::HeaderValue;
use jetstream::NatsConfig;
use read_model::ReadModelConfig;
use runtime::{ConfigError, Env};
use storage::StoreConfig;
use url::Url;

use crate::guard::is_loopback;
use crate::keys::ApiKey;

/// Far more than people and their scripts send, and less than it takes to keep others waiting.
pub(crate) const DEFAULT_RATE_LIMIT: u32 = 100;

/// What a gateway needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// `HOST` (default 127.0.0.1) and `GATEWAY_PORT` (default 5000).
    pub listen: SocketAddr,
    /// `PUBLIC_URL`: how clients reach this gateway; without it, links repeat the request's own host.
    pub public_url: Option<Url>,
    /// `STORAGE_PUBLIC_URL`: where the bucket's objects are public, a CDN for example.
    pub storage_public_url: Option<Url>,
    /// `CORS_ORIGINS`: the web origins that may call the API from a browser, exactly.
    pub cors_origins: Vec<HeaderValue>,
    /// `API_KEYS`: any of them opens the API, as far as its scope goes.
    pub api_keys: Vec<ApiKey>,
    /// `ALLOW_ANONYMOUS`: serve other machines without keys, directly or through a proxy.
    pub allow_anonymous: bool,
    /// The read model.
    pub read_model: ReadModelConfig,
    /// Where the objects are.
    pub store: StoreConfig,
    /// Where requests go.
    pub nats: NatsConfig,
    /// `CONTENT_DELIVERY`: how clients get an image's bytes.
    pub delivery: Delivery,
    /// `API_RATE_LIMIT`: requests a second that one client may send for long; 0 is no limit.
    pub rate_limit: u32,
    /// `TRUSTED_PROXIES`: how many proxies of one's own a request passes before it gets here.
    pub trusted_proxies: usize,
    /// What one client may take.
    pub limits: Limits,
}

/// How clients get an image's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// From the store itself, by a URL that holds for some minutes.
    Redirect,
    /// Through this gateway.
    Stream,
}

/// Bounds on what clients may take. They have no settings: no deployment has needed others.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections; more wait in the kernel's queue.
    pub connections: usize,
    /// Of them, those that may be streams of events; more are told to ask again.
    pub streams: usize,
    /// Time to send a request's headers; also how long an idle connection is kept.
    pub headers: Duration,
    /// Time to send a request's body.
    pub body: Duration,
    /// Bytes of a request's headers.
    pub header_bytes: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Time from the request to the head of its answer.
    pub request: Duration,
    /// Time without a byte taken after which a connection is cut.
    pub stall: Duration,
    /// Between two signs of life on a stream of events: proxies cut what is silent for longer.
    pub keep_alive: Duration,
    /// Time for an answer of NATS or of the store, before it is held to be away.
    pub patience: Duration,
    /// Time for requests to finish at shutdown.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            streams: 2048,
            headers: Duration::from_secs(30),
            body: Duration::from_secs(10),
            header_bytes: 64 * 1024,
            body_bytes: 64 * 1024,
            request: Duration::from_secs(30),
            stall: Duration::from_secs(60),
            keep_alive: Duration::from_secs(15),
            patience: Duration::from_secs(5),
            drain: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// Reads the gateway's own settings; the shared ones come parsed.
    ///
    /// # Errors
    /// A setting that does not parse, or one by which other machines reach the gateway while nothing
    /// asks them for a key.
    pub fn from_env(
        env: &Env,
        nats: NatsConfig,
        store: StoreConfig,
        read_model: ReadModelConfig,
    ) -> Result<Self, ConfigError> {
        let host = match env.get("HOST") {
            Some("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
            _ => env.parse_or("HOST", IpAddr::V4(Ipv4Addr::LOCALHOST))?,
        };
        let config = Self {
            listen: SocketAddr::new(host, env.parse_or("GATEWAY_PORT", 5000)?),
            public_url: base_url(env, "PUBLIC_URL")?,
            storage_public_url: base_url(env, "STORAGE_PUBLIC_URL")?,
            cors_origins: env
                .list("CORS_ORIGINS")
                .iter()
                .map(|o| origin(o))
                .collect::<Result<_, _>>()?,
            api_keys: env
                .list("API_KEYS")
                .iter()
                .map(|entry| ApiKey::parse(entry))
                .collect::<Result<_, _>>()?,
            allow_anonymous: env.flag("ALLOW_ANONYMOUS")?,
            delivery: delivery(env, &store)?,
            rate_limit: rate_limit(env)?,
            trusted_proxies: env.parse_or("TRUSTED_PROXIES", 0)?,
            read_model,
            store,
            nats,
            limits: Limits::default(),
        };
        config.check()?;
        Ok(config)
    }

    /// Nobody's bucket is opened to a network by a forgotten setting.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !self.api_keys.is_empty() || self.allow_anonymous {
            return Ok(());
        }
        let Some((setting, way)) = self.way_in() else {
            return Ok(());
        };
        Err(ConfigError::new(
            setting,
            format!(
                "{way} and no key is asked for; set API_KEYS, or ALLOW_ANONYMOUS=true if everyone \
                 may import and delete"
            ),
        ))
    }

    /// How other machines get here, and the setting that says so. Who listens on loopback and has a
    /// proxy of his own or a name for others is reached by way of that proxy.
    fn way_in(&self) -> Option<(&'static str, String)> {
        let ip = self.listen.ip();
        if !ip.is_loopback() {
            return Some(("HOST", format!("{ip} is reachable from other machines")));
        }
        if self.trusted_proxies > 0 {
            let way = "a proxy brings requests of other machines".to_owned();
            return Some(("TRUSTED_PROXIES", way));
        }
        let host = self.public_url.as_ref()?.host()?;
        let way = format!("{host} is an address for other machines");
        (!is_loopback(&host)).then_some(("PUBLIC_URL", way))
    }

    /// Whether only this machine's own names, and `PUBLIC_URL`'s, may be used: see [`crate::guard`].
    pub(crate) fn local_names_only(&self) -> bool {
        let all_names = self.allow_anonymous && self.public_url.is_none();
        self.listen.ip().is_loopback() && self.api_keys.is_empty() && !all_names
    }
}

/// A server of one's own may be one that only the gateway can reach.
fn delivery(env: &Env, store: &StoreConfig) -> Result<Delivery, ConfigError> {
    match env.get("CONTENT_DELIVERY") {
        Some("redirect") => Ok(Delivery::Redirect),
        Some("stream") => Ok(Delivery::Stream),
        None if store.is_public_service() => Ok(Delivery::Redirect),
        None => Ok(Delivery::Stream),
        Some(_) => Err(ConfigError::new(
            "CONTENT_DELIVERY",
            "must be redirect (browsers fetch images from the store) or stream (through the \
             gateway); by default redirect with Amazon S3 and Azure, else stream",
        )),
    }
}

fn rate_limit(env: &Env) -> Result<u32, ConfigError> {
    let limit = env.parse_or("API_RATE_LIMIT", DEFAULT_RATE_LIMIT)?;
    if limit > 1_000_000 {
        return Err(ConfigError::new(
            "API_RATE_LIMIT",
            "must be at most 1000000 requests a second; 0 is no limit",
        ));
    }
    Ok(limit)
}

fn base_url(env: &Env, name: &'static str) -> Result<Option<Url>, ConfigError> {
    let url: Option<Url> = env.parse(name)?;
    match url {
        Some(url) if !matches!(url.scheme(), "http" | "https") || url.host().is_none() => Err(
            ConfigError::new(name, "must begin with http:// or https:// and a host"),
        ),
        Some(url) if url.query().is_some() || url.fragment().is_some() => Err(ConfigError::new(
            name,
            "must not have a query or a fragment; paths are appended to it",
        )),
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            Err(ConfigError::new(
                name,
                "must not hold a user name or password; clients see it",
            ))
        }
        url => Ok(url),
    }
}

/// An origin as browsers write it: scheme, host, and the port where it is not the default.
fn origin(text: &str) -> Result<HeaderValue, ConfigError> {
    let refused = || {
        let shown: String = text.chars().take(80).collect();
        ConfigError::new(
            "CORS_ORIGINS",
            format!(
                "{shown:?} is no origin; list them as https://host or https://host:port, without '*'"
            ),
        )
    };
    let url = Url::parse(text).map_err(|_| refused())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && !text.contains('*');
    if !plain {
        return Err(refused());
    }
    HeaderValue::try_from(url.origin().ascii_serialization()).map_err(|_| refused())
}
