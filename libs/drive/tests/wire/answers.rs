//! Answers that arrive whole.

use std::time::Duration;

use drive::{DriveError, Entry, ErrorKind, FolderRef};
use serde_json::json;

use crate::server::{KEY, Reply, answer, json as json_reply, raw, serve};
use crate::{folder, id, whole_chain};

#[tokio::test]
async fn an_html_502_is_a_server_error() {
    let server = serve([answer(
        "502 Bad Gateway",
        "Retry-After: 9\r\n",
        "<html>oops</html>",
    )])
    .await;
    let error = server.client().list(&folder(None), None).await.unwrap_err();
    assert!(
        matches!(error, DriveError::Server { status: 502, .. }),
        "{error:?}"
    );
    assert_eq!(
        error.kind(),
        ErrorKind::Retry {
            after: Some(Duration::from_secs(9))
        }
    );
}

#[tokio::test]
async fn what_is_no_json_of_drives_is_a_protocol_error() {
    let bodies = [
        "{\"files\": [",
        "<html>Please log in to the Wi-Fi</html>",
        "{}",
        "",
        "null",
    ];
    let server = serve(bodies.map(|body| answer("200 OK", "", body))).await;
    let client = server.client();
    for body in bodies {
        let error = client.list(&folder(None), None).await.unwrap_err();
        assert!(
            matches!(error, DriveError::Protocol(_)),
            "{body}: {error:?}"
        );
    }
}

#[tokio::test]
async fn one_malformed_entry_does_not_sink_the_page() {
    let good = |id: &str| json!({"id": id, "name": "a.jpg", "mimeType": "image/jpeg", "size": "1"});
    let bad = json!({"id": "bad", "name": "b.jpg", "mimeType": "image/jpeg", "size": "-1"});
    let files = json!([good("one"), bad, {"id": "../x"}, good("two"), 7]);
    let server = serve([json_reply(&json!({"files": files, "nextPageToken": "t2"}))]).await;
    let page = server.client().list(&folder(None), None).await.unwrap();
    let ids: Vec<_> = page
        .entries
        .iter()
        .map(|entry| match entry {
            Entry::File(file) => file.id.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, ["one", "two"]);
    let bad: Vec<_> = page
        .malformed
        .iter()
        .map(|bad| bad.id.as_ref().map(|id| id.as_str()))
        .collect();
    assert_eq!(bad, [Some("bad"), None, None]);
    assert_eq!(page.next.as_deref(), Some("t2"));
}

#[tokio::test]
async fn a_single_malformed_file_is_a_protocol_error() {
    let file = json!({"id": "f", "name": "n", "mimeType": "image/png", "md5Checksum": "short"});
    let server = serve([json_reply(&file)]).await;
    let error = server.client().file(&id("f"), None).await.unwrap_err();
    assert!(
        matches!(&error, DriveError::Protocol(why) if why.contains("md5")),
        "{error:?}"
    );
}

#[tokio::test]
async fn metadata_and_error_bodies_are_read_bounded() {
    let server = serve([
        Reply::Endless(raw("HTTP/1.1 200 OK\r\n\r\n{\"files\":[")),
        Reply::Endless(raw("HTTP/1.1 403 Forbidden\r\n\r\n")),
    ])
    .await;
    let client = server.client();
    let error = client.list(&folder(None), None).await.unwrap_err();
    assert!(matches!(error, DriveError::Protocol(_)), "{error:?}");
    let error = client.list(&folder(None), None).await.unwrap_err();
    assert!(matches!(error, DriveError::Forbidden { .. }), "{error:?}");
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_the_connection() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n";
    let server = serve([Reply::Close(raw(&format!("{head}all of it")))]).await;
    let mut download = server.client().download(&id("f"), None).await.unwrap();
    assert_eq!(download.length, None);
    assert_eq!(download.content_type.as_deref(), Some("image/png"));
    let mut bytes = Vec::new();
    while let Some(chunk) = download.chunk().await.unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    assert_eq!(bytes, b"all of it");
}

#[tokio::test]
async fn an_empty_file_is_a_body_of_no_chunks() {
    let server = serve([answer("200 OK", "", "")]).await;
    let mut download = server.client().download(&id("f"), None).await.unwrap();
    assert_eq!(download.length, Some(0));
    assert_eq!(download.chunk().await.unwrap(), None);
}

#[tokio::test]
async fn bytes_marked_as_compressed_are_left_alone() {
    let reply = answer("200 OK", "Content-Encoding: gzip\r\n", "not really gzip");
    let server = serve([reply]).await;
    let mut download = server.client().download(&id("f"), None).await.unwrap();
    assert_eq!(download.chunk().await.unwrap().unwrap(), "not really gzip");
}

#[tokio::test]
async fn a_part_of_a_file_is_not_taken_for_the_whole() {
    let server = serve([answer(
        "206 Partial Content",
        "Content-Range: bytes 0-2/9\r\n",
        "abc",
    )])
    .await;
    let error = server.client().download(&id("f"), None).await.unwrap_err();
    assert!(matches!(error, DriveError::Protocol(_)), "{error:?}");
}

#[tokio::test]
async fn an_error_that_quotes_the_key_does_not_pass_it_on() {
    let words = format!("Permission denied: Consumer 'api_key:{KEY}' has been suspended.");
    let body = json!({"error": {"code": 403, "message": words, "errors": [{"reason": "forbidden"}],
        "details": [{"reason": "CONSUMER_SUSPENDED"}]}});
    let server = serve([answer("403 Forbidden", "", &body.to_string())]).await;
    let client = server.client();
    let error = client.file(&id("f"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credentials);
    assert!(whole_chain(&error).contains("has been suspended"));
    assert!(!whole_chain(&error).contains(KEY));
    assert!(!format!("{client:?}").contains(KEY));
}

#[tokio::test]
async fn a_folder_in_the_trash_is_not_an_empty_folder() {
    let trashed = json!({"id": "f", "name": "old", "trashed": true,
        "mimeType": "application/vnd.google-apps.folder"});
    let server = serve([json_reply(&trashed)]).await;
    let folder = FolderRef {
        id: id("f"),
        resource_key: None,
    };
    let error = server.client().folder(&folder).await.unwrap_err();
    assert!(matches!(error, DriveError::NotFound), "{error:?}");
}
