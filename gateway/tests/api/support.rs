//! One gateway of a test's own, on a free port.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use contracts::{Event, streams};
use gateway::{Config, Gateway, Limits};
use jetstream::{Nats, NatsConfig};
use prometheus::Registry;
use read_model::{ReadModel, ReadModelConfig};
use reqwest::{Client, RequestBuilder, Response};
use runtime::Health;
use serde_json::Value;
use storage::{Store, StoreConfig};
use tempfile::TempDir;
use testkit::NatsServer;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const FOLDER: &str = "https://drive.google.com/drive/folders/1AbC-dEf_GhIjKlMnOpQ";

pub(crate) struct Fixture {
    pub(crate) server: Option<NatsServer>,
    nats: OnceLock<Nats>,
    pub(crate) model: Option<ReadModel>,
    folded: u64,
    pub(crate) store: Store,
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: JoinHandle<anyhow::Result<()>>,
    dir: TempDir,
}

/// Everything there, every setting at its default.
pub(crate) async fn start() -> Fixture {
    start_with(|_| {}).await
}

/// Everything there.
pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Fixture {
    let (server, nats) = Box::pin(NatsServer::start_with_topology()).await.unwrap();
    let mut fixture = Box::pin(start_against(
        server.config_of(jetstream::User::Gateway),
        change,
    ))
    .await;
    fixture.server = Some(server);
    fixture.nats.set(nats).ok().unwrap();
    fixture.make_tables().await;
    fixture.wait_ready().await;
    fixture
}

/// No database yet, and NATS wherever `nats` says.
pub(crate) async fn start_against(nats: NatsConfig, change: impl FnOnce(&mut Config)) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let store_config = StoreConfig::Local {
        root: dir.path().join("bucket"),
    };
    let mut config = Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        public_url: None,
        storage_public_url: None,
        cors_origins: Vec::new(),
        api_keys: Vec::new(),
        allow_anonymous: false,
        rate_limit: 0,
        trusted_proxies: 0,
        read_model: ReadModelConfig::sqlite(dir.path().join("read-model.db")),
        store: store_config.clone(),
        delivery: gateway::Delivery::Stream,
        nats,
        limits: Limits::default(),
    };
    change(&mut config);
    let gateway = Box::pin(Gateway::bind(
        config,
        Registry::new(),
        Health::new("gateway"),
    ))
    .await
    .unwrap();
    let address = gateway.local_addr();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(gateway.serve(stop.clone()));
    Fixture {
        server: None,
        nats: OnceLock::new(),
        model: None,
        folded: 0,
        store: Store::open(store_config).await.unwrap(),
        address,
        client: Client::builder().no_proxy().build().unwrap(),
        stop,
        serving,
        dir,
    }
}

impl Fixture {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    pub(crate) fn post_import(&self, body: &Value) -> RequestBuilder {
        self.client
            .post(self.url("/api/import/google-drive"))
            .json(body)
    }

    /// The JSON of a 200.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let response = self.get(path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }

    pub(crate) fn nats(&self) -> &Nats {
        self.nats.get().unwrap()
    }

    pub(crate) async fn make_tables(&mut self) {
        let path = self.dir.path().join("read-model.db");
        self.model = Some(ReadModel::open_sqlite(&path).await.unwrap());
    }

    /// Take the tables away, as when a disk is gone.
    pub(crate) fn hide_tables(&mut self) {
        self.model = None;
        for companion in ["", "-wal", "-shm"] {
            let from = self.dir.path().join(format!("read-model.db{companion}"));
            let to = self.dir.path().join(format!("hidden.db{companion}"));
            if from.exists() {
                std::fs::rename(from, to).unwrap();
            }
        }
    }

    /// Fold while nobody can see it.
    pub(crate) async fn fold_hidden(&mut self, events: Vec<Event>) {
        let hidden = ReadModel::open_sqlite(&self.dir.path().join("hidden.db")).await;
        self.model = Some(hidden.unwrap());
        self.fold(events).await;
        self.model = None;
    }

    /// The reverse of [`Self::hide_tables`].
    pub(crate) async fn bring_tables_back(&mut self) {
        for companion in ["-wal", "-shm", ""] {
            let from = self.dir.path().join(format!("hidden.db{companion}"));
            let to = self.dir.path().join(format!("read-model.db{companion}"));
            if from.exists() {
                std::fs::rename(from, to).unwrap();
            }
        }
        self.make_tables().await;
    }

    pub(crate) async fn fold(&mut self, events: Vec<Event>) {
        let first = self.folded + 1;
        let last = self.folded + events.len() as u64;
        let model = self.model.as_ref().unwrap();
        model
            .fold(
                read_model::CHECKPOINT,
                self.folded,
                (first..).zip(events).collect(),
                last,
            )
            .await
            .unwrap();
        self.folded = last;
    }

    pub(crate) async fn wait_ready(&self) {
        testkit::until("the gateway is ready", PATIENCE, || async {
            let answer = self.get("/readyz").send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// Messages in a stream: subject, `Nats-Msg-Id` and payload.
    pub(crate) async fn messages(&self, stream: &str) -> Vec<(String, String, Vec<u8>)> {
        let stream = self.nats().context.get_stream(stream).await.unwrap();
        let state = stream.get_info().await.unwrap().state;
        let mut found = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            if let Ok(message) = stream.get_raw_message(sequence).await {
                let id = message.headers.get("Nats-Msg-Id").map(ToString::to_string);
                found.push((
                    message.subject.to_string(),
                    id.unwrap_or_default(),
                    message.payload.to_vec(),
                ));
            }
        }
        found
    }

    pub(crate) async fn record(&self, key: &str) -> Option<Vec<u8>> {
        let bucket = self
            .nats()
            .context
            .get_key_value(streams::SUBMISSIONS)
            .await
            .unwrap();
        bucket.get(key).await.unwrap().map(Into::into)
    }
}

/// Asserts that `response` is a problem of this status and code, whole in every field.
pub(crate) async fn problem(response: Response, status: u16, code: &str) -> Value {
    assert_eq!(response.status(), status, "{code}");
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let request_id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let retry = response.headers().contains_key("retry-after");
    let later = matches!(status, 429 | 503);
    assert_eq!(retry, later, "Retry-After belongs to 429 and 503");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["code"], code, "{body}");
    assert_eq!(body["type"], format!("/problems/{code}"));
    assert_eq!(body["status"], status);
    assert_eq!(body["request_id"], request_id);
    assert_eq!(body["error"], body["detail"]);
    assert!(!body["title"].as_str().unwrap().is_empty());
    assert!(!body["detail"].as_str().unwrap().is_empty());
    body
}
