//! Connecting, and refusing a server that lacks what we need.

use std::path::Path;
use std::time::Duration;

use async_nats::{ClientError, ConnectErrorKind, ConnectOptions, Event, jetstream};
use contracts::streams;
use runtime::Health;
use runtime::backoff::Reconnect;
use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;

use crate::denials::Denials;
use crate::{NatsConfig, tls};

/// A connection and its JetStream context. Clones share both.
#[derive(Clone)]
pub struct Nats {
    /// For requests and settling.
    pub client: async_nats::Client,
    /// For streams, consumers and KV.
    pub context: jetstream::Context,
    pub(crate) denials: Denials,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answers. Trying again may help.
    #[error("cannot reach NATS at {url}; start nats-server or set NATS_URL")]
    Unreachable {
        /// Where it was looked for, without credentials.
        url: String,
        /// What happened.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The server refuses the login.
    #[error(
        "NATS at {url} refuses {who}: the login is wrong, revoked or expired; check NATS_USER and \
         NATS_PASSWORD, or NATS_CREDS, or NATS_NKEY_FILE"
    )]
    Denied {
        /// Where, without credentials.
        url: String,
        /// The login's name.
        who: String,
        /// What happened.
        #[source]
        source: async_nats::ConnectError,
    },
    /// There is no secure connection.
    #[error("no secure connection to NATS at {url}: {advice}")]
    Tls {
        /// Where, without credentials.
        url: String,
        /// What to do.
        advice: &'static str,
        /// What happened.
        #[source]
        source: async_nats::ConnectError,
    },
    /// A file cannot be read or does not hold what it should.
    #[error("cannot read {path}, which {setting} names")]
    File {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: String,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// The server lacks atomic batches and schedules.
    #[error(
        "nats-server {found} is too old: Imagefleet needs {}.{} or newer (atomic batch publish and \
         message schedules); upgrade the server",
        streams::MIN_SERVER.0, streams::MIN_SERVER.1
    )]
    ServerTooOld {
        /// The version it reports.
        found: String,
    },
    /// JetStream is off.
    #[error(
        "JetStream is disabled on nats-server; start it with the project's nats.conf, or with -js"
    )]
    NoJetStream,
}

impl ConnectError {
    /// Whether waiting may cure it.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// Connect once.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect(config: &NatsConfig) -> Result<Nats, ConnectError> {
    let options = login(config).await?;
    let denials = Denials::new(config.who());
    let options = options
        .name(&config.name)
        .custom_inbox_prefix(&config.inbox_prefix)
        .connection_timeout(Duration::from_secs(5))
        .ping_interval(Duration::from_secs(15))
        .request_timeout(Some(Duration::from_secs(10)))
        .client_capacity(8192)
        .subscription_capacity(65_536)
        .reconnect_delay_callback(|attempts| {
            Duration::from_millis(100 * 2u64.pow(attempts.min(5) as u32))
                .min(Duration::from_secs(2))
        })
        .event_callback({
            let denials = denials.clone();
            move |event| {
                take(&denials, event);
                std::future::ready(())
            }
        });
    let servers: Vec<String> = config
        .url
        .split(',')
        .map(|url| url.trim().to_owned())
        .collect();
    let url = without_credentials(&config.url);
    let client = options.connect(servers).await.map_err(|source| {
        match (source.kind(), tls::advice(&source)) {
            (ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation, _) => {
                let who = config.who();
                ConnectError::Denied { url, who, source }
            }
            (_, Some(advice)) => ConnectError::Tls {
                url,
                advice,
                source,
            },
            (_, None) => ConnectError::Unreachable { url, source },
        }
    })?;
    let info = client.server_info();
    if !new_enough(&info.version) {
        return Err(ConnectError::ServerTooOld {
            found: info.version,
        });
    }
    if !info.jetstream {
        return Err(ConnectError::NoJetStream);
    }
    let context = jetstream::ContextBuilder::new()
        .timeout(Duration::from_secs(10))
        .ack_timeout(Duration::from_secs(10))
        .max_ack_inflight(1024)
        .build(client.clone());
    Ok(Nats {
        client,
        context,
        denials,
    })
}

/// How to log in, and whom to trust.
async fn login(config: &NatsConfig) -> Result<ConnectOptions, ConnectError> {
    let mut options = ConnectOptions::new();
    if let (Some(user), Some(password)) = (&config.user, &config.password) {
        options = options.user_and_password(user.clone(), password.expose_secret().to_owned());
    }
    let unusable = |setting, path: &Path, source| ConnectError::File {
        setting,
        path: path.display().to_string(),
        source,
    };
    if let Some(path) = &config.creds {
        let text = tls::read("NATS_CREDS", path).await?;
        options = options
            .credentials(&text)
            .map_err(|source| unusable("NATS_CREDS", path, source))?;
    }
    if let Some(path) = &config.nkey_file {
        let text = tls::read("NATS_NKEY_FILE", path).await?;
        let none = || std::io::Error::other("it holds no seed (a line that begins with S)");
        let seed = tls::seed(&text).ok_or_else(|| unusable("NATS_NKEY_FILE", path, none()))?;
        options = options.nkey(seed.to_owned());
    }
    if let Some(path) = &config.ca_file {
        tls::read("NATS_CA_FILE", path).await?;
        options = options
            .add_root_certificates(path.clone())
            .require_tls(true);
    }
    if let Some((cert, key)) = &config.identity {
        tls::read("NATS_CERT_FILE", cert).await?;
        tls::read("NATS_KEY_FILE", key).await?;
        options = options
            .add_client_certificate(cert.clone(), key.clone())
            .require_tls(true);
    }
    Ok(options)
}

/// What happens to the connection, beside the calls on it.
fn take(denials: &Denials, event: Event) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("disconnected from NATS"),
        Event::ServerError(error) => match denials.hear(&error.to_string()) {
            Some(denied) => tracing::error!(error = %denied, "NATS denies an operation"),
            None => tracing::error!(error = %error, "NATS refused an operation"),
        },
        Event::SlowConsumer(subscription) => {
            tracing::error!(subscription, "NATS drops messages for a slow subscription");
        }
        // Said at each try to connect again: a login may expire, or be taken away, at any time.
        Event::ClientError(ClientError::Other(error))
            if error.contains(&ConnectErrorKind::AuthorizationViolation.to_string()) =>
        {
            let denied = denials.refuse();
            tracing::error!(error = %denied, "NATS refuses the login");
        }
        other => tracing::debug!(event = %other, "NATS connection event"),
    }
}

/// Connect, waiting while nobody answers; `health` says so meanwhile. `None` when `stop` came first.
///
/// # Errors
/// Those that waiting does not cure.
pub async fn connect_when_up(
    config: &NatsConfig,
    health: &Health,
    stop: &CancellationToken,
) -> Result<Option<Nats>, ConnectError> {
    let mut reconnect = Reconnect::default();
    loop {
        let attempt = tokio::select! {
            () = stop.cancelled() => return Ok(None),
            attempt = connect(config) => attempt,
        };
        match attempt {
            Ok(nats) => {
                nats.show_denials(health);
                health.ready("nats");
                return Ok(Some(nats));
            }
            Err(error) if error.is_outage() => {
                health.waiting("nats", error.to_string());
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(error = %error, cause, "waiting for NATS");
            }
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = reconnect.wait() => {}
        }
    }
}

fn new_enough(version: &str) -> bool {
    let mut parts = version
        .split(['.', '-'])
        .map(|part| part.parse::<u64>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= streams::MIN_SERVER
}

/// A URL list fit for errors and logs.
fn without_credentials(urls: &str) -> String {
    urls.split(',')
        .map(|url| match (url.find("://"), url.rfind('@')) {
            (Some(scheme), Some(at)) if at > scheme => {
                format!("{}{}", &url[..scheme + 3], &url[at + 1..])
            }
            _ => url.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for old in ["2.9.25", "2.11.9", "1.99.0", "", "dev"] {
            assert!(!new_enough(old), "{old}");
        }
        for new in ["2.12.0", "2.15.1", "2.100.0-beta.1", "3.0.0"] {
            assert!(new_enough(new), "{new}");
        }
    }

    #[test]
    fn urls_lose_their_credentials() {
        assert_eq!(
            without_credentials("nats://u:p@h:1,tls://h:2"),
            "nats://h:1,tls://h:2"
        );
    }
}
