use std::path::PathBuf;

use gateway::{Config, Delivery, Gateway};
use jetstream::NatsConfig;
use prometheus::Registry;
use read_model::ReadModelConfig;
use runtime::{ConfigError, Env, Health};
use storage::{S3Config, StoreConfig};

fn nats() -> NatsConfig {
    NatsConfig::new("nats://127.0.0.1:1", "t")
}

fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let store = StoreConfig::Local {
        root: PathBuf::from("data"),
    };
    Config::from_env(
        &Env::from_pairs(pairs.iter().copied()),
        nats(),
        store,
        read_model::ReadModelConfig::sqlite("x.db"),
    )
}

#[test]
fn the_defaults_are_local_and_closed() {
    let config = read(&[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:5000");
    assert!(
        config.cors_origins.is_empty() && config.api_keys.is_empty() && !config.allow_anonymous
    );
}

#[test]
fn images_come_from_the_store_where_every_browser_reaches_it() {
    let read = |endpoint: Option<&str>, pairs: &[(&str, &str)]| {
        let endpoint = endpoint.and_then(|url| url.parse().ok());
        let store = StoreConfig::S3(S3Config::new("photos", "us-east-1", endpoint));
        let env = Env::from_pairs(pairs.iter().copied());
        Config::from_env(&env, nats(), store, ReadModelConfig::sqlite("x.db"))
            .map(|config| config.delivery)
    };
    let inside = Some("http://seaweedfs:8333");
    let (redirect, stream) = (
        ("CONTENT_DELIVERY", "redirect"),
        ("CONTENT_DELIVERY", "stream"),
    );
    assert_eq!(read(None, &[]).unwrap(), Delivery::Redirect);
    assert_eq!(read(inside, &[]).unwrap(), Delivery::Stream);
    assert_eq!(read(inside, &[redirect]).unwrap(), Delivery::Redirect);
    assert_eq!(read(None, &[stream]).unwrap(), Delivery::Stream);
    let error = read(None, &[("CONTENT_DELIVERY", "yes")]).unwrap_err();
    assert!(error.to_string().contains("CONTENT_DELIVERY"), "{error}");
}

#[test]
fn every_setting_is_read() {
    let config = read(&[
        ("HOST", "0.0.0.0"),
        ("GATEWAY_PORT", "8080"),
        ("PUBLIC_URL", "https://images.example.org/fleet"),
        ("STORAGE_PUBLIC_URL", "https://cdn.example.org"),
        (
            "CORS_ORIGINS",
            "http://localhost:3000, https://App.example.org/ ,https://b.example:443",
        ),
        ("API_KEYS", "one, two"),
        ("API_RATE_LIMIT", "7"),
        ("TRUSTED_PROXIES", "2"),
    ])
    .unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(
        config.cors_origins,
        [
            "http://localhost:3000",
            "https://app.example.org",
            "https://b.example"
        ]
    );
    assert_eq!(config.api_keys.len(), 2);
    assert!(!format!("{config:?}").contains("two"), "keys never show");
    assert_eq!((config.rate_limit, config.trusted_proxies), (7, 2));
}

#[test]
fn an_open_address_needs_keys_or_a_word() {
    for host in ["0.0.0.0", "::", "192.168.1.7"] {
        let error = read(&[("HOST", host)]).unwrap_err().to_string();
        assert!(
            error.contains("API_KEYS") && error.contains("ALLOW_ANONYMOUS"),
            "{error}"
        );
        assert!(read(&[("HOST", host), ("API_KEYS", "k")]).is_ok());
        assert!(read(&[("HOST", host), ("ALLOW_ANONYMOUS", "true")]).is_ok());
    }
    for host in ["127.0.0.1", "::1", "localhost", "127.8.8.8"] {
        assert!(read(&[("HOST", host)]).is_ok(), "{host}");
    }
}

#[test]
fn a_way_in_through_a_proxy_needs_keys_or_a_word() {
    for (name, value) in [
        ("PUBLIC_URL", "https://images.example.org"),
        ("PUBLIC_URL", "http://192.168.1.7:8080/fleet"),
        ("PUBLIC_URL", "https://localhost.example.org"),
        ("TRUSTED_PROXIES", "1"),
    ] {
        let error = read(&[(name, value)]).unwrap_err();
        assert_eq!(error.setting(), name, "{value}");
        let error = error.to_string();
        assert!(
            error.contains("API_KEYS") && error.contains("ALLOW_ANONYMOUS"),
            "{error}"
        );
        assert!(read(&[(name, value), ("API_KEYS", "k")]).is_ok());
        assert!(read(&[(name, value), ("ALLOW_ANONYMOUS", "true")]).is_ok());
    }
    for url in [
        "http://localhost:5000",
        "http://images.localhost",
        "http://127.0.0.1:5000",
        "http://[::1]:5000",
    ] {
        assert!(read(&[("PUBLIC_URL", url)]).is_ok(), "{url}");
    }
}

#[tokio::test]
async fn an_open_address_is_refused_however_the_config_was_made() {
    let mut config = read(&[]).unwrap();
    config.listen = ([0, 0, 0, 0], 0).into();
    let error = Gateway::bind(config, Registry::new(), Health::new("gateway"))
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("API_KEYS"), "{error:#}");
}

#[test]
fn nonsense_names_its_setting() {
    for (name, value) in [
        ("HOST", "everywhere"),
        ("GATEWAY_PORT", "70000"),
        ("PUBLIC_URL", "images.example.org"),
        ("PUBLIC_URL", "ftp://images.example.org"),
        ("PUBLIC_URL", "https://user:secret@images.example.org"),
        ("STORAGE_PUBLIC_URL", "https://cdn.example.org/?sig=x"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://*.example.org"),
        ("CORS_ORIGINS", "https://app.example.org/path"),
        ("CORS_ORIGINS", "app.example.org"),
        ("ALLOW_ANONYMOUS", "perhaps"),
        ("API_KEYS", "plain, admin:sha256:00"),
        ("API_RATE_LIMIT", "-1"),
        ("API_RATE_LIMIT", "4294967295"),
        ("TRUSTED_PROXIES", "10.0.0.1"),
    ] {
        let error = read(&[(name, value)]).unwrap_err();
        assert_eq!(error.setting(), name, "{value}");
    }
}
