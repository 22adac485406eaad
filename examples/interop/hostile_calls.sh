#!/usr/bin/env bash
# A corpus of hostile MCP and A2A calls, directly and through the lane: nothing is read one way and run another.
# usage: hostile_calls.sh [--direct]      --direct: without the lane; shows what each SDK makes of each trap.
. "$(dirname "$0")/env.sh"
HOW=lane; [ "${1:-}" = --direct ] && HOW=direct
. "$HERE/lane.sh"; need "$NODE22" "$PY_MCP" "$PY_A2A" "$PY_TLS" "$RMCP/calls_server"; [ $HOW = direct ] || need_pqlane
mkdir -p "$OUT/$HOW"; rm -f "$OUT/$HOW/hostile_calls.log"
# ways RAN PORT [GRPC]: the ways to a peer as JSON; with the lane, starts one before it.
ways() {
  printf '{"ran": "%s", "direct": %s, "direct_grpc": %s' "$1" "$2" "${3:-0}"
  [ $HOW = direct ] || printf ', "lane": %s, "sidecar": %s, %s "audit": ["%s"], "svid": "%s", "bundle": "%s"' "$LANE_PORT" "$SIDECAR" "$ALONE" "$AUDIT" "$LANE_PKI/client" "$LANE_PKI/bundle.pem"
  printf '}'
}
read -r R T P A G < <(free_ports 5)
spawn rmcp env PORT="$R" RAN="$RUN/rmcp.ran" "$RMCP/calls_server"
spawn ts env PORT="$T" RAN="$RUN/ts.ran" "$NODE22" "$(mjs calls_server.mjs)"
spawn py env PORT="$P" RAN="$RUN/py.ran" "$PY_MCP" -W ignore "$HERE/peers/calls_server.py"
spawn agent env PORT="$A" GRPC_PORT="$G" RAN="$RUN/a2a.ran" "$PY_A2A" -W ignore "$HERE/peers/calls_agent.py"
peers=""
for peer in "rmcp $R" "ts $T" "py $P"; do
  set -- $peer; wait_port "$2" || exit 1
  [ $HOW = direct ] || { lane_start "$2" && SIDECAR=$IN_PORT AUDIT=$IN_AUDIT ALONE=; } || exit 1
  peers+="${peers:+, }\"$1\": $(ways "$RUN/$1.ran" "$2")"
done
wait_port "$A" && wait_port "$G" || exit 1
# An agent behind two sidecars: one that knows where its gRPC is, and one that does not.
[ $HOW = direct ] || { lane_start "$A" "$G" && SIDECAR=$IN_PORT AUDIT=$IN_AUDIT; } || exit 1
[ $HOW = direct ] || { LANE_SEQ=$((LANE_SEQ+1)); inbound_start "$A" && ALONE="\"alone\": $IN_PORT," AUDIT+="\", \"$IN_AUDIT"; } || exit 1
echo "{\"mcp\": {$peers}, \"a2a\": {\"a2a\": $(ways "$RUN/a2a.ran" "$A" "$G")}}" >"$RUN/peers.json"
timeout -k 3 300 "$PY_TLS" "$HERE/hostile_calls.py" "$RUN/peers.json" "$OUT/$HOW/hostile_calls.log"; rc=$?
stop; exit $rc
