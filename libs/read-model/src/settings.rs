//! Which database, by the settings the system before this one had.

use std::path::{Path, PathBuf};

use runtime::{ConfigError, Env};
use secrecy::SecretString;

/// Where the read model is kept.
#[derive(Clone, Debug)]
pub enum ReadModelConfig {
    /// In one `SQLite` file: `DATABASE_PATH`, by default `./data/imagefleet.db`.
    Sqlite(PathBuf),
    /// In SQL Server or Azure SQL, once `DB_SERVER` is set.
    SqlServer(Box<SqlServerConfig>),
}

/// How to reach SQL Server or Azure SQL. TLS is always required.
#[derive(Clone, Debug)]
pub struct SqlServerConfig {
    /// `DB_SERVER` (`host`, `host,port` or `tcp:host,port`) and `DB_PORT` (default 1433).
    pub server: Address,
    /// `DB_READ_SERVER`: a replica, or the same listener again, that handles which only read connect
    /// to with `ApplicationIntent=ReadOnly`.
    pub read_server: Option<Address>,
    /// `DB_NAME`.
    pub database: String,
    /// `DB_SCHEMA`: the schema that holds the tables; default `imagefleet`.
    pub schema: Schema,
    /// `DB_USER`.
    pub user: String,
    /// `DB_PASSWORD`.
    pub password: SecretString,
    /// Whose word is taken for the server's certificate.
    pub trust: Trust,
    /// `DB_POOL_SIZE`: connections that are kept; default 20.
    pub pool_size: usize,
    /// `DB_POOL_OVERFLOW`: further ones that may be open for a moment; default 40.
    pub pool_overflow: usize,
}

/// Whose word is taken for the server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The system's certificate authorities'.
    System,
    /// Theirs, and that of the authorities in this PEM file: `DB_CA_FILE`.
    Also(PathBuf),
    /// Nobody's: any certificate will do, as `DB_TRUST_SERVER_CERTIFICATE` says. For development.
    Anyone,
}

/// A server's name and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Its name, which its certificate must bear, too.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Address {
    /// `tcp:host,port` as in connection strings; `port` is what holds where it names none.
    pub(crate) fn parse(setting: &str, text: &str, port: u16) -> Result<Self, ConfigError> {
        let refused = |problem: &str| Err(ConfigError::new(setting, format!("{text:?} {problem}")));
        let address = text.strip_prefix("tcp:").unwrap_or(text);
        let (host, port) = match address.split_once(',') {
            Some((host, own)) => match own.trim().parse() {
                Ok(own) => (host.trim(), own),
                Err(_) => return refused("names no port after the comma; write host,1433"),
            },
            None => (address.trim(), port),
        };
        if host.contains('\\') {
            return refused(
                "names an instance, and instances are not looked up; write the host, and the \
                 instance's TCP port into DB_PORT",
            );
        }
        if host.is_empty() || host.contains([':', '/', ';', '=', ' ']) {
            return refused("is no server; write host, or host,port");
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

/// Invariant: 1 to 128 of `[A-Za-z0-9_]`, not beginning with a digit: needs no escaping in a
/// statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema(String);

impl Schema {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Schema {
    fn default() -> Self {
        Self("imagefleet".to_owned())
    }
}

impl std::str::FromStr for Schema {
    type Err = BadSchema;

    fn from_str(name: &str) -> Result<Self, BadSchema> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let ok = (1..=128).contains(&name.len())
            && name.chars().all(plain)
            && !name.starts_with(|c: char| c.is_ascii_digit());
        ok.then(|| Self(name.to_owned())).ok_or(BadSchema)
    }
}

/// What is no schema's name to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a schema's name is 1 to 128 letters, digits and underscores, and no digit first")]
pub struct BadSchema;

impl ReadModelConfig {
    /// From the settings named at each field.
    ///
    /// # Errors
    /// When one makes no sense.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        match env.get("DB_SERVER") {
            Some(server) => SqlServerConfig::from_env(env, server)
                .map(|config| Self::SqlServer(Box::new(config))),
            // Somebody means SQL Server, and would find an empty SQLite file in its place.
            None if env.get("DB_NAME").is_some() || env.get("DB_READ_SERVER").is_some() => {
                Err(ConfigError::new(
                    "DB_SERVER",
                    "is not set, but DB_NAME or DB_READ_SERVER is; set the server's name, or unset \
                     them to use SQLite",
                ))
            }
            None => Ok(Self::sqlite(
                env.get("DATABASE_PATH").unwrap_or("./data/imagefleet.db"),
            )),
        }
    }

    /// The same without a replica.
    #[must_use]
    pub fn primary(&self) -> Self {
        let mut primary = self.clone();
        if let Self::SqlServer(config) = &mut primary {
            config.read_server = None;
        }
        primary
    }

    /// In this `SQLite` file.
    #[must_use]
    pub fn sqlite(path: impl AsRef<Path>) -> Self {
        Self::Sqlite(path.as_ref().to_owned())
    }
}

impl std::fmt::Display for ReadModelConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::SqlServer(config) => write!(
                f,
                "{},{} database {} schema {}",
                config.server.host,
                config.server.port,
                config.database,
                config.schema.as_str()
            ),
        }
    }
}

impl SqlServerConfig {
    fn from_env(env: &Env, server: &str) -> Result<Self, ConfigError> {
        let port = env.parse_or("DB_PORT", 1433)?;
        let trust = match (
            env.flag("DB_TRUST_SERVER_CERTIFICATE")?,
            env.get("DB_CA_FILE"),
        ) {
            (true, Some(_)) => {
                return Err(ConfigError::new(
                    "DB_TRUST_SERVER_CERTIFICATE",
                    "trusts every certificate, so that DB_CA_FILE means nothing; unset one of them",
                ));
            }
            (true, None) => Trust::Anyone,
            (false, Some(file)) => Trust::Also(PathBuf::from(file)),
            (false, None) => Trust::System,
        };
        let config = Self {
            server: Address::parse("DB_SERVER", server, port)?,
            read_server: env
                .get("DB_READ_SERVER")
                .map(|server| Address::parse("DB_READ_SERVER", server, port))
                .transpose()?,
            database: env.require("DB_NAME")?.to_owned(),
            schema: env.parse_or("DB_SCHEMA", Schema::default())?,
            user: env.require("DB_USER")?.to_owned(),
            password: env
                .secret("DB_PASSWORD")
                .ok_or_else(|| ConfigError::new("DB_PASSWORD", "is not set"))?,
            trust,
            pool_size: env.parse_or("DB_POOL_SIZE", 20)?,
            pool_overflow: env.parse_or("DB_POOL_OVERFLOW", 40)?,
        };
        if config.pool_size == 0 {
            return Err(ConfigError::new("DB_POOL_SIZE", "must be at least 1"));
        }
        if config.pool_size.saturating_add(config.pool_overflow) > 32_767 {
            return Err(ConfigError::new(
                "DB_POOL_OVERFLOW",
                "with DB_POOL_SIZE must not exceed 32767, which is all a server can take",
            ));
        }
        Ok(config)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn env(more: &[(&str, &str)]) -> Env {
        let base = [
            ("DB_SERVER", "tcp:db.example.com"),
            ("DB_NAME", "images"),
            ("DB_USER", "u"),
            ("DB_PASSWORD", "hunter2"),
        ];
        Env::from_pairs(base.into_iter().chain(more.iter().copied()))
    }

    fn sql_server(env: &Env) -> Result<SqlServerConfig, ConfigError> {
        match ReadModelConfig::from_env(env)? {
            ReadModelConfig::SqlServer(config) => Ok(*config),
            ReadModelConfig::Sqlite(path) => panic!("SQLite at {}", path.display()),
        }
    }

    #[test]
    fn the_settings_of_the_system_before_lead_to_sql_server() {
        let config = sql_server(&env(&[])).unwrap();
        assert_eq!(
            (config.server.host.as_str(), config.server.port),
            ("db.example.com", 1433)
        );
        assert_eq!((config.pool_size, config.pool_overflow), (20, 40));
        assert_eq!(config.trust, Trust::System);
        assert_eq!(config.read_server, None);
        assert_eq!(config.schema.as_str(), "imagefleet");
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn a_port_stands_in_its_setting_or_in_the_server() {
        let config = sql_server(&env(&[
            ("DB_PORT", "1444"),
            ("DB_READ_SERVER", "replica,1555"),
        ]))
        .unwrap();
        assert_eq!(config.server.port, 1444);
        let replica = config.read_server.unwrap();
        assert_eq!((replica.host.as_str(), replica.port), ("replica", 1555));
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_setting_to_change() {
        for (setting, value, blamed) in [
            ("DB_SERVER", r"host\INSTANCE", "DB_SERVER"),
            ("DB_SERVER", "host,port", "DB_SERVER"),
            ("DB_SERVER", "https://host", "DB_SERVER"),
            ("DB_SERVER", "", "DB_SERVER"),
            ("DB_NAME", "", "DB_NAME"),
            ("DB_PASSWORD", "", "DB_PASSWORD"),
            ("DB_SCHEMA", "a]; DROP", "DB_SCHEMA"),
            ("DB_POOL_SIZE", "0", "DB_POOL_SIZE"),
            ("DB_PORT", "65536", "DB_PORT"),
        ] {
            let error = sql_server(&env(&[]).with(setting, value)).unwrap_err();
            assert_eq!(error.setting(), blamed, "{value:?}: {error}");
        }
        let both = env(&[
            ("DB_CA_FILE", "ca.pem"),
            ("DB_TRUST_SERVER_CERTIFICATE", "1"),
        ]);
        assert!(sql_server(&both).is_err());
    }

    #[test]
    fn without_a_server_it_is_sqlite() {
        let sqlite = ReadModelConfig::from_env(&Env::from_pairs([("DATABASE_PATH", "x.db")]));
        assert!(matches!(sqlite, Ok(ReadModelConfig::Sqlite(path)) if path == Path::new("x.db")));
    }
}
