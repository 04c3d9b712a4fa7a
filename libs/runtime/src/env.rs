//! Settings, read once from the environment and parsed into types.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;

/// A setting that is missing or makes no sense. Services exit with code 64 on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct ConfigError {
    setting: String,
    problem: String,
}

impl ConfigError {
    /// `problem` says what is wrong and what to do. It never holds a secret.
    pub fn new(setting: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            setting: setting.into(),
            problem: problem.into(),
        }
    }

    /// The setting's name.
    #[must_use]
    pub fn setting(&self) -> &str {
        &self.setting
    }
}

/// A snapshot of the settings.
#[derive(Clone, Default)]
pub struct Env {
    values: BTreeMap<String, String>,
}

impl Env {
    /// The process environment, over what `./.env` says.
    #[must_use]
    pub fn from_process() -> Self {
        let mut values: BTreeMap<String, String> = dotenvy::dotenv_iter()
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        values.extend(
            std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))),
        );
        Self { values }
    }

    /// Settings from pairs.
    pub fn from_pairs<I, K, V>(pairs: I) -> Self
    where
        I: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        Self {
            values: pairs
                .into_iter()
                .map(|(k, v)| (k.into(), v.into()))
                .collect(),
        }
    }

    /// These settings with `name` set to `value`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }

    /// These settings with `name` set to `value` unless it is set already.
    #[must_use]
    pub fn or(self, name: &str, value: impl Into<String>) -> Self {
        if self.get(name).is_some() {
            self
        } else {
            self.with(name, value)
        }
    }

    /// The value, trimmed; an empty one counts as absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The value of a setting that has no default.
    ///
    /// # Errors
    /// When it is absent.
    pub fn require(&self, name: &str) -> Result<&str, ConfigError> {
        self.get(name).ok_or_else(|| {
            ConfigError::new(name, "is not set; set it in the environment or in .env")
        })
    }

    /// The parsed value, if there is one.
    ///
    /// # Errors
    /// When it does not parse.
    pub fn parse<T>(&self, name: &str) -> Result<Option<T>, ConfigError>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.get(name)
            .map(|value| {
                value.parse().map_err(|error| {
                    ConfigError::new(name, format!("{value:?} is not valid: {error}"))
                })
            })
            .transpose()
    }

    /// The parsed value, or `default`.
    ///
    /// # Errors
    /// When it is there and does not parse.
    pub fn parse_or<T>(&self, name: &str, default: T) -> Result<T, ConfigError>
    where
        T: FromStr,
        T::Err: Display,
    {
        Ok(self.parse(name)?.unwrap_or(default))
    }

    /// A switch: `1 true yes on` or `0 false no off`; absent is off.
    ///
    /// # Errors
    /// On any other word.
    pub fn flag(&self, name: &str) -> Result<bool, ConfigError> {
        match self.get(name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("0" | "false" | "no" | "off") => Ok(false),
            Some("1" | "true" | "yes" | "on") => Ok(true),
            Some(other) => Err(ConfigError::new(
                name,
                format!("{other:?} is neither true nor false"),
            )),
        }
    }

    /// Comma-separated values, trimmed, without empty ones.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        self.get(name)
            .unwrap_or_default()
            .split(',')
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect()
    }

    /// A secret.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<SecretString> {
        self.get(name).map(SecretString::from)
    }

    /// A duration such as `500ms`, `30s`, `5m` or `2h`.
    ///
    /// # Errors
    /// When it is there and is not one.
    pub fn duration_or(&self, name: &str, default: Duration) -> Result<Duration, ConfigError> {
        Ok(self.duration(name)?.unwrap_or(default))
    }

    /// A duration such as `500ms`, `30s`, `5m` or `2h`, if there is one.
    ///
    /// # Errors
    /// When it is there and is not one.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>, ConfigError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let bad = || {
            ConfigError::new(
                name,
                format!("{text:?} is no duration; write 500ms, 30s, 5m or 2h"),
            )
        };
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| bad())?;
        let scale = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(bad()),
        };
        let millis = number.checked_mul(scale).ok_or_else(bad)?;
        Ok(Some(Duration::from_millis(millis)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_parse_and_bad_ones_say_how() {
        let env = Env::from_pairs([
            ("A", "500ms"),
            ("B", "2h"),
            ("C", "5 apples"),
            ("D", "30"),
            ("E", ""),
        ]);
        let default = Duration::from_secs(9);
        assert_eq!(
            env.duration_or("A", default),
            Ok(Duration::from_millis(500))
        );
        assert_eq!(env.duration_or("B", default), Ok(Duration::from_secs(7200)));
        assert_eq!(env.duration_or("E", default), Ok(default));
        for name in ["C", "D"] {
            let error = env.duration_or(name, default).unwrap_err();
            assert!(error.to_string().contains("30s"), "{error}");
        }
    }

    #[test]
    fn a_switch_is_a_switch() {
        let env = Env::from_pairs([("ON", "Yes"), ("OFF", "0"), ("ODD", "maybe")]);
        assert_eq!(env.flag("ON"), Ok(true));
        assert_eq!(env.flag("OFF"), Ok(false));
        assert_eq!(env.flag("ABSENT"), Ok(false));
        assert!(env.flag("ODD").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_duration_parsing_panic(text in ".{0,20}") {
            let _ = Env::from_pairs([("X", text)]).duration_or("X", Duration::ZERO);
        }
    }
}
