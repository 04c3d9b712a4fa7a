//! `imagefleet api-key`: a fresh key for the API.

use gateway::ApiKey;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::cli;
use crate::exit::Exit;
use crate::output;

/// Print a key, which is kept nowhere, and the entry of `API_KEYS` that lets it in.
pub(crate) fn run(args: &cli::ApiKey) -> anyhow::Result<Exit> {
    let scope = match args.scope {
        cli::Scope::Read => gateway::Scope::Read,
        cli::Scope::Write => gateway::Scope::Write,
    };
    let (key, entry) = ApiKey::generate(scope, args.name.as_deref())?;
    if args.json {
        output::json(&json!({ "key": key.expose_secret(), "entry": entry.to_string() }))?;
        return Ok(Exit::Success);
    }
    output::say("The key. It is shown this once; give it to whoever will use it:");
    output::line(key.expose_secret())?;
    output::say("\nThe entry. Add it to the gateway's API_KEYS, with a comma between entries:");
    output::line(entry.to_string())?;
    Ok(Exit::Success)
}
