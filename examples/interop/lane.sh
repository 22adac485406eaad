# Sourced after env.sh: background processes that surely end, and the lane itself
# (egress -> hybrid mTLS -> ingress -> workload).
#   spawn NAME COMMAND...          background process; log in $RUN/NAME.log
#   free_ports N                   N free loopback ports, outside the range of outgoing connections
#   lane_start WORKLOAD [GRPC]     two processes between here and 127.0.0.1:WORKLOAD; sets LANE (URL) and LANE_PORT;
#                                  EGRESS_PORT chooses the port, for agents that must advertise it beforehand
#   stop                           ends everything this script started (also done on exit)
# CA_OPTIONS, IN_OPTIONS, OUT_OPTIONS: arrays of further options of `authority init`, `inbound` and `outbound`.
# LANE_PKI: a folder with the SVIDs, made when it is empty.   KEEP=1 keeps the logs.
RUN=$(mktemp -d "${TMPDIR:-/tmp}/pqlane-interop.XXXXXX")
LANE_PKI=${LANE_PKI:-$RUN/pki}
MAX_SECONDS=${MAX_SECONDS:-900}                       # nothing started here outlives this
LANE_SEQ=0 CA_OPTIONS=() IN_OPTIONS=() OUT_OPTIONS=()

# TERM drains; `timeout` turns a drain of more than 3 s into KILL, and bounds the whole life.
spawn() { local name=$1; shift; timeout -k 3 "$MAX_SECONDS" "$@" >"$RUN/$name.log" 2>&1 </dev/null & SPAWNED=$!; }
stop() {
  local p; p=$(jobs -pr); [ -z "$p" ] && return 0
  kill $p 2>/dev/null
  for _ in $(seq 100); do [ -z "$(jobs -pr)" ] && return 0; sleep 0.05; done
  kill -9 $(jobs -pr) 2>/dev/null; return 0
}
show_logs() { local l; for l in "$RUN"/*.log; do [ -s "$l" ] && { echo "--- $(basename "$l")"; tail -n "${1:-12}" "$l"; }; done >&2; }
finish() { local rc=$?; trap - EXIT; stop; [ $rc = 0 ] || show_logs; [ "${KEEP:-0}" = 1 ] && echo "logs: $RUN" >&2 || rm -rf "$RUN"; exit $rc; }
trap finish EXIT; trap 'exit 130' INT; trap 'exit 143' TERM

free_ports() { python3 - "$1" <<'PY'
import random, socket, sys
held = []
for port in random.sample(range(20000, 32000), 500):
    s = socket.socket()
    try: s.bind(('127.0.0.1', port)); held.append(s)
    except OSError: continue
    if len(held) == int(sys.argv[1]): break
ports = [s.getsockname()[1] for s in held]
for s in held: s.close()          # before anybody reads the line: some peers bind within a few ms
print(*ports)
PY
}
http_status() { ( exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' "$2" >&3 && read -r -t 2 _ code _ <&3 && echo "$code" ) 2>/dev/null; }
wait_port() { for _ in $(seq 300); do ( exec 3<>"/dev/tcp/127.0.0.1/$1" ) 2>/dev/null && return 0; sleep 0.05; done; echo "port $1 is not up" >&2; return 1; }
wait_ready() { # PID ADMIN_PORT
  for _ in $(seq 200); do [ "$(http_status "$2" /readyz)" = 200 ] && return 0; kill -0 "$1" 2>/dev/null || break; sleep 0.05; done
  echo "not ready: admin port $2" >&2; return 1
}

# issue PREFIX ID [OPTION...]: one SVID of this run's authority; the authority is made on first use.
issue() {
  [ -f "$LANE_PKI/ca.pem" ] || "$PQLANE" authority init --dir "$LANE_PKI" --trust-domain example.org "${CA_OPTIONS[@]}" >>"$RUN/authority.log" 2>&1 || return 1
  [ -f "$LANE_PKI/$1.svid.pem" ] || "$PQLANE" authority issue --dir "$LANE_PKI" --id "spiffe://example.org/$2" --out "$LANE_PKI/$1" "${@:3}" >>"$RUN/authority.log" 2>&1
}
svid() { echo --svid "$LANE_PKI/$1.svid.pem" --key "$LANE_PKI/$1.key.pem" --bundle "example.org=$LANE_PKI/bundle.pem"; }

# inbound_start WORKLOAD [GRPC]: sets IN_PORT, IN_ADMIN and IN_AUDIT.
inbound_start() {
  local admin; read -r IN_PORT admin < <(free_ports 2); IN_ADMIN=$admin IN_AUDIT=$RUN/inbound$LANE_SEQ.audit
  issue server server && issue client client || return 1
  spawn "inbound$LANE_SEQ" "$PQLANE" inbound --listen "127.0.0.1:$IN_PORT" --workload "http://127.0.0.1:$1" ${2:+--grpc-workload "http://127.0.0.1:$2"} \
    --allow spiffe://example.org/client $(svid server) --audit "$IN_AUDIT" --admin "127.0.0.1:$admin" "${IN_OPTIONS[@]}"
  wait_ready $SPAWNED "$admin"
}
# outbound_start PEER_PORT: sets LANE, LANE_PORT and OUT_AUDIT.
outbound_start() {
  local admin; read -r LANE_PORT admin < <(free_ports 2); LANE_PORT=${EGRESS_PORT:-$LANE_PORT}; OUT_AUDIT=$RUN/outbound$LANE_SEQ.audit
  issue client client || return 1
  spawn "outbound$LANE_SEQ" "$PQLANE" outbound --listen "127.0.0.1:$LANE_PORT" --connect "127.0.0.1:$1" --peer spiffe://example.org/server \
    $(svid client) --audit "$OUT_AUDIT" --admin "127.0.0.1:$admin" "${OUT_OPTIONS[@]}"
  wait_ready $SPAWNED "$admin" && LANE=http://127.0.0.1:$LANE_PORT
}
lane_start() { LANE_SEQ=$((LANE_SEQ+1)); inbound_start "$@" && outbound_start "$IN_PORT"; }
