# Sourced by every script here: where things are, and how a script skips.
#   LAB     what setup.sh installs        OUT     results of the last run
#   PQLANE  the binary under test         PQLANE_INTEROP_REQUIRED=1: what is missing is a failure, not a skip
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB=${LAB:-${XDG_CACHE_HOME:-$HOME/.cache}/pqlane-interop}
OUT=${OUT:-$LAB/out}
PQLANE=${PQLANE:-$HERE/../../target/release/pqlane}
export HERE LAB OUT PQLANE npm_config_loglevel=error npm_config_update_notifier=false NO_COLOR=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

# Node comes from npm's platform packages, because the conformance tool and the Inspector need 22
# and the TLS peer needs 26 (OpenSSL 3.5 has ML-KEM).
NODE_PKG=node-$(uname -s | tr '[:upper:]' '[:lower:]')-$(uname -m | sed 's/x86_64/x64/;s/aarch64/arm64/')
NODE22=$LAB/js22/node_modules/$NODE_PKG/bin/node
NODE26=$LAB/js26/node_modules/$NODE_PKG/bin/node
PY_MCP=$LAB/py/venv-mcp/bin/python
PY_A2A=$LAB/py/venv-a2a/bin/python
PY_TLS=$LAB/py/venv-tls/bin/python
PY_SPIFFE=$LAB/py/venv-spiffe/bin/python
RMCP=$LAB/target/release

# skip REASON: says why and ends; the closing line is what a caller counts.
skip() {
  echo "SKIP $(basename "$0"): $*"
  if [ "${PQLANE_INTEROP_REQUIRED:-0}" = 1 ]; then echo "0 passed, 1 failed"; exit 1; fi
  echo "0 passed, 0 failed, 1 skipped"; exit 0
}
# missing FILE...: prints the first that is not installed.
missing() { local f; for f in "$@"; do [ -x "$f" ] || { echo "$f"; return 0; }; done; return 1; }
need() { local f; f=$(missing "$@") && skip "no $f (run setup.sh)"; return 0; }
need_pqlane() { [ -x "$PQLANE" ] || skip "no binary at $PQLANE (cargo build --release, or set PQLANE)"; }
# mjs NAME...: puts a Node peer where its packages resolve, and prints its path.
mjs() { cp -f "$HERE/peers/$1" "$LAB/js22/$1" && echo "$LAB/js22/$1"; }
