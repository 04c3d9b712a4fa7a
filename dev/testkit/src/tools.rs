//! Where the programs that tests start are.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The workspace's root.
#[must_use]
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Find `name`: the variable `<NAME>_BIN` (`NATS_SERVER_BIN`, `WEED_BIN`), then PATH, then the
/// workspace's `.tools/bin`, where `bin/just tools` puts the pinned versions.
///
/// # Errors
/// Says how to install it.
pub fn find(name: &str) -> anyhow::Result<PathBuf> {
    let variable = format!("{}_BIN", name.to_uppercase().replace('-', "_"));
    if let Some(explicit) = std::env::var_os(&variable) {
        return Ok(explicit.into());
    }
    let tools = workspace().join(".tools/bin");
    std::env::var_os("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .chain([tools])
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .with_context(|| format!("{name} is not installed; run `bin/just tools` or set {variable}"))
}

/// `prometheus` or `promtool`: the one on PATH, else Debian's, which is fetched the first time.
///
/// # Errors
/// Says how to install it.
pub fn prometheus(name: &str) -> anyhow::Result<PathBuf> {
    let found = std::process::Command::new(workspace().join("bin/prometheus"))
        .arg(name)
        .output()?;
    anyhow::ensure!(
        found.status.success(),
        "{}",
        String::from_utf8_lossy(&found.stderr)
    );
    Ok(String::from_utf8(found.stdout)?.trim().into())
}

/// A program of this workspace, built with the tests.
///
/// # Errors
/// When it has not been built.
pub fn ours(name: &str) -> anyhow::Result<PathBuf> {
    // target/<profile>/deps/<test> → target/<profile>/<name>
    let test = std::env::current_exe()?;
    let folder = test
        .ancestors()
        .nth(2)
        .context("the test runs outside a target folder")?;
    let program = folder.join(name);
    anyhow::ensure!(
        program.is_file(),
        "{} is not built; run `bin/just test`",
        program.display()
    );
    Ok(program)
}
