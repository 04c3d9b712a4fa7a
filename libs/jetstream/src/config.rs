//! How to reach NATS.

use std::path::PathBuf;

use runtime::{ConfigError, Env};
use secrecy::SecretString;

/// Where answers come to, unless a user has an inbox of its own.
const INBOX: &str = "_INBOX";

/// How to reach and log in to NATS.
#[derive(Clone, Debug)]
pub struct NatsConfig {
    /// `NATS_URL`, comma-separated for a cluster; default `nats://127.0.0.1:4222`.
    pub url: String,
    /// `NATS_USER`.
    pub user: Option<String>,
    /// `NATS_PASSWORD`.
    pub password: Option<SecretString>,
    /// `NATS_CREDS`: a credentials file (JWT and nkey).
    pub creds: Option<PathBuf>,
    /// `NATS_NKEY_FILE`: a file that holds an nkey's seed.
    pub nkey_file: Option<PathBuf>,
    /// `NATS_CA_FILE`: certificates (PEM) of those who may vouch for the server, instead of the
    /// system's. Set, it makes TLS a must.
    pub ca_file: Option<PathBuf>,
    /// `NATS_CERT_FILE` and `NATS_KEY_FILE`: who we are, for a server that asks for certificates.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// `NATS_INBOX_PREFIX`: where answers come to; default `_INBOX_<user>`, or `_INBOX` without a
    /// user. A prefix of its own lets a server keep users from hearing each other's answers.
    pub inbox_prefix: String,
    /// How this process shows in the server's connection list.
    pub name: String,
}

impl NatsConfig {
    /// The server at `url`, without a login. `name` is how this process shows in the server's
    /// connection list.
    #[must_use]
    pub fn new(url: impl Into<String>, name: &str) -> Self {
        Self {
            url: url.into(),
            user: None,
            password: None,
            creds: None,
            nkey_file: None,
            ca_file: None,
            identity: None,
            inbox_prefix: INBOX.to_owned(),
            name: name.to_owned(),
        }
    }

    /// How the login shows in errors: never more than its name.
    pub(crate) fn who(&self) -> String {
        match self.user.as_deref().or_else(|| user_in(&self.url)) {
            Some(user) => format!("user {user}"),
            None if self.creds.is_some() => "the login in NATS_CREDS".to_owned(),
            None if self.nkey_file.is_some() => "the login in NATS_NKEY_FILE".to_owned(),
            None => "us, without a login,".to_owned(),
        }
    }

    /// From the settings named at each field.
    ///
    /// # Errors
    /// When they contradict each other.
    pub fn from_env(env: &Env, name: &str) -> Result<Self, ConfigError> {
        let url = env.get("NATS_URL").unwrap_or("nats://127.0.0.1:4222");
        let file = |path: Option<&str>| path.map(PathBuf::from);
        let identity = match (env.get("NATS_CERT_FILE"), env.get("NATS_KEY_FILE")) {
            (Some(cert), Some(key)) => Some((cert.into(), key.into())),
            (None, None) => None,
            _ => {
                return Err(ConfigError::new(
                    "NATS_CERT_FILE",
                    "and NATS_KEY_FILE must be set together",
                ));
            }
        };
        let user = env.get("NATS_USER").map(str::to_owned);
        let inbox_prefix = match env.get("NATS_INBOX_PREFIX") {
            Some(prefix) => prefix.to_owned(),
            None => inbox_of(user.as_deref().or_else(|| user_in(url))),
        };
        let config = Self {
            user,
            password: env.secret("NATS_PASSWORD"),
            creds: file(env.get("NATS_CREDS")),
            nkey_file: file(env.get("NATS_NKEY_FILE")),
            ca_file: file(env.get("NATS_CA_FILE")),
            identity,
            inbox_prefix,
            ..Self::new(url, name)
        };
        let known = ["nats://", "tls://", "ws://", "wss://"];
        for url in config.url.split(',').map(str::trim) {
            let bare = !url.contains("://");
            if url.is_empty() || !(bare || known.iter().any(|scheme| url.starts_with(scheme))) {
                return Err(ConfigError::new(
                    "NATS_URL",
                    "must be nats://HOST:PORT, several separated by commas",
                ));
            }
        }
        let logins = [
            ("NATS_CREDS", config.creds.is_some()),
            ("NATS_NKEY_FILE", config.nkey_file.is_some()),
            ("NATS_USER", config.user.is_some()),
        ];
        let set: Vec<&str> = logins
            .iter()
            .filter(|(_, set)| *set)
            .map(|(name, _)| *name)
            .collect();
        if let [first, second, ..] = set[..] {
            return Err(ConfigError::new(
                first,
                format!("is set beside {second}; set one of them"),
            ));
        }
        if !config.inbox_prefix.split('.').all(is_token) {
            return Err(ConfigError::new(
                "NATS_INBOX_PREFIX",
                "must be letters, digits, _ and -, in parts separated by dots",
            ));
        }
        if config.user.is_some() != config.password.is_some() {
            return Err(ConfigError::new(
                "NATS_USER",
                "and NATS_PASSWORD must be set together",
            ));
        }
        Ok(config)
    }
}

/// Whether `part` can stand between two dots of a subject.
fn is_token(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !part.is_empty() && part.chars().all(allowed)
}

/// The inbox that `nats.conf` grants `user`.
fn inbox_of(user: Option<&str>) -> String {
    match user {
        Some(user) => {
            let user = user.replace(|c: char| !is_token(c.encode_utf8(&mut [0; 4])), "_");
            format!("{INBOX}_{user}")
        }
        None => INBOX.to_owned(),
    }
}

/// The user in `nats://user:password@host`.
fn user_in(urls: &str) -> Option<&str> {
    let (login, _) = urls.split_once("://")?.1.split_once('@')?;
    // A token alone names nobody.
    login.split_once(':').map(|(user, _)| user)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<NatsConfig, ConfigError> {
        NatsConfig::from_env(&Env::from_pairs(pairs.iter().copied()), "test")
    }

    #[test]
    fn answers_come_to_an_inbox_of_the_users_own() {
        for (pairs, inbox) in [
            (&[][..], "_INBOX"),
            (
                &[("NATS_USER", "worker"), ("NATS_PASSWORD", "x")],
                "_INBOX_worker",
            ),
            (
                &[("NATS_USER", "a.b>"), ("NATS_PASSWORD", "x")],
                "_INBOX_a_b_",
            ),
            (
                &[("NATS_URL", "nats://worker:x@host:1,nats://worker:x@other")],
                "_INBOX_worker",
            ),
            (&[("NATS_URL", "nats://host:1")], "_INBOX"),
            (&[("NATS_URL", "nats://token@host")], "_INBOX"),
            (
                &[
                    ("NATS_NKEY_FILE", "seed"),
                    ("NATS_INBOX_PREFIX", "_INBOX.worker"),
                ],
                "_INBOX.worker",
            ),
        ] {
            assert_eq!(read(pairs).unwrap().inbox_prefix, inbox, "{pairs:?}");
        }
    }

    #[test]
    fn settings_that_contradict_each_other_are_named() {
        for (pairs, name) in [
            (&[("NATS_USER", "worker")][..], "NATS_USER"),
            (
                &[("NATS_CREDS", "a"), ("NATS_NKEY_FILE", "b")],
                "NATS_CREDS",
            ),
            (
                &[
                    ("NATS_NKEY_FILE", "b"),
                    ("NATS_USER", "u"),
                    ("NATS_PASSWORD", "p"),
                ],
                "NATS_NKEY_FILE",
            ),
            (&[("NATS_CERT_FILE", "cert")], "NATS_CERT_FILE"),
            (&[("NATS_KEY_FILE", "key")], "NATS_CERT_FILE"),
            (&[("NATS_INBOX_PREFIX", "a.>")], "NATS_INBOX_PREFIX"),
            (&[("NATS_URL", "http://host")], "NATS_URL"),
        ] {
            assert_eq!(read(pairs).unwrap_err().setting(), name, "{pairs:?}");
        }
    }
}
