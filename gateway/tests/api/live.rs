use std::time::{Duration, Instant};

use contracts::Cause;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

use crate::events::Events;
use crate::seed::{
    accepted, failed, import_failed, import_id, imported, listed, listing_completed, paused,
};
use crate::support::{FOLDER, Fixture, PATIENCE, problem, start, start_with};

pub(crate) const QUIET: Duration = Duration::from_millis(900);

pub(crate) async fn follow(gateway: &Fixture, path: &str) -> Events {
    Events::open(gateway.get(path)).await
}

async fn resume(gateway: &Fixture, path: &str, last: &str) -> Events {
    Events::open(gateway.get(path).header("last-event-id", last)).await
}

async fn streams(gateway: &Fixture) -> u64 {
    let text = gateway
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("imagefleet_http_streams "));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

async fn until_streams(gateway: &Fixture, wanted: u64) {
    testkit::until(&format!("{wanted} streams are open"), PATIENCE, || async {
        (streams(gateway).await == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_import_is_followed_to_its_end() {
    let mut gateway = start().await;
    let one = import_id("one");
    gateway
        .fold(vec![accepted(&one), listed(&one, 1..=2, &[])])
        .await;
    let mut events = follow(&gateway, "/api/imports/one/events").await;
    let first = events.next().await.unwrap();
    assert_eq!(events.retry.as_deref(), Some("2000"));
    assert_eq!(
        (first.name.as_str(), first.id.as_deref()),
        ("import", Some("2"))
    );
    assert_eq!(first.data, gateway.json("/api/imports/one").await);

    gateway.fold(vec![imported(&one, 1)]).await;
    let second = events.next().await.unwrap();
    assert_eq!(second.data["imported_count"], 1);
    assert_eq!(second.data, gateway.json("/api/imports/one").await);
    // Others are no concern of this stream.
    gateway.fold(vec![accepted(&import_id("two"))]).await;
    events.is_quiet(QUIET).await;

    gateway
        .fold(vec![listing_completed(&one), imported(&one, 2)])
        .await;
    let last = events.next().await.unwrap();
    assert_eq!(last.data["status"], "completed");
    let end = events.next().await.unwrap();
    assert_eq!(
        (end.name.as_str(), &end.data),
        ("end", &json!({ "status": "completed" }))
    );
    assert_eq!(events.next().await, None);

    // Final from the first.
    let mut events = follow(&gateway, "/api/imports/one/events").await;
    assert_eq!(events.next().await.unwrap(), last);
    assert_eq!(events.next().await.unwrap(), end);
    assert_eq!(events.next().await, None);
    let mut events = resume(&gateway, "/api/imports/one/events", &last.id.unwrap()).await;
    assert_eq!(events.next().await.unwrap(), end);
    assert_eq!(events.next().await, None);
    until_streams(&gateway, 0).await;
}

#[tokio::test]
async fn an_import_is_followed_from_its_submission_on() {
    let mut gateway = start().await;
    let post = gateway.post_import(&json!({ "folder_url": FOLDER }));
    let answer: Value = post.send().await.unwrap().json().await.unwrap();
    let id = answer["job_id"].as_str().unwrap();
    let path = format!("/api/imports/{id}");
    let known = gateway.json(&path).await;
    assert_eq!(
        (&known["id"], &known["status"]),
        (&json!(id), &json!("processing"))
    );
    let failures = gateway.json(&format!("{path}/failures")).await;
    assert_eq!(
        (&failures["failed"], &failures["failures"]),
        (&json!(0), &json!([]))
    );
    let items = gateway.json(&format!("{path}/items")).await;
    assert_eq!(items, json!({ "items": [], "next_cursor": null }));
    let mut events = follow(&gateway, &format!("{path}/events")).await;
    assert_eq!(events.next().await.unwrap().data, known);
    gateway.fold(vec![accepted(&import_id(id))]).await;
    let next = events.next().await.unwrap();
    assert_eq!(next.data["folder_name"], "Holidays");
}

#[tokio::test]
async fn what_is_unknown_cannot_be_followed() {
    let gateway = start().await;
    for path in [
        "/api/imports/none/events",
        "/api/imports/No!/events",
        "/api/imports/%ff/events",
    ] {
        problem(gateway.get(path).send().await.unwrap(), 404, "not_found").await;
    }
    assert_eq!(streams(&gateway).await, 0);
}

#[tokio::test]
async fn everything_is_followed_by_what_changes() {
    let mut gateway = start().await;
    let [one, two, done] = ["one", "two", "done"].map(import_id);
    gateway
        .fold(vec![
            accepted(&two),
            import_failed(&done),
            accepted(&one),
            paused(&two),
        ])
        .await;
    let mut events = follow(&gateway, "/api/events").await;
    // What is not final, the earliest change first; and the overview.
    let mut first = Vec::new();
    let mut overview = None;
    while first.len() < 2 || overview.is_none() {
        let event = events.next().await.unwrap();
        match event.name.as_str() {
            "import" => first.push(event),
            "overview" => overview = Some(event),
            other => panic!("{other}"),
        }
    }
    let ids: Vec<_> = first
        .iter()
        .map(|event| (event.data["id"].clone(), event.id.clone()))
        .collect();
    assert_eq!(
        ids,
        [
            (json!("one"), Some("3".into())),
            (json!("two"), Some("4".into()))
        ]
    );
    assert_eq!(first[0].data, gateway.json("/api/imports/one").await);
    assert_eq!(overview.unwrap().id, None);

    gateway.fold(vec![imported(&one, 1)]).await;
    let change = events.next_named("import").await;
    assert_eq!(
        (&change.data["id"], change.id.as_deref()),
        (&json!("one"), Some("5"))
    );
    let overview = events
        .until("overview", |data| data["stats"]["total_images"] == 1)
        .await;
    assert_eq!(
        overview.data["imports"],
        gateway.json("/api/overview").await["imports"]
    );

    // Who has everything is told nothing twice; who missed something is told that, final or not.
    let mut current = resume(&gateway, "/api/events", "5").await;
    current.is_quiet(QUIET).await;
    gateway.fold(vec![import_failed(&one)]).await;
    for events in [&mut events, &mut current] {
        let change = events.next_named("import").await;
        assert_eq!(change.data["status"], "failed");
    }
    let mut late = resume(&gateway, "/api/events", "5").await;
    assert_eq!(late.next_named("import").await.data["id"], "one");
    late.is_quiet(QUIET).await;
    // What is no place of ours begins at the beginning.
    for last in ["nonsense", "999999", "-1", ""] {
        let mut anew = resume(&gateway, "/api/events", last).await;
        assert_eq!(anew.next_named("import").await.data["id"], "two", "{last}");
    }
}

#[tokio::test]
async fn who_does_not_read_holds_up_nobody_and_is_cut() {
    let mut gateway = start_with(|config| config.limits.stall = Duration::from_millis(1_500)).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stalled = socket.connect(gateway.address).await.unwrap();
    let request = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stalled.write_all(request).await.unwrap();
    until_streams(&gateway, 1).await;
    let mut reading = follow(&gateway, "/api/events").await;

    // Each round is larger than what sockets hold.
    let names: Vec<_> = (0..200)
        .map(|n| import_id(&format!("import-{n}")))
        .collect();
    let mut rounds = 0;
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    while streams(&gateway).await == 2 {
        assert!(began.elapsed() < PATIENCE * 3, "it is never cut");
        rounds += 1;
        let long = format!("{rounds}-{}", "x".repeat(20_000));
        let events = names.iter().map(|id| {
            let mut event = accepted(id);
            if let contracts::EventBody::ImportAccepted { folder_name, .. } = &mut event.body {
                *folder_name = Some(long.clone());
            }
            event
        });
        gateway.fold(events.collect()).await;
        gateway
            .fold(vec![failed(&names[0], rounds, Cause::NotAnImage)])
            .await;
        let told = Instant::now();
        reading
            .until("import", |data| {
                data["id"] == "import-0" && data["failed"] == rounds
            })
            .await;
        slowest = slowest.max(told.elapsed());
    }
    println!(
        "cut after {rounds} rounds in {:?}; the other one was told within {slowest:?}",
        began.elapsed()
    );
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
}

#[tokio::test]
async fn who_reads_slowly_gets_the_latest_state_only() {
    let mut gateway = start().await;
    let one = import_id("one");
    gateway.fold(vec![accepted(&one)]).await;
    let mut slow = follow(&gateway, "/api/events").await;
    let mut fast = follow(&gateway, "/api/events").await;
    slow.next_named("import").await;
    for n in 1..=5 {
        gateway.fold(vec![imported(&one, n)]).await;
        fast.until("import", |data| data["imported_count"] == n)
            .await;
    }
    // The server wrote all of these, as they fit into the socket; what matters is their order and end.
    let last = slow
        .until("import", |data| data["imported_count"] == 5)
        .await;
    assert_eq!(last.id.as_deref(), Some("6"));
    slow.is_quiet(QUIET).await;
}

#[tokio::test]
async fn shutdown_is_not_held_up_by_streams() {
    let mut gateway = start().await;
    gateway.fold(vec![accepted(&import_id("one"))]).await;
    let mut open = Vec::new();
    for n in 0..100 {
        let path = ["/api/events", "/api/imports/one/events"][n % 2];
        let mut events = follow(&gateway, path).await;
        events.next_named("import").await;
        open.push(events);
    }
    assert_eq!(streams(&gateway).await, 100);
    gateway.stop.cancel();
    let began = Instant::now();
    for mut events in open {
        events.next_named("bye").await;
        assert_eq!(events.next().await, None);
    }
    tokio::time::timeout(PATIENCE, gateway.serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn some_connections_are_kept_for_other_requests() {
    let gateway = start_with(|config| config.limits.streams = 2).await;
    let first = follow(&gateway, "/api/events").await;
    let _second = follow(&gateway, "/api/events").await;
    let refused = gateway.get("/api/events").send().await.unwrap();
    problem(refused, 503, "too_many_streams").await;
    assert_eq!(
        gateway.get("/api/stats").send().await.unwrap().status(),
        200
    );
    drop(first);
    until_streams(&gateway, 1).await;
    let _third = follow(&gateway, "/api/events").await;
}

#[tokio::test]
async fn a_stream_outlives_nats_and_the_database() {
    let mut gateway = start().await;
    let one = import_id("one");
    gateway.fold(vec![accepted(&one)]).await;
    let mut events = follow(&gateway, "/api/events").await;
    let mut import = follow(&gateway, "/api/imports/one/events").await;
    import.next().await.unwrap();
    let at_first = events
        .until("overview", |data| data["queue"].is_object())
        .await;
    assert_eq!(at_first.data["waiting_for"], json!({}));

    let mut server = gateway.server.take().unwrap();
    server.stop().await;
    let away = events
        .until("overview", |data| data["waiting_for"]["nats"].is_string())
        .await;
    assert_eq!(
        (&away.data["queue"], &away.data["projector"]),
        (&Value::Null, &Value::Null)
    );
    // What the tables say goes on.
    gateway.fold(vec![imported(&one, 1)]).await;
    for events in [&mut events, &mut import] {
        events
            .until("import", |data| data["imported_count"] == 1)
            .await;
    }
    server.restart().await.unwrap();
    events
        .until("overview", |data| {
            data["waiting_for"] == json!({}) && data["queue"].is_object()
        })
        .await;
    gateway.server = Some(server);

    gateway.hide_tables();
    let away = events
        .until("overview", |data| data["waiting_for"]["sql"].is_string())
        .await;
    assert_eq!(away.data["stats"]["total_images"], 1, "as it was last");
    assert_eq!(away.data["projector"], Value::Null);
    gateway.bring_tables_back().await;
    gateway.fold(vec![imported(&one, 2)]).await;
    for events in [&mut events, &mut import] {
        events
            .until("import", |data| data["imported_count"] == 2)
            .await;
    }
    events
        .until("overview", |data| data["waiting_for"] == json!({}))
        .await;
}

#[tokio::test]
async fn what_happened_while_the_database_was_away_is_told() {
    let mut gateway = start().await;
    let post = gateway.post_import(&json!({ "folder_url": FOLDER }));
    let answer: Value = post.send().await.unwrap().json().await.unwrap();
    let id = answer["job_id"].as_str().unwrap();
    gateway.hide_tables();
    let mut events = follow(&gateway, &format!("/api/imports/{id}/events")).await;
    assert_eq!(events.next().await.unwrap().data["status"], "processing");
    // It begins and ends unseen, so it is none of those that go on when the tables are back.
    let import = import_id(id);
    gateway
        .fold_hidden(vec![accepted(&import), import_failed(&import)])
        .await;
    gateway.bring_tables_back().await;
    let last = events.next().await.unwrap();
    assert_eq!(last.data["status"], "failed");
    assert_eq!(events.next().await.unwrap().name, "end");
    assert_eq!(events.next().await, None);
}

/// Bytes that this process holds.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Time on a processor that this process has taken.
fn busy() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Both ends of each stream are in this process, so half of what is measured is the client's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_open_streams_cost_little() {
    const STREAMS: usize = 1_000;
    const EACH: u64 = 100 * 1024;
    let mut gateway = start().await;
    let one = import_id("one");
    gateway.fold(vec![accepted(&one)]).await;
    let mut warm = follow(&gateway, "/api/events").await;
    warm.next_named("import").await;

    let before = resident();
    let mut open = Vec::new();
    for n in 0..STREAMS {
        let path = ["/api/events", "/api/imports/one/events"][n % 2];
        let mut events = follow(&gateway, path).await;
        events.next_named("import").await;
        open.push(events);
    }
    let each = (resident().saturating_sub(before)) / STREAMS as u64;

    let (idle, began) = (busy(), Instant::now());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let idle = (busy() - idle).as_secs_f64() / began.elapsed().as_secs_f64();

    gateway.fold(vec![imported(&one, 1)]).await;
    let began = Instant::now();
    for events in &mut open {
        events
            .until("import", |data| data["imported_count"] == 1)
            .await;
    }
    println!(
        "{STREAMS} streams: {each} bytes each, both ends; {:.1}% of a processor while nothing changes; \
         all told of a change in {:?}",
        idle * 100.0,
        began.elapsed()
    );
    assert!(each < EACH, "{each} bytes");
    assert!(idle < 0.5, "{idle}");
}
