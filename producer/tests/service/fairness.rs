//! A huge import beside a small one, and pages that go out in parts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{StatusCode, Uri};
use contracts::{EventBody, streams};
use drive::DriveConfig;
use producer::Config;
use serde_json::{Value, json};
use testkit::until;

use crate::fleet::{DEADLINE, Fleet, Running, each_once, images, listed};

/// Tasks that wait for a worker.
async fn waiting(fleet: &Fleet) -> u64 {
    let tasks = fleet.nats.context.get_stream_no_info(streams::TASKS).await;
    let workers = tasks.unwrap().consumer_info(streams::WORKERS).await;
    workers.unwrap().num_pending
}

/// Counts tasks, not seconds: the next are taken only when the producer had the time to refill.
#[tokio::test]
async fn a_small_import_gets_its_part_beside_a_huge_one() {
    let fleet = Fleet::start().await;
    let producer = Running::start(Config {
        window: 5_000,
        queue: 64,
        ..fleet.config()
    });
    let huge = fleet.import("sim-n6000-s256").await;
    until("the queue is full", DEADLINE, || async {
        (waiting(&fleet).await >= 48).then_some(())
    })
    .await;
    let small = fleet.import("sim-n300-s256").await;
    until("the small import has begun", DEADLINE, || async {
        (!fleet.events(&small).await.is_empty()).then_some(())
    })
    .await;
    assert!(waiting(&fleet).await <= 128, "the queue is short");

    let mut taken = (0, 0);
    while taken.0 < 300 {
        // A part below a quarter of the queue is not published, so each of the two imports may leave
        // nearly that much of it empty.
        until("the queue is full again", DEADLINE, || async {
            (waiting(&fleet).await >= 32).then_some(())
        })
        .await;
        for task in fleet.take(8).await {
            if task.import_id == small {
                taken.0 += 1;
            } else {
                assert_eq!(task.import_id, huge);
                taken.1 += 1;
            }
        }
        assert!(
            taken.1 <= 700,
            "{taken:?}: the small import waits for the huge one"
        );
    }
    assert!(
        taken.1 >= 150,
        "{taken:?}: the huge import waits for the small one"
    );
    producer.stop().await;
}

#[tokio::test]
async fn a_paused_import_takes_no_part_from_another() {
    let fleet = Fleet::start().await;
    let producer = Running::start(Config {
        queue: 64,
        ..fleet.config()
    });
    let paused: Vec<_> = {
        let mut paused = Vec::new();
        for _ in 0..4 {
            let import = contracts::ImportId::generate();
            fleet.command(&import, contracts::Action::Pause).await;
            paused.push(import);
        }
        fleet.obeyed().await;
        paused
    };
    for import in &paused {
        let request = contracts::ImportRequest {
            import_id: Some(import.clone()),
            ..contracts::ImportRequest::google_drive("sim-n300-s256")
        };
        fleet.publish(contracts::encode(&request).unwrap()).await;
    }
    let import = fleet.import("sim-n1200-s256").await;
    let mut tasks = Vec::new();
    while tasks.len() < 1_200 {
        until("there is work", DEADLINE, || async {
            (waiting(&fleet).await > 0).then_some(())
        })
        .await;
        tasks.extend(fleet.take_tasks().await);
    }
    assert!(tasks.iter().all(|task| task.import_id == import));
    assert_eq!(each_once(&tasks), images("sim-n1200-s256", 1_200));
    producer.stop().await;
}

const FOLDER: &str = "application/vnd.google-apps.folder";

/// A Drive whose folder `album` answers a list call as `script` says, told how many there were and
/// the call itself.
async fn scripted(script: fn(usize, &str) -> (u16, Value)) -> (Arc<AtomicUsize>, String) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let answer = move |uri: Uri| {
        let counted = Arc::clone(&counted);
        async move {
            let uri = uri.to_string();
            let (status, body) = if uri.starts_with("/drive/v3/files/album?") {
                (
                    200,
                    json!({"id": "album", "name": "Album", "mimeType": FOLDER}),
                )
            } else {
                script(counted.fetch_add(1, Ordering::Relaxed), &uri)
            };
            (StatusCode::from_u16(status).unwrap(), body.to_string())
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router: Router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (calls, endpoint)
}

fn page(ids: impl IntoIterator<Item = String>, next: Option<&str>) -> (u16, Value) {
    let files: Vec<Value> = ids
        .into_iter()
        .map(|id| json!({"id": id, "name": "x.jpg", "mimeType": "image/jpeg", "size": "9"}))
        .collect();
    (
        200,
        json!({"files": files, "incompleteSearch": false, "nextPageToken": next}),
    )
}

fn rejected_token() -> (u16, Value) {
    let problem = json!({"reason": "invalid", "message": "Invalid Value", "location": "pageToken"});
    (
        400,
        json!({"error": {"code": 400, "message": "Invalid Value", "errors": [problem]}}),
    )
}

/// List `album` up to the middle of a page, and to its end with another producer. Gives the items
/// of all tasks and what was announced.
async fn in_two_goes(
    script: fn(usize, &str) -> (u16, Value),
    half: usize,
) -> (Vec<String>, Vec<EventBody>) {
    let (_, endpoint) = scripted(script).await;
    let fleet = Fleet::start().await;
    let config = |window| Config {
        drive: DriveConfig {
            endpoint: endpoint.parse().unwrap(),
            ..DriveConfig::default()
        },
        window,
        ..fleet.config()
    };
    let import = fleet.import("album").await;
    let first = Running::start(config(half as u64));
    fleet.queued_are(&import, half).await;
    until("the part is announced", DEADLINE, || async {
        let events = fleet.events(&import).await;
        let announced: usize = listed(&events).iter().map(|page| page.0.len()).sum();
        (announced == half).then_some(())
    })
    .await;
    first.stop().await;
    let second = Running::start(config(1_000_000));
    fleet.settled().await;
    let tasks = fleet.take_tasks().await;
    let items = tasks.iter().map(|task| task.file.item_id.to_string());
    let items = items.collect();
    let events = fleet.events(&import).await;
    second.stop().await;
    (items, events)
}

fn ids(range: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    range.map(|n| format!("f{n}"))
}

/// When the page is listed again, two of its files are gone, one of them published, and three are
/// new, one of them at its head.
#[tokio::test]
async fn a_page_that_changed_while_it_was_half_published_loses_nothing() {
    let (items, events) = in_two_goes(
        |call, _| match call {
            0 => page(ids(0..10), None),
            _ => page(
                ["new0".to_owned(), "new1".to_owned()]
                    .into_iter()
                    .chain(ids(1..9))
                    .chain(["new2".to_owned()]),
                None,
            ),
        },
        4,
    )
    .await;
    let expected: BTreeSet<String> = ids(0..9)
        .chain(["new0", "new1", "new2"].map(str::to_owned))
        .collect();
    assert_eq!(
        items.len(),
        expected.len(),
        "some are queued twice: {items:?}"
    );
    assert_eq!(items.into_iter().collect::<BTreeSet<_>>(), expected);
    let announced: Vec<String> = listed(&events)
        .into_iter()
        .flat_map(|page| page.0)
        .collect();
    assert_eq!(announced.len(), expected.len());
    let numbers: Vec<u64> = events
        .iter()
        .filter_map(|event| match event {
            EventBody::ImportListed { page, .. } => Some(*page),
            _ => None,
        })
        .collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!(
        events.last(),
        Some(&EventBody::ImportListingCompleted {
            pages: numbers.len() as u64
        })
    );
}

/// The token of a page that is half published has expired when another producer goes on: the folder
/// is listed from its first page, and what comes twice is the same item.
#[tokio::test]
async fn a_token_that_expires_amid_a_page_loses_nothing() {
    let (items, events) = in_two_goes(
        |call, uri| match (call, uri.contains("pageToken=")) {
            (0, _) => page(ids(0..10), Some("first")),
            (1, _) => page(ids(10..20), None),
            (2, true) => rejected_token(),
            (_, false) => page(ids(0..10), Some("second")),
            (_, true) => page(ids(10..20), None),
        },
        14,
    )
    .await;
    let expected: BTreeSet<String> = ids(0..20).collect();
    assert_eq!(items.into_iter().collect::<BTreeSet<_>>(), expected);
    let announced: BTreeSet<String> = listed(&events)
        .into_iter()
        .flat_map(|page| page.0)
        .collect();
    assert_eq!(announced, expected);
    assert_eq!(
        events.last().map(EventBody::kind),
        Some("import.listing_completed")
    );
}
