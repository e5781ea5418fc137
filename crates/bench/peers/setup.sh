#!/usr/bin/env bash
# Makes what `cargo xtask bars` compares with: a Python environment, the models, the Rust peers.
#
# Everything goes to $TRACELIFT_PEERS (default: tracelift/peers in the user's cache): venv, models,
# rust_target. What is present is kept. About 10 GB, most of it torch and the models.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
data=${TRACELIFT_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/tracelift/peers}
mkdir -p "$data"
python=${TRACELIFT_PEERS_PYTHON:-$data/venv/bin/python}
if [ ! -x "$python" ]; then
    python3 -m venv "$data/venv"
    "$python" -m pip install --disable-pip-version-check -q -r "$here/requirements.txt"
fi
"$python" "$here/models.py" "$data/models"
RUSTFLAGS="-C target-cpu=native" cargo build --release --locked --manifest-path "$here/rust/Cargo.toml" \
    --target-dir "$data/rust_target"
