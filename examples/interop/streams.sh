#!/usr/bin/env bash
# Many open streams and an ordinary call beside them (streams.py), directly and through the lane. usage: streams.sh [--direct]
. "$(dirname "$0")/env.sh"
HOWS="direct lane"; [ "${1:-}" = --direct ] && HOWS=direct
. "$HERE/lane.sh"; need "$NODE22"; [ "$HOWS" = direct ] || need_pqlane
ulimit -n "$(ulimit -Hn)" 2>/dev/null
p=0 f=0
for how in $HOWS; do
  read -r M F < <(free_ports 2); mkdir -p "$OUT/$how"
  spawn target env PORT="$M" "$NODE22" "$(mjs mcp_everything.mjs)"; spawn flood python3 "$HERE/streams.py" serve "$F"
  wait_port "$M" && wait_port "$F" || exit 1
  mcp=http://127.0.0.1:$M flood=http://127.0.0.1:$F
  if [ $how = lane ]; then lane_start "$M" && mcp=$LANE && lane_start "$F" && flood=$LANE || { echo "FAIL the lane did not start"; f=$((f+1)); show_logs; break; }; fi
  echo "-- $how"; timeout -k 3 400 python3 "$HERE/streams.py" check "$mcp/mcp" "$flood" | tee "$OUT/$how/streams.log"
  read -r dp df < <(python3 "$HERE/summarize.py" --count "$OUT/$how/streams.log"); [ "$((dp+df))" -gt 0 ] || df=1
  p=$((p+dp)) f=$((f+df)); stop
done
echo "$p passed, $f failed"; [ $f = 0 ]
