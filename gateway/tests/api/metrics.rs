//! What an autoscaler and dashboards read: right, or not there.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::HeaderMap;
use contracts::{Cause, streams, subjects};
use gateway::{ApiKey, Scope};
use jetstream::at_schedule;
use secrecy::ExposeSecret as _;
use time::OffsetDateTime;

use crate::seed::{
    accepted, cancelled, failed, file_id, import_id, imported, listed, listing_completed, paused,
    skipped_unchanged,
};
use crate::support::{Fixture, PATIENCE, start, start_with};

/// Every sample, by name and labels.
async fn samples(gateway: &Fixture) -> BTreeMap<String, f64> {
    let answer = gateway.get("/metrics").send().await.unwrap();
    let text = answer.text().await.unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            (sample.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// Wait until each of `expected` is there and has this value.
async fn settled(gateway: &Fixture, expected: &[(&str, f64)]) {
    let what = format!("{expected:?}");
    testkit::until(&what, PATIENCE, || async {
        let samples = samples(gateway).await;
        expected
            .iter()
            .all(|(name, value)| samples.get(*name) == Some(value))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_waits_on_nats_is_counted_apart() {
    let gateway = start().await;
    settled(
        &gateway,
        &[
            ("imagefleet_broker_up", 1.0),
            ("imagefleet_tasks_outstanding", 0.0),
            ("imagefleet_tasks_scheduled", 0.0),
            ("imagefleet_tasks_parked", 0.0),
            ("imagefleet_tasks_oldest_seconds", 0.0),
            (r#"imagefleet_consumer_lag{consumer="workers"}"#, 0.0),
        ],
    )
    .await;

    // Older than any task: a checkpoint, two parked tasks, one of them parked twice, and one that waits
    // for its time, put there twice.
    let nats = gateway.nats();
    let put = async |subject: String, headers: HeaderMap| {
        let put = nats.publish_with_headers(subject, headers, "task".into());
        put.await.unwrap();
    };
    let import = import_id("one");
    put(subjects::checkpoint(&import), HeaderMap::new()).await;
    for n in [1, 1, 2] {
        let mut rollup = HeaderMap::new();
        rollup.insert(async_nats::header::NATS_ROLLUP, "sub");
        put(subjects::parked(&import, &file_id(n)), rollup).await;
    }
    for _ in 0..2 {
        let due = OffsetDateTime::now_utc() + Duration::from_secs(3600);
        let schedule = at_schedule(due, &subjects::task(&import));
        put(subjects::retry(&import, &file_id(3)), schedule).await;
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let begun = std::time::Instant::now();
    for _ in 0..5 {
        put(subjects::task(&import), HeaderMap::new()).await;
    }
    put(subjects::REQUESTS.to_owned(), HeaderMap::new()).await;
    // Two of the tasks are taken, and one of those is settled.
    let consumer: async_nats::jetstream::consumer::PullConsumer = nats
        .context
        .get_consumer_from_stream(streams::WORKERS, streams::TASKS)
        .await
        .unwrap();
    let mut taken = consumer.fetch().max_messages(2).messages().await.unwrap();
    for settle in [true, false] {
        let task = futures::StreamExt::next(&mut taken).await.unwrap().unwrap();
        if settle {
            // Its answer is what is asked for here, and the consumer stays.
            #[allow(clippy::disallowed_methods)]
            task.double_ack().await.unwrap();
        }
    }
    settled(
        &gateway,
        &[
            (r#"imagefleet_consumer_pending{consumer="workers"}"#, 3.0),
            (r#"imagefleet_consumer_unacked{consumer="workers"}"#, 1.0),
            (r#"imagefleet_consumer_lag{consumer="workers"}"#, 4.0),
            (r#"imagefleet_consumer_lag{consumer="producers"}"#, 1.0),
            (r#"imagefleet_consumer_lag{consumer="controllers"}"#, 0.0),
            ("imagefleet_tasks_scheduled", 1.0),
            ("imagefleet_tasks_parked", 2.0),
            ("imagefleet_tasks_outstanding", 7.0),
            (r#"imagefleet_stream_messages{stream="TASKS"}"#, 8.0),
            (r#"imagefleet_stream_messages{stream="IMPORTS"}"#, 1.0),
            (r#"imagefleet_stream_messages{stream="EVENTS"}"#, 0.0),
        ],
    )
    .await;
    let now = samples(&gateway).await;
    let oldest = now["imagefleet_tasks_oldest_seconds"];
    let age = begun.elapsed().as_secs_f64();
    assert!(
        oldest > 0.0 && oldest <= age,
        "{oldest} s, and the first task is {age} s old"
    );
    assert!(now[r#"imagefleet_stream_bytes{stream="TASKS"}"#] > 0.0);
    assert!(now["imagefleet_broker_storage_bytes"] > 0.0);
    assert!(
        !now.contains_key("imagefleet_broker_storage_limit_bytes"),
        "there is none"
    );
}

#[tokio::test]
async fn nothing_old_is_told_while_nats_is_away() {
    let mut gateway = start().await;
    settled(&gateway, &[("imagefleet_tasks_outstanding", 0.0)]).await;
    // Silent, though connected.
    gateway.server.as_ref().unwrap().freeze().unwrap();
    let gone = async |gateway: &Fixture| {
        testkit::until("nothing old is told", PATIENCE, || async {
            let samples = samples(gateway).await;
            let told = |prefix: &str| samples.keys().any(|name| name.starts_with(prefix));
            let away = samples["imagefleet_broker_up"] == 0.0;
            let queue = ["consumer_", "tasks_", "stream_", "broker_storage"]
                .map(|part| told(&format!("imagefleet_{part}")));
            (away && queue == [false; 4]).then_some(())
        })
        .await;
    };
    gone(&gateway).await;
    let opened = samples(&gateway).await;
    assert!(
        opened
            .keys()
            .any(|name| name.starts_with("imagefleet_imports{"))
    );
    let mut server = gateway.server.take().unwrap();
    server.kill().await.unwrap();
    gone(&gateway).await;
    server.restart().await.unwrap();
    settled(
        &gateway,
        &[
            ("imagefleet_broker_up", 1.0),
            ("imagefleet_tasks_outstanding", 0.0),
        ],
    )
    .await;
}

#[tokio::test]
async fn imports_are_counted_and_those_under_way_are_named() {
    let mut gateway = start().await;
    let (one, done, held) = (import_id("one"), import_id("done"), import_id("held"));
    gateway
        .fold(vec![
            accepted(&one),
            listed(&one, 1..=5, &[6]),
            imported(&one, 1),
            imported(&one, 2),
            failed(&one, 3, Cause::NotAnImage),
            // Ended before anybody looked.
            accepted(&done),
            listed(&done, [10], &[]),
            listing_completed(&done),
            skipped_unchanged(&done, 10, 1),
            accepted(&held),
            paused(&held),
        ])
        .await;
    let status = |status: &str| format!("imagefleet_imports{{status=\"{status}\"}}");
    let item = |import: &str, state: &str| {
        format!("imagefleet_import_items{{import=\"{import}\",state=\"{state}\"}}")
    };
    settled(
        &gateway,
        &[
            (&status("processing"), 1.0),
            (&status("paused"), 1.0),
            (&status("completed"), 1.0),
            (&status("failed"), 0.0),
            (&status("cancelled"), 0.0),
            ("imagefleet_images_stored", 2.0),
            ("imagefleet_images_stored_bytes", 2003.0),
            (&item("one", "listed"), 6.0),
            (&item("one", "imported"), 2.0),
            (&item("one", "skipped"), 1.0),
            (&item("one", "failed"), 1.0),
            (r#"imagefleet_import_bytes{import="one"}"#, 2003.0),
            (r#"imagefleet_import_listing{import="one"}"#, 1.0),
            (&item("held", "listed"), 0.0),
        ],
    )
    .await;
    let now = samples(&gateway).await;
    let started = now[r#"imagefleet_import_started_timestamp_seconds{import="one"}"#];
    assert_eq!(started, 20_000.0 * 86_400.0);

    // What ends stays for a while with its last numbers.
    gateway.fold(vec![cancelled(&one)]).await;
    settled(
        &gateway,
        &[
            (&status("cancelled"), 1.0),
            (&item("one", "imported"), 2.0),
            (r#"imagefleet_import_listing{import="one"}"#, 0.0),
        ],
    )
    .await;

    // However many there are, twenty have names: those that changed last.
    let many: Vec<_> = (0..30)
        .map(|n| import_id(&format!("many-{n:02}")))
        .collect();
    gateway.fold(many.iter().map(accepted).collect()).await;
    settled(
        &gateway,
        &[
            (&status("processing"), 30.0),
            (&item("many-29", "listed"), 0.0),
        ],
    )
    .await;
    let now = samples(&gateway).await;
    let named: Vec<_> = now
        .keys()
        .filter(|name| name.starts_with("imagefleet_import_listing{"))
        .collect();
    let expected: Vec<_> = (10..30)
        .map(|n| format!("imagefleet_import_listing{{import=\"many-{n:02}\"}}"))
        .collect();
    assert_eq!(named, expected.iter().collect::<Vec<_>>());

    gateway.hide_tables();
    testkit::until("nothing old is told", PATIENCE, || async {
        let samples = samples(&gateway).await;
        let told = |part| samples.keys().any(|name| name.starts_with(part));
        (!told("imagefleet_import") && !told("imagefleet_images")).then_some(())
    })
    .await;
    gateway.bring_tables_back().await;
    settled(&gateway, &[(&status("processing"), 30.0)]).await;
}

#[tokio::test]
async fn refusals_are_counted_by_reason() {
    let (reader, read) = ApiKey::generate(Scope::Read, Some("grafana")).unwrap();
    let gateway = start_with(|config| {
        config.api_keys = vec![read];
        config.rate_limit = 1;
    })
    .await;
    let refused = |reason: &str| format!("imagefleet_http_refused_total{{reason=\"{reason}\"}}");
    let all = ["rate", "key", "scope", "host", "origin"].map(refused);
    let now = samples(&gateway).await;
    assert!(all.iter().all(|name| now[name] == 0.0), "{now:?}");
    let stats = gateway.get("/api/stats");
    assert_eq!(stats.send().await.unwrap().status(), 401);
    let import = gateway.post_import(&serde_json::json!({}));
    let import = import.bearer_auth(reader.expose_secret());
    assert_eq!(import.send().await.unwrap().status(), 403);
    let foreign = gateway.post_import(&serde_json::json!({}));
    let foreign = foreign.header("origin", "https://evil.example");
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    // Five may come at once.
    let mut often = 0;
    for _ in 0..6 {
        let stats = gateway
            .get("/api/stats")
            .bearer_auth(reader.expose_secret());
        often += u32::from(stats.send().await.unwrap().status() == 429);
    }
    assert!(often > 0);
    let now = samples(&gateway).await;
    let counts = all.map(|name| now[&name]);
    assert_eq!(counts, [f64::from(often), 1.0, 1.0, 0.0, 1.0]);
}
