# Sourced after lane.sh: TLS peers on other stacks, and what is expected of them.
T=$HERE/tls_peers p=0 f=0
ID=spiffe://example.org HYBRID='TLSv1\.3 X25519MLKEM768'

verdict() { if [ "$1" = 0 ]; then p=$((p+1)); printf 'ok %-46s | %s\n' "$2" "$3"; else f=$((f+1)); printf 'FAIL %-44s | %s\n' "$2" "$3"; fi; }
# expect NAME REGEX TEXT
expect() { grep -qE "$2" <<<"$3"; verdict $? "$1" "$3"; }
# client STACK PORT SVID [OPTION...]: one line about the handshake; python is OpenSSL's peer with the standard library's ssl.
client() {
  local s=$1 port=$2 pre=$3; shift 3; set -- client "$port" --svid "$pre" --bundle "$BUNDLE" "$@"
  case $s in python) set -- "$@" --stdlib; s=openssl ;; esac
  case $s in openssl) timeout -k 1 20 "$PY_TLS" "$T/openssl_peer.py" "$@" 2>&1 ;; node) timeout -k 1 20 "$NODE26" "$T/node_peer.mjs" "$@" 2>&1 ;; esac | tail -n 1
}
# server STACK PORT SVID [OPTION...]: in the background; log in $RUN/server.log
server() {
  local s=$1 port=$2 pre=$3; shift 3; set -- server "$port" --svid "$pre" --bundle "$BUNDLE" "$@"
  case $s in openssl) spawn server "$PY_TLS" "$T/openssl_peer.py" "$@" ;; node) spawn server "$NODE26" "$T/node_peer.mjs" "$@" ;; esac
  wait_port "$port"
}
# reason FILE LINES: the reasons of the audit records after the first LINES lines; waits a little for the writer.
reason() {
  local r; for _ in $(seq 40); do
    r=$(tail -n "+$(($2+1))" "$1" 2>/dev/null | grep -oE '"reason": *"[a-z0-9-]+"' | cut -d'"' -f4 | sort -u | tr '\n' ' '); [ -n "$r" ] && break; sleep 0.05
  done; echo "reason: ${r:-none}"
}
lines() { cat "$1" 2>/dev/null | wc -l; }

# ---- clients of `inbound`
# refused NAME ALERT REASON CLIENT...: the alert that the client sees, and the reason in the audit record
refused() {
  local name=$1 alert=$2 why=$3 n; shift 3; n=$(lines "$IN_AUDIT")
  expect "$name" "$alert" "$(client "$@")"; expect "$name: audit" "^reason: $why " "$(reason "$IN_AUDIT" "$n")"
}

# ---- servers behind `outbound`
# ask: a GET and a 200 KB POST through the lane
ask() { python3 - "$LANE" <<'PY'
import sys, urllib.error, urllib.request
def ask(path, body=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(sys.argv[1] + path, body, {'Content-Type': 'text/plain'}), timeout=10) as r: return r.status, r.read()
    except urllib.error.HTTPError as e: return e.code, e.read()
    except OSError as e: return repr(e), b''
body = b'p' * 200_000
print(f'get={ask("/ping")[0]} post={"same" if ask("/echo", body)[1] == body else "differs"}')
PY
}
behind() { LANE_SEQ=$((LANE_SEQ+1)); read -r PORT < <(free_ports 1); server "$1" "$PORT" "$2" "${@:3}" && outbound_start "$PORT"; }
# not_reached NAME REASON STACK SVID OPTION...: outbound answers 5xx by itself, no request gets to that server, and the audit says why
not_reached() {
  local name=$1 why=$2; shift 2; behind "$@"
  expect "$name" '^get=5.. post=differs' "$(ask)"; expect "$name: audit" "^reason: .*\b$why " "$(reason "$OUT_AUDIT" 0)"
  expect "$name: no request" '^0$' "$(grep -c SERVED "$RUN/server.log")"; stop
}
