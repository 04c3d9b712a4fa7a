//! Which container, and who we are there.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use runtime::{ConfigError, Env};
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::{Host, Url};

const CONNECTION_STRING: &str = "AZURE_STORAGE_CONNECTION_STRING";
/// Where Azure's own storage accounts are, in each of its clouds ("Azure endpoints", by cloud).
const CLOUDS: [&str; 3] = [
    ".core.windows.net",
    ".core.usgovcloudapi.net",
    ".core.chinacloudapi.cn",
];
/// Account and key of every Azurite and storage emulator, known to everybody ("Use the Azurite
/// emulator for local Azure Storage development", "Well-known storage account and key").
const EMULATOR: (&str, &str) = (
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
);

/// One container of Azure Blob Storage.
#[derive(Debug, Clone)]
pub struct AzureConfig {
    /// The storage account.
    pub account: String,
    /// The container.
    pub container: String,
    /// The account's URL: the container's name is appended to it.
    pub endpoint: Url,
    /// Who we are.
    pub credential: AzureCredential,
}

/// Who we are at Azure.
#[derive(Debug, Clone)]
pub enum AzureCredential {
    /// The account's key, base64.
    Key(SecretString),
    /// A shared access signature: the query without `?`.
    Sas(SecretString),
    /// A token of Kubernetes (or another OIDC issuer), exchanged at Microsoft Entra.
    WorkloadIdentity {
        /// Entra's address, `https://login.microsoftonline.com/` in the public cloud.
        authority: Url,
        /// The directory.
        tenant: String,
        /// The application or managed identity.
        client: String,
        /// Where the token is; it is read anew each time.
        token_file: PathBuf,
    },
    /// The identity of the machine, App Service or container app we run in.
    ManagedIdentity {
        /// Which, where it has several.
        client: Option<String>,
        /// `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` of App Service and Container Apps; without
        /// them, the metadata service of a virtual machine is asked.
        service: Option<(Url, SecretString)>,
    },
}

impl AzureConfig {
    /// `AZURE_STORAGE_CONTAINER_NAME`, and either `AZURE_STORAGE_CONNECTION_STRING` or
    /// `AZURE_STORAGE_ACCOUNT_NAME` (with `AZURE_STORAGE_SERVICE_ENDPOINT` in another cloud than
    /// the public one) and an identity: workload identity by the variables that the webhook of AKS
    /// sets, else the machine's own.
    pub(crate) fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let container = container(env.require("AZURE_STORAGE_CONTAINER_NAME")?)?;
        if let Some(string) = env.secret("AZURE_STORAGE_CONNECTION_STRING") {
            return Self::from_connection_string(&string, container);
        }
        let Some(account) = env.get("AZURE_STORAGE_ACCOUNT_NAME") else {
            return Err(ConfigError::new(
                CONNECTION_STRING,
                "must be set, or AZURE_STORAGE_ACCOUNT_NAME where an identity signs in (workload \
                 identity, managed identity)",
            ));
        };
        let account = account_name("AZURE_STORAGE_ACCOUNT_NAME", account)?;
        let endpoint = match env.parse("AZURE_STORAGE_SERVICE_ENDPOINT")? {
            Some(endpoint) => checked("AZURE_STORAGE_SERVICE_ENDPOINT", endpoint)?,
            None => url(
                "AZURE_STORAGE_ACCOUNT_NAME",
                &format!("https://{account}.blob.core.windows.net"),
            )?,
        };
        if endpoint.scheme() != "https" && !is_loopback(&endpoint) {
            return Err(ConfigError::new(
                "AZURE_STORAGE_SERVICE_ENDPOINT",
                "must begin with https://, because a token is sent there",
            ));
        }
        Ok(Self {
            account,
            container,
            endpoint,
            credential: identity(env)?,
        })
    }

    /// Reads what the portal and `az storage account show-connection-string` print.
    fn from_connection_string(
        string: &SecretString,
        container: String,
    ) -> Result<Self, ConfigError> {
        let parts: Vec<(String, &str)> = string
            .expose_secret()
            .split(';')
            .filter_map(|part| part.split_once('='))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim()))
            .collect();
        let part = |name: &str| {
            let found = parts.iter().find(|(known, _)| known == name);
            found
                .map(|(_, value)| *value)
                .filter(|value| !value.is_empty())
        };
        let wrong = |what: &str| ConfigError::new(CONNECTION_STRING, what);

        if part("usedevelopmentstorage").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            let (account, key) = EMULATOR;
            return Ok(Self {
                account: account.to_owned(),
                container,
                endpoint: url(
                    CONNECTION_STRING,
                    &format!("http://127.0.0.1:10000/{account}"),
                )?,
                credential: AzureCredential::Key(key.into()),
            });
        }
        let explicit = part("blobendpoint").map(|text| url(CONNECTION_STRING, text));
        let explicit = explicit.transpose()?;
        let account = match (part("accountname"), &explicit) {
            (Some(account), _) => account_name(CONNECTION_STRING, account)?,
            (None, Some(endpoint)) => first_label(endpoint).ok_or_else(|| {
                wrong("must have AccountName= or a BlobEndpoint= that begins with it")
            })?,
            (None, None) => return Err(wrong("must have AccountName= or BlobEndpoint=")),
        };
        let endpoint = match explicit {
            Some(endpoint) => endpoint,
            None => {
                let scheme = part("defaultendpointsprotocol").unwrap_or("https");
                let suffix = part("endpointsuffix").unwrap_or("core.windows.net");
                url(
                    CONNECTION_STRING,
                    &format!("{scheme}://{account}.blob.{suffix}"),
                )?
            }
        };
        let credential = match (part("accountkey"), part("sharedaccesssignature")) {
            (Some(key), _) => {
                if BASE64.decode(key).is_err() {
                    return Err(wrong(
                        "has an AccountKey= that is not base64; copy it again",
                    ));
                }
                AzureCredential::Key(key.into())
            }
            (None, Some(sas)) => {
                let sas = sas.trim_start_matches('?');
                if !sas.split('&').any(|pair| pair.starts_with("sig=")) {
                    return Err(wrong(
                        "has a SharedAccessSignature= without sig=; copy it again, in quotes",
                    ));
                }
                AzureCredential::Sas(sas.into())
            }
            (None, None) => {
                return Err(wrong(
                    "must have AccountKey= or SharedAccessSignature=; copy all of it, in quotes",
                ));
            }
        };
        Ok(Self {
            account,
            container,
            endpoint,
            credential,
        })
    }

    /// Unix time at which a shared access signature expires: its `se`, a time or a day.
    pub(crate) fn sas_expires(&self) -> Option<i64> {
        let AzureCredential::Sas(sas) = &self.credential else {
            return None;
        };
        let mut pairs = url::form_urlencoded::parse(sas.expose_secret().as_bytes());
        let (_, at) = pairs.find(|(name, _)| name == "se")?;
        let whole = match at.len() {
            10 => format!("{at}T00:00:00Z"),
            // Seconds may be left out.
            17 => at.replace('Z', ":00Z"),
            _ => at.into_owned(),
        };
        let at = OffsetDateTime::parse(&whole, &Rfc3339).ok()?;
        Some(at.unix_timestamp())
    }

    pub(crate) fn is_public_service(&self) -> bool {
        let host = self.endpoint.host_str().unwrap_or_default();
        CLOUDS.iter().any(|cloud| host.ends_with(cloud))
    }
}

fn identity(env: &Env) -> Result<AzureCredential, ConfigError> {
    let client = env.get("AZURE_CLIENT_ID").map(str::to_owned);
    if let Some(file) = env.get("AZURE_FEDERATED_TOKEN_FILE") {
        let authority = env.parse("AZURE_AUTHORITY_HOST")?;
        let authority = match authority {
            Some(authority) => checked("AZURE_AUTHORITY_HOST", authority)?,
            None => url("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com")?,
        };
        if authority.scheme() != "https" && !is_loopback(&authority) {
            return Err(ConfigError::new(
                "AZURE_AUTHORITY_HOST",
                "must begin with https://, because a token is sent there",
            ));
        }
        return Ok(AzureCredential::WorkloadIdentity {
            authority,
            tenant: env.require("AZURE_TENANT_ID")?.to_owned(),
            client: env.require("AZURE_CLIENT_ID")?.to_owned(),
            token_file: PathBuf::from(file),
        });
    }
    let endpoint: Option<Url> = env.parse("IDENTITY_ENDPOINT")?;
    let service = endpoint.zip(env.secret("IDENTITY_HEADER"));
    Ok(AzureCredential::ManagedIdentity { client, service })
}

/// Naming rules: "Naming and referencing containers, blobs, and metadata".
fn container(name: &str) -> Result<String, ConfigError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (3..=63).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(name.to_owned());
    }
    Err(ConfigError::new(
        "AZURE_STORAGE_CONTAINER_NAME",
        "must be 3 to 63 of a-z, 0-9 and '-'",
    ))
}

/// Naming rules: "Storage account overview". It is part of a host name.
fn account_name(setting: &'static str, name: &str) -> Result<String, ConfigError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if (3..=24).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(name.to_owned());
    }
    Err(ConfigError::new(
        setting,
        "must name a storage account: 3 to 24 of a-z and 0-9",
    ))
}

fn url(setting: &'static str, text: &str) -> Result<Url, ConfigError> {
    let parsed = Url::parse(text.trim_end_matches('/'));
    checked(
        setting,
        parsed.map_err(|_| ConfigError::new(setting, "holds an address that is no URL"))?,
    )
}

fn checked(setting: &'static str, url: Url) -> Result<Url, ConfigError> {
    let plain = matches!(url.scheme(), "http" | "https")
        && url.host().is_some()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if plain {
        Ok(url)
    } else {
        Err(ConfigError::new(
            setting,
            "must hold http:// or https:// and a host, without a query",
        ))
    }
}

fn first_label(endpoint: &Url) -> Option<String> {
    let Some(Host::Domain(host)) = endpoint.host() else {
        return None;
    };
    let (account, _) = host.split_once(".blob.")?;
    Some(account.to_owned())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<AzureConfig, ConfigError> {
        let container = ("AZURE_STORAGE_CONTAINER_NAME", "photos");
        AzureConfig::from_env(&Env::from_pairs(pairs.iter().copied().chain([container])))
    }

    fn connected(string: &str) -> Result<AzureConfig, ConfigError> {
        read(&[(CONNECTION_STRING, string)])
    }

    #[test]
    fn a_signature_says_when_it_expires() {
        let at = |rest: &str| {
            let string = format!(
                "BlobEndpoint=https://bob.blob.core.windows.net/;SharedAccessSignature=sv=2022-11-02&{rest}sig=abc%3D"
            );
            connected(&string).unwrap().sas_expires()
        };
        for se in [
            "2031-05-06T07:08:00Z",
            "2031-05-06T07%3A08%3A00Z",
            "2031-05-06T07:08Z",
        ] {
            assert_eq!(at(&format!("se={se}&")), Some(1_935_817_680), "{se}");
        }
        assert_eq!(at("se=2031-05-06&"), Some(1_935_792_000));
        for none in ["", "se=&", "se=soon&", "st=2031-05-06&"] {
            assert_eq!(at(none), None, "{none}");
        }
        let key = connected("UseDevelopmentStorage=true").unwrap();
        assert_eq!(key.sas_expires(), None);
    }

    #[test]
    fn connection_strings_are_read_as_azure_prints_them() {
        let config = connected(
            "DefaultEndpointsProtocol=https;AccountName=alice;AccountKey=c2VjcmV0PT0=;EndpointSuffix=core.windows.net",
        )
        .unwrap();
        assert_eq!(
            config.endpoint.as_str(),
            "https://alice.blob.core.windows.net/"
        );
        assert!(config.is_public_service());
        assert!(
            matches!(&config.credential, AzureCredential::Key(key) if key.expose_secret() == "c2VjcmV0PT0=")
        );
        assert!(!format!("{config:?}").contains("c2VjcmV0"));

        let config = connected(
            "BlobEndpoint=https://bob.blob.core.usgovcloudapi.net/;SharedAccessSignature=?sv=2022-11-02&sig=abc%3D",
        )
        .unwrap();
        assert_eq!(config.account, "bob");
        assert!(config.is_public_service());
        assert!(
            matches!(&config.credential, AzureCredential::Sas(sas) if sas.expose_secret() == "sv=2022-11-02&sig=abc%3D")
        );

        let config = connected("UseDevelopmentStorage=true").unwrap();
        assert_eq!(
            config.endpoint.as_str(),
            "http://127.0.0.1:10000/devstoreaccount1"
        );
        assert!(!config.is_public_service());
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name_and_never_shown() {
        for string in [
            "hunter2",
            "AccountName=alice",
            "AccountName=alice;AccountKey=hunter2!",
            "AccountName=Ali.ce;AccountKey=aHVudGVyMg==",
            "AccountName=alice;SharedAccessSignature=hunter2",
            "AccountKey=aHVudGVyMg==",
            "BlobEndpoint=hunter2;AccountName=alice;AccountKey=aHVudGVyMg==",
            "BlobEndpoint=https://a.blob.core.windows.net?hunter2;AccountKey=aHVudGVyMg==",
        ] {
            let error = connected(string).unwrap_err().to_string();
            assert!(error.contains(CONNECTION_STRING), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(
            read(&[])
                .unwrap_err()
                .to_string()
                .contains(CONNECTION_STRING)
        );
        let env = Env::from_pairs([("AZURE_STORAGE_CONTAINER_NAME", "My_Photos")]);
        assert!(AzureConfig::from_env(&env).is_err());
    }

    #[test]
    fn identities_are_found_as_the_platform_gives_them() {
        let account = ("AZURE_STORAGE_ACCOUNT_NAME", "alice");
        let client = ("AZURE_CLIENT_ID", "an-id");
        let config = read(&[account]).unwrap();
        assert!(matches!(
            config.credential,
            AzureCredential::ManagedIdentity {
                client: None,
                service: None
            }
        ));
        let file = ("AZURE_FEDERATED_TOKEN_FILE", "/var/run/token");
        let error = read(&[account, client, file]).unwrap_err().to_string();
        assert!(error.contains("AZURE_TENANT_ID"), "{error}");
        let tenant = ("AZURE_TENANT_ID", "a-tenant");
        let config = read(&[account, client, file, tenant]).unwrap();
        assert!(matches!(
            config.credential,
            AzureCredential::WorkloadIdentity { authority, .. }
                if authority.as_str() == "https://login.microsoftonline.com/"
        ));
        for setting in ["AZURE_STORAGE_SERVICE_ENDPOINT", "AZURE_AUTHORITY_HOST"] {
            let plain = (setting, "http://example.com");
            let error = read(&[account, client, file, tenant, plain])
                .unwrap_err()
                .to_string();
            assert!(error.contains(setting), "{error}");
        }
    }
}
