//! Making connections.

use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use tiberius::error::Error;
use tiberius::{AuthMethod, Config, EncryptionLevel, QueryStream, Row, ToSql};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt as _};

use super::fault::timed_out;
use super::statements::CHANGED;
use crate::settings::{Address, SqlServerConfig, Trust};

/// For the TCP connection, TLS and login together, wherever the server sends us on to.
const CONNECT: Duration = Duration::from_secs(8);
/// For one request and its whole answer.
const REQUEST: Duration = Duration::from_secs(60);
/// Azure SQL sends clients on from its gateway to the node that has the database.
const ROUTES: usize = 3;

/// What holds for every statement of a connection: an error rolls the transaction back, and a lock
/// is waited for in vain only after the server looked for deadlocks (it does so every five seconds).
pub(super) const SESSION: &str = "SET XACT_ABORT ON; SET LOCK_TIMEOUT 8000;";

/// How to connect for writing (`readonly` false) or for reading.
pub(super) fn settings(config: &SqlServerConfig, server: &Address, readonly: bool) -> Config {
    let mut settings = Config::new();
    settings.host(&server.host);
    settings.port(server.port);
    settings.database(&config.database);
    settings.application_name("imagefleet");
    settings.authentication(AuthMethod::sql_server(
        &config.user,
        config.password.expose_secret(),
    ));
    settings.readonly(readonly);
    settings.encryption(EncryptionLevel::Required);
    match &config.trust {
        Trust::System => {}
        Trust::Also(file) => settings.trust_cert_ca(file.display()),
        Trust::Anyone => settings.trust_cert(),
    }
    settings.handshake_timeout(Some(CONNECT));
    settings
}

/// One connection. After an error it must not be used again.
///
/// The driver's futures are large (40 kB), hence the boxes.
pub(super) struct Connection {
    client: tiberius::Client<Compat<TcpStream>>,
    /// For one request and its whole answer.
    patience: Duration,
    pub(super) made: Instant,
    pub(super) used: Instant,
}

impl Connection {
    pub(super) async fn open(settings: &Config) -> Result<Self, Error> {
        Self::open_for(settings, REQUEST).await
    }

    /// One for requests that may take `patience`.
    pub(super) async fn open_for(settings: &Config, patience: Duration) -> Result<Self, Error> {
        let mut settings = settings.clone();
        settings.command_timeout(Some(patience));
        let client = timeout(CONNECT, Box::pin(connect(&settings)))
            .await
            .map_err(|_| timed_out("connecting", CONNECT))??;
        let mut connection = Self {
            client,
            patience,
            made: Instant::now(),
            used: Instant::now(),
        };
        connection.batch(SESSION).await?;
        Ok(connection)
    }

    /// Run statements without parameters, one batch as the server sees it.
    pub(super) async fn batch(&mut self, sql: &str) -> Result<Vec<Vec<Row>>, Error> {
        let client = &mut self.client;
        within(
            self.patience,
            Box::pin(async move { all(client.simple_query(sql).await?).await }),
        )
        .await
    }

    /// The rows of each SELECT in `sql`.
    pub(super) async fn query(
        &mut self,
        sql: &str,
        parameters: &[&dyn ToSql],
    ) -> Result<Vec<Vec<Row>>, Error> {
        let client = &mut self.client;
        within(
            self.patience,
            Box::pin(async move { all(client.query(sql, parameters).await?).await }),
        )
        .await
    }

    /// How many rows the last statement of `sql` changed. The server is asked: what it says on its own
    /// depends on its `NOCOUNT`.
    pub(super) async fn execute(
        &mut self,
        sql: &str,
        parameters: &[&dyn ToSql],
    ) -> Result<u64, Error> {
        let answer = self.query(&format!("{sql}{CHANGED}"), parameters).await?;
        let changed: Option<i64> = match answer.iter().flatten().last() {
            Some(row) => row.try_get(0)?,
            None => None,
        };
        Ok(changed
            .and_then(|rows| u64::try_from(rows).ok())
            .unwrap_or(0))
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("made", &self.made)
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}

async fn all(answer: QueryStream<'_>) -> Result<Vec<Vec<Row>>, Error> {
    answer.into_results().await
}

async fn within<T>(
    patience: Duration,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(patience, request)
        .await
        .map_err(|_| timed_out("a request", patience))?
}

async fn connect(settings: &Config) -> Result<tiberius::Client<Compat<TcpStream>>, Error> {
    let mut settings = settings.clone();
    for _ in 0..ROUTES {
        let stream = TcpStream::connect(settings.get_addr()).await?;
        stream.set_nodelay(true)?;
        match Box::pin(tiberius::Client::connect(
            settings.clone(),
            stream.compat_write(),
        ))
        .await
        {
            Err(Error::Routing { host, port }) => {
                settings.host(host);
                settings.port(port);
            }
            connected => return connected,
        }
    }
    Err(Error::Protocol("the server sends us on and on".into()))
}
