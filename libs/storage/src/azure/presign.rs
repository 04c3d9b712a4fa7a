//! URLs that let anybody who holds them read one blob for a while. Who has the account's key signs
//! with it; an identity asks Azure for a key of its own first; a SAS cannot sign another one.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use reqwest::Method;
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::sync::Mutex;
use url::Url;

use super::sign::{Delegation, Sas, SigningKey};
use super::{Auth, AzureStore, Request, xml};
use crate::{Key, Presign, StoreError};

/// How long a delegated key is asked for; Azure gives at most 7 days ("Get User Delegation Key").
const KEY_LIVES: Duration = Duration::from_secs(6 * 60 * 60);
/// After a refusal, how long it is not asked again.
const REFUSED: Duration = Duration::from_secs(10 * 60);

/// The last user delegation key, or when the next one may be asked for.
#[derive(Debug, Default)]
pub(super) struct DelegationKeys(Mutex<Held>);

#[derive(Debug, Default)]
enum Held {
    #[default]
    Nothing,
    Key {
        key: Box<SigningKey>,
        names: Box<Delegation>,
        asked: Instant,
    },
    Refused(Instant),
}

impl AzureStore {
    /// `None` where nothing can be signed.
    pub(crate) async fn presign(
        &self,
        key: &Key,
        wanted: &Presign,
    ) -> Result<Option<Url>, StoreError> {
        let place = &self.inner.place;
        let expiry = rfc3339(SystemTime::now() + wanted.ttl);
        let mut sas = Sas {
            account: &place.account,
            container: &place.container,
            blob: key.as_str(),
            expiry: &expiry,
            https_only: place.endpoint.scheme() == "https",
            content_type: &wanted.content_type,
            content_disposition: &wanted.content_disposition,
            delegation: None,
        };
        let query = match &self.inner.auth {
            Auth::Key(key) => key.sas(&sas),
            Auth::Sas(_) => return Ok(None),
            Auth::Identity(_) => {
                let mut held = self.inner.delegation.0.lock().await;
                self.renew(&mut held, wanted.ttl).await?;
                let Held::Key { key, names, .. } = &*held else {
                    return Ok(None);
                };
                sas.delegation = Some(names);
                key.sas(&sas)
            }
        };
        let mut url = self.blob(key);
        url.set_query(Some(&query));
        Ok(Some(url))
    }

    /// Where [`Self::presign`]'s URLs lead.
    pub(crate) fn origin(&self) -> String {
        self.inner.place.endpoint.origin().ascii_serialization()
    }

    /// Sees that the key lives longer than a URL that it signs.
    async fn renew(&self, held: &mut Held, ttl: Duration) -> Result<(), StoreError> {
        match held {
            Held::Key { asked, .. } if asked.elapsed() + ttl < KEY_LIVES => return Ok(()),
            Held::Refused(asked) if asked.elapsed() < REFUSED => return Ok(()),
            _ => {}
        }
        let asked = Instant::now();
        *held = match self.delegation_key().await {
            Ok((key, names)) => Held::Key {
                key: Box::new(key),
                names: Box::new(names),
                asked,
            },
            Err(error @ StoreError::Denied { .. }) => {
                tracing::warn!(
                    error = %error,
                    "no read URLs can be signed, so images are streamed; assign the role Storage \
                     Blob Delegator on the storage account"
                );
                Held::Refused(asked)
            }
            Err(error) => return Err(error),
        };
        Ok(())
    }

    async fn delegation_key(&self) -> Result<(SigningKey, Delegation), StoreError> {
        let mut url = self.inner.place.endpoint.clone();
        url.query_pairs_mut()
            .append_pair("restype", "service")
            .append_pair("comp", "userdelegationkey");
        let now = SystemTime::now();
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><KeyInfo><Start>{}</Start><Expiry>{}</Expiry></KeyInfo>",
            rfc3339(now),
            rfc3339(now + KEY_LIVES)
        );
        let request = Request::new(Method::POST, url).body(Bytes::from(body));
        let answer = self.ask(request).await?;
        let answer = answer.text().await;
        let answer = answer.map_err(|error| self.inner.place.unreachable(error))?;
        let element = |name: &str| xml::elements(&answer, name).next();
        let parsed = || {
            let names = Delegation {
                object_id: element("SignedOid")?,
                tenant_id: element("SignedTid")?,
                start: element("SignedStart")?,
                expiry: element("SignedExpiry")?,
                service: element("SignedService")?,
                version: element("SignedVersion")?,
            };
            Some((SigningKey::new(&element("Value")?)?, names))
        };
        parsed().ok_or_else(|| StoreError::Unavailable {
            status: None,
            reason: "a user delegation key was asked for and did not come".to_owned(),
        })
    }
}

/// Whole seconds, UTC.
fn rfc3339(at: SystemTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    // Fails for nothing but a year beyond 9999.
    OffsetDateTime::from(at).format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_azure_reads_them() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_514_400_900);
        assert_eq!(rfc3339(at), "2026-11-24T10:00:00Z");
    }
}
