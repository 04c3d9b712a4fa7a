//! Signing in without a key of one's own: at Amazon, by the SDK's chain; at Azure, by ours. The
//! services that issue credentials are imitated, because the real ones are in the clouds.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use crate::fake::{Fake, answer, header};
use bytes::Bytes;
use storage::{Key, ObjectInfo, Presign, S3Config, Store, StoreConfig, StoreError};

/// Set in a process that is to store one object in a bucket there.
const BUCKET_AT: &str = "STORAGE_TEST_BUCKET_AT";

fn key() -> Key {
    Key::new("some/image.png").unwrap()
}

async fn put(store: &Store) -> Result<(), StoreError> {
    let info = ObjectInfo {
        content_type: "image/png".to_owned(),
        ..ObjectInfo::default()
    };
    store.put(&key(), Bytes::from_static(b"bytes"), &info).await
}

/// Where the SDK looks for credentials cannot be changed within a process that runs other tests:
/// the test runs itself again, in `env`.
async fn in_process_of_its_own(test: &str, bucket_at: &str, env: &[(&str, String)]) {
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env_clear()
        .env(BUCKET_AT, bucket_at)
        // No instance of EC2 is asked when the rest fails.
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(env.iter().map(|(name, value)| (*name, value)))
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
}

/// The other side of [`in_process_of_its_own`].
async fn store_one(bucket_at: OsString) {
    let endpoint = bucket_at.into_string().unwrap().parse().unwrap();
    let config = S3Config::new("photos", "eu-central-1", Some(endpoint));
    let store = Store::open(StoreConfig::S3(config)).await.unwrap();
    put(&store).await.unwrap();
}

fn assert_signed_with(bucket: &Fake, id: &str, token: &str) {
    let request = bucket.asked().pop().unwrap();
    let authorization = header(&request, "authorization").unwrap();
    assert!(
        authorization.contains(&format!("Credential={id}/")),
        "{authorization}"
    );
    assert_eq!(header(&request, "x-amz-security-token"), Some(token));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_assumes_its_role_by_web_identity() {
    if let Some(bucket_at) = std::env::var_os(BUCKET_AT) {
        return store_one(bucket_at).await;
    }
    let sts = Fake::start(|request| {
        let signed = request.contains("Action=AssumeRoleWithWebIdentity")
            && request.contains("RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fworker")
            && request.contains("WebIdentityToken=a.pods.token");
        if !signed {
            return answer("400 Bad Request", "", "");
        }
        answer(
            "200 OK",
            "content-type: text/xml\n",
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAWEBIDENTITY</AccessKeyId>\
             <SecretAccessKey>secret</SecretAccessKey><SessionToken>web-session</SessionToken>\
             <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser>\
             <Arn>arn:aws:sts::123456789012:assumed-role/worker/s</Arn><AssumedRoleId>A:s</AssumedRoleId>\
             </AssumedRoleUser></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
        )
    })
    .await;
    let bucket = Fake::start(|_| answer("200 OK", "", "")).await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "a.pods.token").unwrap();
    let env = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.display().to_string()),
        (
            "AWS_ROLE_ARN",
            "arn:aws:iam::123456789012:role/worker".to_owned(),
        ),
        ("AWS_ENDPOINT_URL_STS", sts.endpoint.clone()),
    ];
    let test = "credentials::a_pod_assumes_its_role_by_web_identity";
    in_process_of_its_own(test, &bucket.endpoint, &env).await;
    assert_signed_with(&bucket, "ASIAWEBIDENTITY", "web-session");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_asks_for_its_tasks_role() {
    if let Some(bucket_at) = std::env::var_os(BUCKET_AT) {
        return store_one(bucket_at).await;
    }
    let agent = Fake::start(|request| {
        if !request.starts_with("GET /role ") || header(request, "authorization") != Some("a-token") {
            return answer("404 Not Found", "", "");
        }
        answer(
            "200 OK",
            "content-type: application/json\n",
            r#"{"AccessKeyId":"ASIACONTAINER","SecretAccessKey":"secret","Token":"task-session","Expiration":"2099-01-01T00:00:00Z"}"#,
        )
    })
    .await;
    let bucket = Fake::start(|_| answer("200 OK", "", "")).await;
    let env = [
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("{}/role", agent.endpoint),
        ),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a-token".to_owned()),
    ];
    let test = "credentials::a_container_asks_for_its_tasks_role";
    in_process_of_its_own(test, &bucket.endpoint, &env).await;
    assert_signed_with(&bucket, "ASIACONTAINER", "task-session");
}

async fn azure(endpoint: &str, pairs: &[(&str, &str)]) -> Store {
    let service = format!("{endpoint}/alice");
    let fixed = [
        ("STORAGE_PROVIDER", "azure"),
        ("AZURE_STORAGE_CONTAINER_NAME", "photos"),
        ("AZURE_STORAGE_ACCOUNT_NAME", "alice"),
        ("AZURE_STORAGE_SERVICE_ENDPOINT", service.as_str()),
    ];
    let env = runtime::Env::from_pairs(fixed.into_iter().chain(pairs.iter().copied()));
    Store::open(StoreConfig::from_env(&env).unwrap())
        .await
        .unwrap()
}

/// Azure and Entra in one: tokens are numbered, and only the second and later ones are good.
async fn azure_cloud() -> Fake {
    let issued = std::sync::atomic::AtomicU32::new(0);
    Fake::start(move |request| {
        if request.starts_with("POST /a-tenant/oauth2/v2.0/token ") {
            let fields = [
                "client_id=a-client",
                "client_assertion=a.pods.token",
                "scope=https%3A%2F%2Fstorage.azure.com%2F.default",
                "grant_type=client_credentials",
            ];
            if !fields.iter().all(|field| request.contains(field)) {
                let body = r#"{"error":"invalid_client","error_description":"AADSTS700016: No.\nTrace: 1"}"#;
                return answer("401 Unauthorized", "", body);
            }
            let number = issued.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            let body = format!(r#"{{"access_token":"token-{number}","expires_in":3599}}"#);
            return answer("200 OK", "", &body);
        }
        match header(request, "authorization") {
            Some("Bearer token-1") => answer(
                "401 Unauthorized",
                "x-ms-error-code: InvalidAuthenticationInfo\n",
                "",
            ),
            Some(_) if request.contains("comp=userdelegationkey") => answer(
                "200 OK",
                "",
                "<UserDelegationKey><SignedOid>oid</SignedOid><SignedTid>tid</SignedTid>\
                 <SignedStart>2026-11-24T10:00:00Z</SignedStart><SignedExpiry>2026-11-24T16:00:00Z</SignedExpiry>\
                 <SignedService>b</SignedService><SignedVersion>2023-11-03</SignedVersion>\
                 <Value>a2V5</Value></UserDelegationKey>",
            ),
            _ => answer("201 Created", "", ""),
        }
    })
    .await
}

#[tokio::test]
async fn a_pod_signs_in_at_azure_by_workload_identity() {
    let cloud = azure_cloud().await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "a.pods.token\n").unwrap();
    let token = token.to_str().unwrap();
    let identity = [
        ("AZURE_AUTHORITY_HOST", cloud.endpoint.as_str()),
        ("AZURE_TENANT_ID", "a-tenant"),
        ("AZURE_CLIENT_ID", "a-client"),
        ("AZURE_FEDERATED_TOKEN_FILE", token),
    ];
    let store = azure(&cloud.endpoint, &identity).await;

    // A token that is refused is an outage, and not used again.
    let error = put(&store).await.unwrap_err();
    assert!(
        matches!(error, StoreError::BadCredentials { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("AZURE_TENANT_ID"), "{error}");
    for _ in 0..3 {
        put(&store).await.unwrap();
    }
    let asked = cloud.asked();
    let tokens = asked.iter().filter(|request| request.contains("oauth2"));
    assert_eq!(tokens.count(), 2, "one token serves many requests");
    let last = asked.last().unwrap();
    assert_eq!(header(last, "authorization"), Some("Bearer token-2"));
    assert!(
        last.starts_with("PUT /alice/photos/some/image.png "),
        "{last}"
    );

    // URLs are signed with a key that Azure gave for it, once.
    let wanted = Presign {
        ttl: Duration::from_secs(300),
        content_type: "image/png".to_owned(),
        content_disposition: "inline".to_owned(),
    };
    for _ in 0..2 {
        let url = store.presign(&key(), &wanted).await.unwrap().unwrap();
        let query = url.query().unwrap();
        for pair in ["skoid=oid", "sktid=tid", "sp=r", "sr=b", "rscd=inline"] {
            assert!(query.contains(pair), "{query}");
        }
    }
    let asked = cloud.asked();
    let keys = asked
        .iter()
        .filter(|request| request.contains("userdelegationkey"));
    assert_eq!(keys.count(), 1);

    // What Entra refuses is said in its words, with the fix and without the token.
    std::fs::write(token, "a.strangers.token").unwrap();
    let error = put(&azure(&cloud.endpoint, &identity).await)
        .await
        .unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(
        text.contains("AADSTS700016") && text.contains("federated credential"),
        "{text}"
    );
    assert!(!text.contains("strangers"), "{text}");
}

#[tokio::test]
async fn a_container_app_signs_in_at_azure_by_its_identity() {
    let cloud = Fake::start(|request| {
        let wanted = "GET /identity?api-version=2019-08-01&resource=https%3A%2F%2Fstorage.azure.com%2F&client_id=a-client ";
        if request.starts_with(wanted) && header(request, "x-identity-header") == Some("a-secret") {
            let body = r#"{"access_token":"managed","expires_on":"4102444800"}"#;
            return answer("200 OK", "", body);
        }
        match header(request, "authorization") {
            Some("Bearer managed") => answer("201 Created", "", ""),
            _ => answer("403 Forbidden", "", ""),
        }
    })
    .await;
    let identity = format!("{}/identity", cloud.endpoint);
    let store = azure(
        &cloud.endpoint,
        &[
            ("IDENTITY_ENDPOINT", identity.as_str()),
            ("IDENTITY_HEADER", "a-secret"),
            ("AZURE_CLIENT_ID", "a-client"),
        ],
    )
    .await;
    put(&store).await.unwrap();
    put(&store).await.unwrap();
    assert_eq!(cloud.asked().len(), 3, "one token for both");
    assert!(!format!("{store:?}").contains("a-secret"));
}

#[tokio::test]
async fn without_the_role_to_sign_urls_there_are_none() {
    let cloud = Fake::start(|request| {
        if request.contains("/identity?") {
            return answer("200 OK", "", r#"{"access_token":"t","expires_in":"3599"}"#);
        }
        answer(
            "403 Forbidden",
            "x-ms-error-code: AuthorizationPermissionMismatch\n",
            "",
        )
    })
    .await;
    let identity = format!("{}/identity", cloud.endpoint);
    let pairs = [
        ("IDENTITY_ENDPOINT", identity.as_str()),
        ("IDENTITY_HEADER", "a-secret"),
    ];
    let store = azure(&cloud.endpoint, &pairs).await;
    let wanted = Presign {
        ttl: Duration::from_secs(300),
        content_type: "image/png".to_owned(),
        content_disposition: "inline".to_owned(),
    };
    for _ in 0..3 {
        assert_eq!(store.presign(&key(), &wanted).await.unwrap(), None);
    }
    assert_eq!(
        cloud.asked().len(),
        2,
        "the token, and one refusal that is remembered"
    );
}
