//! Exit codes: what a script may rely on.

use std::process::ExitCode;

use jetstream::ConnectError;
use jetstream::server::ServerError;
use runtime::ConfigError;

use crate::api::ApiError;

/// How the process ends. The numbers from 64 on are those of `sysexits.h`. Usage errors end with 2,
/// which clap sees to before anything runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// All went well.
    Success = 0,
    /// The import or some of its images failed, or its state does not allow what was asked; a check
    /// failed; something unforeseen.
    Failure = 1,
    /// The gateway refuses a parameter.
    Usage = 2,
    /// A setting is missing or wrong.
    Configuration = 64,
    /// There is no such folder or import.
    NotFound = 66,
    /// The gateway or NATS does not answer.
    Unavailable = 69,
    /// Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// The code for an error, by whatever in its chain is known best.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        error
            .chain()
            .find_map(Self::of_link)
            .unwrap_or(Self::Failure)
    }

    fn of_link(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        if error.is::<ConfigError>() {
            return Some(Self::Configuration);
        }
        if let Some(error) = error.downcast_ref::<ApiError>() {
            return Some(error.exit());
        }
        if let Some(error) = error.downcast_ref::<ConnectError>() {
            return Some(match error {
                ConnectError::Denied { .. }
                | ConnectError::Tls { .. }
                | ConnectError::File { .. } => Self::Configuration,
                ConnectError::Unreachable { .. }
                | ConnectError::ServerTooOld { .. }
                | ConnectError::NoJetStream => Self::Unavailable,
            });
        }
        error.is::<ServerError>().then_some(Self::Unavailable)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_bad_setting_is_64_however_deep_it_lies() {
        let error = Err::<(), _>(ConfigError::new("X", "is wrong"))
            .context("reading settings")
            .context("starting");
        assert_eq!(
            error.map_err(|error| Exit::of(&error)),
            Err(Exit::Configuration)
        );
        assert_eq!(Exit::of(&anyhow::anyhow!("anything else")), Exit::Failure);
    }
}
