#!/usr/bin/env bash
# SVIDs of 20 s from `authority serve`, under load: no call may fail, and streams outlive the SVIDs under which they began.
# usage: rotation.sh [MINUTES]      1 by default
. "$(dirname "$0")/env.sh"; MAX_SECONDS=$((${1:-1} * 60 + 120)); . "$HERE/lane.sh"; need "$NODE22"; need_pqlane
TTL=20 p=0 f=0
read -r M LANE_AT EGRESS A B < <(free_ports 5); ID=spiffe://example.org
spawn target env PORT="$M" "$NODE22" "$(mjs mcp_everything.mjs)"; wait_port "$M" || exit 1
"$PQLANE" authority init --dir "$RUN/ca" --trust-domain example.org >/dev/null || exit 1
spawn authority "$PQLANE" authority serve --dir "$RUN/ca" --socket "$RUN/api" --ttl ${TTL}s --svid $ID/server --svid $ID/client
export SPIFFE_ENDPOINT_SOCKET=unix:$RUN/api
spawn inbound "$PQLANE" inbound --listen "127.0.0.1:$LANE_AT" --workload "http://127.0.0.1:$M" --allow $ID/client --spiffe-id $ID/server --audit "$RUN/in.audit" --admin "127.0.0.1:$A"
IN=$SPAWNED
spawn outbound "$PQLANE" outbound --listen "127.0.0.1:$EGRESS" --connect "127.0.0.1:$LANE_AT" --peer $ID/server --spiffe-id $ID/client --audit "$RUN/out.audit" --admin "127.0.0.1:$B"
wait_ready $IN "$A" && wait_ready $SPAWNED "$B" || { echo "FAIL the lane did not start"; echo "0 passed, 1 failed"; exit 1; }
mkdir -p "$OUT"
python3 "$HERE/load.py" "http://127.0.0.1:$EGRESS/mcp" --seconds $((${1:-1} * 60)) --rate 20 --streams 10 --audit "$RUN/in.audit" | tee "$OUT/rotation.log"
n=$(grep -c "renewed $ID/client" "$RUN/authority.log"); echo "$n renewals of the client's SVID"
read -r p f < <(python3 "$HERE/summarize.py" --count "$OUT/rotation.log"); [ $((p+f)) -gt 0 ] || f=1
# Half of the lifetime is when each is renewed.
if [ "$n" -ge $((${1:-1} * 60 * 2 / TTL - 2)) ]; then p=$((p+1)); echo "ok the SVIDs were renewed in time"; else f=$((f+1)); echo "FAIL the SVIDs were renewed in time"; fi
echo "$p passed, $f failed"; [ $f = 0 ]
