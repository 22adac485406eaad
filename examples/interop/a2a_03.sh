#!/usr/bin/env bash
# A2A 0.3 (a2a-sdk 1.3.0 with its 0.3 compatibility on, both sides), three bindings, directly and through the lane.
# usage: a2a_03.sh [--direct]
. "$(dirname "$0")/env.sh"
HOWS="direct lane"; [ "${1:-}" = --direct ] && HOWS=direct
. "$HERE/lane.sh"; need "$PY_A2A"; [ "$HOWS" = direct ] || need_pqlane
p=0 f=0
for how in $HOWS; do
  mkdir -p "$OUT/$how"; log=$OUT/$how/a2a-03.log; read -r P G EGRESS < <(free_ports 3); url=http://127.0.0.1:$P grpc=127.0.0.1:$G
  [ $how = lane ] && url=http://127.0.0.1:$EGRESS grpc=127.0.0.1:$EGRESS
  spawn agent env A2A_VERSION=0.3 PORT="$P" GRPC_PORT="$G" CARD_HTTP="$url" CARD_GRPC="$grpc" "$PY_A2A" "$HERE/peers/a2a_agent.py"
  wait_port "$P" || exit 1
  if [ $how = lane ]; then EGRESS_PORT=$EGRESS lane_start "$P" "$G" || echo "FAIL the lane did not start"; fi
  timeout -k 3 120 "$PY_A2A" "$HERE/peers/a2a_03_client.py" "$url" >"$log" 2>&1
  read -r dp df < <(python3 "$HERE/summarize.py" --count "$log"); [ $((dp+df)) -gt 0 ] || df=1
  echo "$how: $dp/$df"; [ "$df" = 0 ] || sed 's/^/    /' "$log" | tail -n 40
  p=$((p+dp)) f=$((f+df))
  if [ $how = lane ] && ! d=$(python3 "$HERE/summarize.py" --diff "$OUT/direct/a2a-03.log" "$log"); then sed 's/^/    /' <<<"$d"; f=$((f+1)); fi
  stop
done
echo "$p passed, $f failed"; [ $f = 0 ]
