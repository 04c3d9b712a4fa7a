//! `imagefleet config`: the settings in force.

use console::style;
use runtime::Env;
use serde::Serialize;

use crate::cli::Config;
use crate::exit::Exit;
use crate::output;

/// One setting.
struct Setting {
    name: &'static str,
    /// What holds when it is not set; empty if nothing does.
    default: &'static str,
    secret: bool,
}

const fn setting(name: &'static str, default: &'static str) -> Setting {
    Setting {
        name,
        default,
        secret: false,
    }
}

const fn secret(name: &'static str) -> Setting {
    Setting {
        name,
        default: "",
        secret: true,
    }
}

/// Every setting that anything reads, by what it is about.
const SETTINGS: &[(&str, &[Setting])] = &[
    (
        "Google Drive",
        &[
            setting("GOOGLE_APPLICATION_CREDENTIALS", ""),
            setting("GOOGLE_IMPERSONATE_SUBJECT", ""),
            secret("GOOGLE_API_KEY"),
            setting("GOOGLE_DRIVE_ENDPOINT", "https://www.googleapis.com"),
            setting("GOOGLE_DRIVE_ACKNOWLEDGE_ABUSE", "false"),
            setting("DRIVE_QUOTA_UNITS_PER_MINUTE", "325000"),
        ],
    ),
    (
        "Store",
        &[
            setting("STORAGE_PROVIDER", "local"),
            setting("LOCAL_STORAGE_PATH", "./data/images"),
            setting("AWS_BUCKET_NAME", ""),
            setting("AWS_REGION", "us-east-1"),
            setting("AWS_ENDPOINT_URL", ""),
            setting("AWS_ACCESS_KEY_ID", ""),
            secret("AWS_SECRET_ACCESS_KEY"),
            secret("AWS_SESSION_TOKEN"),
            setting("AWS_USE_PATH_STYLE_ENDPOINT", ""),
            setting("AWS_S3_SSE", ""),
            setting("AWS_S3_SSE_KMS_KEY_ID", ""),
            setting("AZURE_STORAGE_CONTAINER_NAME", ""),
            secret("AZURE_STORAGE_CONNECTION_STRING"),
            setting("AZURE_STORAGE_ACCOUNT_NAME", ""),
            setting("AZURE_STORAGE_SERVICE_ENDPOINT", ""),
            setting("AZURE_CLIENT_ID", ""),
            setting("AZURE_TENANT_ID", ""),
            setting("AZURE_FEDERATED_TOKEN_FILE", ""),
            setting("AZURE_AUTHORITY_HOST", ""),
            setting("IDENTITY_ENDPOINT", ""),
            secret("IDENTITY_HEADER"),
        ],
    ),
    (
        "Database",
        &[
            setting("DATABASE_PATH", "./data/imagefleet.db"),
            setting("DB_SERVER", ""),
            setting("DB_PORT", "1433"),
            setting("DB_NAME", ""),
            setting("DB_SCHEMA", "imagefleet"),
            setting("DB_USER", ""),
            secret("DB_PASSWORD"),
            setting("DB_READ_SERVER", ""),
            setting("DB_CA_FILE", ""),
            setting("DB_TRUST_SERVER_CERTIFICATE", "false"),
            setting("DB_POOL_SIZE", "20"),
            setting("DB_POOL_OVERFLOW", "40"),
        ],
    ),
    (
        "NATS",
        &[
            setting("NATS_URL", "nats://127.0.0.1:4222"),
            setting("NATS_USER", ""),
            secret("NATS_PASSWORD"),
            setting("NATS_CREDS", ""),
            setting("NATS_NKEY_FILE", ""),
            setting("NATS_CA_FILE", ""),
            setting("NATS_CERT_FILE", ""),
            setting("NATS_KEY_FILE", ""),
            setting("NATS_INBOX_PREFIX", ""),
            setting("NATS_REPLICAS", "1"),
            setting("EVENTS_RETENTION", "720h"),
            setting("NATS_ACK_WAIT", "30s"),
            setting("NATS_SERVER_BIN", ""),
            secret("NATS_PRODUCER_PASSWORD"),
            secret("NATS_WORKER_PASSWORD"),
            secret("NATS_PROJECTOR_PASSWORD"),
            secret("NATS_GATEWAY_PASSWORD"),
            secret("NATS_REQUESTER_PASSWORD"),
            secret("NATS_ADMIN_PASSWORD"),
        ],
    ),
    (
        "Gateway",
        &[
            setting("HOST", "127.0.0.1"),
            setting("GATEWAY_PORT", "5000"),
            setting("PUBLIC_URL", ""),
            setting("STORAGE_PUBLIC_URL", ""),
            setting("CONTENT_DELIVERY", ""),
            setting("CORS_ORIGINS", ""),
            secret("API_KEYS"),
            setting("ALLOW_ANONYMOUS", "false"),
            setting("API_RATE_LIMIT", "100"),
            setting("TRUSTED_PROXIES", "0"),
        ],
    ),
    (
        "Producer, worker, projector",
        &[
            setting("PRODUCER_CONCURRENCY", "64"),
            setting("PRODUCER_WINDOW", "5000"),
            setting("WORKER_CONCURRENCY", "64"),
            setting("WORKER_MAX_ATTEMPTS", "8"),
            setting("WORKER_RETRY_BASE", "3s"),
            setting("WORKERS_MAX_ACK_PENDING", "20000"),
            setting("SHUTDOWN_GRACE", "25s"),
            setting("PRODUCER_HEALTH_ADDR", "127.0.0.1:5001"),
            setting("PROJECTOR_HEALTH_ADDR", "127.0.0.1:5002"),
            setting("WORKER_HEALTH_ADDR", "127.0.0.1:5004"),
        ],
    ),
    (
        "Logs and traces",
        &[
            setting("RUST_LOG", "info"),
            setting("LOG_FORMAT", "text"),
            setting("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
            secret("OTEL_EXPORTER_OTLP_HEADERS"),
            setting("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            setting("OTEL_TRACES_SAMPLER", "parentbased_always_on"),
            setting("OTEL_TRACES_SAMPLER_ARG", "1.0"),
            setting("OTEL_SERVICE_NAME", ""),
            setting("OTEL_RESOURCE_ATTRIBUTES", ""),
        ],
    ),
    (
        "Command line",
        &[
            setting("IMAGEFLEET_URL", "http://127.0.0.1:5000"),
            secret("API_KEY"),
        ],
    ),
];

/// A setting as it is shown.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct Shown {
    name: &'static str,
    /// None if it is neither set nor has a default.
    value: Option<String>,
    /// `set`, `default` or `unset`.
    origin: &'static str,
}

/// Print the settings in force, in the form of an `.env` file or as JSON.
pub(crate) fn run(env: &Env, args: &Config) -> anyhow::Result<Exit> {
    if args.json {
        let all = SETTINGS.iter().flat_map(|(_, settings)| *settings);
        output::json(&all.map(|setting| shown(env, setting)).collect::<Vec<_>>())?;
        return Ok(Exit::Success);
    }
    for (number, (about, settings)) in SETTINGS.iter().enumerate() {
        if number > 0 {
            output::line("")?;
        }
        output::line(style(format!("# {about}")).bold().to_string())?;
        for setting in *settings {
            let Shown {
                name,
                value,
                origin,
            } = shown(env, setting);
            let text = match (value, origin) {
                (None, _) => style(format!("# {name} is not set")).dim().to_string(),
                (Some(value), "default") => {
                    format!("{name}={value}  {}", style("# default").dim())
                }
                (Some(value), _) => format!("{name}={value}"),
            };
            output::line(text)?;
        }
    }
    Ok(Exit::Success)
}

fn shown(env: &Env, setting: &Setting) -> Shown {
    let (value, origin) = match env.get(setting.name) {
        Some(_) if setting.secret => (Some("***".to_owned()), "set"),
        Some(value) => (Some(without_credentials(value)), "set"),
        None if setting.default.is_empty() => (None, "unset"),
        None => (Some(setting.default.to_owned()), "default"),
    };
    Shown {
        name: setting.name,
        value,
        origin,
    }
}

/// A value, or several with commas between, whose URLs have lost user name and password.
fn without_credentials(value: &str) -> String {
    let hide = |part: &str| match (part.find("://"), part.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            format!("{}***{}", &part[..scheme + 3], &part[at..])
        }
        _ => part.to_owned(),
    };
    value.split(',').map(hide).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    #[test]
    fn urls_lose_their_credentials() {
        assert_eq!(
            without_credentials("nats://u:p@a:1,tls://b:2,nats://x@c"),
            "nats://***@a:1,tls://b:2,nats://***@c"
        );
        assert_eq!(without_credentials("./a@b"), "./a@b");
    }

    #[test]
    fn secrets_are_shown_only_as_stars() {
        let all = SETTINGS.iter().flat_map(|(_, settings)| *settings);
        for setting in all.filter(|setting| setting.secret) {
            let env = Env::from_pairs([(setting.name, "hunter2")]);
            assert_eq!(shown(&env, setting).value.as_deref(), Some("***"));
        }
    }

    /// Whoever adds a setting anywhere must add it here.
    #[test]
    fn every_setting_that_is_read_is_shown() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut read = BTreeSet::new();
        for folder in [
            "libs",
            "producer",
            "worker",
            "projector",
            "gateway",
            "imagefleet",
        ] {
            for file in rust_files(&root.join(folder)) {
                // Up to the unit tests, which read settings of their own.
                let text = std::fs::read_to_string(&file).unwrap();
                let code = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
                let code = code
                    .split("#[cfg(test)]\n#[allow")
                    .next()
                    .unwrap_or_default();
                read.extend(settings_in(code));
            }
        }
        assert!(read.len() > 30, "the search finds too little: {read:?}");
        // The terminal's and the shell's, not ours.
        read.remove("NO_COLOR");
        read.remove("PATH");
        let known: BTreeSet<String> = SETTINGS
            .iter()
            .flat_map(|(_, settings)| settings.iter())
            .map(|setting| setting.name.to_owned())
            .collect();
        assert_eq!(read, known);
    }

    fn rust_files(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "tests") {
                found.extend(rust_files(&path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
        found
    }

    /// Names given as the first text to one of `Env`'s methods, or to a function beside `env`.
    fn settings_in(code: &str) -> Vec<String> {
        const READERS: [&str; 9] = [
            "get(",
            "require(",
            "parse(",
            "parse_or(",
            "flag(",
            "list(",
            "secret(",
            "duration(",
            "duration_or(",
        ];
        let mut found = Vec::new();
        for (at, _) in code.match_indices('"') {
            let before = code[..at].trim_end();
            let name: String = code[at + 1..].chars().take_while(|c| *c != '"').collect();
            let is_name = name.len() > 3
                && name
                    .chars()
                    .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            let is_read =
                before.ends_with("(env,") || READERS.iter().any(|reader| before.ends_with(reader));
            let is_env = before.contains("env");
            if is_name && is_read && is_env {
                found.push(name);
            }
        }
        found
    }
}
