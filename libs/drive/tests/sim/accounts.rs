//! Signing in, and what that opens.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use drive::{
    Auth, Credentials, Drive, DriveError, ErrorKind, SignInError, SignInProblem, parse_folder,
};
use drive_sim::{Faults, PRIVATE_FOLDER, SERVICE_ACCOUNT, Server, SignInRefusal, USER};
use tempfile::TempDir;

use crate::{at, bytes, client, files, id, pages, sim};

const PATIENCE: Duration = Duration::from_secs(20);
/// A file in the private folder.
const PRIVATE_FILE: &str = "private-folder-f0";

/// A folder for credentials files.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("credentials.json")
    }

    fn put(&self, text: &str) -> Credentials {
        std::fs::write(self.path(), text).unwrap();
        Credentials::read(&self.path()).unwrap()
    }
}

fn signed_in(server: &Server, credentials: Credentials) -> Drive {
    client(server, |config| {
        config.auth = Auth::Credentials(Box::new(credentials));
    })
}

/// Both kinds of accounts on one server, signed in.
async fn accounts(files: &[Files; 2]) -> (Server, [Drive; 2]) {
    let (server, _) = sim(Faults::default()).await;
    let service = signed_in(&server, files[0].put(&server.service_account_file()));
    let user = signed_in(&server, files[1].put(&server.user_file()));
    (server, [service, user])
}

async fn refusal(drive: &Drive) -> (SignInProblem, DriveError) {
    let error = drive.file(&id("sim-n1-s1k-f0"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credentials, "{error:?}");
    match &error {
        DriveError::SignIn(SignInError::Refused { problem, .. }) => (*problem, error),
        _ => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_private_folder_is_there_for_those_it_is_shared_with() {
    let folders = [Files::new(), Files::new()];
    let (server, accounts) = accounts(&folders).await;
    for drive in &accounts {
        let folder = drive.folder(&at(PRIVATE_FOLDER)).await.unwrap();
        let listed = pages(drive, &folder).await;
        assert_eq!(files(&listed).len(), 50);
        let file = bytes(drive, &id(PRIVATE_FILE), None).await.unwrap();
        assert_eq!(file, drive_sim::content(PRIVATE_FILE).unwrap());
    }
    let stranger = client(&server, |_| {});
    for account in [SERVICE_ACCOUNT, USER] {
        server.share_private_folders(account, false);
    }
    for drive in [&stranger, &accounts[0], &accounts[1]] {
        let error = drive.folder(&at(PRIVATE_FOLDER)).await.unwrap_err();
        assert!(matches!(error, DriveError::NotFound), "{error:?}");
        let error = bytes(drive, &id(PRIVATE_FILE), None).await.unwrap_err();
        assert!(matches!(error, DriveError::NotFound), "{error:?}");
    }
    // They still see what everybody sees.
    let link = "https://drive.google.com/drive/folders/sim-n3-s1k";
    let folder = accounts[0].folder(&parse_folder(link).unwrap()).await;
    assert_eq!(folder.unwrap().id, id("sim-n3-s1k"));
}

#[tokio::test]
async fn a_service_account_acts_for_the_user_who_lets_it() {
    let (server, _) = sim(Faults::default()).await;
    let folder = Files::new();
    let key = folder.put(&server.service_account_file());
    assert_eq!(key.address(), Some(SERVICE_ACCOUNT));
    server.share_private_folders(SERVICE_ACCOUNT, false);
    let acting = key.clone().acting_for(USER).unwrap();
    assert_eq!(acting.address(), Some(USER));
    let drive = signed_in(&server, acting);
    drive.folder(&at(PRIVATE_FOLDER)).await.unwrap();

    let drive = signed_in(
        &server,
        key.acting_for("director@drive-sim.example").unwrap(),
    );
    let (problem, error) = refusal(&drive).await;
    assert_eq!(problem, SignInProblem::NotDelegated);
    assert!(
        error.to_string().contains("GOOGLE_IMPERSONATE_SUBJECT"),
        "{error}"
    );
}

#[tokio::test]
async fn a_crowd_asks_for_one_token() {
    let (server, _) = sim(Faults {
        sign_in_latency_ms: 100,
        ..Faults::default()
    })
    .await;
    let folder = Files::new();
    let drive = signed_in(&server, folder.put(&server.service_account_file()));
    let asks: Vec<_> = (0..32)
        .map(|_| {
            let drive = drive.clone();
            tokio::spawn(async move { drive.file(&id(PRIVATE_FILE), None).await })
        })
        .collect();
    for ask in asks {
        ask.await.unwrap().unwrap();
    }
    assert_eq!(server.stats().requests.token, 1);
    assert_eq!(server.stats().requests.get, 32);
}

#[tokio::test]
async fn a_crowd_hears_of_one_refusal() {
    let (server, _) = sim(Faults {
        sign_in_latency_ms: 100,
        refuse_sign_in: Some(SignInRefusal::Revoked),
        ..Faults::default()
    })
    .await;
    let folder = Files::new();
    let drive = signed_in(&server, folder.put(&server.user_file()));
    let asks: Vec<_> = (0..32)
        .map(|_| {
            let drive = drive.clone();
            tokio::spawn(async move { drive.file(&id(PRIVATE_FILE), None).await })
        })
        .collect();
    for ask in asks {
        let error = ask.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Credentials, "{error:?}");
    }
    assert_eq!(server.stats().requests.token, 1);
    assert_eq!(server.stats().requests.get, 0);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let (server, _) = sim(Faults {
        token_seconds: Some(2),
        ..Faults::default()
    })
    .await;
    let folder = Files::new();
    let drive = signed_in(&server, folder.put(&server.user_file()));
    let begun = Instant::now();
    while server.stats().requests.token < 3 {
        assert!(begun.elapsed() < PATIENCE, "no token is renewed");
        drive.file(&id(PRIVATE_FILE), None).await.unwrap();
    }
    let statuses = server.stats().statuses;
    assert_eq!(
        statuses.keys().collect::<Vec<_>>(),
        [&200],
        "none was used beyond its end"
    );
}

#[tokio::test]
async fn a_token_that_drive_refuses_is_replaced_once() {
    let folders = [Files::new(), Files::new()];
    let (server, accounts) = accounts(&folders).await;
    for drive in &accounts {
        drive.file(&id(PRIVATE_FILE), None).await.unwrap();
    }
    server.reset();
    server.revoke_access_tokens();
    for drive in &accounts {
        bytes(drive, &id(PRIVATE_FILE), None).await.unwrap();
    }
    assert_eq!(server.stats().statuses, [(200, 2), (401, 2)].into());
    assert_eq!(server.stats().requests.token, 2);

    server.reset();
    server.set_faults(Faults {
        unauthorized: true,
        ..Faults::default()
    });
    for drive in &accounts {
        let error = drive.file(&id(PRIVATE_FILE), None).await.unwrap_err();
        assert!(
            matches!(error, DriveError::Unauthorized { .. }),
            "{error:?}"
        );
        assert_eq!(error.kind(), ErrorKind::Credentials);
    }
    assert_eq!(server.stats().statuses, [(401, 4)].into());
    assert_eq!(server.stats().requests.token, 2, "one new token each");
}

#[tokio::test]
async fn every_refusal_says_what_to_do_and_no_secret() {
    let (server, _) = sim(Faults::default()).await;
    let (service, user) = (server.service_account_file(), server.user_file());
    let cases = [
        (
            SignInRefusal::Revoked,
            &service,
            SignInProblem::KeyUnknown,
            "new key",
        ),
        (
            SignInRefusal::Account,
            &service,
            SignInProblem::AccountUnknown,
            SERVICE_ACCOUNT,
        ),
        (
            SignInRefusal::Client,
            &service,
            SignInProblem::ClientUnknown,
            "OAuth client",
        ),
        (
            SignInRefusal::Revoked,
            &user,
            SignInProblem::RefreshTokenExpired,
            "sign in again",
        ),
        (
            SignInRefusal::Client,
            &user,
            SignInProblem::ClientUnknown,
            "OAuth client",
        ),
    ];
    for (refuse, file, expected, words) in cases {
        server.set_faults(Faults {
            refuse_sign_in: Some(refuse),
            ..Faults::default()
        });
        let folder = Files::new();
        let drive = signed_in(&server, folder.put(file));
        let (problem, error) = refusal(&drive).await;
        assert_eq!(problem, expected);
        let text = format!("{error} {error:?} {drive:?}");
        assert!(text.contains(words), "{text}");
        assert_tells_no_secret(&text, file);
    }
}

/// Neither a key nor a token of the credentials `file` is in `text`.
fn assert_tells_no_secret(text: &str, file: &str) {
    let file: serde_json::Value = serde_json::from_str(file).unwrap();
    for name in ["private_key", "refresh_token", "client_secret"] {
        if let Some(secret) = file[name].as_str() {
            // A key's first line is the same for all keys.
            let secret = secret.lines().nth(1).unwrap_or(secret);
            assert!(!text.contains(secret), "{name} is in {text}");
        }
    }
    assert!(!text.contains("ya29."), "an access token is in {text}");
}

#[tokio::test]
async fn a_wrong_clock_is_named_and_measured() {
    for (ahead, words) in [(-3600, "s ahead of Google's"), (7200, "s behind Google's")] {
        let (server, _) = sim(Faults {
            clock_ahead_seconds: ahead,
            ..Faults::default()
        })
        .await;
        let folder = Files::new();
        let drive = signed_in(&server, folder.put(&server.service_account_file()));
        let (problem, error) = refusal(&drive).await;
        let SignInProblem::Clock(Some(seconds)) = problem else {
            panic!("{problem:?}");
        };
        assert!((seconds + ahead).abs() < 30, "{seconds}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_sign_in_that_is_away_is_an_outage_and_ends() {
    let (server, _) = sim(Faults {
        sign_in_500: 1.0,
        ..Faults::default()
    })
    .await;
    let folder = Files::new();
    let drive = signed_in(&server, folder.put(&server.service_account_file()));
    let error = drive.file(&id(PRIVATE_FILE), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Outage, "{error:?}");
    server.set_faults(Faults::default());
    let begun = Instant::now();
    while let Err(error) = drive.file(&id(PRIVATE_FILE), None).await {
        assert!(begun.elapsed() < PATIENCE, "{error:?}");
        tokio::task::yield_now().await;
    }

    // Silent, and not even there.
    server.set_faults(Faults {
        sign_in_latency_ms: 60_000,
        ..Faults::default()
    });
    let credentials = folder.put(&server.service_account_file());
    let slow = client(&server, |config| {
        config.auth = Auth::Credentials(Box::new(credentials));
        config.connect_timeout = Duration::from_millis(200);
        config.header_timeout = Duration::from_millis(200);
    });
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let file = server.user_file().replace(&server.url(), &nowhere);
    let gone = signed_in(&server, folder.put(&file));
    for drive in [slow, gone] {
        let error = drive.file(&id(PRIVATE_FILE), None).await.unwrap_err();
        assert!(matches!(error, DriveError::SignIn(_)), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Outage, "{error:?}");
    }
}

#[tokio::test]
async fn a_replaced_file_is_read_again() {
    let folders = [Files::new(), Files::new()];
    let (server, accounts) = accounts(&folders).await;
    for drive in &accounts {
        drive.file(&id(PRIVATE_FILE), None).await.unwrap();
    }
    server.rotate_credentials();
    folders[0].put(&server.service_account_file());
    folders[1].put(&server.user_file());
    server.revoke_access_tokens();
    for drive in &accounts {
        drive.file(&id(PRIVATE_FILE), None).await.unwrap();
    }
}
