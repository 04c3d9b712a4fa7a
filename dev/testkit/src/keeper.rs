//! Servers that never outlive the tests they were started for.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

/// Runs the server and outlives us by a moment: when its standard input ends, for whatever reason,
/// it kills the server and, unless told to keep them, removes the files. So not even a SIGKILL of a
/// test leaves a process behind, nor does a server held in a `static`.
const KEEPER: &str = r#"
data=$1 sockets=$2; shift 2
( "$@" </dev/null >>"$data/log" 2>&1 & echo $! >"$data/pid"; wait $!; echo $? >"$data/exit" ) &
read -r order || order=remove
while ! [ -s "$data/pid" ]; do sleep 0.1; done
kill -KILL "$(cat "$data/pid")" 2>/dev/null
wait
rm -f $sockets
[ "$order" = keep ] || rm -rf "$data"
"#;

/// The shell that runs [`KEEPER`]. Dropped, it kills the server and keeps its directory.
#[derive(Debug)]
pub(crate) struct Keeper {
    shell: Child,
    directory: PathBuf,
}

impl Keeper {
    /// Runs `program` in `directory`, where `log` holds all it says. `sockets` are files, separated
    /// by spaces, that it leaves behind elsewhere.
    pub(crate) fn start(
        directory: &Path,
        sockets: &str,
        program: &Path,
        arguments: Vec<String>,
        env: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        // Those of a server before this one.
        for stale in ["pid", "exit"] {
            let _ = std::fs::remove_file(directory.join(stale));
        }
        let shell = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .args([directory, Path::new(sockets), program])
            .args(arguments)
            .envs(env.iter().copied())
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt at the terminal is for the tests; the keeper follows when they end.
            .process_group(0)
            .spawn()
            .context("cannot run sh")?;
        Ok(Self {
            shell,
            directory: directory.to_path_buf(),
        })
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.directory.join("exit").exists()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(mut stdin) = self.shell.stdin.take() {
            let _ = stdin.write_all(b"keep\n");
        }
        let _ = self.shell.wait();
    }
}

/// A client of its own for each request: connections must not outlive a test's runtime.
pub(crate) fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()
}
