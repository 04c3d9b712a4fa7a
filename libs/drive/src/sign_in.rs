//! What Google's token endpoint answers, and why it refuses.
//!
//! Its codes are those of RFC 6749 §5.2 and some of its own
//! (<https://developers.google.com/identity/protocols/oauth2/service-account#jwt-error-codes>).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap};
use serde::Deserialize;
use serde_json::Value;

use crate::credentials::{Account, Credentials};

const MAX_WORDS: usize = 300;
/// A token without a lifetime is used no longer than this.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(300);
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Why there is no access token. No variant carries a secret.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SignInError {
    /// Google says no, and will until somebody mends something.
    #[error("Google does not sign {who} in ({code}: {message}). {}", problem.advice())]
    Refused {
        /// Whose credentials they are.
        who: String,
        /// What is wrong.
        problem: SignInProblem,
        /// Google's code, such as `invalid_grant`.
        code: String,
        /// Google's words.
        message: String,
    },
    /// No connection to the token endpoint, or a broken one.
    #[error("Google's sign-in at {host} cannot be reached")]
    Unreachable {
        /// Where it should be.
        host: String,
        /// Why.
        source: Arc<reqwest::Error>,
    },
    /// It took too long.
    #[error("Google's sign-in at {host} was silent for too long")]
    Silent {
        /// Where it is.
        host: String,
    },
    /// An error of its own, or too many requests.
    #[error("Google's sign-in answered {status}")]
    Server {
        /// HTTP status.
        status: u16,
    },
    /// Something that is no answer to a request for a token; a proxy's page, for example.
    #[error("the answer of Google's sign-in at {host} makes no sense: {why}")]
    Senseless {
        /// Where it is.
        host: String,
        /// What is odd about it.
        why: String,
    },
}

/// What is wrong with credentials that Google refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInProblem {
    /// A user's refresh token has expired or was revoked.
    RefreshTokenExpired,
    /// An administrator wants the user to sign in again every so often.
    SignInTooOld,
    /// This machine's clock differs too much from Google's: by so many seconds, if it is known; more
    /// than zero means that ours is ahead.
    Clock(Option<i64>),
    /// The key is not, or no longer, one of the service account's.
    KeyUnknown,
    /// The service account, or the user it acts for, does not exist or is disabled.
    AccountUnknown,
    /// The OAuth client was deleted or disabled, or its secret is another.
    ClientUnknown,
    /// The service account may not act for this user.
    NotDelegated,
    /// An administrator forbids it.
    Policy,
    /// Anything else.
    Other,
}

impl SignInProblem {
    /// What to do.
    #[must_use]
    pub fn advice(self) -> String {
        match self {
            Self::RefreshTokenExpired => "The user must sign in again, which writes a new file for \
                GOOGLE_APPLICATION_CREDENTIALS; while the consent screen of the OAuth client is in \
                testing, Google ends every sign-in after 7 days",
            Self::SignInTooOld => "An administrator limits how long a sign-in lasts: sign in again, \
                or use a service account",
            Self::Clock(Some(seconds)) => {
                let direction = if seconds > 0 { "ahead of" } else { "behind" };
                return format!(
                    "The clock of this machine is {} s {direction} Google's: switch on time \
                     synchronisation (NTP)",
                    seconds.unsigned_abs()
                );
            }
            Self::Clock(None) => "Set the clock of this machine right: switch on time \
                synchronisation (NTP)",
            Self::KeyUnknown => "The key was deleted or belongs to another account: create a new \
                key of the service account and put its file where GOOGLE_APPLICATION_CREDENTIALS \
                points",
            Self::AccountUnknown => "The account was deleted or disabled, or its address is \
                misspelt: look it up at https://console.cloud.google.com/iam-admin/serviceaccounts, \
                and check GOOGLE_IMPERSONATE_SUBJECT",
            Self::ClientUnknown => "The OAuth client was deleted or disabled, or its secret was \
                replaced: look it up at https://console.cloud.google.com/apis/credentials and sign \
                in again with it",
            Self::NotDelegated => "Let the service account act for users at \
                https://admin.google.com/ac/owl/domainwidedelegation, with the scope \
                https://www.googleapis.com/auth/drive.readonly, and check GOOGLE_IMPERSONATE_SUBJECT",
            Self::Policy => "An administrator of the Google Workspace must allow this client to use \
                Google Drive",
            Self::Other => "Check GOOGLE_APPLICATION_CREDENTIALS",
        }
        .to_owned()
    }
}

impl SignInError {
    /// Whether somebody must mend something; else it is an outage.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    pub(crate) fn from_send(error: reqwest::Error, host: &str) -> Self {
        Self::Unreachable {
            host: host.to_owned(),
            source: Arc::new(error.without_url()),
        }
    }
}

/// A token and how long it is good for.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) access_token: secrecy::SecretString,
    pub(crate) lifetime: Duration,
}

#[derive(Deserialize)]
struct Grant {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Denial {
    error: Value,
    error_description: String,
    error_subtype: String,
}

/// Read an answer; of `body` there may be the beginning only.
pub(crate) fn read(
    credentials: &Credentials,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Granted, SignInError> {
    let senseless = |why: &str| SignInError::Senseless {
        host: host(credentials),
        why: why.to_owned(),
    };
    match status.as_u16() {
        200 => {
            let grant: Grant =
                serde_json::from_slice(body).map_err(|_| senseless("it is no JSON"))?;
            let bearer = grant
                .token_type
                .is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
            let token = grant
                .access_token
                .filter(|token| bearer && !token.is_empty())
                .ok_or_else(|| senseless("there is no access token in it"))?;
            let lifetime = grant
                .expires_in
                .map_or(UNKNOWN_LIFETIME, Duration::from_secs);
            Ok(Granted {
                access_token: token.into(),
                lifetime: lifetime.min(LONGEST_LIFETIME),
            })
        }
        status @ (408 | 429 | 500..=599) => Err(SignInError::Server { status }),
        status @ 400..=403 => {
            let denial: Denial = serde_json::from_slice(body).unwrap_or_default();
            let code = match &denial.error {
                Value::String(code) => code.as_str(),
                // Google's newer form.
                Value::Object(error) => error
                    .get("status")
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
                _ => "",
            };
            if code.is_empty() {
                return Err(senseless(&format!("status {status}")));
            }
            Err(SignInError::Refused {
                who: credentials.to_string(),
                problem: problem(credentials, code, &denial, headers),
                code: words(code),
                message: words(&denial.error_description),
            })
        }
        status => Err(senseless(&format!("status {status}"))),
    }
}

fn problem(
    credentials: &Credentials,
    code: &str,
    denial: &Denial,
    headers: &HeaderMap,
) -> SignInProblem {
    let text = denial.error_description.to_ascii_lowercase();
    let service = matches!(credentials.account(), Account::Service { .. });
    match code {
        "invalid_grant" if denial.error_subtype == "invalid_rapt" => SignInProblem::SignInTooOld,
        "invalid_grant" if !service => SignInProblem::RefreshTokenExpired,
        "invalid_grant" if text.contains("timeframe") || text.contains("short-lived") => {
            SignInProblem::Clock(seconds_ahead(headers, SystemTime::now()))
        }
        "invalid_grant" if text.contains("signature") || text.contains("key") => {
            SignInProblem::KeyUnknown
        }
        "invalid_grant" if text.contains("account") || text.contains("email") => {
            SignInProblem::AccountUnknown
        }
        "invalid_client" | "deleted_client" | "disabled_client" => SignInProblem::ClientUnknown,
        "unauthorized_client" | "access_denied" if service => SignInProblem::NotDelegated,
        "unauthorized_client" => SignInProblem::ClientUnknown,
        "admin_policy_enforced" | "org_internal" | "access_denied" => SignInProblem::Policy,
        _ => SignInProblem::Other,
    }
}

/// How far our clock is ahead of the one behind an answer; its `Date` tells whole seconds.
fn seconds_ahead(headers: &HeaderMap, now: SystemTime) -> Option<i64> {
    let theirs = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    let seconds = match now.duration_since(theirs) {
        Ok(ahead) => i64::try_from(ahead.as_secs()).ok()?,
        Err(behind) => -i64::try_from(behind.duration().as_secs()).ok()?,
    };
    // Less than that is no reason to refuse; the answer itself took time.
    (seconds.abs() >= 30).then_some(seconds)
}

pub(crate) fn host(credentials: &Credentials) -> String {
    credentials
        .token_uri
        .host_str()
        .unwrap_or_default()
        .to_owned()
}

/// Google's words, on one line and bounded.
fn words(text: &str) -> String {
    let one_line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let words: String = one_line.take(MAX_WORDS).collect();
    words.trim().trim_end_matches('.').to_owned()
}
