//! The command line.

use std::path::PathBuf;

use clap::builder::ArgAction;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use url::Url;

const EXAMPLES: &str = "\
Examples:
  imagefleet demo                          see it work, without any account
  imagefleet up                            run everything on this machine
  imagefleet import FOLDER_URL --watch     import a folder and watch it arrive
  imagefleet doctor                        check every setting for real

Settings come from the environment and from ./.env; `imagefleet config` shows them.

Exit codes: 0 success · 1 an import, an image or a check failed, or the import cannot do
what was asked · 2 wrong usage · 64 a setting is wrong · 66 no such folder or import ·
69 the gateway or NATS does not answer · 130 interrupted";

/// Moves folders of images from Google Drive into your bucket.
#[derive(Debug, Parser)]
#[command(name = "imagefleet", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in one process, with a nats-server, SQLite and a local folder
    #[command(after_help = "\
Examples:
  GOOGLE_API_KEY=… imagefleet up
  imagefleet up --port 8080 --data /var/lib/imagefleet
  STORAGE_PROVIDER=aws AWS_BUCKET_NAME=photos imagefleet up
  NATS_URL=nats://nats:4222 imagefleet up      use a running NATS instead of starting one")]
    Up(Up),
    /// Import generated photographs, or your own, from a simulated Google Drive
    #[command(after_help = "\
The demo has settings of its own and touches neither your bucket nor your NATS.

Examples:
  imagefleet demo                              watch it in the browser
  imagefleet demo --photos ~/Pictures          with your own photographs
  imagefleet demo --once --json                run it once and check the outcome")]
    Demo(Demo),
    #[command(flatten)]
    Role(Role),
    /// Create or update the streams, consumers and buckets on NATS
    Setup(Setup),
    /// Import a Google Drive folder
    #[command(after_help = "\
Prints the import's id on stdout, or with --json the answer; with --watch the outcome.
The API is the one of a running gateway: --api, or IMAGEFLEET_URL, or http://127.0.0.1:5000.
Where it asks for a key, set API_KEY.

Examples:
  imagefleet import https://drive.google.com/drive/folders/ID --watch
  imagefleet import ID --prefix holidays/2026 --recursive=false
  imagefleet import ID --watch --json | jq .failed")]
    Import(Import),
    /// Show how far an import is, and what failed
    #[command(after_help = "\
Ends with 1 if the import or an image of it failed, or it was cancelled. With --watch a paused
import is waited for until somebody resumes or cancels it.

Examples:
  imagefleet status ID
  imagefleet status ID --watch
  imagefleet status ID --json | jq .failures")]
    Status(Status),
    /// List imports, the newest first
    Imports(Imports),
    /// Give up what is left of an import, for good
    #[command(after_help = "\
What is stored stays. Images that are on their way may still arrive; nothing new is begun.

Examples:
  imagefleet cancel ID
  imagefleet cancel ID --json | jq -r .status_url")]
    Cancel(Control),
    /// Hold an import until it is resumed
    #[command(after_help = "\
Images that are on their way still arrive; nothing new is begun.

Examples:
  imagefleet pause ID
  imagefleet resume ID")]
    Pause(Control),
    /// Go on with a paused import
    #[command(after_help = "\
Examples:
  imagefleet resume ID
  imagefleet resume ID && imagefleet status ID --watch")]
    Resume(Control),
    /// Queue failed images of an import again
    #[command(after_help = "\
`imagefleet status ID` lists what failed, by cause. Where nothing failed that matches, this
ends with 1.

Examples:
  imagefleet retry ID                            everything that failed
  imagefleet retry ID --cause source_gone        what failed for one cause
  imagefleet retry ID --item FILE_ID             one image
  imagefleet retry ID --json | jq .matching")]
    Retry(Retry),
    /// Check every setting and every service behind it, and name the fix
    #[command(after_help = "\
Examples:
  imagefleet doctor
  imagefleet doctor --folder https://drive.google.com/drive/folders/ID
  imagefleet doctor --json | jq '.checks[] | select(.ok | not)'")]
    Doctor(Doctor),
    /// Fold every event anew and replace the tables by the outcome, or compare them with it
    #[command(after_help = "\
Works while everything runs: readers see the old tables or the new ones. Needs every event since the
first; the database is DATABASE_PATH, else the one `imagefleet up` keeps in --data.

Examples:
  imagefleet rebuild --check        do the tables say what the events say?
  imagefleet rebuild                make them say it")]
    Rebuild(Rebuild),
    /// Make a fresh key for the API, and the entry of API_KEYS that lets it in
    #[command(after_help = "\
The entry holds the key's digest, so that whoever reads the gateway's settings cannot use it.

Examples:
  imagefleet api-key --name alice                  may do everything
  imagefleet api-key --name grafana --scope read   may only look
  imagefleet api-key --json | jq -r .entry")]
    ApiKey(ApiKey),
    /// Show the settings in force; secrets are shown as ***
    Config(Config),
    /// Print a completion script
    #[command(after_help = "\
Examples:
  imagefleet completions bash > ~/.local/share/bash-completion/completions/imagefleet
  imagefleet completions zsh > \"${fpath[1]}/_imagefleet\"
  imagefleet completions fish > ~/.config/fish/completions/imagefleet.fish")]
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// One role per process, for running many of them. Each runs until SIGTERM and then drains.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Role {
    /// Run the producer: lists folders and queues their images
    Producer,
    /// Run a worker: downloads, verifies and stores images
    Worker,
    /// Run the projector: keeps the database
    Projector,
    /// Run the gateway: the HTTP API and the page
    Gateway,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Where streams, the database and (with STORAGE_PROVIDER=local) images are kept
    #[arg(long, value_name = "DIR", default_value = "./data")]
    pub(crate) data: PathBuf,
    /// Port of the API and the page; 0 picks a free one [default: GATEWAY_PORT or 5000]
    #[arg(long)]
    pub(crate) port: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Import the files of this folder instead of generated photographs
    #[arg(long, value_name = "DIR", conflicts_with = "files")]
    pub(crate) photos: Option<PathBuf>,
    /// How many photographs to generate
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) files: u64,
    /// Keep everything in this folder [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Port of the API and the page; 0 picks a free one [default: 5000, with --once 0]
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Import at full speed, check that the outcome is as planned, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// Print the outcome as one line of JSON
    #[arg(long, requires = "once")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Setup {
    /// Copies of each stream: 1, 3 or 5 [default: NATS_REPLICAS, else as it is, and 1 at first]
    #[arg(long, value_name = "N")]
    pub(crate) replicas: Option<usize>,
}

/// Which gateway to ask.
#[derive(Debug, Args)]
pub(crate) struct ApiArgs {
    /// The gateway [default: IMAGEFLEET_URL or http://127.0.0.1:5000]
    #[arg(long, value_name = "URL")]
    pub(crate) api: Option<Url>,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// A folder's address as the browser shows it, or its id
    #[arg(value_name = "URL")]
    pub(crate) folder: String,
    /// Show progress until it ends
    #[arg(long)]
    pub(crate) watch: bool,
    /// Import subfolders too
    #[arg(long, value_name = "true|false", default_value_t = true, action = ArgAction::Set,
        num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) recursive: bool,
    /// Put the images under this folder of the bucket
    #[arg(long, value_name = "PREFIX")]
    pub(crate) prefix: Option<String>,
    /// Import files again that were imported before with the same content
    #[arg(long)]
    pub(crate) no_skip_unchanged: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The import's id
    pub(crate) id: String,
    /// Show progress until it ends
    #[arg(long)]
    pub(crate) watch: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Control {
    /// The import's id
    pub(crate) id: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Retry {
    /// Only what failed for this cause, as `imagefleet status` names it
    #[arg(long, value_name = "CAUSE")]
    pub(crate) cause: Option<String>,
    /// Only this entry of the folder, by its id
    #[arg(long, value_name = "ID")]
    pub(crate) item: Option<String>,
    #[command(flatten)]
    pub(crate) control: Control,
}

#[derive(Debug, Args)]
pub(crate) struct Imports {
    /// How many to list
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) limit: u32,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Also list this Google Drive folder
    #[arg(long, value_name = "URL")]
    pub(crate) folder: Option<String>,
    /// Where `imagefleet up` keeps its data
    #[arg(long, value_name = "DIR", default_value = "./data")]
    pub(crate) data: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    /// Only compare; ends with 1 and names the first rows that differ
    #[arg(long)]
    pub(crate) check: bool,
    /// Go on although the first events have expired: what they told is lost
    #[arg(long)]
    pub(crate) allow_expired: bool,
    /// Where `imagefleet up` keeps its data
    #[arg(long, value_name = "DIR", default_value = "./data")]
    pub(crate) data: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApiKey {
    /// What the key opens: reading, or everything
    #[arg(long, value_enum, default_value_t = Scope::Write)]
    pub(crate) scope: Scope,
    /// Who will hold it; shown in logs, and as the requester of imports that name none
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Scope {
    Read,
    Write,
}

#[derive(Debug, Args)]
pub(crate) struct Config {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }
}
