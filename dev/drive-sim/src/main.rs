//! Serves the simulated Drive until it is told to stop. The first line on stdout is its URL.

use std::{io::Write as _, net::SocketAddr, path::PathBuf};

use clap::Parser;
use drive_sim::{DEFAULT_API_KEY, DEFAULT_BEARER_TOKEN, Faults, Options};
use tokio::signal::unix::{SignalKind, signal};

/// Google Drive v3 over HTTP, as hostile as the real one.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The one valid API key.
    #[arg(long, default_value = DEFAULT_API_KEY)]
    api_key: String,
    /// The one valid access token.
    #[arg(long, default_value = DEFAULT_BEARER_TOKEN)]
    bearer_token: String,
    /// A folder to serve as `local-folder`.
    #[arg(long)]
    folder: Option<PathBuf>,
    #[command(flatten)]
    faults: Faults,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let server = drive_sim::serve(Options {
        listen: arguments.listen,
        api_key: arguments.api_key,
        bearer_token: arguments.bearer_token,
        folder: arguments.folder,
        faults: arguments.faults,
    })
    .await?;
    // Whoever started this process may wait for the line, or may have closed the pipe.
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", server.url()).and_then(|()| stdout.flush())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    server.shutdown().await;
    Ok(())
}
