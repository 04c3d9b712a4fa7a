//! The one binary of Imagefleet: every role, and the command line.

mod api;
mod api_key;
mod broker;
mod cli;
mod config;
mod control;
mod demo;
mod doctor;
mod exit;
mod fleet;
mod health;
mod import;
mod imports;
mod login;
mod output;
mod progress;
mod rebuild;
mod roles;
mod setup;
mod verify;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use runtime::{Env, signals, telemetry};

use crate::cli::{Cli, Command};
use crate::exit::Exit;

fn main() -> ExitCode {
    runtime::install_tls_provider();
    allow_more_files();
    let cli = Cli::parse();
    let exit = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start threads")
        .and_then(|runtime| runtime.block_on(Box::pin(run(cli.command))));
    match exit {
        Ok(exit) => exit.into(),
        // Whoever read the output has seen enough, as `head` does.
        Err(error) if output::is_closed_pipe(&error) => Exit::Success.into(),
        Err(error) => {
            output::error(&error);
            Exit::of(&error).into()
        }
    }
}

/// Many systems allow 1,024 open files unless a process asks for more, and each connection is one.
fn allow_more_files() {
    const ENOUGH: u64 = 65_536;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard.min(ENOUGH)
    {
        // Where this is refused, connections wait for free ones.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(ENOUGH), hard);
    }
}

async fn run(command: Command) -> anyhow::Result<Exit> {
    let env = Env::from_process();
    let filter = match &command {
        Command::Up(_) | Command::Role(_) => "info,async_nats=warn,refinery_core=warn",
        // Some of its images are planned to fail, of which workers warn.
        Command::Demo(_) => "error",
        _ => "warn",
    };
    let service = match &command {
        Command::Role(role) => format!("imagefleet-{}", role.name()),
        _ => "imagefleet".to_owned(),
    };
    let exporter = telemetry::init(&env, filter, &service)?;
    let done = obey(command, env).await;
    if let Some(exporter) = exporter {
        exporter.flush().await;
    }
    done
}

async fn obey(command: Command, env: Env) -> anyhow::Result<Exit> {
    match command {
        Command::Up(args) => fleet::up(env, &args, signals::stop_token()?).await,
        Command::Demo(args) => demo::run(&env, &args, signals::stop_token()?).await,
        Command::Role(role) => roles::run(role, &env, signals::stop_token()?).await,
        Command::Setup(args) => setup::run(env, &args).await,
        Command::Import(args) => import::run(&env, &args).await,
        Command::Status(args) => import::status(&env, &args).await,
        Command::Imports(args) => imports::run(&env, &args).await,
        Command::Cancel(args) => control::run(&env, "cancel", &args).await,
        Command::Pause(args) => control::run(&env, "pause", &args).await,
        Command::Resume(args) => control::run(&env, "resume", &args).await,
        Command::Retry(args) => control::retry(&env, &args).await,
        Command::Doctor(args) => doctor::run(&env, &args).await,
        Command::Health(args) => health::run(&env, &args).await,
        Command::Rebuild(args) => rebuild::run(env, &args).await,
        Command::ApiKey(args) => api_key::run(&args),
        Command::Config(args) => config::run(&env, &args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "imagefleet", &mut script);
            output::bytes(&script)?;
            Ok(Exit::Success)
        }
    }
}
