//! What clippy cannot check.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    testkit::tools::workspace()
}

/// Each workspace crate: its folder, and the workspace crates it needs (not only for tests).
fn crates() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let manifest = Path::new(package["manifest_path"].as_str().unwrap());
            let folder = manifest
                .parent()
                .unwrap()
                .strip_prefix(root())
                .unwrap()
                .display()
                .to_string();
            let needs = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|needed| needed["kind"].is_null() && !needed["path"].is_null())
                .map(|needed| needed["name"].as_str().unwrap().to_owned())
                .collect();
            (
                package["name"].as_str().unwrap().to_owned(),
                (folder, needs),
            )
        })
        .collect()
}

/// contracts ← runtime ← the other libs ← services ← the binary, dev.
fn layer(folder: &str) -> u8 {
    match folder {
        "contracts" => 0,
        "libs/runtime" => 1,
        _ if folder.starts_with("libs/") => 2,
        "producer" | "worker" | "projector" | "gateway" => 3,
        "imagefleet" => 4,
        _ if folder.starts_with("dev/") => 5,
        _ => panic!("{folder} has no place in the layers; give it one here and in ARCHITECTURE.md"),
    }
}

#[test]
fn dependencies_point_one_way() {
    let crates = crates();
    for (name, (folder, needs)) in &crates {
        for needed in needs {
            let (other, _) = &crates[needed];
            if (name.as_str(), needed.as_str()) == ("imagefleet", "drive-sim") {
                // `imagefleet demo` serves the simulated Drive itself.
                continue;
            }
            let down = layer(other) < layer(folder);
            let beside = layer(folder) == 5 && layer(other) == 5;
            assert!(
                down || beside,
                "{name} ({folder}) must not depend on {needed} ({other})"
            );
        }
    }
}

#[test]
fn each_keeps_away_from_what_is_not_its_business() {
    let crates = crates();
    let needs = |name: &str, other: &str| crates[name].1.contains(other);
    assert!(!needs("worker", "read-model"), "the worker never opens SQL");
    for service in ["producer", "worker", "projector", "gateway"] {
        let manifest = std::fs::read_to_string(root().join(service).join("Cargo.toml")).unwrap();
        let own = manifest.split("[dev-dependencies]").next().unwrap();
        assert!(
            !own.contains("rusqlite"),
            "{service} must go through read-model"
        );
    }
    assert!(
        !needs("producer", "storage"),
        "the producer never touches the store"
    );
    assert!(
        !needs("projector", "drive") && !needs("projector", "storage"),
        "the projector calls neither"
    );
    assert!(
        crates["drive-sim"].1.is_empty(),
        "drive-sim must not share our misunderstandings"
    );
    assert!(crates["contracts"].1.is_empty());
}

#[test]
fn every_folder_says_what_it_does() {
    for (name, (folder, _)) in crates() {
        let readme = root().join(&folder).join("README.md");
        let text = std::fs::read_to_string(&readme).unwrap_or_default();
        for heading in [
            "## Does",
            "## Never does",
            "## In",
            "## Settings",
            "## When it fails",
        ] {
            assert!(
                text.contains(heading),
                "{name}: {} lacks {heading:?}",
                readme.display()
            );
        }
    }
    for folder in ["deploy", "docs", "web"] {
        assert!(
            root().join(folder).join("README.md").is_file(),
            "{folder}/README.md is missing"
        );
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn subjects_are_spelled_in_contracts_alone() {
    for (name, (folder, _)) in crates() {
        if name == "contracts" {
            continue;
        }
        let mut files = Vec::new();
        sources(&root().join(&folder).join("src"), &mut files);
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            for subject in [
                "\"images.tasks",
                "\"images.retries",
                "\"images.checkpoints",
                "\"imports.requests",
                "\"events.",
            ] {
                assert!(
                    !text.contains(subject),
                    "{} spells {subject}…\"",
                    file.display()
                );
            }
        }
    }
}
