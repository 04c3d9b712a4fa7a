//! What `imagefleet doctor` says about Google Drive.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{imagefleet, output, stdout};
use drive_sim::{Faults, PRIVATE_FOLDER, SERVICE_ACCOUNT, Server, SignInRefusal, USER};
use serde_json::Value;
use tempfile::TempDir;

struct Setup {
    drive: Server,
    folder: TempDir,
}

impl Setup {
    async fn new() -> Self {
        Self {
            drive: drive_sim::serve(drive_sim::Options::default())
                .await
                .unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The outcome of the check, with the credentials `file` and `faults`.
    async fn check(&self, file: &str, folder: Option<&str>, faults: Faults) -> (bool, String) {
        self.drive.set_faults(faults);
        let path = self.folder.path().join("credentials.json");
        std::fs::write(&path, file).unwrap();
        let setting = ("GOOGLE_APPLICATION_CREDENTIALS", path.to_str().unwrap());
        self.check_with(setting, folder).await
    }

    async fn check_with(&self, setting: (&str, &str), folder: Option<&str>) -> (bool, String) {
        let mut command = imagefleet(self.folder.path());
        command
            .args(["doctor", "--json"])
            .env("GOOGLE_DRIVE_ENDPOINT", self.drive.url())
            // What is wrong with NATS is not asked here.
            .env("NATS_URL", "nats://127.0.0.1:1")
            .env(setting.0, setting.1);
        if let Some(folder) = folder {
            command.args(["--folder", folder]);
        }
        let text = stdout(&output(command).await);
        assert!(
            !text.contains("PRIVATE KEY") && !text.contains("1//"),
            "{text}"
        );
        let report: Value = serde_json::from_str(&text).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let check = checks
            .iter()
            .find(|check| check["name"] == "drive")
            .unwrap();
        (
            check["ok"].as_bool().unwrap(),
            check["detail"].as_str().unwrap().to_owned(),
        )
    }
}

#[tokio::test]
async fn it_lists_a_private_folder_or_says_with_whom_to_share_it() {
    let it = Setup::new().await;
    let (service, user) = (it.drive.service_account_file(), it.drive.user_file());
    let fine = Faults::default;
    for (file, folder, words) in [
        (&service, Some(PRIVATE_FOLDER), "50 entries"),
        (&user, Some(PRIVATE_FOLDER), "50 entries"),
        (&service, None, SERVICE_ACCOUNT),
        (&user, None, "credentials.json"),
    ] {
        let (ok, detail) = it.check(file, folder, fine()).await;
        assert!(ok && detail.contains(words), "{detail}");
    }
    it.drive.share_private_folders(SERVICE_ACCOUNT, false);
    let (ok, detail) = it.check(&service, Some(PRIVATE_FOLDER), fine()).await;
    assert!(
        !ok && detail.contains(&format!("share it with {SERVICE_ACCOUNT}")),
        "{detail}"
    );
    it.drive.share_private_folders(USER, false);
    let (ok, detail) = it.check(&user, Some(PRIVATE_FOLDER), fine()).await;
    assert!(
        !ok && detail.contains("as the user who signed in"),
        "{detail}"
    );
}

#[tokio::test]
async fn it_names_what_to_mend() {
    let it = Setup::new().await;
    let (service, user) = (it.drive.service_account_file(), it.drive.user_file());
    let refuse = |refusal| Faults {
        refuse_sign_in: Some(refusal),
        ..Faults::default()
    };
    let clock = Faults {
        clock_ahead_seconds: -3600,
        ..Faults::default()
    };
    let off = Faults {
        api_disabled: true,
        ..Faults::default()
    };
    let away = Faults {
        sign_in_500: 1.0,
        ..Faults::default()
    };
    for (file, faults, words) in [
        (&user, refuse(SignInRefusal::Revoked), "sign in again"),
        (&service, refuse(SignInRefusal::Revoked), "new key"),
        (&service, refuse(SignInRefusal::Account), "disabled"),
        (&service, clock, "ahead of Google's"),
        (&service, off, "apis/library/drive.googleapis.com"),
        (&service, away, "oauth2.googleapis.com"),
    ] {
        let (ok, detail) = it.check(file, None, faults).await;
        assert!(!ok && detail.contains(words), "{detail}");
    }
    it.drive.set_faults(Faults::default());
    let missing = ("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json");
    for (setting, words) in [
        (missing, "GOOGLE_APPLICATION_CREDENTIALS"),
        (("GOOGLE_API_KEY", "wrong"), "GOOGLE_API_KEY"),
    ] {
        let (ok, detail) = it.check_with(setting, None).await;
        assert!(!ok && detail.contains(words), "{detail}");
    }
}
