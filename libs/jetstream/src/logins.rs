//! The users of `nats.conf` and their passwords, for a nats-server of our own.

use runtime::Env;
use secrecy::{ExposeSecret as _, SecretString};

/// A user that `nats.conf` knows, allowed what one kind of process does and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// Lists folders and carries out commands.
    Producer,
    /// Imports images.
    Worker,
    /// Folds events.
    Projector,
    /// Serves the API.
    Gateway,
    /// Other systems that ask for imports.
    Requester,
    /// Sets up, rebuilds, looks into everything.
    Admin,
}

impl User {
    /// Every user.
    pub const ALL: [Self; 6] = [
        Self::Producer,
        Self::Worker,
        Self::Projector,
        Self::Gateway,
        Self::Requester,
        Self::Admin,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Worker => "worker",
            Self::Projector => "projector",
            Self::Gateway => "gateway",
            Self::Requester => "requester",
            Self::Admin => "admin",
        }
    }
}

/// A password for each user.
#[derive(Clone)]
pub struct Logins {
    passwords: [SecretString; 6],
}

impl Logins {
    /// The passwords that are set, and new random ones for the other users.
    #[must_use]
    pub fn from_env(env: &Env) -> Self {
        Self {
            passwords: [
                env.secret("NATS_PRODUCER_PASSWORD"),
                env.secret("NATS_WORKER_PASSWORD"),
                env.secret("NATS_PROJECTOR_PASSWORD"),
                env.secret("NATS_GATEWAY_PASSWORD"),
                env.secret("NATS_REQUESTER_PASSWORD"),
                env.secret("NATS_ADMIN_PASSWORD"),
            ]
            .map(|set| set.unwrap_or_else(random)),
        }
    }

    /// New random passwords.
    #[must_use]
    pub fn random() -> Self {
        Self::from_env(&Env::default())
    }

    /// The password of `user`.
    #[must_use]
    pub fn password(&self, user: User) -> &SecretString {
        &self.passwords[user as usize]
    }

    /// The environment in which nats-server reads `nats.conf`.
    #[must_use]
    pub fn server_env(&self) -> Vec<(String, String)> {
        let variable = |user: User| {
            // The server parses the value like a part of its configuration: quoted, it is a text
            // whatever is in it.
            let password = self.password(user).expose_secret();
            let quoted = password.replace('\\', r"\\").replace('"', "\\\"");
            let name = user.name().to_uppercase();
            (format!("NATS_{name}_PASSWORD"), format!("\"{quoted}\""))
        };
        User::ALL.map(variable).into()
    }

    /// `env` with the login of `user`, and with nothing that is meant for another server.
    #[must_use]
    pub fn login(&self, env: &Env, user: User) -> Env {
        let others = [
            "NATS_CREDS",
            "NATS_NKEY_FILE",
            "NATS_CA_FILE",
            "NATS_CERT_FILE",
            "NATS_KEY_FILE",
            "NATS_INBOX_PREFIX",
        ];
        let clean = others
            .iter()
            .fold(env.clone(), |env, name| env.with(name, ""));
        clean
            .with("NATS_USER", user.name())
            .with("NATS_PASSWORD", self.password(user).expose_secret())
    }
}

fn random() -> SecretString {
    // A letter first, so that nothing takes it for a number.
    format!("p{:032x}", rand::random::<u128>()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_random_unless_they_are_set() {
        let env = Env::from_pairs([("NATS_WORKER_PASSWORD", "mine")]);
        let (one, other) = (Logins::from_env(&env), Logins::from_env(&env));
        for user in User::ALL {
            let (a, b) = (one.password(user), other.password(user));
            let (a, b) = (a.expose_secret(), b.expose_secret());
            assert_eq!(a == b, user == User::Worker, "{user:?}");
            assert_eq!(a == "mine", user == User::Worker, "{user:?}");
        }
    }
}
