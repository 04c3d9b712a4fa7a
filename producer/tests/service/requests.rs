//! Requests that make no sense, that anybody may publish, that come twice.

use contracts::{Cause, EventBody, ImportId, ImportRequest};
use drive::{Auth, DriveConfig};
use jetstream::{NatsConfig, User};
use producer::Config;
use serde_json::{Value, json};
use testkit::until;

use crate::fleet::{DEADLINE, Fleet, Running, assert_whole, each_once, images};

/// The cause and message of an import that failed and did nothing else.
async fn failure(fleet: &Fleet, import: &ImportId) -> (Cause, String) {
    match fleet.events(import).await.as_slice() {
        [EventBody::ImportFailed { cause, message, .. }] => (*cause, message.clone()),
        events => panic!("{import}: {events:?}"),
    }
}

#[tokio::test]
async fn what_cannot_be_imported_fails_with_its_cause_and_holds_up_nobody() {
    let fleet = Fleet::start().await;
    let mut wrong = Vec::new();
    for (folder, cause, said) in [
        (
            "https://example.com/holiday",
            Cause::NotAFolderUrl,
            "example.com",
        ),
        (
            "https://drive.google.com/file/d/sim-n5-s256-f0/view",
            Cause::NotAFolderUrl,
            "file",
        ),
        ("", Cause::NotAFolderUrl, "no folder"),
        ("sim-n5-s256-f0", Cause::NotAFolder, "file"),
        ("museum-lent", Cause::NotAFolder, "file"),
        (drive_sim::PRIVATE_FOLDER, Cause::FolderNotFound, "Share it"),
        ("no-such-folder", Cause::FolderNotFound, "Share it"),
    ] {
        wrong.push((fleet.import(folder).await, cause, said));
    }
    let unreadable = |id: &str, mut body: Value| {
        body["import_id"] = json!(id);
        (id.parse::<ImportId>().unwrap(), body.to_string())
    };
    let source = json!({"google_drive": {"folder": "sim-n5-s256"}});
    for (request, cause, said) in [
        (
            unreadable("no-source", json!({"v": 1})),
            Cause::MalformedRequest,
            "source",
        ),
        (
            unreadable(
                "climber",
                json!({"source": source, "destination_prefix": "../x"}),
            ),
            Cause::MalformedRequest,
            "prefix",
        ),
        (
            unreadable("verbose", json!({"source": {"x".repeat(60_000): 1}})),
            Cause::MalformedRequest,
            "google_drive",
        ),
        (
            unreadable("future", json!({"v": 2, "source": source})),
            Cause::UnknownVersion,
            "version 2",
        ),
    ] {
        fleet.publish(request.1).await;
        wrong.push((request.0, cause, said));
    }
    fleet.publish("not json").await;
    fleet
        .publish(json!({"import_id": "Not An Id", "source": source}).to_string())
        .await;
    // Too large to be repeated in an event.
    let huge = json!({"source": {"google_drive": {"folder": "x".repeat(7 << 20)}}});
    fleet.publish(huge.to_string()).await;
    let good = fleet.import("sim-n5-s256").await;

    let producer = fleet.producer();
    fleet.settled().await;
    for (import, cause, said) in wrong {
        let (found, message) = failure(&fleet, &import).await;
        assert_eq!(found, cause, "{message}");
        assert!(message.contains(said) && message.len() < 1_000, "{message}");
    }
    assert_whole(&fleet.events(&good).await, &images("sim-n5-s256", 5));
    assert_eq!(fleet.take_tasks().await.len(), 5);
    let events = fleet.nats.context.get_stream("EVENTS").await.unwrap();
    let told = events.cached_info().state.messages;
    assert_eq!(
        told,
        11 + 3 + 3,
        "each refusal is told once, even of those without an id"
    );
    producer.stop().await;
}

#[tokio::test]
async fn a_wrong_key_fails_the_import_at_once() {
    let fleet = Fleet::start().await;
    let config = fleet.config();
    let producer = Running::start(Config {
        drive: DriveConfig {
            auth: Auth::ApiKey("wrong".into()),
            ..config.drive
        },
        ..config
    });
    let import = fleet.import("sim-n5-s256").await;
    fleet.settled().await;
    let (cause, message) = failure(&fleet, &import).await;
    assert_eq!(cause, Cause::CredentialsRejected);
    assert!(message.contains("GOOGLE_API_KEY"), "{message}");
    producer.stop().await;
}

/// A producer that signs in as the service account.
fn signed_in(fleet: &Fleet) -> Running {
    let config = fleet.config();
    let key = fleet.folder.path().join("google.json");
    std::fs::write(&key, fleet.drive.service_account_file()).unwrap();
    let credentials = drive::Credentials::read(&key).unwrap();
    Running::start(Config {
        drive: DriveConfig {
            auth: Auth::Credentials(Box::new(credentials)),
            ..config.drive
        },
        ..config
    })
}

#[tokio::test]
async fn a_private_folder_is_listed_once_it_is_shared_with_the_account() {
    let fleet = Fleet::start().await;
    let producer = signed_in(&fleet);
    let account = drive_sim::SERVICE_ACCOUNT;
    fleet.drive.share_private_folders(account, false);
    let import = fleet.import(drive_sim::PRIVATE_FOLDER).await;
    fleet.settled().await;
    let (cause, message) = failure(&fleet, &import).await;
    assert_eq!(cause, Cause::FolderNotFound);
    assert!(message.contains(account), "{message}");

    fleet.drive.share_private_folders(account, true);
    let import = fleet.import("private-folder-n5-s256").await;
    fleet.settled().await;
    assert_whole(
        &fleet.events(&import).await,
        &images("private-folder-n5-s256", 5),
    );
    producer.stop().await;
}

#[tokio::test]
async fn a_refused_sign_in_fails_the_import_at_once_with_the_fix() {
    let fleet = Fleet::start_with(drive_sim::Faults {
        clock_ahead_seconds: 7200,
        ..drive_sim::Faults::default()
    })
    .await;
    let producer = signed_in(&fleet);
    let import = fleet.import(drive_sim::PRIVATE_FOLDER).await;
    fleet.settled().await;
    let (cause, message) = failure(&fleet, &import).await;
    assert_eq!(cause, Cause::CredentialsRejected);
    assert!(message.contains("behind Google's"), "{message}");
    producer.stop().await;
}

#[tokio::test]
async fn any_client_may_publish_a_request_and_name_no_import() {
    let fleet = Fleet::start().await;
    let producer = fleet.producer();
    let client = jetstream::connect(&fleet.server.config_of(User::Requester))
        .await
        .unwrap()
        .client;
    let request = json!({"source": {"google_drive": {"folder": "sim-n5-s256"}}, "extra": 1});
    client
        .publish("imports.requests", request.to_string().into())
        .await
        .unwrap();
    client.flush().await.unwrap();
    let tasks = until("the tasks are queued", DEADLINE, || async {
        let tasks = fleet.take_tasks().await;
        (!tasks.is_empty()).then_some(tasks)
    })
    .await;
    assert_eq!(each_once(&tasks), images("sim-n5-s256", 5));
    fleet.settled().await;
    let import = &tasks[0].import_id;
    assert_whole(&fleet.events(import).await, &images("sim-n5-s256", 5));
    producer.stop().await;
}

#[tokio::test]
async fn the_same_request_twice_is_listed_once() {
    let fleet = Fleet::start().await;
    let request = ImportRequest {
        import_id: Some(ImportId::generate()),
        ..ImportRequest::google_drive("sim-n2500-s256")
    };
    let import = request.import_id.clone().unwrap();
    let bytes = contracts::encode(&request).unwrap();
    // Both are there before anybody looks: they are worked on at the same time.
    fleet.publish(bytes.clone()).await;
    fleet.publish(bytes.clone()).await;
    let producer = fleet.producer();
    until("one of them is settled", DEADLINE, || async {
        (fleet.requests().await <= 1).then_some(())
    })
    .await;
    let expected = images("sim-n2500-s256", 2_500);
    assert_whole(&fleet.events(&import).await, &expected);
    assert_eq!(each_once(&fleet.take_tasks().await), expected);

    // And once more when all is done.
    let before = fleet.requests().await;
    let listed = fleet.drive.stats().requests;
    fleet.publish(bytes).await;
    until("it is settled too", DEADLINE, || async {
        (fleet.requests().await <= before).then_some(())
    })
    .await;
    assert!(fleet.take_tasks().await.is_empty());
    assert_eq!(
        fleet.drive.stats().requests,
        listed,
        "Drive is not even asked"
    );
    producer.stop().await;
}

#[tokio::test]
async fn a_failed_import_stays_failed() {
    let fleet = Fleet::start().await;
    let request = ImportRequest {
        import_id: Some(ImportId::generate()),
        ..ImportRequest::google_drive("private-folder")
    };
    let bytes = contracts::encode(&request).unwrap();
    let producer = fleet.producer();
    fleet.publish(bytes.clone()).await;
    fleet.settled().await;
    let asked = fleet.drive.stats().requests;
    fleet.publish(bytes).await;
    fleet.settled().await;
    assert_eq!(fleet.drive.stats().requests, asked);
    failure(&fleet, &request.import_id.unwrap()).await;
    producer.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_ends_the_producer_and_says_so() {
    let fleet = Fleet::start().await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let producer = Running::start(Config {
        health_listen: Some(address),
        ..fleet.config()
    });
    let error = producer.ended().await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn it_stops_even_while_it_waits_for_nats() {
    let fleet = Fleet::start().await;
    let config = fleet.config();
    let producer = Running::start(Config {
        nats: NatsConfig {
            url: "nats://127.0.0.1:1".into(),
            ..config.nats
        },
        ..config
    });
    until("it says that it waits", DEADLINE, || async {
        (!producer.service.health.is_ready()).then_some(())
    })
    .await;
    producer.stop().await;
}
