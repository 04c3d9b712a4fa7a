//! `imagefleet cancel`, `pause`, `resume` and `retry`.

use runtime::Env;
use serde_json::Value;

use crate::api::{Api, Wanted};
use crate::cli::{Control, Retry};
use crate::exit::Exit;
use crate::output;

pub(crate) async fn run(env: &Env, action: &str, args: &Control) -> anyhow::Result<Exit> {
    command(env, action, args, Wanted::default()).await
}

pub(crate) async fn retry(env: &Env, args: &Retry) -> anyhow::Result<Exit> {
    let wanted = Wanted {
        cause: args.cause.clone(),
        item_id: args.item.clone(),
        ..Wanted::default()
    };
    command(env, "retry", &args.control, wanted).await
}

/// The answer says that the command is stored; what comes of it shows in the status.
async fn command(env: &Env, action: &str, args: &Control, wanted: Wanted) -> anyhow::Result<Exit> {
    let api = Api::from_env(env, args.api.api.as_ref())?;
    let wanted = Wanted {
        requested_by: format!("imagefleet {action}"),
        ..wanted
    };
    let answer = api.command(&args.id, action, &wanted).await?;
    if args.json {
        output::json(&answer)?;
        return Ok(Exit::Success);
    }
    let message = answer.get("message").and_then(Value::as_str);
    output::line(output::printable(message.unwrap_or(action)))?;
    if matches!(action, "resume" | "retry") {
        output::say(format!("Watch it: imagefleet status {} --watch", args.id));
    }
    Ok(Exit::Success)
}
