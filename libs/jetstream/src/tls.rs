//! Files for logging in and for TLS, and what to do when no secure connection comes about.

use std::error::Error;
use std::path::Path;

use rustls::{AlertDescription, CertificateError, Error as TlsError};

use crate::connect::ConnectError;

/// The text of a file that `setting` names.
pub(crate) async fn read(setting: &'static str, path: &Path) -> Result<String, ConnectError> {
    tokio::fs::read_to_string(path)
        .await
        .map_err(|source| ConnectError::File {
            setting,
            path: path.display().to_string(),
            source,
        })
}

/// The seed in an nkey file, which may hold comments and the public key, too.
pub(crate) fn seed(text: &str) -> Option<&str> {
    text.lines()
        .map(str::trim)
        .find(|line| line.starts_with('S'))
}

/// What to do about an error, if it is one of TLS.
pub(crate) fn advice(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let error = find(error)?;
    Some(match error {
        TlsError::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => {
            "nobody we trust has signed its certificate; set NATS_CA_FILE to the certificate of the \
             authority that has"
        }
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            "its certificate is for another host name; put that name into NATS_URL, or give the server \
             a certificate for this one"
        }
        TlsError::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => "its certificate is not valid at this time; renew it, or correct the clock",
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => {
            "it asks for our certificate; set NATS_CERT_FILE and NATS_KEY_FILE"
        }
        TlsError::AlertReceived(_) => {
            "it does not accept our certificate; check NATS_CERT_FILE and NATS_KEY_FILE"
        }
        _ => "check NATS_CA_FILE, NATS_CERT_FILE and NATS_KEY_FILE",
    })
}

fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    if let Some(found) = error.downcast_ref::<TlsError>() {
        return Some(found);
    }
    // An I/O error names as its source what its content names, not the content.
    let content = error
        .downcast_ref::<std::io::Error>()
        .and_then(|io| io.get_ref());
    match content {
        Some(content) => find(content),
        None => find(error.source()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_is_found_among_comments() {
        let text = "# worker\n  SUAGC3DTRS6JKHDKTE\nUDXU4RCSJNZOIQHZNWX\n";
        assert_eq!(seed(text), Some("SUAGC3DTRS6JKHDKTE"));
        assert_eq!(seed("UDXU4RCSJNZOIQHZNWX"), None);
    }

    #[test]
    fn an_error_of_tls_is_found_however_deep_it_is() {
        let deep = std::io::Error::other(std::io::Error::other(TlsError::InvalidCertificate(
            CertificateError::UnknownIssuer,
        )));
        assert!(advice(&deep).is_some_and(|advice| advice.contains("NATS_CA_FILE")));
        assert_eq!(advice(&std::io::Error::other("refused")), None);
    }
}
