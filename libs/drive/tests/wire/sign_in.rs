//! What the token endpoint is sent, and what it may answer.

use drive::{Drive, DriveConfig, DriveError, ErrorKind, SignInError, SignInProblem};
use runtime::Env;
use serde_json::json;

use crate::server::{KEY, Reply, Server, answer, json as json_reply, raw, serve};
use crate::{id, whole_chain};

/// A client that signs in as a user, and has a key that it must not use.
fn signed_in(server: &Server, sign_in: &Server) -> Drive {
    let file = tempfile::NamedTempFile::new().unwrap();
    let user = json!({"type": "authorized_user", "client_id": "wire", "client_secret": "wire-secret",
        "refresh_token": "1//wire-refresh", "quota_project_id": "wire-project",
        "token_uri": sign_in.url.join("token").unwrap()});
    std::fs::write(&file, user.to_string()).unwrap();
    let env = Env::from_pairs([
        ("GOOGLE_DRIVE_ENDPOINT", server.url.as_str()),
        (
            "GOOGLE_APPLICATION_CREDENTIALS",
            file.path().to_str().unwrap(),
        ),
        ("GOOGLE_API_KEY", KEY),
    ]);
    Drive::new(DriveConfig::from_env(&env).unwrap()).unwrap()
}

#[tokio::test]
async fn the_token_goes_to_drive_and_the_secret_to_its_sign_in() {
    let granted = json!({"access_token": "ya29.wire", "expires_in": 3599, "token_type": "Bearer"});
    let sign_in = serve([json_reply(&granted)]).await;
    let other = serve([answer("200 OK", "", "stolen")]).await;
    let location = format!("Location: {}x\r\n", other.url);
    let server = serve([
        answer("200 OK", "", "bytes"),
        answer("302 Found", &location, ""),
    ])
    .await;
    let drive = signed_in(&server, &sign_in);

    drive.download(&id("f"), None).await.unwrap();
    let error = drive.download(&id("f"), None).await.unwrap_err();
    assert!(matches!(error, DriveError::Protocol(_)), "{error:?}");
    for request in server.requests() {
        let (line, headers) = request.split_once("\r\n").unwrap();
        assert!(!line.contains("ya29"), "{line}");
        assert!(
            headers.contains("authorization: Bearer ya29.wire\r\n"),
            "{headers}"
        );
        assert!(
            headers.contains("x-goog-user-project: wire-project\r\n"),
            "{headers}"
        );
        // Google refuses a key and a token of different projects.
        assert!(!headers.contains("x-goog-api-key"), "{headers}");
        assert!(
            !request.contains("secret") && !request.contains("refresh"),
            "{request}"
        );
    }
    assert_eq!(other.requests().len(), 0);
    let asked = &sign_in.requests()[0];
    assert!(asked.starts_with("POST /token HTTP/1.1\r\n"), "{asked}");
    assert!(
        !asked.contains(KEY) && !asked.contains("wire-secret"),
        "{asked}"
    );
}

/// What comes of a request when the sign-in is answered so. Drive itself is never asked.
async fn outcome(reply: Reply) -> DriveError {
    let (server, sign_in) = (serve([]).await, serve([reply]).await);
    let error = signed_in(&server, &sign_in)
        .file(&id("f"), None)
        .await
        .unwrap_err();
    assert_eq!(sign_in.requests().len(), 1);
    let told = whole_chain(&error);
    assert!(
        !told.contains("wire-secret") && !told.contains("1//"),
        "{told}"
    );
    error
}

#[tokio::test]
async fn answers_that_are_none_are_outages() {
    let page = "<html>Log in to the hotel's network</html>";
    for reply in [
        answer("200 OK", "", page),
        answer("200 OK", "", "{}"),
        json_reply(&json!({"access_token": "new\nline", "expires_in": 60})),
        json_reply(&json!({"access_token": "t", "token_type": "mac"})),
        answer("302 Found", "Location: http://127.0.0.1:1/\r\n", ""),
        answer("400 Bad Request", "", page),
        answer("404 Not Found", "", page),
        answer("429 Too Many Requests", "", ""),
        answer("503 Service Unavailable", "", page),
        Reply::Close(raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")),
        Reply::Reset(Vec::new()),
    ] {
        let error = outcome(reply).await;
        assert!(matches!(error, DriveError::SignIn(_)), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Outage, "{error:?}");
    }
}

#[tokio::test]
async fn refusals_are_told_apart() {
    use SignInProblem::*;
    for (status, body, expected) in [
        (
            "400 Bad Request",
            json!({"error": "invalid_grant"}),
            RefreshTokenExpired,
        ),
        (
            "400 Bad Request",
            json!({"error": "invalid_grant", "error_subtype": "invalid_rapt"}),
            SignInTooOld,
        ),
        (
            "401 Unauthorized",
            json!({"error": "deleted_client"}),
            ClientUnknown,
        ),
        (
            "401 Unauthorized",
            json!({"error": "unauthorized_client"}),
            ClientUnknown,
        ),
        (
            "400 Bad Request",
            json!({"error": "admin_policy_enforced"}),
            Policy,
        ),
        (
            "403 Forbidden",
            json!({"error": {"status": "PERMISSION_DENIED"}}),
            Other,
        ),
    ] {
        let error = outcome(answer(status, "", &body.to_string())).await;
        assert_eq!(error.kind(), ErrorKind::Credentials, "{error:?}");
        match error {
            DriveError::SignIn(SignInError::Refused { problem, .. }) => {
                assert_eq!(problem, expected, "{body}");
            }
            error => panic!("{error:?}"),
        }
    }
}
