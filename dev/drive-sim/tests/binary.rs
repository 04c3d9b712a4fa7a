//! The program: its first line, its options, its end.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

#[tokio::test]
async fn prints_its_url_serves_and_stops_when_told() {
    for signal in ["-TERM", "-INT"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_drive-sim"))
            .args([
                "--listen",
                "127.0.0.1:0",
                "--api-key",
                "mine",
                "--error-503",
                "1",
            ])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines.next_line().await.unwrap().unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.get(format!("{url}/drive/v3/files/museum?key=mine"));
        assert_eq!(request.send().await.unwrap().status(), 503);
        let pid = child.id().unwrap().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .await
                .unwrap()
                .success()
        );
        let end = tokio::time::timeout(Duration::from_secs(60), child.wait()).await;
        assert!(end.unwrap().unwrap().success(), "{signal}");
    }
}
