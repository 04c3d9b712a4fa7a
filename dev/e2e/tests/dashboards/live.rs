//! Every panel and every rule on a real fleet, through a real Prometheus.

use std::time::Duration;

use drive_sim::{Faults, MUSEUM};
use e2e::metrics::documented;
use e2e::{bucket, drive};
use serde_json::Value;
use testkit::tools::{find, workspace};
use testkit::{Fleet, Process, Prometheus, fleet, until};

use crate::boards::{boards, label_values};
use crate::structure::{recorded, unknown};

const DEADLINE: Duration = Duration::from_secs(120);

/// A Drive that fails now and then and has a quota, a bucket, and the settings that lead there.
async fn surroundings(name: &str) -> (drive_sim::Server, Vec<(&'static str, String)>) {
    let faults = Faults {
        seed: 3,
        error_500: 0.1,
        quota_units_per_minute: Some(600_000),
        ..Faults::default()
    };
    let (drive_env, sim) = drive(faults).await;
    let (store_env, _store) = bucket(name).await;
    let own = vec![
        ("DRIVE_QUOTA_UNITS_PER_MINUTE", "600000".to_owned()),
        ("WORKER_RETRY_BASE", "100ms".to_owned()),
    ];
    (sim, [drive_env, store_env, own].concat())
}

/// A Prometheus that has seen each target once, so that whatever happens now is an increase.
async fn observe(targets: &[(&str, String)]) -> Prometheus {
    let rules = workspace().join("deploy/prometheus/rules/*.yml");
    let prometheus = Prometheus::start(targets, &rules).await.unwrap();
    until("every target was scraped", DEADLINE, || async {
        let up = prometheus.query("up == 1").await.unwrap();
        (up.len() == targets.len()).then_some(())
    })
    .await;
    prometheus
}

/// Grafana's variables, filled in. Four scrapes are a rate's least interval for it; two minutes leave time
/// to ask for everything before what was done is forgotten.
fn filled_in(expr: &str, variables: &[(String, String)]) -> String {
    let mut expr = expr
        .replace("$__rate_interval", "2m")
        .replace("$__range", "10m");
    for (name, value) in variables {
        expr = expr.replace(&format!("${name}"), value);
    }
    assert!(!expr.contains('$'), "{expr} has another variable");
    expr
}

/// Wait until every query of every panel gives a value while `import` is the one looked at.
async fn assert_every_panel_shows_something(prometheus: &Prometheus, import: &str) {
    let mut asked = 0;
    // That of the import first: two minutes after its end nothing is told of it any more.
    for board in boards().into_iter().rev() {
        let mut variables = Vec::new();
        for variable in &board.variables()[1..] {
            let (metric, label) = label_values(variable).unwrap();
            let name = variable["name"].as_str().unwrap();
            let wanted = variable["current"]["value"].as_str().unwrap_or(import);
            until(&format!("${name} offers {wanted}"), DEADLINE, || async {
                let offered = prometheus
                    .get(&format!("label/{label}/values"), &[("match[]", metric)])
                    .await
                    .unwrap();
                let offered = offered.as_array().unwrap();
                offered.iter().any(|value| value == wanted).then_some(())
            })
            .await;
            variables.push((name.to_owned(), wanted.to_owned()));
        }
        for query in board.queries() {
            let expr = filled_in(&query.expr, &variables);
            let what = format!("{} shows something: {expr}", query.panel);
            until(&what, DEADLINE, || async {
                let series = prometheus.query(&expr).await.unwrap();
                series
                    .iter()
                    .any(|(_, value)| !value.is_nan())
                    .then_some(())
            })
            .await;
            asked += 1;
        }
    }
    assert!(asked > 80, "{asked} queries");
}

/// The sum of what a panel's only query shows now.
async fn shown(prometheus: &Prometheus, panel: &str, import: &str) -> f64 {
    let queries = boards()
        .iter()
        .flat_map(|board| board.queries())
        .collect::<Vec<_>>();
    let query = queries.iter().find(|query| query.panel == panel).unwrap();
    let expr = filled_in(&query.expr, &[("import".to_owned(), import.to_owned())]);
    let series = prometheus.query(&expr).await.unwrap();
    series.iter().map(|(_, value)| value).sum()
}

/// Wait until a panel shows `value`: what it shows is as old as a scrape, and a look before it.
async fn assert_shows(prometheus: &Prometheus, panel: &str, import: &str, value: f64) {
    until(&format!("{panel} shows {value}"), DEADLINE, || async {
        let shown = shown(prometheus, panel, import).await;
        ((shown - value).abs() < f64::EPSILON).then_some(())
    })
    .await;
}

/// Wait until a panel shows more than nothing.
async fn assert_shows_some(prometheus: &Prometheus, panel: &str) {
    until(&format!("{panel} shows some"), DEADLINE, || async {
        (shown(prometheus, panel, "").await > 0.0).then_some(())
    })
    .await;
}

/// Rules can be evaluated on what is really exported, ask for nothing else, and nothing fires.
async fn assert_rules_hold(prometheus: &Prometheus) {
    let (page, recorded) = (documented(), recorded());
    let groups = prometheus.get("rules", &[]).await.unwrap();
    let rules: Vec<&Value> = groups["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .collect();
    assert!(rules.len() > 20, "{rules:#?}");
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule:#}");
        let unknown = unknown(rule["query"].as_str().unwrap(), &page, &recorded);
        assert!(unknown.is_empty(), "{}: {unknown:?}", rule["name"]);
        assert_ne!(rule["state"], "firing", "{rule:#}");
    }
}

/// Import what is strange and what is ordinary; the second import and its status at the end.
async fn import(url: &str) -> (String, Value) {
    let http = reqwest::Client::new();
    let mut last = (String::new(), Value::Null);
    for folder in [MUSEUM, "sim-n400-s10k"] {
        let job = fleet::submit(&http, url, folder).await.unwrap();
        let status = fleet::ended(&http, url, &job, DEADLINE).await.unwrap();
        last = (job, status);
    }
    last
}

async fn assert_panels_are_true(prometheus: &Prometheus, url: &str, job: &str, status: &Value) {
    let imported = status["imported_count"].as_f64().unwrap();
    assert!(imported > 0.0, "{status}");
    assert_shows(
        prometheus,
        "One import / Progress / Imported",
        job,
        imported,
    )
    .await;
    assert_shows(prometheus, "One import / Progress / Settled", job, 1.0).await;
    assert_shows(
        prometheus,
        "One import / Over time / Entries not settled",
        job,
        0.0,
    )
    .await;
    for panel in ["Dead letters by cause", "Attempts that failed by cause"] {
        assert_shows_some(prometheus, &format!("Fleet / Workers / {panel}")).await;
    }
    let stored = e2e::rows(url).await.len() as f64;
    assert_shows(prometheus, "Fleet / Overview / Images stored", job, stored).await;
    assert_shows(prometheus, "Fleet / Overview / Backlog", job, 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dashboards_and_alerts_of_a_cluster() {
    let (_sim, env) = surroundings("cluster-watched").await;
    let program = fleet::program().unwrap();
    let fleet = Fleet::start(&program, 2, &env).await.unwrap();
    let standby = fleet.another("projector-1", "projector", &[]).unwrap();
    let second = fleet.another("gateway-1", "gateway", &[]).unwrap();
    let processes = [&fleet.producer, &fleet.projector, &standby]
        .into_iter()
        .chain(&fleet.workers);
    let mut targets = vec![("imagefleet-gateway", fleet.url.clone())];
    let second_url = until("the second gateway listens", DEADLINE, || async {
        let log = second.log();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut listens = lines.filter(|line| line["message"] == "gateway listens");
        Some(format!("http://{}", listens.next()?["address"].as_str()?))
    })
    .await;
    targets.push(("imagefleet-gateway", second_url));
    for process in processes {
        let url = until("a role listens", DEADLINE, || async {
            process.health_url().ok()
        })
        .await;
        targets.push(("imagefleet-role", url));
    }
    let prometheus = observe(&targets).await;
    let (job, status) = import(&fleet.url).await;
    assert_panels_are_true(&prometheus, &fleet.url, &job, &status).await;
    assert_every_panel_shows_something(&prometheus, &job).await;
    assert_shows(&prometheus, "Fleet / Overview / Processes", &job, 7.0).await;
    assert_rules_hold(&prometheus).await;
    for process in [standby, second] {
        assert!(process.stop().await.unwrap().success());
    }
    fleet.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dashboards_and_alerts_of_one_process() {
    let (_sim, env) = surroundings("up-watched").await;
    let folder = tempfile::tempdir().unwrap();
    let nats_server = find("nats-server").unwrap().display().to_string();
    let own = vec![("NATS_SERVER_BIN", nats_server)];
    let env: Vec<(String, String)> = [env, own]
        .concat()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let data = folder.path().join("data");
    let args = ["up", "--port", "0", "--data", data.to_str().unwrap()];
    let up = Process::start("up", &fleet::program().unwrap(), &args, &env, folder.path()).unwrap();
    let url = until("the page's address is printed", DEADLINE, || async {
        let out = up.out();
        let line = out.lines().find(|line| line.starts_with("http://"))?;
        Some(line.trim_end_matches('/').to_owned())
    })
    .await;
    fleet::ready(&reqwest::Client::new(), &url).await.unwrap();
    let prometheus = observe(&[("imagefleet", url.clone())]).await;
    let (job, status) = import(&url).await;
    assert_panels_are_true(&prometheus, &url, &job, &status).await;
    assert_every_panel_shows_something(&prometheus, &job).await;
    assert_shows(&prometheus, "Fleet / Overview / Processes", &job, 1.0).await;
    assert_rules_hold(&prometheus).await;
    assert!(up.stop().await.unwrap().success());
}
