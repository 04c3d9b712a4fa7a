//! Google Drive: signing in, and listing a folder for real.

use contracts::{Cause, FileId};
use drive::{Auth, Drive, DriveConfig, DriveError};
use runtime::Env;

/// Where the API is switched on.
const API: &str = "https://console.cloud.google.com/apis/library/drive.googleapis.com";

pub(super) async fn check(env: &Env, folder: Option<&str>) -> anyhow::Result<String> {
    let drive = Drive::new(DriveConfig::from_env(env)?)?;
    let explained = |error| explained(error, drive.auth());
    let Some(folder) = folder else {
        // No file has this id. Drive looks at the credentials before it looks for the file.
        let nobody: FileId = "imagefleet-doctor".parse()?;
        return match drive.file(&nobody, None).await {
            Ok(_) | Err(DriveError::NotFound) => Ok(accepted(drive.auth())),
            Err(error) => Err(explained(error)),
        };
    };
    let folder = drive
        .folder(&drive::parse_folder(folder)?)
        .await
        .map_err(explained)?;
    let page = drive.list(&folder, None).await.map_err(explained)?;
    let more = if page.next.is_some() {
        " on its first page"
    } else {
        ""
    };
    Ok(format!(
        "folder {:?} can be listed with {}: {} entries{more}",
        folder.name,
        who(drive.auth()),
        page.entries.len()
    ))
}

fn who(auth: &Auth) -> String {
    match auth {
        Auth::ApiKey(_) => "the API key".to_owned(),
        Auth::Credentials(credentials) => credentials.to_string(),
        Auth::Anonymous => "no credentials".to_owned(),
    }
}

fn accepted(auth: &Auth) -> String {
    let who = who(auth);
    match auth
        .credentials()
        .and_then(|credentials| credentials.address())
    {
        Some(address) => {
            format!("{who} is signed in; share folders with {address}, and --folder URL lists one")
        }
        None => format!("Drive answers with {who}; --folder URL lists a folder"),
    }
}

fn explained(error: DriveError, auth: &Auth) -> anyhow::Error {
    let address = auth
        .credentials()
        .and_then(|credentials| credentials.address());
    let advice = match (&error, address) {
        (DriveError::NotFound | DriveError::Forbidden { .. }, Some(address)) => format!(
            "Open the folder in Google Drive and share it with {address} (Viewer is enough), or \
             check the link."
        ),
        (DriveError::NotFound | DriveError::Forbidden { .. }, None)
            if auth.credentials().is_some() =>
        {
            "Open the folder as the user who signed in; if that fails too, ask its owner to share \
             it, or check the link."
                .to_owned()
        }
        (DriveError::NotFound, _) => Cause::FolderNotFound.advice().to_owned(),
        (DriveError::Forbidden { .. }, _) => Cause::FolderForbidden.advice().to_owned(),
        (DriveError::NotAFolder, _) => Cause::NotAFolder.advice().to_owned(),
        (DriveError::ApiDisabled { .. }, _) => format!(
            "Enable the Google Drive API at {API} in the project of {}, and wait a few minutes.",
            who(auth)
        ),
        (DriveError::KeyInvalid { .. }, _) => format!(
            "Check GOOGLE_API_KEY and the restrictions of the key, and that the Google Drive API \
             is enabled ({API})."
        ),
        (DriveError::Unauthorized { .. }, _) => {
            "Check that the key or the account still exists and is enabled.".to_owned()
        }
        // These say it themselves.
        (DriveError::SignIn(error), _) if error.is_refusal() => String::new(),
        (DriveError::ScopeMissing { .. }, _) => String::new(),
        (DriveError::SignIn(_), _) => {
            "Check DNS, proxy and firewall: the host of token_uri, oauth2.googleapis.com as a \
             rule, must be reachable."
                .to_owned()
        }
        (DriveError::Unreachable(_), _) => {
            "Check GOOGLE_DRIVE_ENDPOINT, DNS, proxy and firewall.".to_owned()
        }
        (DriveError::Throttled { .. }, _) => {
            "Lower DRIVE_QUOTA_UNITS_PER_MINUTE or wait a minute.".to_owned()
        }
        _ => "Try again; if it stays, look at https://www.google.com/appsstatus.".to_owned(),
    };
    let text = format!("{:#}", anyhow::Error::from(error));
    let text = format!("{}. {advice}", text.trim_end_matches('.'));
    anyhow::anyhow!("{}", text.trim_end())
}
