//! Two releases side by side: messages of an older and of a newer one are understood, and every role
//! is replaced during an import without a failure.

use contracts::{Event, EventBody, ImportId, subjects};
use drive_sim::Faults;
use e2e::{assert_every_byte, bucket, drive, events};
use jetstream::Nats;
use serde_json::{Value, json};
use testkit::{Fleet, Process, fleet, until};

use crate::{DEADLINE, ack_wait, status};

const IMAGES: usize = 600;

/// What later releases of this version added; an older one neither writes nor reads it.
const ADDED: [&str; 2] = ["taken_at", "orientation"];

/// The message as a release would have written it that knew less.
fn older(mut message: Value) -> Value {
    if let Some(object) = message["object"].as_object_mut() {
        object.retain(|field, _| !ADDED.contains(&field.as_str()));
    }
    message
}

/// The message as a release would write it that knows more: with a field more in every object. What
/// names one of several kinds by its only field would be another kind.
fn newer(message: Value) -> Value {
    match message {
        Value::Object(fields) => {
            let one_of = fields.contains_key("google_drive");
            let fields = fields.into_iter().map(|(name, value)| (name, newer(value)));
            let more = ("of_a_later_release".to_owned(), json!({"seen": [1, 2]}));
            let more = (!one_of).then_some(more);
            let all = fields.chain(more).collect::<serde_json::Map<_, _>>();
            all.into()
        }
        Value::Array(all) => all.into_iter().map(newer).collect(),
        other => other,
    }
}

/// Publish what became of `original` once more, as if it had become of `echo`.
async fn replay(
    nats: &Nats,
    all: &[Event],
    (original, echo): (&str, &str),
    as_written: fn(Value) -> Value,
) {
    let import: ImportId = echo.parse().unwrap();
    let of_it = all
        .iter()
        .filter(|event| event.import_id.as_str() == original);
    for (n, event) in of_it.enumerate() {
        let message = contracts::encode(event).unwrap();
        let mut message: Value = serde_json::from_slice(&message).unwrap();
        message["import_id"] = json!(echo);
        let subject = subjects::event(&import, event.body.kind());
        let message = serde_json::to_vec(&as_written(message)).unwrap();
        nats.publish(subject, &format!("{echo}.{n}"), message.into())
            .await
            .unwrap();
    }
}

/// Where a gateway listens, by its log.
async fn address(gateway: &Process) -> String {
    let listens = || async {
        gateway.log().lines().find_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let told = line["message"] == "gateway listens";
            told.then(|| format!("http://{}", line["address"].as_str().unwrap()))
        })
    };
    until("the gateway listens", DEADLINE, listens).await
}

/// Wait until `least` more images of the import are done.
async fn grows_by(it: &Fleet, job: &str, least: u64) {
    let processed = || async { status(it, job).await["processed"].as_u64().unwrap() };
    let before = processed().await;
    let grown = || async { (processed().await >= before + least).then_some(()) };
    until("the import goes on", DEADLINE, grown).await;
}

async fn ended_well(old: Process) {
    let log = old.log();
    let ended = old.stop().await.unwrap();
    assert!(ended.success(), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_role_is_replaced_during_an_import() {
    let (drive_env, _sim) = drive(Faults::default()).await;
    let (store_env, store) = bucket("upgrade").await;
    let own = vec![
        // Some 30 images a second, so that the import outlasts what happens to it.
        ("DRIVE_QUOTA_UNITS_PER_MINUTE", "360000".to_owned()),
        ("PRODUCER_WINDOW", "100".to_owned()),
    ];
    let env = [drive_env, store_env, own, ack_wait("5s")].concat();
    let mut it = Fleet::start(&fleet::program().unwrap(), 1, &env)
        .await
        .unwrap();
    let nats = it.nats.connect().await.unwrap();
    let job = it.import(&format!("sim-n{IMAGES}-s2k")).await.unwrap();
    grows_by(&it, &job, 20).await;

    // In the order of the runbook; the new one is there before the old one goes.
    let projector = it.another("projector-new", "projector", &[]).unwrap();
    ended_well(std::mem::replace(&mut it.projector, projector)).await;
    let gateway = it.another("gateway-new", "gateway", &[]).unwrap();
    it.url = address(&gateway).await;
    ended_well(std::mem::replace(&mut it.gateway, gateway)).await;
    fleet::ready(&reqwest::Client::new(), &it.url)
        .await
        .unwrap();
    grows_by(&it, &job, 40).await;
    it.add_worker().unwrap();
    ended_well(it.workers.remove(0)).await;
    grows_by(&it, &job, 40).await;
    let producer = it.another("producer-new", "producer", &[]).unwrap();
    ended_well(std::mem::replace(&mut it.producer, producer)).await;

    // Another system that knows more than this release asks as it does.
    let asked = newer(json!({
        "v": 1,
        "import_id": "asked-newer",
        "source": {"google_drive": {"folder": "sim-n10-s2k-seed9"}},
    }));
    let asked = serde_json::to_vec(&asked).unwrap();
    nats.publish(subjects::REQUESTS.into(), "asked-newer", asked.into())
        .await
        .unwrap();

    let end = it.ended(&job, DEADLINE).await.unwrap();
    let counts =
        |end: &Value| ["status", "total", "imported_count", "failed"].map(|of| end[of].clone());
    let all_well = |images: usize| [json!("completed"), json!(images), json!(images), json!(0)];
    assert_eq!(counts(&end), all_well(IMAGES), "{end}");
    until("the other import is known", DEADLINE, || async {
        (status(&it, "asked-newer").await["status"] == "completed").then_some(())
    })
    .await;
    assert_every_byte(&it.url, &store, IMAGES + 10).await;
    let all: Vec<Event> = events(&it)
        .await
        .into_iter()
        .map(|(_, event)| event)
        .collect();
    let first_time = all.iter().all(|event| match &event.body {
        EventBody::ImageImported { attempt, .. } => *attempt == 1,
        EventBody::ImageRetrying { .. } | EventBody::ImageFailed { .. } => false,
        _ => true,
    });
    assert!(first_time, "a replaced process costs no attempt");

    // What older and newer releases say of an import is folded like what this one says.
    let unheard_of = json!({"v": 1, "import_id": "said-newer", "at": "2026-01-02T03:04:05Z", "kind": "image.admired"});
    let unheard_of = serde_json::to_vec(&unheard_of).unwrap();
    nats.publish(
        "events.said-newer.image.admired".into(),
        "admired",
        unheard_of.into(),
    )
    .await
    .unwrap();
    for (echo, as_written) in [
        ("said-older", older as fn(Value) -> Value),
        ("said-newer", newer),
    ] {
        replay(&nats, &all, (&job, echo), as_written).await;
        let end = until("what was said is folded", DEADLINE, || async {
            let end = status(&it, echo).await;
            (end["status"] == "completed").then_some(end)
        })
        .await;
        assert_eq!(counts(&end), all_well(IMAGES), "{end}");
    }
    it.stop().await.unwrap();
}
