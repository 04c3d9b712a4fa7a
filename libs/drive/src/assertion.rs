//! How a service account asks for a token: a claim that it signs itself (RFC 7523,
//! <https://developers.google.com/identity/protocols/oauth2/service-account>).

use jsonwebtoken::{Algorithm, Header};
use secrecy::SecretString;
use serde::Serialize;
use time::OffsetDateTime;

use crate::credentials::{Account, Credentials};

/// All that is ever asked for: to see and download files.
pub(crate) const SCOPE: &str = "https://www.googleapis.com/auth/drive.readonly";
/// A claim must end within an hour of its beginning.
const LIFETIME_SECONDS: i64 = 3600;

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
}

/// The signed claim of a service account, made at `now`.
pub(crate) fn sign(
    credentials: &Credentials,
    now: OffsetDateTime,
) -> Result<SecretString, jsonwebtoken::errors::Error> {
    let Account::Service { email, key_id, key } = credentials.account() else {
        return Err(jsonwebtoken::errors::ErrorKind::InvalidKeyFormat.into());
    };
    let iat = now.unix_timestamp();
    let claims = Claims {
        iss: email,
        scope: SCOPE,
        aud: credentials.token_uri.as_str(),
        iat,
        exp: iat + LIFETIME_SECONDS,
        sub: credentials.subject(),
    };
    let header = Header {
        kid: key_id.clone(),
        ..Header::new(Algorithm::RS256)
    };
    jsonwebtoken::encode(&header, &claims, key).map(SecretString::from)
}
