#!/usr/bin/env bash
# Published MCP and A2A peers, directly and through the lane: what passes directly passes through it, check for check.
# usage: through_lane.sh [--direct] [CHECK...]     CHECK: conformance client python rmcp rmcp-server inspector a2a push (all of them)
# --direct leaves the lane out: it shows that the peers are installed and give the expected figures.
. "$(dirname "$0")/env.sh"
HOWS="direct lane"; [ "${1:-}" = --direct ] && { HOWS=direct; shift; }
CHECKS=${*:-conformance client python rmcp rmcp-server inspector a2a push}
. "$HERE/lane.sh"
[ "$HOWS" = direct ] || need_pqlane
export LANE_PKI

# reach HOW PORT: sets URL to what clients dial.
reach() { URL=http://127.0.0.1:$2; if [ "$1" = lane ]; then lane_start "$2" && URL=$LANE; fi; }
mcp_target() { read -r P < <(free_ports 1); spawn target env PORT=$P "$NODE22" "$(mjs mcp_everything.mjs)"; wait_port "$P"; }
bounded() { timeout -k 3 240 "$@"; }

# Each check: run_NAME HOW writes its result to $OUT/HOW/ROW.json or ROW.log. Peers it needs, and what is expected of a direct run:
needs() {
  case $1 in conformance|client|inspector) echo "$NODE22" ;; python) echo "$NODE22" "$PY_MCP" ;; rmcp) echo "$NODE22" "$RMCP/rmcp_client" ;;
    rmcp-server) echo "$RMCP/rmcp_server" "$RMCP/rmcp_client" ;; a2a|push) echo "$PY_A2A" ;; *) echo "/unknown-check-$1" ;; esac
}
expected() {
  case $1 in conformance-2025-11-25.json) echo 84 0 ;; conformance-2026-07-28.json) echo 164 30 ;; client.json) echo 84 0 ;; python.log) echo 22 0 ;;
    rmcp.log|rmcp-server.log) echo 6 0 ;; inspector.log) echo 4 0 ;; a2a.log) echo 16 0 ;; push.log) echo 1 0 ;; esac
}

# MCP conformance tool as client, both eras. The 30 that fail in 2026-07-28 are the optional tasks extension, which the target lacks.
run_conformance() {
  mcp_target && reach "$1" "$P" || return 1
  local era o; for era in 2025-11-25 2026-07-28; do
    o=$OUT/$1/conformance-$era; rm -rf "$o"
    bounded "$NODE22" "$LAB/js22/node_modules/@modelcontextprotocol/conformance/dist/index.js" server --url "$URL/mcp" --requirements $era -o "$o" >"$o.log" 2>&1
    python3 "$HERE/summarize.py" "$o" >"$o.json"
  done
}
# MCP conformance tool as server, a client of the published SDK against it: 13 scenarios without OAuth, a lane for each.
run_client() {
  local cmd o=$OUT/$1/client era scenario; rm -rf "$o"; mkdir -p "$o"
  cmd="$NODE22 $(mjs mcp_client.mjs)"; [ "$1" = lane ] && cmd=$HERE/wrap_lane.sh
  for era in 2025-11-25 2026-07-28; do
    case $era in
      2025-11-25) set -- initialize tools_call elicitation-sep1034-client-defaults sse-retry json-schema-2020-12-preservation ;;
      2026-07-28) set -- tools_call request-metadata sep-2322-client-request-state http-standard-headers http-custom-headers http-invalid-tool-headers \
        json-schema-ref-no-deref json-schema-2020-12-preservation ;; esac
    for scenario; do
      bounded "$NODE22" "$LAB/js22/node_modules/@modelcontextprotocol/conformance/dist/index.js" client --command "$cmd" --scenario "$scenario" \
        --spec-version $era -o "$o/$era/$scenario" >"$o/$era-$scenario.log" 2>&1
    done
  done
  python3 "$HERE/summarize.py" "$o" >"$o.json"
}
# Python SDK client, both eras: streaming times, server-to-client requests, MRTR, listen, cancellation.
run_python() { mcp_target && reach "$1" "$P" && bounded "$PY_MCP" -W ignore "$HERE/peers/mcp_py_client.py" "$URL/mcp" >"$OUT/$1/python.log" 2>&1; }
# rmcp client, both lifecycles: against the TypeScript target, then against the rmcp server.
run_rmcp() { mcp_target && reach "$1" "$P" && bounded "$RMCP/rmcp_client" "$URL/mcp" >"$OUT/$1/rmcp.log" 2>&1; }
run_rmcp-server() {
  read -r P < <(free_ports 1); spawn rmcp env PORT="$P" "$RMCP/rmcp_server"
  wait_port "$P" && reach "$1" "$P" && bounded "$RMCP/rmcp_client" "$URL/mcp" >"$OUT/$1/rmcp-server.log" 2>&1
}
# MCP Inspector's command line.
run_inspector() {
  mcp_target && reach "$1" "$P" || return 1
  local m o=$OUT/$1/inspector.log; : >"$o"
  inspect() { bounded "$NODE22" "$LAB/js22/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js" --cli "$URL/mcp" --transport http --method "$@" 2>&1; }
  for m in tools/list:slow_ticks resources/list:static-text prompts/list:test_simple_prompt; do
    if inspect "${m%%:*}" | grep -q "${m#*:}"; then echo "ok ${m%%:*}"; else echo "FAIL ${m%%:*}"; fi >>"$o"
  done
  if inspect tools/call --tool-name echo --tool-arg message=hi | grep -q '"hi"'; then echo "ok tools/call"; else echo "FAIL tools/call"; fi >>"$o"
}
# A2A 1.0 client, three bindings taken from the card: through the lane the agent advertises the egress.
agent() { # HOW OPTION...: starts the agent, and the lane to it; sets URL
  local how=$1 grpc egress; shift; read -r P G egress < <(free_ports 3); URL=http://127.0.0.1:$P grpc=127.0.0.1:$G
  [ "$how" = lane ] && URL=http://127.0.0.1:$egress grpc=127.0.0.1:$egress
  spawn agent env PORT="$P" GRPC_PORT="$G" CARD_HTTP="$URL" CARD_GRPC="$grpc" "$@" "$PY_A2A" "$HERE/peers/a2a_agent.py"
  wait_port "$P" && { [ "$how" = direct ] || EGRESS_PORT=$egress lane_start "$P" "$G"; }
}
run_a2a() { agent "$1" A2A_VERSION=1.0 && bounded "$PY_A2A" "$HERE/peers/a2a_client.py" "$URL" >"$OUT/$1/a2a.log" 2>&1; }
# A2A push notifications; through the lane the callback has a lane of its own, the other way round.
run_push() {
  local hook agent_url; agent "$1" PUSH=1 || return 1
  agent_url=$URL; read -r hook < <(free_ports 1)
  reach "$1" "$hook" && bounded "$PY_A2A" "$HERE/peers/a2a_push.py" "$agent_url" "$hook" "$URL/hook" >"$OUT/$1/push.log" 2>&1
}

p=0 f=0 s=0 table=""
row() { table+=$(printf '%-24s %-12s %-12s %s' "$@")$'\n'; }
for name in $CHECKS; do
  if m=$(missing $(needs "$name")); then
    row "$name" - - "skipped: no $m"; if [ "${PQLANE_INTEROP_REQUIRED:-0}" = 1 ]; then f=$((f+1)); else s=$((s+1)); fi; continue
  fi
  rows="$name.log"; case $name in conformance) rows="conformance-2025-11-25.json conformance-2026-07-28.json" ;; client) rows=client.json ;; esac
  for how in $HOWS; do
    mkdir -p "$OUT/$how"; (cd "$OUT/$how" && rm -f $rows)
    echo "$name, $how" >&2; "run_$name" $how || echo "  $name, $how: did not end well" >&2
    stop
  done
  for r in $rows; do
    read -r dp df < <(python3 "$HERE/summarize.py" --count "$OUT/direct/$r"); lane=- note= bad=0 n=$((dp+df))
    # Directly: the expected figures and, for the conformance tool, the very names of the baseline.
    [ "$dp $df" = "$(expected "$r")" ] || { bad=$((bad+1)); note+="expected $(expected "$r" | tr ' ' /) directly; "; }
    base=$HERE/baseline/${r#conformance-}
    [ -f "$base" ] && { d=$(python3 "$HERE/summarize.py" --diff "$base" "$OUT/direct/$r") || { bad=$((bad+1)); note+="differs from the baseline; "; echo "$d" | sed "s/^/  $r baseline /"; }; }
    if [ "$HOWS" != direct ]; then
      lane=$(python3 "$HERE/summarize.py" --count "$OUT/lane/$r" | tr ' ' /)
      d=$(python3 "$HERE/summarize.py" --diff "$OUT/direct/$r" "$OUT/lane/$r") || { x=$(grep -c ^DIFF <<<"$d"); bad=$((bad+x)) n=$((n-x)); note+="$x differ; "; sed "s/^/  $r lane /" <<<"$d"; }
    fi
    [ $bad = 0 ] || tail -n 5 "$OUT"/*/"${r%.*}.log" 2>/dev/null | sed 's/^/    /'
    row "${r%.*}" "$dp/$df" "$lane" "${note:-same}"; p=$((p + (n > 0 ? n : 0))) f=$((f+bad))
  done
done
printf '%-24s %-12s %-12s %s\n%s' check direct lane result "$table"
[ $s = 0 ] && echo "$p passed, $f failed" || echo "$p passed, $f failed, $s skipped"
[ $f = 0 ]
