//! The HTTP clients, for Drive and for its sign-in.

use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use url::Url;

use crate::{Auth, DriveConfig, DriveError};

const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const MAX_REDIRECTS: usize = 5;
/// As many connections as the largest worker has slots; a connection costs a TLS handshake.
const MAX_IDLE_CONNECTIONS: usize = 512;
/// Below the 240 s after which Google's front ends close idle connections.
const CONNECTION_IDLE: Duration = Duration::from_secs(90);

/// For Drive itself.
pub(crate) fn http_client(config: &DriveConfig) -> Result<reqwest::Client, DriveError> {
    let mut headers = HeaderMap::new();
    // Checksums are of the bytes as stored.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(key) = api_key(&config.auth)? {
        headers.insert(API_KEY, key);
    }
    // Another host must not see key or token.
    let same_host = Policy::custom(|attempt| {
        let origin = attempt.previous().first().map(Url::origin);
        if attempt.previous().len() <= MAX_REDIRECTS && origin == Some(attempt.url().origin()) {
            attempt.follow()
        } else {
            attempt.stop()
        }
    });
    base(config, &config.endpoint)
        .default_headers(headers)
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        .redirect(same_host)
        .build()
        .map_err(DriveError::Client)
}

/// What every client of Google's has in common.
pub(crate) fn base(config: &DriveConfig, server: &Url) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("imagefleet/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(30))
        .pool_idle_timeout(CONNECTION_IDLE)
        .connect_timeout(config.connect_timeout)
        .referer(false)
        .retry(reqwest::retry::never());
    if is_loopback(server) {
        builder.no_proxy()
    } else {
        builder
    }
}

/// The key as a header that neither logs nor debug output show.
fn api_key(auth: &Auth) -> Result<Option<HeaderValue>, DriveError> {
    let Some(key) = auth.key() else {
        return Ok(None);
    };
    let mut value = HeaderValue::from_str(key.trim()).map_err(|_| DriveError::KeyInvalid {
        message: "it has characters that no key has".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// A proxy's loopback is another machine's.
pub(crate) fn is_loopback(endpoint: &Url) -> bool {
    match endpoint.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_hidden_from_debug_output() {
        let value = api_key(&Auth::ApiKey(" AIza-secret\n".into()))
            .unwrap()
            .unwrap();
        assert_eq!(value.as_bytes(), b"AIza-secret");
        assert_eq!(format!("{value:?}"), "Sensitive");
        assert_eq!(api_key(&Auth::Anonymous).unwrap(), None);
    }
}
