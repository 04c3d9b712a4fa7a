//! Access tokens: asked for once for all callers, before the last one ends.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;
use tokio::time::Instant;
use url::form_urlencoded::Serializer;

use crate::body::Body;
use crate::credentials::{Account, Credentials};
use crate::sign_in::{self, Granted, SignInError};
use crate::{DriveConfig, DriveError, assertion, http};

/// A new token is asked for so long before the last one ends, or when half its life is over.
const EARLY: Duration = Duration::from_secs(300);
/// After a failure nobody asks again for so long; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Callers have breakers of their own; this only keeps a crowd from asking one by one.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Asks for access tokens and keeps the last one.
pub(crate) struct Tokens {
    http: reqwest::Client,
    header_timeout: Duration,
    idle_timeout: Duration,
    state: Mutex<State>,
    /// Whoever holds it asks. It is the file's content as it was last read.
    asking: tokio::sync::Mutex<Credentials>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    failure: Option<Failure>,
}

struct Token {
    /// `Bearer …`, hidden from debug output.
    header: HeaderValue,
    renew_from: Instant,
    ends: Instant,
}

struct Failure {
    error: SignInError,
    pause: Duration,
    until: Instant,
}

/// What is there without asking.
enum Known {
    Good(HeaderValue),
    /// Good still, but not for long.
    Ageing(HeaderValue),
    /// Somebody asked a moment ago.
    Failed(SignInError),
    Nothing,
}

impl Tokens {
    pub(crate) fn new(config: &DriveConfig, credentials: Credentials) -> Result<Self, DriveError> {
        // Nothing is redirected here: a secret is sent to one address only.
        let http = http::base(config, &credentials.token_uri)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(DriveError::Client)?;
        Ok(Self {
            http,
            header_timeout: config.header_timeout,
            idle_timeout: config.idle_timeout,
            state: Mutex::default(),
            asking: tokio::sync::Mutex::new(credentials),
        })
    }

    /// The value of the `Authorization` header. Cancel-safe.
    pub(crate) async fn bearer(&self) -> Result<HeaderValue, SignInError> {
        match self.known() {
            Known::Good(header) => return Ok(header),
            // One caller asks, and everybody else goes on with what there is.
            Known::Ageing(header) => {
                return match self.asking.try_lock() {
                    Ok(mut credentials) => Ok(self.renew(&mut credentials).await.unwrap_or(header)),
                    Err(_) => Ok(header),
                };
            }
            Known::Failed(error) => return Err(error),
            Known::Nothing => {}
        }
        let mut credentials = self.asking.lock().await;
        // Somebody may have asked meanwhile.
        match self.known() {
            Known::Good(header) | Known::Ageing(header) => Ok(header),
            Known::Failed(error) => Err(error),
            Known::Nothing => self.renew(&mut credentials).await,
        }
    }

    /// Drive does not take `header`: forget it, if that is still what there is.
    pub(crate) fn refused(&self, header: &HeaderValue) {
        let mut state = self.state();
        if state
            .token
            .as_ref()
            .is_some_and(|token| token.header == *header)
        {
            state.token = None;
        }
    }

    fn known(&self) -> Known {
        let now = Instant::now();
        let state = self.state();
        let failure = state.failure.as_ref().filter(|failure| now < failure.until);
        match (&state.token, failure) {
            (Some(token), None) if token.renew_from <= now && now < token.ends => {
                Known::Ageing(token.header.clone())
            }
            (Some(token), _) if now < token.ends => Known::Good(token.header.clone()),
            (_, Some(failure)) => Known::Failed(failure.error.clone()),
            (_, None) => Known::Nothing,
        }
    }

    /// Ask, and remember what came of it.
    async fn renew(&self, credentials: &mut Credentials) -> Result<HeaderValue, SignInError> {
        let asked = Instant::now();
        let mut answer = self.ask(credentials).await;
        // The file may have been replaced: whoever changes keys does not restart everything.
        if answer.as_ref().is_err_and(SignInError::is_refusal)
            && let Some(renewed) = credentials.renewed()
        {
            *credentials = renewed;
            answer = self.ask(credentials).await;
        }
        let answer = answer.and_then(|granted| {
            let header = bearer(&granted.access_token).ok_or_else(|| SignInError::Senseless {
                host: sign_in::host(credentials),
                why: "the access token has characters of no token".to_owned(),
            })?;
            Ok((header, granted.lifetime))
        });
        let mut state = self.state();
        match answer {
            Ok((header, lifetime)) => {
                let ends = asked + lifetime;
                state.token = Some(Token {
                    header: header.clone(),
                    renew_from: ends - EARLY.min(lifetime / 2),
                    ends,
                });
                state.failure = None;
                Ok(header)
            }
            Err(error) => {
                let last = state.failure.take().map(|failure| failure.pause * 2);
                let pause = last.unwrap_or(FIRST_PAUSE).min(LONGEST_PAUSE);
                state.failure = Some(Failure {
                    error: error.clone(),
                    pause,
                    until: Instant::now() + pause,
                });
                Err(error)
            }
        }
    }

    async fn ask(&self, credentials: &Credentials) -> Result<Granted, SignInError> {
        let host = sign_in::host(credentials);
        let form = form(credentials).map_err(|_| SignInError::Senseless {
            host: host.clone(),
            why: "the private key does not sign".to_owned(),
        })?;
        let request = self
            .http
            .post(credentials.token_uri.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form)
            .send();
        let response = tokio::time::timeout(self.header_timeout, request)
            .await
            .map_err(|_| SignInError::Silent { host: host.clone() })?
            .map_err(|error| SignInError::from_send(error, &host))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = Body::new(response, self.idle_timeout)
            .beginning(MAX_ANSWER_BYTES)
            .await;
        sign_in::read(credentials, status, &headers, &body)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is sent: a signed claim, or a refresh token.
fn form(credentials: &Credentials) -> Result<String, jsonwebtoken::errors::Error> {
    let mut form = Serializer::new(String::new());
    match credentials.account() {
        Account::Service { .. } => {
            let assertion = assertion::sign(credentials, OffsetDateTime::now_utc())?;
            form.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
                .append_pair("assertion", assertion.expose_secret());
        }
        Account::User {
            client_id,
            client_secret,
            refresh_token,
        } => {
            form.append_pair("grant_type", "refresh_token")
                .append_pair("client_id", client_id)
                .append_pair("client_secret", client_secret.expose_secret())
                .append_pair("refresh_token", refresh_token.expose_secret());
        }
    }
    Ok(form.finish())
}

fn bearer(token: &SecretString) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret())).ok()?;
    header.set_sensitive(true);
    Some(header)
}
