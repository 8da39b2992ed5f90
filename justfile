# Each recipe is one line of plain cargo: `just` is a convenience, nothing needs it.

# List the recipes.
default:
    @just --list

# Build the program.
build:
    cargo build --release

# Run every test: machines, simulation, recordings, the program from outside.
test *ARGS:
    cargo test --features faults {{ARGS}}

# Model-check the mailbox, exhaustively.
loom:
    RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test -p sapwood-loom-tests --release

# Break the mailbox one line at a time, and see each break caught.
mutants *WORDS:
    python3 loom-tests/mutants.py {{WORDS}}

# Simulate whole trees with more seeds than the tests do.
sim SEEDS="20000":
    SAPWOOD_SIM_SEEDS={{SEEDS}} cargo test -p sapwood-actors --release --test simulation

# Drive the program with the TypeScript SDK of Codex; needs Node and npm, and the network to fetch the SDK.
sdk-ts:
    cargo build && cd tests/sdk/typescript && npm install && npm test

# Drive the app server with the Python SDK of Codex; needs Python and pip, and the network to fetch the SDK.
sdk-py *TESTS:
    cargo build && cd tests/sdk/python && python3 -m venv venv && venv/bin/pip install -q -r requirements.txt && venv/bin/python run.py {{TESTS}}

# Drive the app server with the window of Codex: `just tui --codex PATH`, in a tmux, on loopback only.
tui *ARGS:
    cargo build && python3 tests/tui/run.py {{ARGS}}

# Replay what was recorded of the real app server, and report every difference.
replay *TESTS:
    cargo test --test app_server -- --include-ignored {{TESTS}}

# Share homes with the real Codex: `just codex --codex PATH --sapwood PATH`, on loopback only.
codex *ARGS:
    python3 tests/codex/run.py {{ARGS}}

# What it costs, beside the numbers we are after and the limits of the machine; with SAPWOOD_FAKE_MODEL=PROGRAM over HTTP too.
bench *ARGS:
    cargo bench -p sapwood-actors --bench core -- {{ARGS}}

# What reading and writing rollouts costs.
bench-rollout:
    cargo bench -p sapwood-rollout

# What it costs to resume a thread of 5,000 turns, part by part.
bench-resume:
    cargo bench -p sapwood-server --bench resume

# What a client that reads a byte a second costs nine others.
bench-slow-client *ARGS:
    cargo bench --bench slow_client -- {{ARGS}}

# Throw rubbish and broken requests at the app server, CASES of each kind.
fuzz CASES="100000":
    PROPTEST_CASES={{CASES}} cargo test -p sapwood-server --release --lib --test fuzz -- --ignored --nocapture hours

# Format, then lint with warnings denied.
lint:
    cargo fmt --all --check && cargo clippy --workspace --all-targets --features faults -- -D warnings

# Build the documentation, without a warning.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# What CI runs.
ci:
    bash .ci/run
