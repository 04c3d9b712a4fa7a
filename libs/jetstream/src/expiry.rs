//! When the credentials for NATS expire, as far as they say.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use time::PrimitiveDateTime;
use time::macros::format_description;

use crate::NatsConfig;

/// What of a user's JWT matters here.
#[derive(Deserialize)]
struct Claims {
    /// Unix time; absent if it does not expire.
    exp: Option<i64>,
}

impl NatsConfig {
    /// Unix time at which `nats_creds` and `nats_certificate` expire, of those that are set, can be
    /// read, and say so. What cannot be read is told when connecting.
    pub async fn expire(&self) -> Vec<(&'static str, i64)> {
        let creds = expires(self.creds.as_deref(), creds_expire).await;
        let certificate = self
            .identity
            .as_ref()
            .map(|(certificate, _)| &**certificate);
        let certificate = expires(certificate, certificate_expires).await;
        [("nats_creds", creds), ("nats_certificate", certificate)]
            .into_iter()
            .filter_map(|(name, at)| Some((name, at?)))
            .collect()
    }
}

async fn expires(path: Option<&Path>, read: impl Fn(&[u8]) -> Option<i64>) -> Option<i64> {
    read(&tokio::fs::read(path?).await.ok()?)
}

/// The user JWT is the first block of a credentials file.
fn creds_expire(file: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(file).ok()?;
    let lines = text.lines().map(str::trim);
    let jwt = lines
        .skip_while(|line| !line.starts_with("-----BEGIN"))
        .nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    // The server takes 0 for never, too.
    claims.exp.filter(|at| *at > 0)
}

/// Our own certificate comes first, before those of whoever vouches for it.
fn certificate_expires(file: &[u8]) -> Option<i64> {
    let certificate = CertificateDer::from_pem_slice(file).ok()?;
    not_after(&certificate)
}

/// From RFC 5280, section 4.1: a certificate begins with what is signed, and that with a version (tagged
/// 0, and absent in version 1), serial number, algorithm, issuer, and validity: from and until.
fn not_after(certificate: &[u8]) -> Option<i64> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let (_, certificate, _) = element(certificate)?;
    let (_, signed, _) = element(certificate)?;
    let (first, _, after_first) = element(signed)?;
    let mut rest = if first == VERSION {
        after_first
    } else {
        signed
    };
    for _ in ["serial number", "algorithm", "issuer"] {
        (_, _, rest) = element(rest)?;
    }
    let (SEQUENCE, validity, _) = element(rest)? else {
        return None;
    };
    let (_, _, rest) = element(validity)?;
    let (kind, until, _) = element(rest)?;
    let until = std::str::from_utf8(until).ok()?;
    let until = match kind {
        // Two digits of the year: those from 50 on are of the last century.
        UTC_TIME if until >= "50" => format!("19{until}"),
        UTC_TIME => format!("20{until}"),
        GENERALIZED_TIME => until.to_owned(),
        _ => return None,
    };
    let format = format_description!("[year][month][day][hour][minute][second]Z");
    let until = PrimitiveDateTime::parse(&until, format).ok()?;
    Some(until.assume_utc().unix_timestamp())
}

/// The first element of DER: its tag, what it holds, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = der.split_first_chunk()?;
    let (length, rest) = match usize::from(length) {
        short @ 0..=0x7f => (short, rest),
        long => {
            let (digits, rest) = rest.split_at_checked(long - 0x80)?;
            let length = digits.iter().try_fold(0_usize, |sum, digit| {
                sum.checked_mul(256)?.checked_add(usize::from(*digit))
            })?;
            (length, rest)
        }
    };
    let (held, rest) = rest.split_at_checked(length)?;
    Some((tag, held, rest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn creds(claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!(
            "-----BEGIN NATS USER JWT-----\n{}.{}.{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\nSUAM\n------END USER NKEY SEED------\n",
            part(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#),
            part(claims),
            part("signature")
        )
    }

    #[tokio::test]
    async fn what_expires_says_when() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let mut config = NatsConfig::new("nats://127.0.0.1", "test");
        assert_eq!(config.expire().await, []);

        let key = KeyPair::generate().unwrap();
        let certificate = |until| {
            let mut params = CertificateParams::new(["worker".to_owned()]).unwrap();
            params.not_after = until;
            params.self_signed(&key).unwrap().pem()
        };
        let until = rcgen::date_time_ymd(2031, 5, 6);
        config.creds = Some(write("user", &creds(r#"{"sub":"U","exp":1900000000}"#)));
        // It is ours that counts, however soon another expires.
        let chain = certificate(until) + &certificate(rcgen::date_time_ymd(2030, 1, 1));
        config.identity = Some((write("certificate", &chain), write("key", "")));
        let at = until.unix_timestamp();
        assert_eq!(
            config.expire().await,
            [("nats_creds", 1_900_000_000), ("nats_certificate", at)]
        );

        // After 2049 the year has four digits.
        for until in [
            rcgen::date_time_ymd(2077, 1, 2),
            rcgen::date_time_ymd(1999, 1, 2),
        ] {
            let file = certificate(until);
            let at = certificate_expires(file.as_bytes());
            assert_eq!(at, Some(until.unix_timestamp()), "{until}");
        }
    }

    #[tokio::test]
    async fn what_does_not_expire_or_cannot_be_read_is_left_out() {
        for text in [
            creds(r#"{"sub":"U"}"#),
            creds(r#"{"exp":0}"#),
            creds("{"),
            "-----BEGIN NATS USER JWT-----\n".to_owned(),
            String::new(),
        ] {
            assert_eq!(creds_expire(text.as_bytes()), None, "{text}");
            assert_eq!(certificate_expires(text.as_bytes()), None, "{text}");
        }
        // However it is cut off or garbled, it is no reason to panic.
        let der = [
            0x30, 0x82, 0xff, 0xff, 0x30, 0x80, 0xa0, 0x88, 1, 1, 1, 1, 1, 1, 1, 1,
        ];
        for length in 0..der.len() {
            assert_eq!(not_after(&der[..length]), None);
        }
        let mut config = NatsConfig::new("nats://127.0.0.1", "test");
        config.creds = Some("/no/such/file".into());
        assert_eq!(config.expire().await, []);
    }
}
