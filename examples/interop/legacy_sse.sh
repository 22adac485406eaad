#!/usr/bin/env bash
# The MCP 2024-11-05 transport (HTTP+SSE): two SDKs' servers, each with both SDKs' clients, directly and through the lane.
# (The SDKs agree on a later version in `initialize`; the transport is that of 2024-11-05.) usage: legacy_sse.sh [--direct]
. "$(dirname "$0")/env.sh"
HOWS="direct lane"; [ "${1:-}" = --direct ] && HOWS=direct
. "$HERE/lane.sh"; need "$NODE22" "$PY_MCP"; [ "$HOWS" = direct ] || need_pqlane
ts() { timeout -k 3 60 "$NODE22" "$(mjs legacy_sse.mjs)" "$@"; }
py() { timeout -k 3 60 "$PY_MCP" -W ignore "$HERE/peers/legacy_sse.py" "$@"; }
p=0 f=0
for how in $HOWS; do for server in ts py; do
  mkdir -p "$OUT/$how"; read -r P < <(free_ports 1); url=http://127.0.0.1:$P
  if [ $server = ts ]; then spawn target env PORT="$P" "$NODE22" "$(mjs legacy_sse.mjs)" server
  else spawn target env PORT="$P" "$PY_MCP" -W ignore "$HERE/peers/legacy_sse.py" server; fi
  wait_port "$P" || exit 1
  if [ $how = lane ]; then lane_start "$P" && url=$LANE || url=http://127.0.0.1:1; fi
  for client in ts py; do
    log=$OUT/$how/legacy-$client-$server.log; $client client "$url/sse" >"$log" 2>&1
    read -r dp df < <(python3 "$HERE/summarize.py" --count "$log"); [ $((dp+df)) -gt 0 ] || df=1
    printf '%-7s %s client, %s server: %s/%s\n' $how $client $server "$dp" "$df"; [ "$df" = 0 ] || sed 's/^/    /' "$log" | tail -n 15
    p=$((p+dp)) f=$((f+df))
    if [ $how = lane ] && ! d=$(python3 "$HERE/summarize.py" --diff "$OUT/direct/legacy-$client-$server.log" "$log"); then sed 's/^/    /' <<<"$d"; f=$((f+1)); fi
  done; stop
done; done
echo "$p passed, $f failed"; [ $f = 0 ]
