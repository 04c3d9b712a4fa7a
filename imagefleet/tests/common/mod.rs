//! Running the program under test.
#![allow(dead_code, unreachable_pub)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use drive_sim::{DEFAULT_API_KEY, Options};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(60);

/// `imagefleet`, in `folder`, with none of the tester's settings.
pub fn imagefleet(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imagefleet"));
    command.current_dir(folder).env_clear().stdin(Stdio::null());
    for kept in ["PATH", "HOME", "NATS_SERVER_BIN", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A running `imagefleet up` on a simulated Drive. Killed on drop.
pub struct Up {
    pub url: String,
    pub data: TempDir,
    pub drive: drive_sim::Server,
    child: Child,
}

impl Up {
    pub async fn start() -> Self {
        let drive = drive_sim::serve(Options::default()).await.unwrap();
        let data = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(data.path().join("up.log")).unwrap();
        let mut child = Self::command(&drive, data.path())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut url = String::new();
        let stdout = child.stdout.take().unwrap();
        let read = tokio::task::spawn_blocking(move || {
            BufReader::new(stdout).read_line(&mut url).unwrap();
            url
        });
        let url = tokio::time::timeout(DEADLINE, read).await.unwrap().unwrap();
        assert!(
            url.starts_with("http://127.0.0.1:"),
            "no address on stdout: {url:?}"
        );
        Self {
            url: url.trim().to_owned(),
            data,
            drive,
            child,
        }
    }

    /// `up` on a free port.
    pub fn command(drive: &drive_sim::Server, data: &Path) -> Command {
        let mut command = imagefleet(data);
        command
            .args(["up", "--port", "0", "--data"])
            .arg(data)
            .env("GOOGLE_DRIVE_ENDPOINT", drive.url())
            .env("GOOGLE_API_KEY", DEFAULT_API_KEY)
            .env("RUST_LOG", "warn");
        command
    }

    /// Run a command of the command line against it.
    pub async fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = imagefleet(self.data.path());
        command.args(arguments).env("IMAGEFLEET_URL", &self.url);
        output(command).await
    }

    pub fn nats_pid(&self) -> Pid {
        let text = std::fs::read_to_string(self.data.path().join("nats/run/nats.pid")).unwrap();
        Pid::from_raw(text.trim().parse().unwrap())
    }

    pub async fn terminate(&mut self) -> ExitStatus {
        kill(
            Pid::from_raw(self.child.id().try_into().unwrap()),
            Signal::SIGTERM,
        )
        .unwrap();
        let child = std::cell::RefCell::new(&mut self.child);
        testkit::until("`up` ends", DEADLINE, || async {
            child.borrow_mut().try_wait().unwrap()
        })
        .await
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.data.path().join("up.log"));
            eprintln!("{}", log.unwrap_or_default());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Run to the end without blocking the simulated Drive, which lives in this process.
pub async fn output(mut command: Command) -> Output {
    let run = tokio::task::spawn_blocking(move || command.output().unwrap());
    tokio::time::timeout(DEADLINE * 2, run)
        .await
        .unwrap()
        .unwrap()
}
