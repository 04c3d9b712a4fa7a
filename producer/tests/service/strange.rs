//! Answers that the simulated Drive never gives.

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse as _;
use contracts::{Cause, EventBody, SkipReason};
use drive::DriveConfig;
use producer::Config;
use serde_json::{Value, json};

use crate::fleet::{Fleet, Running, listed};

const FOLDER: &str = "application/vnd.google-apps.folder";
const SHORTCUT: &str = "application/vnd.google-apps.shortcut";

/// The events of an import of the folder `album` from a Drive that answers as `script` says.
async fn import(script: fn(&str) -> (u16, Value)) -> Vec<EventBody> {
    let answer = move |uri: Uri| async move {
        let (status, body) = script(&uri.to_string());
        let status = StatusCode::from_u16(status).unwrap();
        (status, body.to_string()).into_response()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router: Router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });

    let fleet = Fleet::start().await;
    let producer = Running::start(Config {
        drive: DriveConfig {
            endpoint: endpoint.parse().unwrap(),
            ..DriveConfig::default()
        },
        ..fleet.config()
    });
    let import = fleet.import("album").await;
    fleet.settled().await;
    let events = fleet.events(&import).await;
    producer.stop().await;
    events
}

fn folder(id: &str) -> Value {
    json!({"id": id, "name": id, "mimeType": FOLDER})
}

fn page(files: Value, next: Option<&str>) -> (u16, Value) {
    (
        200,
        json!({"files": files, "incompleteSearch": false, "nextPageToken": next}),
    )
}

fn forbidden() -> (u16, Value) {
    let problem = json!({"reason": "insufficientFilePermissions", "message": "no"});
    (
        403,
        json!({"error": {"code": 403, "message": "no", "errors": [problem]}}),
    )
}

#[tokio::test]
async fn a_root_that_closes_midway_fails_the_import_even_if_it_has_subfolders() {
    let events = import(|uri| {
        if uri.starts_with("/drive/v3/files/album?") {
            (200, folder("album"))
        } else if uri.contains("pageToken=second") {
            forbidden()
        } else if uri.contains("album") {
            page(json!([folder("sub")]), Some("second"))
        } else {
            page(json!([]), None)
        }
    })
    .await;
    assert!(
        matches!(
            events.last(),
            Some(EventBody::ImportFailed {
                cause: Cause::FolderForbidden,
                ..
            })
        ),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_subfolder_that_is_closed_costs_only_itself() {
    let events = import(|uri| {
        if uri.starts_with("/drive/v3/files/album?") {
            (200, folder("album"))
        } else if uri.contains("album") {
            let image = json!({"id": "one", "name": "one.jpg", "mimeType": "image/jpeg"});
            page(json!([folder("closed"), image, folder("open")]), None)
        } else if uri.contains("closed") {
            forbidden()
        } else {
            let image = json!({"id": "two", "name": "two.jpg", "mimeType": "image/jpeg"});
            page(json!([image]), None)
        }
    })
    .await;
    let queued: Vec<String> = listed(&events)
        .into_iter()
        .flat_map(|(queued, _)| queued)
        .collect();
    assert_eq!(queued, ["one", "two"]);
    let skipped: Vec<_> = listed(&events)
        .into_iter()
        .flat_map(|(_, skipped)| skipped)
        .map(|entry| (entry.item_id.to_string(), entry.reason))
        .collect();
    assert_eq!(
        skipped,
        [("closed".to_owned(), SkipReason::FolderUnreadable)],
        "it shows in the counts"
    );
    assert_eq!(
        events.last().map(EventBody::kind),
        Some("import.listing_completed")
    );
}

#[tokio::test]
async fn entries_that_make_no_sense_are_counted_and_hold_up_nothing() {
    let events = import(|uri| {
        let image = |id: &str, size: &str| {
            json!({"id": id, "name": "x.jpg", "mimeType": "image/jpeg", "size": size})
        };
        let shortcut = |id: &str, target: &str, mime: &str| {
            json!({"id": id, "name": "link", "mimeType": SHORTCUT,
                "shortcutDetails": {"targetId": target, "targetMimeType": mime}})
        };
        if uri.starts_with("/drive/v3/files/album?") {
            (200, folder("album"))
        } else if uri.starts_with("/drive/v3/files/odd?") {
            (200, image("odd", "many"))
        } else if uri.starts_with("/drive/v3/files/secret?") {
            forbidden()
        } else if uri.starts_with("/drive/v3/files/was-image?") {
            (200, shortcut("was-image", "good", "image/jpeg"))
        } else {
            let files = json!([
                image("good", "5"),
                image("sized-oddly", "many"),
                {"name": "without an id"},
                shortcut("to-odd", "odd", "image/jpeg"),
                shortcut("to-secret", "secret", FOLDER),
                shortcut("to-shortcut", "was-image", "image/jpeg"),
                {"id": "to-nothing", "name": "link", "mimeType": SHORTCUT},
                // A cycle of one.
                shortcut("to-itself", "album", FOLDER),
            ]);
            page(files, None)
        }
    })
    .await;
    let pages = listed(&events);
    assert_eq!(pages.len(), 1);
    let (queued, skipped) = &pages[0];
    assert_eq!(queued.iter().collect::<Vec<_>>(), ["good"]);
    let mut skipped: Vec<_> = skipped
        .iter()
        .map(|entry| (entry.item_id.as_str(), entry.reason))
        .collect();
    skipped.sort();
    assert_eq!(
        skipped,
        [
            ("sized-oddly", SkipReason::UnreadableMetadata),
            ("to-nothing", SkipReason::UnreadableMetadata),
            ("to-odd", SkipReason::UnreadableMetadata),
            ("to-secret", SkipReason::BrokenShortcut),
            ("to-shortcut", SkipReason::BrokenShortcut),
        ]
    );
}
