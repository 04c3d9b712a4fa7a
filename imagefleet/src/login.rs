//! How a command on the same machine reaches the nats-server of a running `imagefleet up`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jetstream::{Logins, User};
use runtime::Env;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

/// Where the server is and what the projector's login is: enough to read events.
#[derive(Serialize, Deserialize)]
struct Login {
    url: String,
    password: String,
}

fn path(data: &Path) -> PathBuf {
    data.join("projector.json")
}

/// Leave it in the server's folder, for its owner's eyes only.
pub(crate) fn leave(data: &Path, url: &str, logins: &Logins) -> io::Result<()> {
    let login = Login {
        url: url.to_owned(),
        password: logins.password(User::Projector).expose_secret().to_owned(),
    };
    // A file that is there already would keep whatever may read it.
    remove(data);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path(data))?;
    file.write_all(&serde_json::to_vec(&login)?)
}

/// Take it away again.
pub(crate) fn remove(data: &Path) {
    // A login of a server that is gone opens nothing.
    let _ = fs::remove_file(path(data));
}

/// `env` with the login that was left in `data`, unless it names a server itself.
pub(crate) fn find(env: Env, data: &Path) -> Env {
    if env.get("NATS_URL").is_some() {
        return env;
    }
    let left = fs::read(path(data)).ok();
    let Some(login) = left.and_then(|text| serde_json::from_slice::<Login>(&text).ok()) else {
        return env;
    };
    let env = env
        .with("NATS_PROJECTOR_PASSWORD", login.password)
        .with("NATS_URL", login.url);
    Logins::from_env(&env).login(&env, User::Projector)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_left_is_found_by_its_owner_alone() {
        let data = tempfile::tempdir().unwrap();
        let logins = Logins::random();
        fs::write(path(data.path()), "open to all").unwrap();
        leave(data.path(), "nats://127.0.0.1:1", &logins).unwrap();
        let mode = fs::metadata(path(data.path()))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);

        let found = find(Env::default(), data.path());
        assert_eq!(found.get("NATS_URL"), Some("nats://127.0.0.1:1"));
        assert_eq!(found.get("NATS_USER"), Some("projector"));
        let password = logins.password(User::Projector).expose_secret();
        assert_eq!(found.get("NATS_PASSWORD"), Some(password));
        let own = Env::from_pairs([("NATS_URL", "nats://elsewhere")]);
        assert_eq!(find(own, data.path()).get("NATS_USER"), None);

        remove(data.path());
        assert_eq!(find(Env::default(), data.path()).get("NATS_URL"), None);
    }
}
