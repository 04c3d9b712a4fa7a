//! Who asks: the key that a request brings, and the address that it comes from.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{AUTHORIZATION, HeaderMap};
use http::request::Parts;

use crate::app::App;
use crate::keys::{self, ApiKey, Scope};

/// Where a key may be, for the `Vary` of what browsers keep: who has forgotten the key must not be shown
/// what it opened.
pub(crate) const KEY_HEADERS: &str = "authorization, x-api-key";

/// What is told apart where something is shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    /// The holder of a key, by its place in the setting.
    Key(usize),
    /// An IPv4 address, or the network that an IPv6 address is of: one customer has 2^64 of those.
    Address(IpAddr),
    /// Whoever that is; all of them together.
    Unknown,
}

/// Who sent a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) client: Client,
    /// What they may do: nothing without a key, if one is needed.
    pub(crate) scope: Option<Scope>,
    /// Whether a key was given, be it a wrong one.
    pub(crate) tried: bool,
    /// The name of their key.
    pub(crate) name: Option<Arc<str>>,
}

/// Tells who asks, for everything inside.
pub(crate) async fn identify(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|ConnectInfo(address)| address.ip());
    let address = address(peer, request.headers(), app.trusted_proxies);
    let caller = Caller::of(&app.api_keys, request.headers(), address);
    request.extensions_mut().insert(caller);
    next.run(request).await
}

impl Caller {
    fn of(keys: &[ApiKey], headers: &HeaderMap, address: Option<IpAddr>) -> Self {
        let given = given_key(headers);
        let found = keys::find(keys, given);
        let key = found.and_then(|at| keys.get(at));
        Self {
            client: match (found, address) {
                (Some(at), _) => Client::Key(at),
                (None, Some(address)) => Client::Address(network(address)),
                (None, None) => Client::Unknown,
            },
            scope: if keys.is_empty() {
                Some(Scope::Write)
            } else {
                key.map(ApiKey::scope)
            },
            tried: !given.is_empty(),
            name: key.and_then(ApiKey::name).cloned(),
        }
    }
}

/// Absent where nobody identified the caller, which is outside of the API.
impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let nobody = Self {
            client: Client::Unknown,
            scope: None,
            tried: false,
            name: None,
        };
        Ok(parts.extensions.get().cloned().unwrap_or(nobody))
    }
}

fn given_key(headers: &HeaderMap) -> &[u8] {
    if let Some(value) = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes)
        && let Some((scheme, key)) = value.split_at_checked(b"bearer ".len())
        && scheme.eq_ignore_ascii_case(b"bearer ")
    {
        return key.trim_ascii();
    }
    headers
        .get("x-api-key")
        .map(|value| value.as_bytes().trim_ascii())
        .unwrap_or_default()
}

/// Each proxy appends the address that it was reached from, so the last `proxies` entries are true
/// and all before them are the client's own words.
fn address(peer: Option<IpAddr>, headers: &HeaderMap, proxies: usize) -> Option<IpAddr> {
    let Some(back) = proxies.checked_sub(1) else {
        return peer;
    };
    let entries = headers.get_all("x-forwarded-for").iter();
    let entries: Vec<_> = entries
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .collect();
    let told = entries.iter().rev().nth(back);
    told.and_then(|entry| without_port(entry.trim())).or(peer)
}

fn without_port(entry: &str) -> Option<IpAddr> {
    let address = entry.parse().ok();
    address.or_else(|| {
        entry
            .parse()
            .ok()
            .map(|with_port: SocketAddr| with_port.ip())
    })
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn told(entries: &[&'static str], proxies: usize) -> String {
        let name = http::HeaderName::from_static("x-forwarded-for");
        let entries = entries
            .iter()
            .map(|entry| (name.clone(), HeaderValue::from_static(entry)));
        let headers = entries.collect();
        let peer = "10.0.0.9".parse().ok();
        address(peer, &headers, proxies).unwrap().to_string()
    }

    #[test]
    fn only_what_own_proxies_say_is_believed() {
        assert_eq!(told(&["1.1.1.1"], 0), "10.0.0.9");
        assert_eq!(told(&["1.1.1.1, 2.2.2.2"], 1), "2.2.2.2");
        assert_eq!(told(&["1.1.1.1, 2.2.2.2", "3.3.3.3:8080"], 1), "3.3.3.3");
        assert_eq!(told(&["1.1.1.1, 2.2.2.2", "3.3.3.3"], 2), "2.2.2.2");
        assert_eq!(told(&["[2001:db8::7]:443"], 1), "2001:db8::7");
        // What came by another way, or is no address, is whoever is connected.
        assert_eq!(told(&[], 1), "10.0.0.9");
        assert_eq!(told(&["1.1.1.1"], 2), "10.0.0.9");
        assert_eq!(told(&["nobody"], 1), "10.0.0.9");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(network("192.0.2.1"), "192.0.2.1");
    }
}
