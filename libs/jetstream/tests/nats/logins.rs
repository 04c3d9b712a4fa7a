//! TLS, client certificates, nkeys and credentials files, on a real server; and what is said when
//! one of them does not do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jetstream::server::{Server, ServerOptions};
use jetstream::{ConnectError, NatsConfig, connect};
use nkeys::KeyPair as Nkey;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use runtime::{Env, Health};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::until;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(60);

/// A folder for certificates and settings, and an authority that signs.
struct Bed {
    folder: TempDir,
    authority: Issuer<'static, KeyPair>,
}

impl Bed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = authority(&folder.path().join("ca.pem"));
        Self { folder, authority }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate for `host` and its key, as `<name>.pem` and `<name>-key.pem`.
    fn certificate(&self, name: &str, host: &str, until: (i32, u8)) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(until.0, until.1, 1);
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}-key.pem")), key.serialize_pem()).unwrap();
    }

    /// A server with JetStream and, in addition, `conf`, where `DIR/` stands for the folder.
    async fn server(&self, conf: &str) -> Server {
        let conf = conf.replace("DIR/", &format!("{}/", self.folder.path().display()));
        let config = self.path("nats.conf");
        std::fs::write(&config, format!("jetstream {{}}\n{conf}")).unwrap();
        Server::start(&ServerOptions {
            program: testkit::tools::find("nats-server").unwrap(),
            config,
            data: self.path("data"),
            port: None,
            env: Vec::new(),
        })
        .await
        .unwrap()
    }

    /// Settings as they would be in the environment; values that begin with `DIR/` are files.
    fn config(&self, server: &Server, settings: &[(&str, &str)]) -> NatsConfig {
        let url = format!("nats://127.0.0.1:{}", server.port().unwrap());
        let env = settings.iter().fold(
            Env::from_pairs([("NATS_URL", url)]),
            |env, (name, value)| {
                let path = value.replace("DIR/", &format!("{}/", self.folder.path().display()));
                env.with(name, path)
            },
        );
        NatsConfig::from_env(&env, "test").unwrap()
    }

    /// What `connect` says with these settings.
    async fn refused(&self, server: &Server, settings: &[(&str, &str)]) -> ConnectError {
        let config = self.config(server, settings);
        let error = connect(&config).await.err().expect("it is refused");
        assert!(!error.is_outage(), "waiting does not help: {error}");
        error
    }
}

fn authority(path: &Path) -> Issuer<'static, KeyPair> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(path, params.self_signed(&key).unwrap().pem()).unwrap();
    Issuer::new(params, key)
}

const TLS: &str = r#"tls { cert_file: "DIR/server.pem", key_file: "DIR/server-key.pem" }"#;
const CA: (&str, &str) = ("NATS_CA_FILE", "DIR/ca.pem");

#[tokio::test]
async fn tls_with_an_authority_of_our_own() {
    let bed = Bed::new();
    bed.certificate("server", "127.0.0.1", (2100, 1));
    let server = bed.server(TLS).await;
    let nats = connect(&bed.config(&server, &[CA])).await.unwrap();
    assert!(nats.client.server_info().tls_required);

    // Nobody the system trusts has signed it.
    let unknown = bed.refused(&server, &[]).await.to_string();
    assert!(unknown.contains("NATS_CA_FILE"), "{unknown}");
    authority(&bed.path("other.pem"));
    let wrong = bed
        .refused(&server, &[("NATS_CA_FILE", "DIR/other.pem")])
        .await;
    assert!(matches!(wrong, ConnectError::Tls { .. }), "{wrong}");
    assert!(wrong.to_string().contains("NATS_CA_FILE"), "{wrong}");

    let missing = bed
        .refused(&server, &[("NATS_CA_FILE", "DIR/none.pem")])
        .await
        .to_string();
    assert!(
        missing.contains("none.pem") && missing.contains("NATS_CA_FILE"),
        "{missing}"
    );
}

#[tokio::test]
async fn a_certificate_for_another_host_or_time_is_refused() {
    for (host, until, advice) in [
        ("other.example", (2100, 1), "another host name"),
        ("127.0.0.1", (2020, 1), "renew it"),
    ] {
        let bed = Bed::new();
        bed.certificate("server", host, until);
        let server = bed.server(TLS).await;
        let error = bed.refused(&server, &[CA]).await;
        assert!(matches!(error, ConnectError::Tls { .. }), "{error}");
        assert!(error.to_string().contains(advice), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_offers_no_tls_is_not_talked_to_in_the_clear() {
    let bed = Bed::new();
    let server = bed.server("").await;
    let config = bed.config(&server, &[CA]);
    assert!(connect(&config).await.is_err());
}

#[tokio::test]
async fn a_certificate_of_ours_for_a_server_that_asks() {
    let bed = Bed::new();
    bed.certificate("server", "127.0.0.1", (2100, 1));
    bed.certificate("worker", "worker", (2100, 1));
    let stranger = Bed::new();
    stranger.certificate("worker", "worker", (2100, 1));
    for file in ["worker.pem", "worker-key.pem"] {
        let to = bed.path(&format!("stranger-{file}"));
        std::fs::copy(stranger.path(file), to).unwrap();
    }
    let conf = TLS.replace('}', r#", ca_file: "DIR/ca.pem", verify: true }"#);
    let server = bed.server(&conf).await;
    let identity = [
        CA,
        ("NATS_CERT_FILE", "DIR/worker.pem"),
        ("NATS_KEY_FILE", "DIR/worker-key.pem"),
    ];
    connect(&bed.config(&server, &identity)).await.unwrap();

    let without = bed.refused(&server, &[CA]).await.to_string();
    assert!(without.contains("NATS_CERT_FILE"), "{without}");
    let strange = [
        CA,
        ("NATS_CERT_FILE", "DIR/stranger-worker.pem"),
        ("NATS_KEY_FILE", "DIR/stranger-worker-key.pem"),
    ];
    let strange = bed.refused(&server, &strange).await.to_string();
    assert!(strange.contains("NATS_CERT_FILE"), "{strange}");
}

#[tokio::test]
async fn an_nkey() {
    let bed = Bed::new();
    let (ours, other) = (Nkey::new_user(), Nkey::new_user());
    let public = ours.public_key();
    for (name, key) in [("ours.nk", &ours), ("other.nk", &other)] {
        std::fs::write(
            bed.path(name),
            format!("# worker\n{}\n", key.seed().unwrap()),
        )
        .unwrap();
    }
    std::fs::write(bed.path("public.nk"), &public).unwrap();
    let conf = format!(
        r#"authorization {{ users = [ {{ nkey: {public}, permissions {{ publish: ["$JS.API.>"], subscribe: ["_INBOX_nk.>"] }} }} ] }}"#
    );
    let server = bed.server(&conf).await;
    let settings = [
        ("NATS_NKEY_FILE", "DIR/ours.nk"),
        ("NATS_INBOX_PREFIX", "_INBOX_nk"),
    ];
    let nats = connect(&bed.config(&server, &settings)).await.unwrap();
    // Answers arrive, so the inbox is the one that was granted.
    nats.context.query_account().await.unwrap();
    let denied = nats
        .publish("imports.requests".into(), "1", "{}".into())
        .await;
    let denied = denied.unwrap_err().to_string();
    assert!(denied.contains("the login in NATS_NKEY_FILE"), "{denied}");

    let error = bed
        .refused(&server, &[("NATS_NKEY_FILE", "DIR/other.nk")])
        .await;
    assert!(matches!(error, ConnectError::Denied { .. }), "{error}");
    assert!(!format!("{error:?}").contains(&other.seed().unwrap()));
    let error = bed
        .refused(&server, &[("NATS_NKEY_FILE", "DIR/public.nk")])
        .await;
    assert!(error.to_string().contains("NATS_NKEY_FILE"), "{error}");
}

/// A signed token (what `nsc` makes).
fn token(
    signer: &Nkey,
    subject: &str,
    expires: Option<i64>,
    mut nats: Value,
    kind: &str,
) -> String {
    nats["type"] = kind.into();
    nats["version"] = 2.into();
    let mut claims = json!({
        "jti": "x", "iat": 1, "iss": signer.public_key(), "name": "test", "sub": subject, "nats": nats,
    });
    if let Some(expires) = expires {
        claims["exp"] = expires.into();
    }
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = signer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Operator, account and their server.
struct Accounts {
    bed: Bed,
    account: Nkey,
    server: Server,
}

impl Accounts {
    async fn start() -> Self {
        let bed = Bed::new();
        let (operator, account, system) = (
            Nkey::new_operator(),
            Nkey::new_account(),
            Nkey::new_account(),
        );
        let limits = json!({"limits": {
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
            "conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
        }});
        let of = |key: &Nkey| {
            token(
                &operator,
                &key.public_key(),
                None,
                limits.clone(),
                "account",
            )
        };
        let conf = format!(
            "operator: {}\nsystem_account: {system}\nresolver: MEMORY\nresolver_preload: {{ {}: {}, {system}: {} }}",
            token(
                &operator,
                &operator.public_key(),
                None,
                json!({}),
                "operator"
            ),
            account.public_key(),
            of(&account),
            token(
                &operator,
                &system.public_key(),
                None,
                json!({"limits": {
                    "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
                    "conn": -1, "leaf": -1,
                }}),
                "account"
            ),
            system = system.public_key(),
        );
        let server = bed.server(&conf).await;
        Self {
            bed,
            account,
            server,
        }
    }

    /// Write a credentials file that holds until then.
    fn credentials(&self, name: &str, expires: Option<i64>) {
        let user = Nkey::new_user();
        let permissions = json!({"subs": -1, "data": -1, "payload": -1});
        let jwt = token(
            &self.account,
            &user.public_key(),
            expires,
            permissions,
            "user",
        );
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            user.seed().unwrap()
        );
        std::fs::write(self.bed.path(name), text).unwrap();
    }
}

#[tokio::test]
async fn a_credentials_file() {
    let it = Accounts::start().await;
    it.credentials("user.creds", None);
    it.credentials("expired.creds", Some(1_000_000_000));
    let config = it
        .bed
        .config(&it.server, &[("NATS_CREDS", "DIR/user.creds")]);
    connect(&config).await.unwrap();

    let error = it
        .bed
        .refused(&it.server, &[("NATS_CREDS", "DIR/expired.creds")])
        .await;
    assert!(matches!(error, ConnectError::Denied { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("expired") && text.contains("the login in NATS_CREDS"),
        "{text}"
    );
    let error = it
        .bed
        .refused(&it.server, &[("NATS_CREDS", "DIR/nats.conf")])
        .await;
    assert!(error.to_string().contains("NATS_CREDS"), "{error}");
}

#[tokio::test]
async fn a_login_that_expires_under_way_shows_in_health() {
    let it = Accounts::start().await;
    let soon = OffsetDateTime::now_utc().unix_timestamp() + 3;
    it.credentials("user.creds", Some(soon));
    let config = it
        .bed
        .config(&it.server, &[("NATS_CREDS", "DIR/user.creds")]);
    let (health, stop) = (Health::new("test"), CancellationToken::new());
    let nats = jetstream::connect_when_up(&config, &health, &stop)
        .await
        .unwrap()
        .unwrap();
    until("health says that it has expired", DEADLINE, || async {
        let missing = health.missing();
        missing
            .values()
            .any(|why| why.contains("has expired"))
            .then_some(())
    })
    .await;
    drop(nats);
}
