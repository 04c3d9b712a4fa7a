//! Who may call the API: holders of a key, and no web site by way of somebody's browser.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use http::header::{HeaderMap, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use url::{Host, Url};

use crate::app::App;
use crate::caller::Caller;
use crate::keys::Scope;
use crate::links;
use crate::problem::{Code, Problem, Result};

/// Bytes of a query, as sent.
const MAX_QUERY: usize = 4096;

pub(crate) struct Guard {
    /// Only loopback names and `PUBLIC_URL`'s may be asked for.
    local_names_only: bool,
    public_url: Option<Url>,
    cors_origins: Vec<HeaderValue>,
}

pub(crate) async fn guard(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Result<Response> {
    app.guard
        .check(request.method(), request.headers(), links::host(&request))?;
    check_scope(&caller, request.method())?;
    check_query(request.uri().query().unwrap_or_default())?;
    Ok(next.run(request).await)
}

/// A key that may do this (RFC 6750, section 3).
fn check_scope(caller: &Caller, method: &Method) -> Result<()> {
    let wanted = if method.is_safe() {
        Scope::Read
    } else {
        Scope::Write
    };
    let (problem, challenge) = match caller.scope {
        Some(scope) if scope >= wanted => return Ok(()),
        Some(_) => (
            Problem::new(
                Code::InsufficientScope,
                "The key that was sent may only read.",
            ),
            "Bearer realm=\"imagefleet\", error=\"insufficient_scope\", scope=\"write\"",
        ),
        None if caller.tried => (
            Problem::new(
                Code::Unauthorized,
                "The key that was sent is none of this gateway's. Send another one as 'Authorization: Bearer KEY' or 'X-Api-Key: KEY'.",
            ),
            "Bearer realm=\"imagefleet\", error=\"invalid_token\"",
        ),
        None => (
            Problem::new(
                Code::Unauthorized,
                "Send an API key as 'Authorization: Bearer KEY' or 'X-Api-Key: KEY'.",
            ),
            "Bearer realm=\"imagefleet\"",
        ),
    };
    Err(problem.with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge)))
}

/// Whether a name is this machine's own, and no other's.
pub(crate) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    }
}

/// Longer than any client of ours needs; what it holds beyond what is described is ignored.
fn check_query(query: &str) -> Result<()> {
    if query.len() <= MAX_QUERY {
        return Ok(());
    }
    Err(Problem::new(
        Code::QueryTooLong,
        format!("The query is longer than {MAX_QUERY} bytes."),
    ))
}

impl Guard {
    pub(crate) fn new(
        local_names_only: bool,
        public_url: Option<Url>,
        cors_origins: Vec<HeaderValue>,
    ) -> Self {
        Self {
            local_names_only,
            public_url,
            cors_origins,
        }
    }

    fn check(&self, method: &Method, headers: &HeaderMap, host: Option<&str>) -> Result<()> {
        self.check_host(host)?;
        self.check_origin(method, headers, host)
    }

    /// A web site whose name was pointed at a loopback address (DNS rebinding) is of the same origin
    /// for the browser, but its name gives it away.
    fn check_host(&self, host: Option<&str>) -> Result<()> {
        let Some(host) = host.filter(|_| self.local_names_only) else {
            return Ok(());
        };
        let name = Url::parse(&format!("http://{host}/")).ok();
        let name = name.as_ref().and_then(Url::host);
        let local = name.as_ref().is_some_and(is_loopback);
        if local || (name.is_some() && self.public_url.as_ref().and_then(Url::host) == name) {
            Ok(())
        } else {
            Err(Problem::new(
                Code::WrongHost,
                "This gateway answers to loopback names only. Set PUBLIC_URL to the name it is reached by, and API_KEYS.",
            ))
        }
    }

    /// A form on another site can post here without asking first. Browsers then send its origin.
    fn check_origin(&self, method: &Method, headers: &HeaderMap, host: Option<&str>) -> Result<()> {
        let Some(origin) = headers.get(ORIGIN).filter(|_| !method.is_safe()) else {
            return Ok(());
        };
        let text = origin.to_str().unwrap_or_default();
        let own = text
            .split_once("://")
            .is_some_and(|(_, authority)| Some(authority) == host);
        let public = self
            .public_url
            .as_ref()
            .is_some_and(|url| url.origin().ascii_serialization() == text);
        if own || public || self.cors_origins.contains(origin) {
            Ok(())
        } else {
            Err(Problem::new(
                Code::CrossOrigin,
                "Pages of this origin may not change anything here. Add it to CORS_ORIGINS if they should.",
            ))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn local() -> Guard {
        let public = Url::parse("https://images.example.org").unwrap();
        Guard::new(
            true,
            Some(public),
            vec![HeaderValue::from_static("https://friend.example")],
        )
    }

    fn from(origin: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(origin))])
    }

    #[test]
    fn only_loopback_names_and_the_public_one_are_answered() {
        for host in [
            "localhost:5000",
            "127.0.0.1:5000",
            "[::1]:5000",
            "app.localhost",
            "images.example.org",
        ] {
            assert!(local().check_host(Some(host)).is_ok(), "{host}");
        }
        for host in [
            "evil.example:5000",
            "localhost.evil.example",
            "192.168.0.1",
            "",
            "a b",
        ] {
            assert!(local().check_host(Some(host)).is_err(), "{host}");
        }
    }

    #[test]
    fn other_sites_may_read_but_not_write() {
        let host = Some("localhost:5000");
        for origin in [
            "http://localhost:5000",
            "https://images.example.org",
            "https://friend.example",
        ] {
            assert!(
                local()
                    .check_origin(&Method::POST, &from(origin), host)
                    .is_ok(),
                "{origin}"
            );
        }
        for origin in [
            "https://evil.example",
            "null",
            "http://localhost:5001",
            "https://friend.example.evil",
        ] {
            assert!(
                local()
                    .check_origin(&Method::POST, &from(origin), host)
                    .is_err(),
                "{origin}"
            );
            assert!(
                local()
                    .check_origin(&Method::GET, &from(origin), host)
                    .is_ok(),
                "{origin}"
            );
        }
        assert!(
            local()
                .check_origin(&Method::POST, &HeaderMap::new(), host)
                .is_ok()
        );
    }
}
