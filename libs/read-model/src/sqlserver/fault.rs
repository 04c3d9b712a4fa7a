//! What SQL Server's errors mean to us.

use std::io::ErrorKind;
use std::time::Duration;

use tiberius::error::Error;

use crate::{ReadModelError, Refusal};

/// Why something was not done, told apart by who does what next.
#[derive(Debug)]
pub(super) enum Fault {
    /// Nothing was changed, and doing all of it again may succeed at once.
    Passing(Error),
    /// As [`Self::Passing`]; and the connection is gone.
    Broken(Error),
    /// The tables are not there, or not all of them.
    Absent(Error),
    /// Nothing that we repeat.
    Final(ReadModelError),
}

impl Fault {
    /// The error to give to whoever asked, once nobody tries again.
    pub(super) fn into_error(self) -> ReadModelError {
        match self {
            Self::Passing(error) | Self::Broken(error) => {
                ReadModelError::Unavailable(Box::new(error))
            }
            Self::Absent(_) => ReadModelError::NotReady,
            Self::Final(error) => error,
        }
    }

    /// The server's number for it.
    pub(super) fn code(&self) -> Option<u32> {
        match self {
            Self::Passing(error) | Self::Broken(error) | Self::Absent(error) => error.code(),
            Self::Final(_) => None,
        }
    }
}

impl From<ReadModelError> for Fault {
    fn from(error: ReadModelError) -> Self {
        Self::Final(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Server(told) => kind(told.code()),
            Error::Tls(_) => Kind::Refused(Refusal::Certificate),
            // A value that is not of its column's type.
            Error::Conversion(_) | Error::Utf8 | Error::Utf16 | Error::ParseInt(_) => Kind::Corrupt,
            _ => Kind::Broken,
        };
        match kind {
            Kind::Passing => Self::Passing(error),
            Kind::Broken => Self::Broken(error),
            Kind::Absent => Self::Absent(error),
            Kind::Refused(problem) => Self::Final(ReadModelError::Refused {
                problem,
                source: Box::new(error),
            }),
            Kind::Corrupt => Self::Final(ReadModelError::Corrupt(Box::new(error))),
            Kind::Outage => Self::Final(ReadModelError::Unavailable(Box::new(error))),
        }
    }
}

/// What kind of trouble a number of the server's stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Passing,
    Broken,
    Absent,
    Refused(Refusal),
    Corrupt,
    Outage,
}

/// Numbers: <https://learn.microsoft.com/sql/relational-databases/errors-events/> and
/// <https://learn.microsoft.com/azure/azure-sql/database/troubleshoot-common-errors-issues>.
fn kind(code: u32) -> Kind {
    match code {
        // A deadlock's victim; a snapshot for which somebody else was faster.
        1205 | 3960 => Kind::Passing,
        // A row that somebody else has just made, as when two projectors begin.
        2601 | 2627 => Kind::Passing,
        // Azure SQL moves the database, or protects it from too much work.
        40_143 | 40_197 | 40_501 | 40_540 | 40_613 | 49_918..=49_920 | 10_928 | 10_929 | 4221 => {
            Kind::Broken
        }
        // The server is going down or coming up, or somebody ended the session.
        64 | 233 | 596 | 615 | 6005 | 10_053 | 10_054 | 17_142 | 18_401 => Kind::Broken,
        207 | 208 => Kind::Absent,
        18_452 | 18_456 | 18_470 | 18_486..=18_488 => Kind::Refused(Refusal::Login),
        // During a failover these pass by themselves.
        911 | 916 | 4060 | 4063 | 4064 => Kind::Refused(Refusal::Database),
        229 | 230 | 262 | 297 | 300 | 371 | 2760 | 3704 | 15_151 => {
            Kind::Refused(Refusal::Permission)
        }
        40_532 | 40_615 | 40_914 | 47_073 => Kind::Refused(Refusal::Firewall),
        976 | 978 | 979 | 3906 => Kind::Refused(Refusal::Replica),
        // Values that do not fit, a torn page: the contents are at fault.
        220 | 232 | 245 | 515 | 547 | 824 | 2628 | 8114 | 8115 | 8152 | 13_609 => Kind::Corrupt,
        // Locks held for too long (1222), full disks (1101, 1105, 9002), memory (701, 802), and
        // whatever else the server has to say. Where waiting could help, it has waited.
        _ => Kind::Outage,
    }
}

/// What took too long.
pub(super) fn timed_out(what: &str, after: Duration) -> Error {
    Error::Io {
        kind: ErrorKind::TimedOut,
        message: format!("{what} took longer than {} s", after.as_secs()),
    }
}

pub(super) fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> ReadModelError {
    ReadModelError::Unavailable(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_connection_is_tried_again_and_then_an_outage() {
        for kind in [
            ErrorKind::ConnectionReset,
            ErrorKind::TimedOut,
            ErrorKind::UnexpectedEof,
        ] {
            let fault = Fault::from(Error::Io {
                kind,
                message: String::new(),
            });
            assert!(matches!(fault, Fault::Broken(_)), "{fault:?}");
            assert!(fault.into_error().is_outage());
        }
    }

    #[test]
    fn numbers_tell_who_does_what_next() {
        for code in [1205, 2601, 2627] {
            assert_eq!(kind(code), Kind::Passing, "{code}");
        }
        for code in [40_197, 40_501, 40_613, 49_918, 49_919, 49_920] {
            assert_eq!(kind(code), Kind::Broken, "{code}");
        }
        for (code, refusal) in [
            (18_456, Refusal::Login),
            (4060, Refusal::Database),
            (229, Refusal::Permission),
            (262, Refusal::Permission),
            (40_615, Refusal::Firewall),
        ] {
            assert_eq!(kind(code), Kind::Refused(refusal), "{code}");
        }
        assert_eq!(kind(1222), Kind::Outage);
    }

    #[test]
    fn a_certificate_that_nobody_vouches_for_is_an_outage_that_names_the_setting() {
        let fault = Fault::from(Error::Tls("UnknownIssuer".to_owned()));
        let error = fault.into_error();
        assert!(error.is_outage());
        assert!(error.to_string().contains("DB_CA_FILE"), "{error}");
    }
}
