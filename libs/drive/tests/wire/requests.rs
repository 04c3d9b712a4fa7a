//! What is sent, and to whom.

use drive::{Auth, Drive, DriveConfig, DriveError, FolderRef};
use serde_json::{Value, json};
use url::Url;

use crate::server::{KEY, answer, client, json as json_reply, serve};
use crate::{folder, id};

const FOLDER: &str = "application/vnd.google-apps.folder";
const SHORTCUT: &str = "application/vnd.google-apps.shortcut";

fn empty_page() -> Value {
    json!({"files": [], "incompleteSearch": false})
}

fn has(query: &[(String, String)], name: &str, value: &str) -> bool {
    query.iter().any(|(n, v)| n == name && v == value)
}

#[tokio::test]
async fn a_listing_asks_for_everything_and_keeps_the_key_out_of_the_url() {
    let server = serve([json_reply(&empty_page())]).await;
    let mut folder = folder(Some("0Adrive"));
    folder.resource_key = Some("0-key".to_owned());
    server
        .client()
        .list(&folder, Some("token/="))
        .await
        .unwrap();

    let request = &server.requests()[0];
    assert!(request.starts_with("GET /drive/v3/files?"), "{request}");
    let (line, headers) = request.split_once("\r\n").unwrap();
    assert!(!line.contains(KEY));
    assert!(
        headers.contains(&format!("x-goog-api-key: {KEY}\r\n")),
        "{headers}"
    );
    assert!(
        headers.contains("x-goog-drive-resource-keys: the-folder/0-key\r\n"),
        "{headers}"
    );
    assert!(
        headers.contains("accept-encoding: identity\r\n"),
        "{headers}"
    );

    let query = server.query(0);
    for (name, value) in [
        ("q", "'the-folder' in parents and trashed = false"),
        ("pageSize", "999"),
        ("pageToken", "token/="),
        ("supportsAllDrives", "true"),
        ("includeItemsFromAllDrives", "true"),
        ("corpora", "drive"),
        ("driveId", "0Adrive"),
        (
            "fields",
            "nextPageToken,incompleteSearch,files(id,name,mimeType,size,md5Checksum,\
             sha256Checksum,modifiedTime,parents,resourceKey,shortcutDetails,\
             capabilities/canDownload,imageMediaMetadata(width,height))",
        ),
    ] {
        assert!(
            has(&query, name, value),
            "{name} = {value} is missing from {query:?}"
        );
    }
}

#[tokio::test]
async fn a_download_asks_for_the_bytes_below_the_endpoints_path() {
    let server = serve([answer("200 OK", "", "bytes")]).await;
    let client = client(server.url.join("/google/").unwrap(), |config| {
        config.auth = Auth::Anonymous;
    });
    client.download(&id("file-1"), Some("0-k")).await.unwrap();
    let request = &server.requests()[0];
    assert!(
        request.starts_with("GET /google/drive/v3/files/file-1?"),
        "{request}"
    );
    assert!(
        request.contains("x-goog-drive-resource-keys: file-1/0-k\r\n"),
        "{request}"
    );
    assert!(!request.contains("x-goog-api-key"), "{request}");
    assert!(has(&server.query(0), "alt", "media"));
}

#[tokio::test]
async fn a_damaged_resource_key_is_not_sent() {
    let server = serve([answer("200 OK", "", "")]).await;
    let error = server
        .client()
        .download(&id("f"), Some("a,other/b"))
        .await
        .unwrap_err();
    assert!(matches!(error, DriveError::Protocol(_)), "{error:?}");
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed() {
    let other = serve([answer("200 OK", "", "stolen")]).await;
    let location = format!("Location: {}x\r\n", other.url);
    let server = serve([answer("302 Found", &location, "")]).await;
    let error = server.client().download(&id("f"), None).await.unwrap_err();
    assert!(
        matches!(&error, DriveError::Protocol(why) if why.contains("302")),
        "{error:?}"
    );
    assert_eq!(other.requests().len(), 0);
}

#[tokio::test]
async fn a_redirect_within_the_host_is_followed_and_a_loop_is_not() {
    let moved = || answer("307 Temporary Redirect", "Location: /download/f\r\n", "");
    let server = serve([moved(), answer("200 OK", "", "here")]).await;
    let mut download = server.client().download(&id("f"), None).await.unwrap();
    assert_eq!(download.chunk().await.unwrap().unwrap(), "here");
    let second = &server.requests()[1];
    assert!(
        second.starts_with("GET /download/f ") && second.contains(KEY),
        "{second}"
    );

    let server = serve((0..20).map(|_| moved())).await;
    let error = server.client().download(&id("f"), None).await.unwrap_err();
    assert!(matches!(error, DriveError::Protocol(_)), "{error:?}");
    assert!(server.requests().len() < 10);
}

#[tokio::test]
async fn a_drive_of_which_we_are_no_member_is_listed_the_general_way() {
    let missing = json!({"error": {"code": 404, "message": "Shared drive not found: 0Adrive",
        "errors": [{"reason": "notFound", "location": "driveId"}]}});
    let missing = || answer("404 Not Found", "", &missing.to_string());
    let server = serve([
        missing(),
        json_reply(&empty_page()),
        json_reply(&empty_page()),
    ])
    .await;
    let client = server.client();
    client.list(&folder(Some("0Adrive")), None).await.unwrap();
    client
        .list(&folder(Some("0Adrive")), Some("next"))
        .await
        .unwrap();
    assert_eq!(server.requests().len(), 3);
    assert!(has(&server.query(0), "corpora", "drive"));
    assert!(
        !server
            .query(1)
            .iter()
            .any(|(name, _)| name == "corpora" || name == "driveId")
    );
    assert!(
        !server
            .query(2)
            .iter()
            .any(|(name, _)| name == "corpora" || name == "driveId")
    );

    let server = serve([missing(), missing()]).await;
    let error = server
        .client()
        .list(&folder(Some("0Adrive")), None)
        .await
        .unwrap_err();
    assert!(matches!(error, DriveError::NotFound), "{error:?}");
}

#[tokio::test]
async fn a_shortcut_to_a_folder_is_followed_once() {
    let shortcut = |target: &str, mime: &str| {
        json!({"id": "s", "name": "s", "mimeType": SHORTCUT, "shortcutDetails":
            {"targetId": target, "targetMimeType": mime, "targetResourceKey": "0-t"}})
    };
    let target = json!({"id": "target", "name": "Trip", "mimeType": FOLDER, "driveId": "0Adrive"});
    let start = FolderRef {
        id: id("s"),
        resource_key: Some("0-s".to_owned()),
    };

    let server = serve([json_reply(&shortcut("target", FOLDER)), json_reply(&target)]).await;
    let folder = server.client().folder(&start).await.unwrap();
    assert_eq!(
        (folder.id.as_str(), folder.name.as_str()),
        ("target", "Trip")
    );
    assert_eq!(folder.drive_id.as_deref(), Some("0Adrive"));
    assert_eq!(folder.resource_key.as_deref(), Some("0-t"));
    assert!(server.requests()[0].contains("x-goog-drive-resource-keys: s/0-s\r\n"));
    assert!(server.requests()[1].contains("x-goog-drive-resource-keys: target/0-t\r\n"));

    let again = shortcut("s", FOLDER);
    let server = serve([json_reply(&again), json_reply(&again)]).await;
    let error = server.client().folder(&start).await.unwrap_err();
    assert!(matches!(error, DriveError::NotAFolder), "{error:?}");

    let server = serve([json_reply(&shortcut("f", "image/png"))]).await;
    let error = server.client().folder(&start).await.unwrap_err();
    assert!(matches!(error, DriveError::NotAFolder), "{error:?}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn settings_that_cannot_work_are_refused_at_once() {
    let refused = |change: fn(&mut DriveConfig)| {
        let mut config = DriveConfig::default();
        change(&mut config);
        Drive::new(config).unwrap_err()
    };
    let settings: [fn(&mut DriveConfig); 6] = [
        |config| config.endpoint = Url::parse("ftp://example.com").unwrap(),
        |config| config.endpoint = Url::parse("mailto:a@b.c").unwrap(),
        |config| config.endpoint = Url::parse("https://example.com/?key=x").unwrap(),
        |config| config.idle_timeout = std::time::Duration::ZERO,
        |config| config.connect_timeout = config.header_timeout * 2,
        |config| config.auth = Auth::ApiKey("  ".into()),
    ];
    for change in settings {
        assert!(matches!(refused(change), DriveError::Settings(_)));
    }
    let error = refused(|config| config.auth = Auth::ApiKey("new\nline".into()));
    assert!(matches!(error, DriveError::KeyInvalid { .. }));
    assert!(!error.to_string().contains("line"));
    assert!(Drive::new(DriveConfig::default()).is_ok());
}
