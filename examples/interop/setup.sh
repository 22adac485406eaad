#!/usr/bin/env bash
# Installs the peers from npm, PyPI and crates.io into LAB. A second run does nothing and takes no time.
# First run: about 2 min, plus 2 to 9 min for the rmcp peers (a release build on 2 cores).
. "$(dirname "$0")/env.sh"
p=0 f=0 s=0
mkdir -p "$LAB/js22" "$LAB/js26" "$LAB/py"

# part NAME TOOL SPEC COMMAND: runs COMMAND unless SPEC was installed before.
part() {
  local name=$1 tool=$2 spec=$3; shift 3
  if [ "$(cat "$LAB/$name.stamp" 2>/dev/null)" = "$spec" ]; then p=$((p+1)); return; fi
  if ! command -v "$tool" >/dev/null; then echo "SKIP $name: no $tool on PATH"; s=$((s+1)); return; fi
  echo "installing $name"
  if "$@"; then echo "$spec" > "$LAB/$name.stamp"; p=$((p+1)); else echo "FAIL $name"; f=$((f+1)); fi
}
npm_into() { local d=$1; shift; ( cd "$d" && { [ -f package.json ] || echo '{"private":true}' > package.json; } && npm install --no-audit --no-fund "$@" ); }
venv() { local d=$LAB/py/$1; shift; [ -x "$d/bin/python" ] || python3 -m venv "$d"; "$d/bin/pip" install -q --disable-pip-version-check "$@"; }
rmcp() { CARGO_TARGET_DIR=$LAB/target cargo build --release --locked --manifest-path "$HERE/rs/Cargo.toml"; }

MCP_JS="$NODE_PKG@22.23.3 @modelcontextprotocol/conformance@0.2.0-alpha.12 @modelcontextprotocol/inspector@2.12.0
  @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/server@2.4.0 @modelcontextprotocol/client@2.4.0 @modelcontextprotocol/node@2.1.2 zod@4"
part js22 npm "$MCP_JS" npm_into "$LAB/js22" $MCP_JS
part js26 npm "$NODE_PKG@26.10.0" npm_into "$LAB/js26" "$NODE_PKG@26.10.0"
part venv-mcp python3 'mcp==2.3.0' venv venv-mcp 'mcp==2.3.0'
part venv-a2a python3 'a2a-sdk[all]==1.3.0 uvicorn' venv venv-a2a 'a2a-sdk[all]==1.3.0' uvicorn
part venv-tls python3 'pyopenssl==26.4.0 cryptography==50.0.2' venv venv-tls 'pyopenssl==26.4.0' 'cryptography==50.0.2'
part venv-spiffe python3 'spiffe==0.3.2 grpcio==1.85.1 cryptography==50.0.2 pyopenssl==26.4.0' venv venv-spiffe 'spiffe==0.3.2' 'grpcio==1.85.1' 'cryptography==50.0.2' 'pyopenssl==26.4.0'
part rmcp cargo "$(cd "$HERE/rs" && cat Cargo.toml Cargo.lock src/bin/*.rs | cksum)" rmcp

# The TLS peers are of no use without ML-KEM, which OpenSSL has from 3.5.
for v in "node26 $("$NODE26" -p process.versions.openssl 2>/dev/null)" \
         "pyopenssl $("$PY_TLS" -c 'from OpenSSL import SSL; print(SSL.OpenSSL_version(0).decode().split()[1])' 2>/dev/null)"; do
  case ${v#* } in '' | node26 | pyopenssl) ;; 3.[5-9]* | [4-9].*) echo "OpenSSL of $v" ;; *) echo "FAIL OpenSSL of $v: 3.5 or newer is needed"; f=$((f+1)) ;; esac
done
if [ "${PQLANE_INTEROP_REQUIRED:-0}" = 1 ]; then f=$((f+s)) s=0; fi
echo "$p passed, $f failed, $s skipped"; [ $f = 0 ]
