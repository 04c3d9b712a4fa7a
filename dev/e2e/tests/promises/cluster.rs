//! Three nats-servers by `nats-cluster.conf`, three copies of everything, and an import during which
//! one of them is killed and then another.

use std::time::Duration;

use drive_sim::Faults;
use e2e::{assert_every_byte, bucket, drive};
use jetstream::topology::{self, TopologyConfig};
use serde_json::Value;
use testkit::fleet::{self, ended, ready, submit};
use testkit::{NatsCluster, Process, until};

const DEADLINE: Duration = Duration::from_secs(240);
const IMAGES: usize = 800;

struct Fleet {
    cluster: NatsCluster,
    env: Vec<(String, String)>,
    folder: tempfile::TempDir,
}

impl Fleet {
    fn run(&self, name: &str, role: &str) -> Process {
        let program = fleet::program().unwrap();
        let env = [self.cluster.env_of_role(role), self.env.clone()].concat();
        Process::start(name, &program, &[role], &env, self.folder.path()).unwrap()
    }

    /// `imagefleet setup`, again until the servers have found each other and agree.
    async fn setup(&self) {
        until("the topology is there", DEADLINE, || async {
            let mut setup = self.run("setup", "setup");
            until("setup ends", DEADLINE, || {
                let ended = !setup.is_running();
                async move { ended.then_some(()) }
            })
            .await;
            setup.stop().await.unwrap().success().then_some(())
        })
        .await;
    }
}

async fn status(url: &str, job: &str) -> Value {
    let status = reqwest::get(format!("{url}/api/import/status/{job}")).await;
    status.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_server_may_die_during_an_import() {
    let (drive_env, _sim) = drive(Faults::default()).await;
    let (store_env, store) = bucket("cluster").await;
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("imagefleet.db");
    let settings = [
        ("DATABASE_PATH", database.display().to_string()),
        ("NATS_REPLICAS", "3".to_owned()),
        ("NATS_ACK_WAIT", "5s".to_owned()),
        // Some 30 images a second, so that the import outlasts what happens to it.
        ("DRIVE_QUOTA_UNITS_PER_MINUTE", "360000".to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
        ("GATEWAY_PORT", "0".to_owned()),
        ("PRODUCER_HEALTH_ADDR", "127.0.0.1:0".to_owned()),
        ("PROJECTOR_HEALTH_ADDR", "127.0.0.1:0".to_owned()),
        ("WORKER_HEALTH_ADDR", "127.0.0.1:0".to_owned()),
    ];
    let all = drive_env.into_iter().chain(store_env).chain(settings);
    let mut it = Fleet {
        cluster: NatsCluster::start().await.unwrap(),
        env: all.map(|(name, value)| (name.to_owned(), value)).collect(),
        folder,
    };
    it.setup().await;
    let nats = it.cluster.connect().await.unwrap();
    let told_nothing = || async { topology::setup(&nats, TopologyConfig::default()).await.ok() };
    let kept = until("setup ends again", DEADLINE, told_nothing).await;
    assert_eq!(kept.replicas, 3);
    let running = [
        it.run("projector", "projector"),
        it.run("producer", "producer"),
        it.run("worker-0", "worker"),
        it.run("worker-1", "worker"),
    ];
    let gateway = it.run("gateway", "gateway");
    let address = until("the gateway listens", DEADLINE, || async {
        gateway.log().lines().find_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"] == "gateway listens")
                .then(|| line["address"].as_str().unwrap().to_owned())
        })
    })
    .await;
    let url = format!("http://{address}");
    let http = reqwest::Client::new();
    ready(&http, &url).await.unwrap();
    let job = submit(&http, &url, &format!("sim-n{IMAGES}-s4k"))
        .await
        .unwrap();

    for (stream, from) in [("TASKS", 100), ("EVENTS", 350)] {
        let processed = |at_least: u64| {
            let (url, job) = (url.clone(), job.clone());
            let what = format!("{at_least} images are imported");
            async move {
                until(&what, DEADLINE, || async {
                    let processed = status(&url, &job).await["processed"].as_u64();
                    (processed >= Some(at_least)).then_some(())
                })
                .await;
            }
        };
        processed(from).await;
        let nats = it.cluster.connect().await.unwrap();
        let leader = until("all copies are up to date", DEADLINE, || async {
            NatsCluster::settled_leader(&nats, stream)
                .await
                .ok()
                .flatten()
        })
        .await;
        it.cluster.kill(leader).await.unwrap();
        // With two of three the import goes on.
        processed(from + 100).await;
        it.cluster.restart(leader).await.unwrap();
    }
    let status = ended(&http, &url, &job, DEADLINE).await.unwrap();
    assert_eq!(status["status"], "completed", "{status}");
    assert_eq!(status["total"], IMAGES, "{status}");
    assert_eq!(status["processed"], IMAGES, "{status}");
    assert_every_byte(&url, &store, IMAGES).await;
    for process in running.into_iter().chain([gateway]) {
        let log = process.log();
        assert!(process.stop().await.unwrap().success(), "{log}");
    }
}
