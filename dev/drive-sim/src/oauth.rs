//! Signing in, as `https://oauth2.googleapis.com/token` has it: a service account with a claim that it
//! signed, a user with a refresh token
//! (<https://developers.google.com/identity/protocols/oauth2/service-account>).

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::faults::Faults;

/// The service account that is there.
pub const SERVICE_ACCOUNT: &str = "imagefleet@drive-sim.iam.gserviceaccount.com";
/// The user who is there. The service account may act for this one, and for nobody else.
pub const USER: &str = "curator@drive-sim.example";

const SCOPES: [&str; 2] = [
    "https://www.googleapis.com/auth/drive",
    "https://www.googleapis.com/auth/drive.readonly",
];
const CLIENT_ID: &str = "drive-sim.apps.googleusercontent.com";
const CLIENT_SECRET: &str = "drive-sim-client-secret";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Seconds that an access token is good for unless told otherwise.
const LIFETIME: u64 = 3599;
/// Seconds that a clock may differ.
const TOLERANCE: i64 = 300;
/// Access tokens remembered; the oldest sign-ins are forgotten with all others beyond it.
const TOKENS: usize = 100_000;

/// Why every sign-in is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum SignInRefusal {
    /// The refresh token was revoked; the service account's key was deleted.
    Revoked,
    /// The account was disabled.
    Account,
    /// The OAuth client was disabled.
    Client,
}

/// Who may do what.
#[derive(Debug)]
pub(crate) struct OAuth(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    /// Made when it is first asked for: that takes a while.
    key: Option<Arc<KeyPair>>,
    /// Rises with each key and each refresh token that replaces another.
    generation: u64,
    /// By access token.
    granted: HashMap<String, Granted>,
    grants: u64,
    /// Whom the private folders are shared with.
    shared_with: BTreeSet<String>,
}

#[derive(Debug)]
struct Granted {
    account: String,
    ends: Instant,
}

/// A refusal: status, code and words.
type Denied = (StatusCode, &'static str, &'static str);

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    scope: String,
    aud: String,
    iat: i64,
    exp: i64,
    sub: Option<String>,
}

impl Default for OAuth {
    fn default() -> Self {
        Self(Mutex::new(Inner {
            key: None,
            generation: 1,
            granted: HashMap::new(),
            grants: 0,
            shared_with: [SERVICE_ACCOUNT, USER].map(str::to_owned).into(),
        }))
    }
}

impl OAuth {
    /// The service account's file, as Google's console hands it out.
    pub(crate) fn service_account_file(&self, url: &str) -> Value {
        let key = self.key();
        let der: Result<Pkcs8V1Der<'_>, _> = key.as_der();
        let base64 = STANDARD.encode(der.map(|der| der.as_ref().to_vec()).unwrap_or_default());
        let lines: Vec<_> = base64
            .as_bytes()
            .chunks(64)
            .map(String::from_utf8_lossy)
            .collect();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            lines.join("\n")
        );
        json!({
            "type": "service_account",
            "project_id": "drive-sim",
            "private_key_id": self.key_id(),
            "private_key": pem,
            "client_email": SERVICE_ACCOUNT,
            "client_id": "100000000000000000001",
            "token_uri": token_uri(url),
            "universe_domain": "googleapis.com",
        })
    }

    /// The user's file, as `gcloud auth application-default login` writes it.
    pub(crate) fn user_file(&self, url: &str) -> Value {
        json!({
            "type": "authorized_user",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_token": self.refresh_token(),
            "token_uri": token_uri(url),
            "universe_domain": "googleapis.com",
        })
    }

    /// Replace the service account's key and the user's refresh token. Access tokens stay good.
    pub(crate) fn rotate(&self) {
        let mut inner = self.lock();
        inner.key = None;
        inner.generation += 1;
    }

    /// Forget every access token: Drive refuses them from now on.
    pub(crate) fn revoke_access_tokens(&self) {
        self.lock().granted.clear();
    }

    pub(crate) fn share_with(&self, account: &str, shared: bool) {
        let mut inner = self.lock();
        if shared {
            inner.shared_with.insert(account.to_owned());
        } else {
            inner.shared_with.remove(account);
        }
    }

    pub(crate) fn is_shared_with(&self, account: &str) -> bool {
        self.lock().shared_with.contains(account)
    }

    /// Whose access token this is, if it is good.
    pub(crate) fn account_of(&self, token: &str) -> Option<String> {
        let inner = self.lock();
        let granted = inner.granted.get(token)?;
        (Instant::now() < granted.ends).then(|| granted.account.clone())
    }

    /// Answer a request for a token.
    pub(crate) fn grant(&self, form: &[u8], url: &str, faults: &Faults) -> (StatusCode, Value) {
        let form: HashMap<String, String> =
            url::form_urlencoded::parse(form).into_owned().collect();
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let account = match field("grant_type") {
            JWT_BEARER => self.signed(field("assertion"), url, faults),
            "refresh_token" => self.refreshed(&field, faults),
            _ => Err((
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "Invalid grant_type",
            )),
        };
        match account {
            Ok(account) => self.issue(account, faults.token_seconds.unwrap_or(LIFETIME)),
            Err((status, code, description)) => (
                status,
                json!({"error": code, "error_description": description}),
            ),
        }
    }

    fn issue(&self, account: String, seconds: u64) -> (StatusCode, Value) {
        let mut inner = self.lock();
        inner.grants += 1;
        let token = format!("ya29.drive-sim-access-{:06}", inner.grants);
        if inner.granted.len() >= TOKENS {
            inner.granted.clear();
        }
        let ends = Instant::now() + Duration::from_secs(seconds);
        inner
            .granted
            .insert(token.clone(), Granted { account, ends });
        (
            StatusCode::OK,
            json!({
                "access_token": token,
                "expires_in": seconds,
                "scope": SCOPES[1],
                "token_type": "Bearer",
            }),
        )
    }

    /// Whom a signed claim stands for.
    fn signed(&self, assertion: &str, url: &str, faults: &Faults) -> Result<String, Denied> {
        let bad = |words| (StatusCode::BAD_REQUEST, "invalid_grant", words);
        match faults.refuse_sign_in {
            Some(SignInRefusal::Revoked) => return Err(bad("Invalid JWT Signature.")),
            Some(SignInRefusal::Account) => {
                return Err(bad("Invalid grant: account not found"));
            }
            Some(SignInRefusal::Client) => return Err(CLIENT_DISABLED),
            None => {}
        }
        let malformed = bad("Bad Request");
        let mut parts = assertion.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed);
        };
        let signed = &assertion[..header.len() + 1 + claims.len()];
        let header: Header = decode(header).ok_or(malformed)?;
        let claims: Claims = decode(claims).ok_or(malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed)?;
        if header.alg != "RS256" {
            return Err(malformed);
        }
        if claims.iss != SERVICE_ACCOUNT {
            return Err(bad("Invalid grant: account not found"));
        }
        let key = self.key();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
        if header.kid != self.key_id() || public.verify(signed.as_bytes(), &signature).is_err() {
            return Err(bad("Invalid JWT Signature."));
        }
        if claims.aud != token_uri(url) {
            return Err(bad(
                "Invalid JWT: Failed audience check. The right audience is the token endpoint",
            ));
        }
        let now = now(faults);
        let in_time = claims.iat <= now + TOLERANCE
            && claims.exp > now - TOLERANCE
            && claims.exp > claims.iat
            && claims.exp - claims.iat <= 3600;
        if !in_time {
            return Err(bad(
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable \
                 timeframe. Check your iat and exp values in the JWT claim.",
            ));
        }
        if !claims.scope.split(' ').any(|scope| SCOPES.contains(&scope)) {
            return Err((
                StatusCode::BAD_REQUEST,
                "invalid_scope",
                "Invalid OAuth scope or ID token audience provided.",
            ));
        }
        match claims.sub {
            None => Ok(claims.iss),
            Some(subject) if subject == USER => Ok(subject),
            Some(_) => Err((
                StatusCode::UNAUTHORIZED,
                "unauthorized_client",
                "Client is unauthorized to retrieve access tokens using this method, or client not \
                 authorized for any of the scopes requested.",
            )),
        }
    }

    /// Whom a refresh token stands for.
    fn refreshed<'a>(
        &self,
        field: &dyn Fn(&str) -> &'a str,
        faults: &Faults,
    ) -> Result<String, Denied> {
        let expired = (
            StatusCode::BAD_REQUEST,
            "invalid_grant",
            "Token has been expired or revoked.",
        );
        match faults.refuse_sign_in {
            Some(SignInRefusal::Revoked) => return Err(expired),
            Some(SignInRefusal::Account) => {
                let words = "Account has been deleted";
                return Err((StatusCode::BAD_REQUEST, "invalid_grant", words));
            }
            Some(SignInRefusal::Client) => return Err(CLIENT_DISABLED),
            None => {}
        }
        if field("client_id") != CLIENT_ID {
            let words = "The OAuth client was not found.";
            return Err((StatusCode::UNAUTHORIZED, "invalid_client", words));
        }
        if field("client_secret") != CLIENT_SECRET {
            return Err((StatusCode::UNAUTHORIZED, "invalid_client", "Unauthorized"));
        }
        if field("refresh_token") != self.refresh_token() {
            return Err(expired);
        }
        Ok(USER.to_owned())
    }

    fn key(&self) -> Arc<KeyPair> {
        let mut inner = self.lock();
        if let Some(key) = &inner.key {
            return Arc::clone(key);
        }
        // It fails only if the machine has no randomness.
        #[allow(clippy::expect_used)]
        let key = Arc::new(KeyPair::generate(KeySize::Rsa2048).expect("an RSA key"));
        inner.key = Some(Arc::clone(&key));
        key
    }

    fn key_id(&self) -> String {
        format!("drive-sim-key-{}", self.lock().generation)
    }

    fn refresh_token(&self) -> String {
        format!("1//drive-sim-refresh-{}", self.lock().generation)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const CLIENT_DISABLED: Denied = (
    StatusCode::UNAUTHORIZED,
    "disabled_client",
    "The OAuth client was disabled.",
);

fn token_uri(url: &str) -> String {
    format!("{url}/token")
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// Seconds since 1970 by our clock, which faults can set wrong.
fn now(faults: &Faults) -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX) + faults.clock_ahead_seconds
}

/// What our clock shows, for the `Date` of an answer.
pub(crate) fn date(faults: &Faults) -> Option<String> {
    use time::format_description::well_known::Rfc2822;
    let now = time::OffsetDateTime::from_unix_timestamp(now(faults)).ok()?;
    // RFC 2822 says +0000 where HTTP says GMT.
    Some(now.format(&Rfc2822).ok()?.replace("+0000", "GMT"))
}
