//! `imagefleet health`: what a container's health check runs, where there is neither shell nor curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use runtime::{ConfigError, Env};

use crate::cli::Health;
use crate::exit::Exit;
use crate::output;

/// A check that hangs is one that fails.
const PATIENCE: Duration = Duration::from_secs(3);

/// Ask whatever role runs on this machine.
pub(crate) async fn run(env: &Env, args: &Health) -> anyhow::Result<Exit> {
    let path = if args.ready { "readyz" } else { "livez" };
    let http = reqwest::Client::builder()
        // A proxy's loopback is another machine's.
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .context("HTTP client")?;
    let mut outcome = None;
    for address in addresses(env)? {
        let Ok(answer) = http.get(format!("http://{address}/{path}")).send().await else {
            // Another role's.
            continue;
        };
        outcome.get_or_insert(Exit::Success);
        if !answer.status().is_success() {
            let status = answer.status();
            let body = answer.text().await.unwrap_or_default();
            output::say(format!("{address}: {status} {}", output::printable(&body)));
            outcome = Some(Exit::Failure);
        }
    }
    Ok(outcome.unwrap_or_else(|| {
        output::say("no role answers on this machine");
        Exit::Unavailable
    }))
}

/// Where each role would answer, by the settings that it reads itself.
fn addresses(env: &Env) -> Result<Vec<SocketAddr>, ConfigError> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let host = match env.get("HOST") {
        Some("localhost") => loopback,
        _ => env.parse_or("HOST", loopback)?,
    };
    let mut all = vec![SocketAddr::new(host, env.parse_or("GATEWAY_PORT", 5000)?)];
    for (name, port) in [
        ("PRODUCER_HEALTH_ADDR", 5001),
        ("PROJECTOR_HEALTH_ADDR", 5002),
        ("WORKER_HEALTH_ADDR", 5004),
    ] {
        all.push(env.parse_or(name, SocketAddr::new(loopback, port))?);
    }
    for address in &mut all {
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(loopback),
            IpAddr::V6(ip) if ip.is_unspecified() => {
                address.set_ip(IpAddr::V6(Ipv6Addr::LOCALHOST));
            }
            _ => {}
        }
    }
    Ok(all)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_role_is_asked_where_it_listens() {
        let env = Env::from_pairs([
            ("HOST", "0.0.0.0"),
            ("GATEWAY_PORT", "80"),
            ("WORKER_HEALTH_ADDR", "[::]:9"),
            ("PRODUCER_HEALTH_ADDR", "10.0.0.1:8"),
        ]);
        let all: Vec<String> = addresses(&env)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            all,
            ["127.0.0.1:80", "10.0.0.1:8", "127.0.0.1:5002", "[::1]:9"]
        );
    }
}
