//! Every fault, at a rate of one, and that rates below one let retries through.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::{io, time::Duration};

use common::{Drive, header, healthy, json, refused, start_with};
use drive_sim::Faults;
use reqwest::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const FILE: &str = "sim-n50-s40k-f0";
const SIZE: usize = 40 << 10;
const DEADLINE: Duration = Duration::from_secs(60);

/// Sends one download by hand and reads until the connection ends.
async fn raw_download(drive: &Drive) -> (Vec<u8>, io::Result<usize>) {
    let address = drive
        .server
        .url()
        .strip_prefix("http://")
        .unwrap()
        .to_owned();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /drive/v3/files/{FILE}?alt=media HTTP/1.1\r\nHost: x\r\nX-Goog-Api-Key: \
         drive-sim-key\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let end = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut bytes))
        .await
        .unwrap();
    (bytes, end)
}

fn body(answer: &[u8]) -> &[u8] {
    let head = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    &answer[head + 4..]
}

#[tokio::test]
async fn connections_are_reset_before_and_amid_answers() {
    let drive = start_with(Faults {
        reset: 1.0,
        ..Faults::default()
    })
    .await;
    let (mut before, mut amid) = (0, 0);
    while before == 0 || amid == 0 {
        let (bytes, end) = raw_download(&drive).await;
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        if bytes.is_empty() {
            before += 1
        } else {
            amid += 1
        }
        assert!(bytes.len() < SIZE);
        assert!(before + amid < 100, "{before} before, {amid} amid");
    }
    let lists = drive.list("sim-n50-s40k", &[]).send().await;
    assert!(lists.is_err());
    assert_eq!(drive.server.stats().faults["reset"], before + amid + 1);
    assert_eq!(drive.server.stats().concurrent, 0);
}

#[tokio::test]
async fn bodies_are_truncated() {
    let drive = start_with(Faults {
        truncate: 1.0,
        ..Faults::default()
    })
    .await;
    let (bytes, end) = raw_download(&drive).await;
    end.unwrap();
    let text = String::from_utf8_lossy(&bytes).to_lowercase();
    assert!(
        text.contains(&format!("content-length: {SIZE}\r\n")),
        "{text}"
    );
    assert_eq!(body(&bytes), &drive_sim::content(FILE).unwrap()[..SIZE / 2]);
    assert!(
        drive
            .media(FILE)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .is_err()
    );
    assert_eq!(drive.server.stats().faults["truncate"], 2);
    // Lists are never damaged.
    json(drive.list("sim-n50-s40k", &[]), 200).await;
}

#[tokio::test]
async fn one_byte_is_flipped() {
    let drive = start_with(Faults {
        flip: 1.0,
        ..Faults::default()
    })
    .await;
    let bytes = drive
        .media(FILE)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    let truth = drive_sim::content(FILE).unwrap();
    assert_eq!(bytes.len(), truth.len());
    assert_eq!(
        bytes
            .iter()
            .zip(truth.iter())
            .filter(|(one, other)| one != other)
            .count(),
        1
    );
    assert_eq!(drive.server.stats().faults["flip"], 1);
}

#[tokio::test]
async fn bodies_stall_until_the_client_leaves() {
    let drive = start_with(Faults {
        stall: 1.0,
        ..Faults::default()
    })
    .await;
    let mut response = drive.media(FILE).send().await.unwrap();
    let mut received = 0;
    while received < SIZE / 2 {
        received += response.chunk().await.unwrap().unwrap().len();
    }
    assert_eq!(received, SIZE / 2);
    let more = tokio::time::timeout(Duration::from_millis(100), response.chunk()).await;
    assert!(more.is_err(), "more came: {more:?}");
    assert_eq!(drive.server.stats().concurrent, 1);
    drop(response);
    let gone = async {
        while drive.server.stats().concurrent > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.unwrap();
}

#[tokio::test]
async fn server_errors_come_in_all_their_forms() {
    let drive = start_with(Faults {
        error_500: 1.0,
        ..Faults::default()
    })
    .await;
    let mut reasons = std::collections::BTreeSet::new();
    for index in 0..40 {
        reasons.insert(refused(drive.media(&format!("sim-n50-s40k-f{index}")), 500).await);
    }
    assert!(reasons.into_iter().eq(["backendError", "internalError"]));

    drive.server.set_faults(Faults {
        error_503: 1.0,
        ..Faults::default()
    });
    let (mut as_json, mut as_html) = (0, 0);
    for _ in 0..40 {
        let response = drive.media(FILE).send().await.unwrap();
        assert_eq!(response.status(), 503);
        match header(&response, "content-type").unwrap() {
            "text/html; charset=UTF-8" => as_html += 1,
            _ => as_json += 1,
        }
    }
    assert!(as_json > 0 && as_html > 0, "{as_json} JSON, {as_html} HTML");
    let stats = drive.server.stats();
    assert_eq!(
        (stats.faults["error_500"], stats.faults["error_503"]),
        (40, 40)
    );
    assert_eq!((stats.statuses[&500], stats.statuses[&503]), (40, 40));
}

#[tokio::test]
async fn quota_is_refused_in_all_its_forms() {
    // One burst's worth: five downloads; the rest would take minutes to come.
    let faults = Faults {
        quota_units_per_minute: Some(1_000),
        quota_burst_ms: Some(60_000),
        ..Faults::default()
    };
    let drive = start_with(faults).await;
    for _ in 0..5 {
        assert_eq!(drive.media(FILE).send().await.unwrap().status(), 200);
    }
    let mut forms = std::collections::BTreeSet::new();
    for _ in 0..4 {
        let response = drive.media(FILE).send().await.unwrap();
        let status = response.status().as_u16();
        let wait = header(&response, "retry-after").map(|wait| wait.parse::<u64>().unwrap());
        assert!(wait.is_none_or(|wait| (1..=60).contains(&wait)), "{wait:?}");
        let error = response.json::<serde_json::Value>().await.unwrap();
        let inner = &error["error"]["errors"][0];
        assert_eq!(inner["domain"], "usageLimits");
        forms.insert((
            status,
            common::text(inner, "reason").to_owned(),
            wait.is_some(),
        ));
    }
    let form = |status, reason: &str, wait| (status, reason.to_owned(), wait);
    let expected = [
        form(403, "rateLimitExceeded", false),
        form(403, "userRateLimitExceeded", false),
        form(429, "rateLimitExceeded", false),
        form(429, "rateLimitExceeded", true),
    ];
    assert_eq!(forms, expected.into());
    let stats = drive.server.stats();
    assert_eq!(
        (stats.quota_units, stats.max_quota_units_per_minute),
        (1_000, 1_000)
    );
    assert_eq!(stats.faults["quota"], 4);

    let faults = Faults {
        requests_per_minute: Some(3),
        quota_burst_ms: Some(60_000),
        ..Faults::default()
    };
    drive.server.set_faults(faults);
    for status in [200, 200, 200, 403] {
        let response = drive.get("/drive/v3/files/museum").send().await.unwrap();
        assert_eq!(response.status(), status);
    }
}

#[tokio::test]
async fn downloads_are_refused_by_their_own_quota() {
    let drive = start_with(Faults {
        download_quota: 1.0,
        ..Faults::default()
    })
    .await;
    assert_eq!(
        refused(drive.media(FILE), 403).await,
        "downloadQuotaExceeded"
    );
    json(drive.get(&format!("/drive/v3/files/{FILE}")), 200).await;
}

#[tokio::test]
async fn page_tokens_expire() {
    let drive = start_with(Faults {
        expired_token: 1.0,
        ..Faults::default()
    })
    .await;
    let page = json(drive.list("sim-n50-s40k", &[("pageSize", "20")]), 200).await;
    let token = common::text(&page, "nextPageToken");
    let next = drive.list("sim-n50-s40k", &[("pageSize", "20"), ("pageToken", token)]);
    let error = json(next, 400).await;
    assert_eq!(error["error"]["errors"][0]["reason"], "invalid");
    assert_eq!(error["error"]["errors"][0]["location"], "pageToken");
}

#[tokio::test]
async fn short_and_empty_pages_lose_nothing() {
    let drive = healthy().await;
    let (truth, pages) = drive.list_all("sim-n50-s40k", &[]).await;
    assert_eq!(pages, 1);
    drive.server.set_faults(Faults {
        short_page: 1.0,
        ..Faults::default()
    });
    let (files, pages) = drive.list_all("sim-n50-s40k", &[]).await;
    assert_eq!(files, truth);
    assert!(pages > 2, "{pages}");
    drive.server.set_faults(Faults {
        empty_page: 1.0,
        ..Faults::default()
    });
    let (files, pages) = drive.list_all("sim-n50-s40k", &[]).await;
    assert_eq!((files, pages), (truth, 4));
    assert_eq!(drive.server.stats().faults["empty_page"], 3);
}

#[tokio::test]
async fn an_outage_refuses_everything_but_the_switch_to_end_it() {
    let drive = healthy().await;
    let put = |text: &'static str| {
        drive
            .bare(Method::PUT, "/admin/faults")
            .header("content-type", "application/json")
            .body(text)
    };
    let answer = json(put(r#"{"down": true}"#), 200).await;
    assert_eq!(answer["down"], true);
    let (bytes, end) = raw_download(&drive).await;
    assert!(bytes.is_empty());
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert!(drive.list("museum", &[]).send().await.is_err());
    json(put("{}"), 200).await;
    json(drive.list("museum", &[]), 200).await;
    assert_eq!(drive.server.stats().faults["down"], 2);

    json(put(r#"{"unauthorized": true}"#), 200).await;
    assert_eq!(refused(drive.list("museum", &[]), 401).await, "authError");
    for wrong in [r#"{"flip": 2}"#, r#"{"flop": 1}"#, "flip"] {
        assert!(json(put(wrong), 400).await["error"].is_string());
    }
    assert!(
        drive.server.faults().unauthorized,
        "a refused setting changed something"
    );
}

#[tokio::test]
async fn an_outage_cuts_bodies_that_are_under_way() {
    let drive = start_with(Faults {
        stall: 1.0,
        ..Faults::default()
    })
    .await;
    let mut response = drive.media(FILE).send().await.unwrap();
    response.chunk().await.unwrap().unwrap();
    drive.server.set_faults(Faults {
        down: true,
        ..Faults::default()
    });
    let rest = async { while let Ok(Some(_)) = response.chunk().await {} };
    tokio::time::timeout(DEADLINE, rest).await.unwrap();
}

#[tokio::test]
async fn latency_is_waited_for() {
    let faults = Faults {
        latency_ms: 30,
        jitter_ms: 30,
        ..Faults::default()
    };
    let drive = start_with(faults).await;
    let start = std::time::Instant::now();
    json(drive.list("museum", &[]), 200).await;
    // At least: a busy machine may add to it.
    assert!(start.elapsed() >= Duration::from_millis(30));
}

/// Which of 60 files could be downloaded whole, attempt by attempt.
async fn outcomes(seed: u64) -> Vec<String> {
    let faults = Faults {
        seed,
        error_500: 0.1,
        error_503: 0.1,
        reset: 0.1,
        truncate: 0.1,
        flip: 0.1,
        ..Faults::default()
    };
    let drive = start_with(faults).await;
    let mut outcomes = Vec::new();
    for index in 0..40 {
        let id = format!("sim-n50-s40k-f{index}");
        let truth = drive_sim::content(&id).unwrap();
        let mut outcome = String::new();
        loop {
            outcome.push(match drive.media(&id).send().await {
                Err(_) => 'r',
                Ok(response) if response.status() != 200 => 'e',
                Ok(response) => match response.bytes().await {
                    Err(_) => 't',
                    Ok(bytes) if bytes != truth => 'f',
                    Ok(_) => break,
                },
            });
            assert!(outcome.len() < 60, "{id} never succeeds");
        }
        outcomes.push(outcome);
    }
    outcomes
}

#[tokio::test]
async fn runs_repeat_and_retries_succeed() {
    let (first, again, other) = tokio::join!(outcomes(1), outcomes(1), outcomes(2));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert!(first.iter().any(|outcome| !outcome.is_empty()));
}
