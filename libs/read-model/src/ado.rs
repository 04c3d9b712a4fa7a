//! SQL Server by an ADO connection string, as portals show it. For tests and benchmarks.

use std::collections::HashMap;

use runtime::ConfigError;
use secrecy::SecretString;

use crate::settings::{Address, Schema, SqlServerConfig, Trust};

impl SqlServerConfig {
    /// The parts of `ado` that there are settings for: server, database, user, password and whether
    /// its certificate is to be trusted; `setting` is where it comes from.
    ///
    /// # Errors
    /// When one of them is missing or makes no sense.
    pub fn from_ado(setting: &str, ado: &str) -> Result<Self, ConfigError> {
        let pairs = pairs(ado);
        let require = |names: &[&str]| {
            let found = names.iter().find_map(|name| pairs.get(*name));
            found.ok_or_else(|| ConfigError::new(setting, format!("has no {}", names.join(" or "))))
        };
        let trusts = pairs.get("trustservercertificate");
        let trusts =
            trusts.is_some_and(|word| matches!(word.to_lowercase().as_str(), "true" | "yes"));
        Ok(Self {
            server: Address::parse(setting, require(&["server", "datasource"])?, 1433)?,
            read_server: None,
            database: require(&["database", "initialcatalog"])?.clone(),
            schema: Schema::default(),
            user: require(&["userid", "user", "uid"])?.clone(),
            password: SecretString::from(require(&["password", "pwd"])?.as_str()),
            trust: if trusts { Trust::Anyone } else { Trust::System },
            pool_size: 20,
            pool_overflow: 40,
        })
    }
}

/// Keys in lower case without blanks, and values without their quotes. A quote within quotes is
/// doubled.
fn pairs(ado: &str) -> HashMap<String, String> {
    let mut pairs = HashMap::new();
    let mut rest = ado;
    while let Some((key, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let close = match after.chars().next() {
            Some('{') => Some('}'),
            Some(quote @ ('"' | '\'')) => Some(quote),
            _ => None,
        };
        let (value, left) = match close {
            Some(close) => quoted(&after[1..], close),
            None => {
                let (value, left) = after.split_once(';').unwrap_or((after, ""));
                (value.trim().to_owned(), left)
            }
        };
        let key = key
            .trim_matches(|c: char| c == ';' || c.is_whitespace())
            .to_lowercase()
            .replace(' ', "");
        pairs.insert(key, value);
        rest = left;
    }
    pairs
}

/// What stands before the closing quote, and what follows it.
fn quoted(text: &str, close: char) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != close {
            value.push(c);
        } else if chars.next_if(|(_, next)| *next == close).is_some() {
            value.push(close);
        } else {
            return (value, &text[at + close.len_utf8()..]);
        }
    }
    (value, "")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn an_ado_string_says_where_and_who() {
        let ado = r#"Server=tcp:db.example.com,1444; Initial Catalog=images;User ID = me;
            Password="a;b""=c";Encrypt=True;TrustServerCertificate=true"#;
        let config = SqlServerConfig::from_ado("X", ado).unwrap();
        assert_eq!(
            (config.server.host.as_str(), config.server.port),
            ("db.example.com", 1444)
        );
        assert_eq!(
            (config.database.as_str(), config.user.as_str()),
            ("images", "me")
        );
        assert_eq!(config.password.expose_secret(), r#"a;b"=c"#);
        assert_eq!(config.trust, Trust::Anyone);
        assert!(SqlServerConfig::from_ado("X", "server=a").is_err());
    }
}
