//! Traces: an image is followed from the request to the tables, across every process; nothing is sent
//! unless configured; and a collector that is away costs nothing but its spans.

use std::collections::BTreeMap;

use drive_sim::Faults;
use e2e::{bucket, drive, events_with_headers};
use serde_json::{Value, json};
use testkit::{Collector, Fleet, Span, fleet, until};

use crate::DEADLINE;

const IMAGES: usize = 40;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// Submit as a client that traces: the job id.
async fn import(it: &Fleet) -> String {
    let response = reqwest::Client::new()
        .post(format!("{}/api/import/google-drive", it.url))
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
        .header("tracestate", "theirs=1")
        .json(&json!({"folder_url": format!("sim-n{IMAGES}-s2k")}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 202);
    let accepted: Value = response.json().await.unwrap();
    accepted["job_id"].as_str().unwrap().to_owned()
}

/// Spans are sent every 200 ms instead of every 5 s.
fn soon() -> (&'static str, String) {
    ("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned())
}

/// The spans of our trace, by id.
type Trace = BTreeMap<String, Span>;

/// The span's name and those of all above it, up to the caller's.
fn line(trace: &Trace, span: &Span) -> Vec<String> {
    let mut names = vec![span.name.clone()];
    let mut at = span;
    while at.parent != CALLER {
        at = &trace[&at.parent];
        names.push(at.name.clone());
    }
    names
}

#[track_caller]
fn assert_said(span: &Span, expected: &Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(
            span.attributes.get(name),
            Some(value),
            "{name} of {span:#?}"
        );
    }
}

/// The lines of a log that belong to our trace.
fn traced(log: &str) -> Vec<Value> {
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["trace_id"] == TRACE)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_is_followed_from_the_request_to_the_tables() {
    // Some images fail at first, and are retried.
    let faults = Faults {
        error_500: 0.15,
        ..Faults::default()
    };
    let (drive_env, _sim) = drive(faults).await;
    let (store_env, _store) = bucket("traces").await;
    let collector = Collector::start().await.unwrap();
    let own = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url().to_owned()),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Bearer%20for-the-collector".to_owned(),
        ),
        ("WORKER_RETRY_BASE", "100ms".to_owned()),
        soon(),
    ];
    let env = [drive_env, store_env, own].concat();
    let it = Fleet::start(&fleet::program().unwrap(), 2, &env)
        .await
        .unwrap();
    let job = import(&it).await;
    let status = it.ended(&job, DEADLINE).await.unwrap();
    assert_eq!(status["processed"], IMAGES, "{status}");

    let of_kind = |spans: &Trace, name: &str| -> Vec<Span> {
        spans
            .values()
            .filter(|span| span.name == name)
            .cloned()
            .collect()
    };
    let trace = until("every span has arrived", DEADLINE, || async {
        let spans = collector
            .spans()
            .into_iter()
            .filter(|span| span.trace == TRACE);
        let spans: Trace = spans.map(|span| (span.id.clone(), span)).collect();
        let folded: i64 = of_kind(&spans, "process events.>")
            .iter()
            .map(|fold| {
                fold.attributes["messaging.batch.message_count"]
                    .as_i64()
                    .unwrap()
            })
            .sum();
        let published = of_kind(&spans, "publish events.>").len();
        let imported = of_kind(&spans, "process images.tasks.*")
            .iter()
            .filter(|task| task.attributes.get("outcome") == Some(&json!("imported")))
            .count();
        let listed = !of_kind(&spans, "process imports.requests").is_empty();
        let asked = ["publish imports.requests", "POST /api/import/google-drive"];
        let asked = asked.iter().all(|name| !of_kind(&spans, name).is_empty());
        let folded = folded == i64::try_from(published).unwrap();
        let all = asked && listed && imported == IMAGES && folded;
        all.then_some(spans)
    })
    .await;

    // From the tables back to the caller.
    let request = ["publish imports.requests", "POST /api/import/google-drive"];
    let image = [
        "process events.>",
        "publish events.>",
        "process images.tasks.*",
        "publish images.tasks.*",
        "process imports.requests",
    ];
    let folds = of_kind(&trace, "process events.>");
    let whole = [&image[..], &request[..]].concat();
    assert!(
        folds.iter().any(|fold| line(&trace, fold) == whole),
        "{folds:#?}"
    );
    let linked = folds.iter().flat_map(|fold| &fold.links).count();
    assert_eq!(
        linked,
        of_kind(&trace, "publish events.>").len(),
        "each event is linked"
    );

    // Every step of every image is there, under its own parent.
    for name in ["download", "upload"] {
        let steps = of_kind(&trace, name);
        let well = steps.iter().filter(|step| step.failed.is_none());
        assert_eq!(well.count(), IMAGES, "{name}");
        for step in &steps {
            assert_eq!(trace[&step.parent].name, "process images.tasks.*");
            let within = trace[&step.parent].time;
            assert!(
                within.0 <= step.time.0 && step.time.1 <= within.1,
                "{step:#?}"
            );
        }
    }

    // A retry goes on in the same trace, from the attempt that failed.
    let retried: Vec<Span> = of_kind(&trace, "process images.tasks.*")
        .into_iter()
        .filter(|task| task.attributes.get("attempt") == Some(&json!(2)))
        .collect();
    assert!(!retried.is_empty(), "nothing was retried: {status}");
    for second in &retried {
        let copy = &trace[&second.parent];
        assert_eq!(copy.name, "publish images.retries.*.*");
        let first = &trace[&copy.parent];
        assert_said(first, &json!({"attempt": 1, "outcome": "retrying"}));
        assert_eq!(first.failed.as_deref(), Some("drive_unavailable"));
        assert_eq!(first.attributes["image.id"], second.attributes["image.id"]);
        let asked = trace.values().find(|span| {
            let within = trace
                .get(&span.parent)
                .is_some_and(|above| above.parent == first.id);
            within && span.name == "GET /drive/v3/files/{fileId}"
        });
        assert_said(asked.unwrap(), &json!({"http.response.status_code": 500}));
    }

    // Named as the conventions have it, by whom they are.
    let served = &of_kind(&trace, "POST /api/import/google-drive")[0];
    assert_eq!(
        (served.kind.as_str(), served.service.as_str()),
        ("SERVER", "imagefleet-gateway")
    );
    assert_said(
        served,
        &json!({
            "http.request.method": "POST",
            "http.route": "/api/import/google-drive",
            "http.response.status_code": 202,
        }),
    );
    let listing = &of_kind(&trace, "process imports.requests")[0];
    assert_eq!(
        (listing.kind.as_str(), listing.service.as_str()),
        ("CONSUMER", "imagefleet-producer")
    );
    assert_said(
        listing,
        &json!({
            "messaging.system": "nats",
            "messaging.operation.type": "process",
            "messaging.destination.name": "imports.requests",
            "messaging.consumer.group.name": "producers",
            "messaging.message.id": job,
            "import.id": job,
        }),
    );
    let queued = &of_kind(&trace, "publish images.tasks.*")[0];
    assert_eq!(
        (queued.kind.as_str(), queued.service.as_str()),
        ("PRODUCER", "imagefleet-producer")
    );
    assert_said(
        queued,
        &json!({
            "messaging.operation.type": "send",
            "messaging.destination.name": format!("images.tasks.{job}"),
            "messaging.destination.template": "images.tasks.*",
            "messaging.batch.message_count": IMAGES,
        }),
    );
    let worked = &of_kind(&trace, "process images.tasks.*")[0];
    assert_eq!(
        (worked.kind.as_str(), worked.service.as_str()),
        ("CONSUMER", "imagefleet-worker")
    );
    assert_eq!(folds[0].service, "imagefleet-projector");

    // The logs name the trace, and the step.
    assert!(
        traced(&it.gateway.log())
            .iter()
            .any(|line| line["message"] == "import accepted")
    );
    assert!(
        traced(&it.producer.log())
            .iter()
            .any(|line| line["message"] == "nothing is left to list")
    );
    let retrying: Vec<Value> = it
        .workers
        .iter()
        .flat_map(|worker| traced(&worker.log()))
        .filter(|line| line["message"] == "image failed; retrying")
        .collect();
    let failed = of_kind(&trace, "process images.tasks.*").into_iter();
    let failed = failed.filter(|task| task.attributes.get("outcome") == Some(&json!("retrying")));
    assert_eq!(retrying.len(), failed.count());
    for line in retrying {
        let step = &trace[line["span_id"].as_str().unwrap()];
        assert_eq!(step.name, "process images.tasks.*");
        assert_eq!(step.attributes["image.id"], line["image.id"]);
    }

    // The collector is told its password, and nobody else's.
    let headers = collector.headers();
    assert!(
        headers
            .iter()
            .all(|all| all["authorization"] == "Bearer for-the-collector")
    );
    let told = format!("{:?}", collector.spans());
    assert!(!told.contains("for-the-collector"));
    let secrets = env.iter().filter(|(name, _)| name.contains("KEY"));
    assert!(secrets.clone().count() >= 3);
    for (name, secret) in secrets {
        assert!(!told.contains(secret), "{name}");
    }
    // Probes, and what the fleet does by itself, are no traces.
    let spans = collector.spans();
    let roots = spans.iter().filter(|span| span.parent.is_empty());
    for root in roots {
        let api = root.kind == "SERVER" && root.name.contains(" /api/");
        assert!(api, "{root:#?}");
    }
    it.stop().await.unwrap();
}

/// The queue is short, so a page goes out in many batches: what is recorded goes by images.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_import_is_recorded_in_part() {
    const MANY: u64 = 1_500;
    let (drive_env, _sim) = drive(Faults::default()).await;
    let (store_env, _store) = bucket("large-trace").await;
    let collector = Collector::start().await.unwrap();
    let own = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url().to_owned()),
        soon(),
    ];
    let env = [drive_env, store_env, own].concat();
    let it = Fleet::start(&fleet::program().unwrap(), 1, &env)
        .await
        .unwrap();
    let job = it.import(&format!("sim-n{MANY}-s1k")).await.unwrap();
    let status = it.ended(&job, DEADLINE).await.unwrap();
    assert_eq!(status["processed"], MANY, "{status}");
    let expected = (0..MANY)
        .filter(|n| runtime::trace::is_recorded(*n))
        .count();
    let recorded = || {
        let spans = collector.spans().into_iter();
        spans
            .filter(|span| span.name == "process images.tasks.*")
            .count()
    };
    let arrived = || async { (recorded() >= expected).then_some(()) };
    until("what is recorded has arrived", DEADLINE, arrived).await;
    it.stop().await.unwrap();
    assert_eq!(recorded(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_collector_a_trace_is_only_passed_on() {
    let (drive_env, _sim) = drive(Faults::default()).await;
    let (store_env, _store) = bucket("untraced").await;
    let env = [drive_env, store_env].concat();
    let it = Fleet::start(&fleet::program().unwrap(), 1, &env)
        .await
        .unwrap();
    let headers = async |job: &str, name: &str| -> Vec<Option<String>> {
        let all = events_with_headers(&it).await.into_iter();
        all.filter(|(_, event, _)| event.import_id.as_str() == job)
            .map(|(_, _, headers)| headers.get(name).map(ToString::to_string))
            .collect()
    };

    let plain = it.import("sim-n5-s2k").await.unwrap();
    it.ended(&plain, DEADLINE).await.unwrap();
    let told = headers(&plain, "traceparent").await;
    assert!(
        told.len() > 5 && told.iter().all(Option::is_none),
        "{told:?}"
    );

    let traced_job = import(&it).await;
    it.ended(&traced_job, DEADLINE).await.unwrap();
    for (name, as_it_came) in [
        ("traceparent", format!("00-{TRACE}-{CALLER}-01")),
        ("tracestate", "theirs=1".to_owned()),
    ] {
        let told = headers(&traced_job, name).await;
        let all = told.iter().all(|told| told.as_ref() == Some(&as_it_came));
        assert!(told.len() > IMAGES && all, "{name}: {told:?}");
    }
    assert!(
        traced(&it.producer.log())
            .iter()
            .any(|line| line["import.id"] == traced_job.as_str())
    );
    it.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_costs_nothing_but_spans() {
    let (drive_env, _sim) = drive(Faults::default()).await;
    let (store_env, _store) = bucket("collector-away").await;
    let collector = Collector::start().await.unwrap();
    collector.refuse(true);
    let own = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url().to_owned()),
        soon(),
    ];
    let env = [drive_env, store_env, own].concat();
    let it = Fleet::start(&fleet::program().unwrap(), 1, &env)
        .await
        .unwrap();
    for _ in 0..2 {
        let before = collector.refused("imagefleet-worker");
        let job = import(&it).await;
        let status = it.ended(&job, DEADLINE).await.unwrap();
        assert_eq!(status["failed"], 0, "{status}");
        let refused = || async { (collector.refused("imagefleet-worker") > before).then_some(()) };
        until("spans are refused", DEADLINE, refused).await;
    }
    let said = |what: &str| it.workers[0].log().matches(what).count();
    assert_eq!(
        said("does not take spans"),
        1,
        "once, however often it is tried"
    );

    collector.refuse(false);
    let job = import(&it).await;
    it.ended(&job, DEADLINE).await.unwrap();
    until("spans arrive", DEADLINE, || async {
        let of_worker = |span: &Span| span.service == "imagefleet-worker";
        let arrived = collector.spans().iter().any(of_worker);
        (arrived && said("takes spans again") == 1).then_some(())
    })
    .await;
    it.stop().await.unwrap();
}
