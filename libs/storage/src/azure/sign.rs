//! Signing with an account's key: requests ("Authorize with Shared Key") and URLs that others may
//! read with ("Create a service SAS", "Create a user delegation SAS"; Azure Storage REST API).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderName,
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, RANGE,
};
use sha2::Sha256;
use url::Url;

use super::VERSION;

pub(super) const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// A key, decoded.
pub(super) struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// From base64; `None` if it is none.
    pub(super) fn new(base64: &str) -> Option<Self> {
        let bytes = BASE64.decode(base64).ok()?;
        Hmac::new_from_slice(&bytes).ok().map(Self)
    }

    fn sign(&self, text: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(text.as_bytes());
        BASE64.encode(mac.finalize().into_bytes())
    }

    /// The `Authorization` of a request.
    pub(super) fn authorization(
        &self,
        account: &str,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
    ) -> String {
        let signature = self.sign(&request_to_sign(account, method, url, headers));
        format!("SharedKey {account}:{signature}")
    }

    /// The query of a URL for one blob.
    pub(super) fn sas(&self, sas: &Sas<'_>) -> String {
        let signature = self.sign(&sas.to_sign());
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in sas.pairs() {
            query.append_pair(name, value);
        }
        query.append_pair("sig", &signature);
        query.finish()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

/// Read access to one blob.
pub(super) struct Sas<'a> {
    pub(super) account: &'a str,
    pub(super) container: &'a str,
    pub(super) blob: &'a str,
    /// As `2026-11-24T10:00:00Z`.
    pub(super) expiry: &'a str,
    pub(super) https_only: bool,
    pub(super) content_type: &'a str,
    pub(super) content_disposition: &'a str,
    /// Whose key signs, when it is not the account's.
    pub(super) delegation: Option<&'a Delegation>,
}

/// Names of a user delegation key, as Azure gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delegation {
    pub(super) object_id: String,
    pub(super) tenant_id: String,
    pub(super) start: String,
    pub(super) expiry: String,
    pub(super) service: String,
    pub(super) version: String,
}

impl Sas<'_> {
    fn protocol(&self) -> &'static str {
        if self.https_only { "https" } else { "" }
    }

    /// The format of version 2020-12-06 and later.
    fn to_sign(&self) -> String {
        let resource = format!("/blob/{}/{}/{}", self.account, self.container, self.blob);
        let mut fields = vec!["r", "", self.expiry, &resource];
        match self.delegation {
            // Signed identifier.
            None => fields.push(""),
            Some(key) => fields.extend([
                key.object_id.as_str(),
                &key.tenant_id,
                &key.start,
                &key.expiry,
                &key.service,
                &key.version,
                // Authorized user, unauthorized user, correlation id.
                "",
                "",
                "",
            ]),
        }
        // IP; protocol; version; kind of resource; snapshot; encryption scope; then the answer's
        // cache control, disposition, encoding, language and type.
        fields.extend(["", self.protocol(), VERSION, "b", "", ""]);
        fields.extend(["", self.content_disposition, "", "", self.content_type]);
        fields.join("\n")
    }

    fn pairs(&self) -> Vec<(&'static str, &str)> {
        let mut pairs = vec![
            ("sv", VERSION),
            ("sp", "r"),
            ("sr", "b"),
            ("se", self.expiry),
            ("spr", self.protocol()),
            ("rscd", self.content_disposition),
            ("rsct", self.content_type),
        ];
        if let Some(key) = self.delegation {
            pairs.extend([
                ("skoid", key.object_id.as_str()),
                ("sktid", &key.tenant_id),
                ("skt", &key.start),
                ("ske", &key.expiry),
                ("sks", &key.service),
                ("skv", &key.version),
            ]);
        }
        pairs.retain(|(_, value)| !value.is_empty());
        pairs
    }
}

fn request_to_sign(account: &str, method: &Method, url: &Url, headers: &HeaderMap) -> String {
    let header = |name: &HeaderName| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    };
    let mut text = method.as_str().to_owned();
    for name in [
        &CONTENT_ENCODING,
        &CONTENT_LANGUAGE,
        &CONTENT_LENGTH,
        &CONTENT_MD5,
        &CONTENT_TYPE,
        &DATE,
        &IF_MODIFIED_SINCE,
        &IF_MATCH,
        &IF_NONE_MATCH,
        &IF_UNMODIFIED_SINCE,
        &RANGE,
    ] {
        text.push('\n');
        // An empty body's length is left out.
        if !(*name == CONTENT_LENGTH && header(name) == "0") {
            text.push_str(header(name));
        }
    }
    text.push('\n');
    let mut named: Vec<&HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-ms-"))
        .collect();
    named.sort_unstable_by_key(|name| name.as_str());
    for name in named {
        text.push_str(&format!("{name}:{}\n", header(name)));
    }
    text.push_str(&format!("/{account}{}", url.path()));
    let mut query: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| (name.to_lowercase(), value.into_owned()))
        .collect();
    query.sort_unstable();
    for (name, value) in query {
        text.push_str(&format!("\n{name}:{value}"));
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    /// The example of "Authorize with Shared Key", section "Constructing the signature string".
    #[test]
    fn requests_are_signed_as_documented() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-ms-date",
            HeaderValue::from_static("Fri, 26 Jun 2015 23:39:12 GMT"),
        );
        headers.insert("x-ms-version", HeaderValue::from_static("2015-02-21"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let url = "https://myaccount.blob.core.windows.net/mycontainer?timeout=20&restype=container&comp=metadata";
        let url = Url::parse(url).unwrap();
        let text = request_to_sign("myaccount", &Method::GET, &url, &headers);
        assert_eq!(
            text,
            "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
        );
    }

    /// Field by field, from "Create a user delegation SAS", version 2020-12-06 and later.
    #[test]
    fn a_delegated_url_is_signed_as_documented() {
        let text = |text: &str| text.to_owned();
        let delegation = Delegation {
            object_id: text("oid"),
            tenant_id: text("tid"),
            start: text("2026-11-24T10:00:00Z"),
            expiry: text("2026-11-24T12:00:00Z"),
            service: text("b"),
            version: text(VERSION),
        };
        let sas = Sas {
            account: "alice",
            container: "photos",
            blob: "a/b.jpg",
            expiry: "2026-11-24T11:00:00Z",
            https_only: true,
            content_type: "image/jpeg",
            content_disposition: "inline",
            delegation: Some(&delegation),
        };
        assert_eq!(
            sas.to_sign(),
            format!(
                "r\n\n2026-11-24T11:00:00Z\n/blob/alice/photos/a/b.jpg\noid\ntid\n\
                 2026-11-24T10:00:00Z\n2026-11-24T12:00:00Z\nb\n{VERSION}\n\n\n\n\nhttps\n\
                 {VERSION}\nb\n\n\n\ninline\n\n\nimage/jpeg"
            )
        );
        let query = SigningKey::new("a2V5").unwrap().sas(&sas);
        for pair in [
            "skoid=oid",
            "sktid=tid",
            "sks=b",
            "rscd=inline",
            "spr=https",
            "sig=",
        ] {
            assert!(query.contains(pair), "{query}");
        }
    }
}
