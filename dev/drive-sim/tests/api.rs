//! Every endpoint, parameter and refusal.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{header, healthy, json, refused, text};
use drive_sim::{EMPTY_FOLDER, Kind, PRIVATE_FOLDER};
use reqwest::Method;

const FOLDER: &str = "sim-n250-s4k";
const ALL_FIELDS: &str = "nextPageToken,incompleteSearch,files(id,name,mimeType,size,md5Checksum,\
     sha256Checksum,modifiedTime,parents,resourceKey,shortcutDetails,capabilities/canDownload,\
     imageMediaMetadata(width,height))";

#[tokio::test]
async fn pages_hold_every_file_once() {
    let drive = healthy().await;
    let (files, pages) = drive.list_all(FOLDER, &[("fields", ALL_FIELDS)]).await;
    assert_eq!((files.len(), pages), (250, 3));
    for (index, file) in files.iter().enumerate() {
        assert!(text(file, "name").starts_with(&format!("IMG_{index:06}.")));
        assert_eq!(file["parents"], serde_json::json!([FOLDER]));
        assert_eq!(file["size"], "4096");
        assert_eq!(
            file["capabilities"],
            serde_json::json!({"canDownload": true})
        );
        assert!(file["imageMediaMetadata"]["width"].is_u64());
        let id = text(file, "id");
        assert!(
            id.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        let time = text(file, "modifiedTime");
        assert_eq!(
            (time.len(), &time[10..11], &time[23..]),
            (24, "T", "Z"),
            "{time}"
        );
    }
    let ids: std::collections::BTreeSet<_> = files.iter().map(|file| text(file, "id")).collect();
    assert_eq!(ids.len(), 250);
    let (one, _) = drive
        .list_all(FOLDER, &[("pageSize", "7"), ("fields", ALL_FIELDS)])
        .await;
    assert_eq!(one, files);
}

#[tokio::test]
async fn fields_select_what_is_answered() {
    let drive = healthy().await;
    let page = json(drive.list(FOLDER, &[("pageSize", "1")]), 200).await;
    assert_eq!(page["kind"], "drive#fileList");
    assert_eq!(page["incompleteSearch"], false);
    let keys: Vec<_> = page["files"][0]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(keys, ["id", "kind", "mimeType", "name"]);
    let page = json(
        drive.list(FOLDER, &[("fields", "files(id)"), ("pageSize", "1")]),
        200,
    )
    .await;
    assert_eq!(
        page,
        serde_json::json!({"files": [{"id": "sim-n250-s4k-f0"}]})
    );
    let path = "/drive/v3/files/sim-n250-s4k-f0";
    let file = json(drive.get(path), 200).await;
    assert_eq!(file["mimeType"], "image/jpeg");
    assert!(file.get("size").is_none());
    let file = json(drive.get(path).query(&[("fields", "*")]), 200).await;
    assert_eq!(file["size"], "4096");
    let list = drive.list(FOLDER, &[("fields", "files(id,md5)")]);
    assert_eq!(refused(list, 400).await, "invalidParameter");
    let get = drive.get(path).query(&[("fields", "files(id)")]);
    assert_eq!(refused(get, 400).await, "invalidParameter");
}

#[tokio::test]
async fn queries_filter() {
    let drive = healthy().await;
    let list = |q: &str| {
        drive
            .get("/drive/v3/files")
            .query(&[("q", q), ("pageSize", "1000")])
    };
    let count = async |q: &str| json(list(q), 200).await["files"].as_array().unwrap().len();
    let base = format!("'{FOLDER}' in parents and trashed=false");
    assert_eq!(
        count(&format!("{base} and mimeType contains 'image/'")).await,
        250
    );
    assert_eq!(
        count(&format!("{base} and mimeType = 'image/png'")).await,
        62
    );
    assert_eq!(
        count(&format!("{base} and (mimeType='image/png' or name='x')")).await,
        62
    );
    assert_eq!(
        count(&format!("'{FOLDER}' in parents and trashed=true")).await,
        0
    );
    assert_eq!(count("trashed=false").await, 0);
    // The trap: of several folders, only a part is listed.
    assert_eq!(
        count("('sim-n3-s4k' in parents or 'sim-n5-s4k' in parents)").await,
        3
    );
    let error = json(list("'x' in parent"), 400).await;
    assert_eq!(error["error"]["errors"][0]["location"], "q");
}

#[tokio::test]
async fn unknown_and_private_folders_list_empty_and_are_not_found() {
    let drive = healthy().await;
    for folder in [PRIVATE_FOLDER, "no-such-folder", "sim-n1-s1"] {
        let page = json(drive.list(folder, &[]), 200).await;
        assert_eq!(page["files"], serde_json::json!([]), "{folder}");
        let error = json(drive.get(&format!("/drive/v3/files/{folder}")), 404).await;
        assert_eq!(
            error["error"]["message"],
            format!("File not found: {folder}.")
        );
        assert_eq!(error["error"]["errors"][0]["reason"], "notFound");
    }
    assert_eq!(
        json(drive.list(EMPTY_FOLDER, &[]), 200).await["files"],
        serde_json::json!([])
    );
    let folder = json(drive.get(&format!("/drive/v3/files/{EMPTY_FOLDER}")), 200).await;
    assert_eq!(folder["mimeType"], "application/vnd.google-apps.folder");
    assert_eq!(
        refused(drive.media(FOLDER), 403).await,
        "fileNotDownloadable"
    );
    assert_eq!(
        refused(drive.media("sim-n250-s4k-f250"), 404).await,
        "notFound"
    );
    assert_eq!(refused(drive.get("/drive/v2/files"), 404).await, "notFound");
}

#[tokio::test]
async fn parameters_are_checked() {
    let drive = healthy().await;
    for size in ["0", "1001", "many"] {
        let list = drive.list(FOLDER, &[("pageSize", size)]);
        assert_eq!(refused(list, 400).await, "invalidParameter");
    }
    let error = json(drive.list(FOLDER, &[("pageToken", "yesterday")]), 400).await;
    assert_eq!(error["error"]["errors"][0]["reason"], "invalid");
    assert_eq!(error["error"]["errors"][0]["location"], "pageToken");
    let page = json(drive.list(FOLDER, &[]), 200).await;
    let of_another = drive.list(
        "sim-n300-s4k",
        &[("pageToken", text(&page, "nextPageToken"))],
    );
    assert_eq!(refused(of_another, 400).await, "invalid");
}

#[tokio::test]
async fn callers_are_checked() {
    let drive = healthy().await;
    let path = "/drive/v3/files/sim-n250-s4k-f0";
    let bare = || drive.bare(Method::GET, path);
    json(bare().query(&[("key", "drive-sim-key")]), 200).await;
    json(bare().bearer_auth("drive-sim-token"), 200).await;

    let error = json(bare().header("x-goog-api-key", "wrong"), 400).await["error"].clone();
    assert_eq!(
        error["message"],
        "API key not valid. Please pass a valid API key."
    );
    assert_eq!(error["status"], "INVALID_ARGUMENT");
    assert_eq!(error["errors"][0]["reason"], "badRequest");
    assert_eq!(error["details"][0]["reason"], "API_KEY_INVALID");

    let error = json(bare(), 403).await["error"].clone();
    assert_eq!(error["status"], "PERMISSION_DENIED");
    assert!(text(&error, "message").starts_with("Method doesn't allow unregistered callers"));

    assert_eq!(refused(bare().bearer_auth("stale"), 401).await, "authError");
}

#[tokio::test]
async fn shared_drives_are_listed_only_when_asked_for() {
    let drive = healthy().await;
    let root = "0Asimshareddrive-n4-s4k";
    let rights = [
        ("supportsAllDrives", "true"),
        ("includeItemsFromAllDrives", "true"),
        ("corpora", "drive"),
        ("driveId", root),
        ("fields", "files(id,mimeType,driveId)"),
    ];
    let (files, _) = drive.list_all(root, &rights).await;
    assert_eq!(files.len(), 5);
    assert!(files.iter().all(|file| file["driveId"] == root));
    let subfolder = files
        .iter()
        .find(|file| text(file, "mimeType").contains("folder"))
        .unwrap();
    assert_eq!(
        drive.list_all(text(subfolder, "id"), &rights).await.0.len(),
        3
    );
    for missing in 0..2 {
        let mut fewer = rights.to_vec();
        fewer.remove(missing);
        assert_eq!(
            drive.list_all(root, &fewer).await.0.len(),
            0,
            "without {missing}"
        );
    }
    assert_eq!(drive.list_all(root, &rights[..2]).await.0.len(), 0);
    let no_drive = drive.list(root, &rights[..3]);
    assert_eq!(refused(no_drive, 400).await, "teamDriveIdRequired");

    let file = format!("/drive/v3/files/{root}-f0");
    assert_eq!(refused(drive.get(&file), 404).await, "notFound");
    assert_eq!(
        refused(drive.media(&format!("{root}-f0")), 404).await,
        "notFound"
    );
    json(
        drive.get(&file).query(&[("supportsAllDrives", "true")]),
        200,
    )
    .await;
    let media = drive
        .media(&format!("{root}-f0"))
        .query(&[("supportsAllDrives", "true")]);
    assert_eq!(
        media.send().await.unwrap().bytes().await.unwrap().len(),
        4096
    );
}

#[tokio::test]
async fn ranges_are_honoured() {
    let drive = healthy().await;
    let id = "sim-n250-s4k-f3";
    let whole = drive_sim::content(id).unwrap();
    let response = drive.media(id).send().await.unwrap();
    assert_eq!(header(&response, "content-length"), Some("4096"));
    assert_eq!(header(&response, "content-type"), Some("image/png"));
    assert_eq!(response.bytes().await.unwrap(), whole);
    for (range, first, last) in [
        ("bytes=0-99", 0, 99),
        ("bytes=4000-", 4000, 4095),
        ("bytes=-10", 4086, 4095),
        ("bytes=3990-9999", 3990, 4095),
    ] {
        let response = drive.media(id).header("range", range).send().await.unwrap();
        assert_eq!(response.status(), 206, "{range}");
        let content_range = format!("bytes {first}-{last}/4096");
        assert_eq!(
            header(&response, "content-range"),
            Some(content_range.as_str())
        );
        assert_eq!(
            response.bytes().await.unwrap(),
            whole.slice(first..=last),
            "{range}"
        );
    }
    let response = drive
        .media(id)
        .header("range", "bytes=4096-")
        .send()
        .await
        .unwrap();
    assert_eq!(header(&response, "content-range"), Some("bytes */4096"));
    let refusal = drive.media(id).header("range", "bytes=4096-");
    assert_eq!(refused(refusal, 416).await, "requestedRangeNotSatisfiable");
}

#[tokio::test]
async fn statistics_count_what_happened() {
    let drive = healthy().await;
    drive.list_all(FOLDER, &[]).await;
    json(drive.get("/drive/v3/files/sim-n250-s4k-f0"), 200).await;
    for id in ["sim-n250-s4k-f0", "sim-n250-s4k-f0", "sim-n250-s4k-f1"] {
        drive.media(id).send().await.unwrap().bytes().await.unwrap();
    }
    refused(drive.media("nothing"), 404).await;
    refused(drive.get("/elsewhere"), 404).await;

    let url = format!("{}/admin/stats", drive.server.url());
    let stats = drive
        .client
        .get(url)
        .send()
        .await
        .unwrap()
        .json::<drive_sim::Stats>();
    let stats = stats.await.unwrap();
    assert_eq!(stats, drive.server.stats());
    let requests = drive_sim::Requests {
        list: 3,
        get: 1,
        download: 4,
        other: 1,
        token: 0,
    };
    assert_eq!(stats.requests, requests);
    assert_eq!(stats.statuses, [(200, 7), (404, 2)].into());
    assert_eq!(stats.bytes, 3 * 4096);
    assert_eq!(stats.quota_units, 3 * 100 + 5 + 4 * 200);
    assert_eq!(stats.max_quota_units_per_minute, stats.quota_units);
    assert_eq!(stats.max_requests_per_minute, 9);
    assert_eq!((stats.concurrent, stats.max_concurrent), (0, 1));
    let downloads = [
        ("sim-n250-s4k-f0".to_owned(), 2),
        ("sim-n250-s4k-f1".to_owned(), 1),
    ];
    assert_eq!(stats.downloads, downloads.into());
    assert!(stats.faults.is_empty());

    let reset = drive
        .bare(Method::POST, "/admin/reset")
        .send()
        .await
        .unwrap();
    assert_eq!(reset.status(), 200);
    assert_eq!(drive.server.stats(), drive_sim::Stats::default());
}

#[tokio::test]
async fn whoever_watches_is_told_when_it_is_asked_and_answered() {
    let drive = healthy().await;
    json(drive.list(FOLDER, &[]), 200).await;
    let mut watch = drive.server.watch();
    let id = format!("{FOLDER}-f7");
    for (id, status) in [(id.as_str(), 200), ("nobody", 404)] {
        let response = drive.media(id).send().await.unwrap();
        assert_eq!(response.status(), status);
        for answered in [None, Some(status)] {
            let moment = watch.next().await.unwrap();
            assert_eq!(
                (moment.kind, moment.id.as_str(), moment.answered),
                (Kind::Download, id, answered)
            );
        }
    }
    json(drive.list(FOLDER, &[]), 200).await;
    watch.skip();
    drop(drive);
    while watch.next().await.is_some() {}
}

#[tokio::test]
async fn a_dropped_server_listens_no_more() {
    for shut_down in [false, true] {
        let drive = healthy().await;
        let path = format!("{}/admin/stats", drive.server.url());
        drive.client.get(&path).send().await.unwrap();
        if shut_down {
            drive.server.shutdown().await;
        } else {
            drop(drive.server);
        }
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while drive.client.get(&path).send().await.is_ok() {
            assert!(std::time::Instant::now() < deadline, "still answering");
            tokio::task::yield_now().await;
        }
    }
}
