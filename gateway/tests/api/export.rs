use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::seed::{deleted, file, import_id, imported, imported_as, object};
use crate::support::{Fixture, problem, start};

const MANY: u32 = 451;

async fn seeded() -> Fixture {
    let mut gateway = start().await;
    let import = import_id("one");
    gateway
        .fold((1..=MANY).map(|n| imported(&import, n)).collect())
        .await;
    gateway
}

#[tokio::test]
async fn every_image_comes_once_as_json() {
    let gateway = seeded().await;
    let all = gateway.json("/api/images/all").await;
    assert_eq!(all["success"], true);
    assert_eq!(all["total"], MANY);
    let images = all["images"].as_array().unwrap();
    assert_eq!(images.len() as u32, MANY);
    assert_eq!(
        images[0],
        gateway.json("/api/images?per_page=1").await["images"][0]
    );
}

#[tokio::test]
async fn only_what_matches_comes() {
    let mut gateway = seeded().await;
    let other = import_id("two");
    gateway
        .fold(vec![imported(&other, 1_000), imported(&other, 1_001)])
        .await;
    let some = gateway.json("/api/images/all?import=two").await;
    assert_eq!(some["total"], 2);
    assert!(some["images"][0]["import_id"] == "two");
    // cat-44.jpg, and cat-440.jpg to cat-449.jpg.
    let some = gateway.json("/api/images/all?q=CAT-44&import=one").await;
    assert_eq!(some["total"], 11);
    let none = gateway
        .json("/api/images/all?mime_type=image/x-nothing")
        .await;
    assert_eq!(none["total"], 0);
    let wrong = gateway.get("/api/images/all?storage_provider=floppy");
    problem(wrong.send().await.unwrap(), 400, "invalid_parameter").await;
}

#[tokio::test]
async fn no_image_is_an_empty_list() {
    let gateway = start().await;
    let all = gateway.json("/api/images/all").await;
    assert_eq!(
        all,
        serde_json::json!({ "success": true, "images": [], "total": 0 })
    );
}

#[tokio::test]
async fn every_image_comes_once_as_ndjson() {
    let gateway = seeded().await;
    let request = gateway
        .get("/api/images/all")
        .header("accept", "application/x-ndjson");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let text = response.text().await.unwrap();
    assert!(text.ends_with('\n'));
    let rows: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len() as u32, MANY);
    assert_eq!(rows[450]["name"], "cat-1.jpg");
}

#[tokio::test]
async fn csv_survives_hostile_names() {
    let mut gateway = start().await;
    let import = import_id("one");
    let hostile = [
        "=cmd|'/c calc'!A0",
        "a,b",
        "say \"cheese\"",
        "two\r\nlines",
        "a;=1+1\r\n@A1",
    ];
    let named = |n: u32, name: &str| imported_as(&import, n, file(n, name), object(n));
    gateway
        .fold((1..).zip(hostile).map(|(n, name)| named(n, name)).collect())
        .await;
    let request = gateway
        .get("/api/images/all")
        .header("accept", "text/csv;q=0.9, */*;q=0.1");
    let response = request.send().await.unwrap();
    assert!(
        response.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/csv")
    );
    let text = response.text().await.unwrap();
    let (head, rows) = text.split_once("\r\n").unwrap();
    assert!(
        head.starts_with("id,name,google_drive_id,size,mime_type,storage_path,"),
        "{head}"
    );
    assert!(rows.contains("5,\"a;'=1+1\r\n'@A1\",file-5,"), "{rows}");
    assert!(
        rows.contains("4,\"two\r\nlines\",file-4,1004,image/jpeg,"),
        "{rows}"
    );
    assert!(rows.contains("3,\"say \"\"cheese\"\"\",file-3,"), "{rows}");
    assert!(rows.contains("2,\"a,b\",file-2,"), "{rows}");
    assert!(rows.contains("1,\"'=cmd|'/c calc'!A0\",file-1,"), "{rows}");
    assert!(
        rows.contains(",640,480,2024-05-01T12:00:00+02:00,6,"),
        "{rows}"
    );
    let columns = head.split(',').count();
    let last = rows.lines().last().unwrap();
    assert_eq!(last.split(',').count(), columns, "{last}");
}

/// More than the buffers of a connection hold, by far: some 20 MB.
const LONG: u32 = 5_000;

#[tokio::test]
async fn rows_are_read_when_they_are_sent() {
    let mut gateway = start().await;
    let import = import_id("one");
    let long = "x".repeat(4_000);
    for first in (1..=LONG).step_by(500) {
        let rows = (first..first + 500).map(|n| imported_as(&import, n, file(n, &long), object(n)));
        gateway.fold(rows.collect()).await;
    }
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(gateway.address).await.unwrap();
    let request = "GET /api/images/all HTTP/1.0\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    stream.read_exact(&mut answer).await.unwrap();
    let newest = format!("\"google_drive_id\":\"file-{LONG}\"");
    let begun = String::from_utf8_lossy(&answer).into_owned();
    assert!(begun.starts_with("HTTP/1.0 200"), "{begun}");

    // The oldest image, which comes last, goes while the newest ones are on their way.
    gateway.fold(vec![deleted(&import, 1)]).await;
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains(&newest));
    assert!(answer.contains("\"google_drive_id\":\"file-2\""));
    assert!(
        !answer.contains("\"google_drive_id\":\"file-1\""),
        "it was read before it was sent"
    );
    let total = format!("],\"total\":{}}}", LONG - 1);
    assert!(answer.ends_with(&total));
}
