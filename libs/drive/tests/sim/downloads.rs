use std::time::Duration;

use drive::{Drive, DriveError, ErrorKind, Phase};
use drive_sim::Faults;

use crate::{at, bytes, client, id, sim};

const FILE: &str = "sim-n40-s20k-f1";

#[tokio::test]
async fn a_truncated_download_is_never_whole() {
    let (_server, drive) = sim(Faults {
        truncate: 1.0,
        ..Faults::default()
    })
    .await;
    let error = bytes(&drive, &id(FILE), None).await.unwrap_err();
    assert!(
        matches!(
            error,
            DriveError::Truncated {
                expected: 20_480,
                received: 10_240
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn resets_before_and_amid_the_answer_are_transport_errors() {
    let (server, drive) = sim(Faults {
        reset: 1.0,
        ..Faults::default()
    })
    .await;
    let (mut before, mut amid) = (0, 0);
    for index in 0..40 {
        let error = match drive
            .download(&id(&format!("sim-n40-s20k-f{index}")), None)
            .await
        {
            Err(error) => {
                before += 1;
                error
            }
            Ok(mut download) => loop {
                match download.chunk().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("a broken body ended as if it were whole"),
                    Err(error) => {
                        amid += 1;
                        break error;
                    }
                }
            },
        };
        assert!(matches!(error, DriveError::Transport(_)), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Retry { after: None });
    }
    assert!(before > 0 && amid > 0, "{before} before, {amid} amid");
    // Nothing was sent twice behind the caller's back.
    assert_eq!(server.stats().requests.download, 40);
}

#[tokio::test]
async fn a_stalled_download_ends_after_the_idle_timeout() {
    let (server, _) = sim(Faults {
        stall: 1.0,
        ..Faults::default()
    })
    .await;
    let drive = client(&server, |config| {
        config.idle_timeout = Duration::from_millis(200)
    });
    let error = bytes(&drive, &id(FILE), None).await.unwrap_err();
    assert!(
        matches!(error, DriveError::Timeout { phase: Phase::Body }),
        "{error:?}"
    );
}

#[tokio::test]
async fn server_errors_are_known_in_json_and_in_html() {
    let (server, drive) = sim(Faults {
        error_503: 1.0,
        ..Faults::default()
    })
    .await;
    for index in 0..20 {
        let error = drive
            .file(&id(&format!("sim-n40-s20k-f{index}")), None)
            .await
            .unwrap_err();
        assert!(
            matches!(error, DriveError::Server { status: 503, .. }),
            "{error:?}"
        );
    }
    server.set_faults(Faults {
        error_500: 1.0,
        ..Faults::default()
    });
    let error = drive.download(&id(FILE), None).await.unwrap_err();
    assert!(
        matches!(error, DriveError::Server { status: 500, .. }),
        "{error:?}"
    );
    assert_eq!(error.kind(), ErrorKind::Retry { after: None });
}

#[tokio::test]
async fn a_files_own_quota_is_told_apart_from_the_rate_limit() {
    let (server, drive) = sim(Faults {
        download_quota: 1.0,
        ..Faults::default()
    })
    .await;
    let error = drive.download(&id(FILE), None).await.unwrap_err();
    assert!(
        matches!(error, DriveError::DownloadQuotaExceeded),
        "{error:?}"
    );
    assert_eq!(error.kind(), ErrorKind::Item);

    // Enough for one request at once, and no more within the test.
    let faults = Faults {
        requests_per_minute: Some(1),
        ..Faults::default()
    };
    server.set_faults(faults);
    let folder = drive.folder(&at("sim-n40-s20k")).await.unwrap();
    let (mut reasons, mut waits) = (Vec::new(), 0);
    for _ in 0..8 {
        let error = drive.list(&folder, None).await.unwrap_err();
        match (error.kind(), error) {
            (
                ErrorKind::Throttled { after },
                DriveError::Throttled {
                    retry_after,
                    reason,
                },
            ) => {
                assert_eq!(after, retry_after);
                waits += u32::from(retry_after.is_some());
                reasons.push(reason);
            }
            (kind, error) => panic!("{kind:?} {error:?}"),
        }
    }
    assert!(waits > 0, "no answer said how long to wait");
    assert!(
        reasons
            .iter()
            .any(|reason| reason == "userRateLimitExceeded"),
        "{reasons:?}"
    );
    assert!(
        reasons.iter().any(|reason| reason == "rateLimitExceeded"),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn a_drive_that_resets_everything_is_not_mistaken_for_a_missing_file() {
    let (server, drive) = sim(Faults {
        down: true,
        ..Faults::default()
    })
    .await;
    let error = drive.download(&id(FILE), None).await.unwrap_err();
    assert!(matches!(error, DriveError::Transport(_)), "{error:?}");
    server.set_faults(Faults::default());
    assert_eq!(bytes(&drive, &id(FILE), None).await.unwrap().len(), 20_480);
}

async fn rest(drive: &Drive, offset: u64, total: u64) -> Result<Vec<u8>, DriveError> {
    let mut download = drive.download_from(&id(FILE), None, offset, total).await?;
    assert_eq!(download.length, Some(total - offset));
    let mut bytes = Vec::new();
    while let Some(chunk) = download.chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[tokio::test]
async fn a_download_goes_on_where_it_broke_off() {
    let (server, drive) = sim(Faults::default()).await;
    let whole = drive_sim::content(FILE).unwrap();
    for offset in [1, 10_240, 20_479] {
        let rest = rest(&drive, offset, 20_480).await.unwrap();
        assert!(rest == whole[offset as usize..], "from {offset}");
    }
    assert_eq!(server.stats().statuses, [(206, 3)].into());
    server.set_faults(Faults {
        cut_after: Some(5_000),
        ..Faults::default()
    });
    let error = rest(&drive, 10_000, 20_480).await.unwrap_err();
    assert!(
        matches!(
            error,
            DriveError::Truncated {
                expected: 10_480,
                received: 5_000
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn other_bytes_than_the_rest_are_not_taken_for_it() {
    let (server, drive) = sim(Faults::default()).await;
    // The file is shorter now, or longer, or nothing is left of it.
    for (offset, total) in [(100, 20_000), (100, 30_000), (20_480, 40_000)] {
        let error = rest(&drive, offset, total).await.unwrap_err();
        assert!(matches!(error, DriveError::NotResumable), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Retry { after: None });
    }
    server.set_faults(Faults {
        ignore_range: 1.0,
        ..Faults::default()
    });
    let error = rest(&drive, 100, 20_480).await.unwrap_err();
    assert!(matches!(error, DriveError::NotResumable), "{error:?}");
}

#[tokio::test]
async fn only_what_is_flagged_is_acknowledged() {
    let (server, careful) = sim(Faults::default()).await;
    let bold = client(&server, |config| config.acknowledge_abuse = true);
    let flagged = id("museum-abusive");
    let error = bytes(&careful, &flagged, None).await.unwrap_err();
    assert!(matches!(error, DriveError::Abusive), "{error:?}");
    server.reset();
    let content = drive_sim::content(flagged.as_str()).unwrap();
    assert_eq!(bytes(&bold, &flagged, None).await.unwrap(), content);
    assert_eq!(server.stats().statuses, [(200, 1), (403, 1)].into());
    // Drive refuses to acknowledge the abuse of other files.
    assert_eq!(bytes(&bold, &id(FILE), None).await.unwrap().len(), 20_480);
    assert_eq!(server.stats().statuses, [(200, 2), (403, 1)].into());
}
