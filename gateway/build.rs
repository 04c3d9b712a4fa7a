//! Which page is compiled in: the built one, or the plain one that says how to build it.

use std::path::Path;

// Cargo's own, and no setting.
#[allow(clippy::disallowed_methods)]
fn main() {
    let gateway = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let web = Path::new(&gateway).join("../web");
    let built = web.join("dist");
    let folder = if built.join("index.html").is_file() {
        built
    } else {
        web.join("plain")
    };
    println!("cargo::rustc-env=PAGE_FOLDER={}", folder.display());
    // Both are always there: cargo runs this at every build if one is missing.
    println!("cargo::rerun-if-changed=../web/dist");
    println!("cargo::rerun-if-changed=../web/plain");
    println!("cargo::rerun-if-changed=build.rs");
}
