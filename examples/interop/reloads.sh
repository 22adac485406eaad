#!/usr/bin/env bash
# 10,000 tools/call through two sidecars while their configuration, certificates and deny-list are written anew every second.
# usage: reloads.sh [CALLS]
. "$(dirname "$0")/env.sh"; . "$HERE/lane.sh"; need "$NODE22"; need_pqlane
CALLS=${1:-10000} p=0 f=0 ID=spiffe://example.org
read -r M LANE_AT EGRESS A B < <(free_ports 5)
spawn target env PORT="$M" "$NODE22" "$(mjs mcp_everything.mjs)"; wait_port "$M" || exit 1
LANE_PKI=$RUN/pki; issue server server && issue client client || exit 1

# configuration N: what differs is an allow-list, a limit and a comment; both sidecars need no restart for any of it
inbound_toml() { cat <<T
# version $1
[identity]
svid = "pki/server.svid.pem"
key = "pki/server.key.pem"
[trust]
"example.org" = "pki/bundle.pem"
[revocation]
deny_list = "deny"
[audit]
to = "in.audit"
[admin]
listen = "127.0.0.1:$A"
[limits]
h2_streams = $((100 + $1 % 7))
[[inbound]]
listen = "127.0.0.1:$LANE_AT"
workload = "http://127.0.0.1:$M"
allow = ["$ID/client", "$ID/other-$1"]
T
}
outbound_toml() { cat <<T
# version $1
[identity]
svid = "pki/client.svid.pem"
key = "pki/client.key.pem"
[trust]
"example.org" = "pki/bundle.pem"
[audit]
to = "out.audit"
[admin]
listen = "127.0.0.1:$B"
[limits]
upstream_connections = $((500 + $1 % 5))
[[outbound]]
listen = "127.0.0.1:$EGRESS"
connect = "127.0.0.1:$LANE_AT"
peers = ["$ID/server", "$ID/other-$1"]
T
}
# Every second time files are replaced; otherwise they are written in place, so that they can be seen half written.
put() { umask 077; if [ $(($2 % 2)) = 0 ]; then cat > "$1.new" && mv "$1.new" "$1"; else cat > "$1"; fi; }
write_all() {
  local n=$1 who
  inbound_toml "$n" | put "$RUN/in.toml" "$n"; outbound_toml "$n" | put "$RUN/out.toml" "$n"; echo "$ID/somebody-$n" | put "$RUN/deny" "$n"
  for who in server client; do
    rm -f "$RUN/next".*; "$PQLANE" authority issue --dir "$LANE_PKI" --id $ID/$who --out "$RUN/next" >/dev/null || return
    put "$LANE_PKI/$who.svid.pem" "$n" < "$RUN/next.svid.pem"; put "$LANE_PKI/$who.key.pem" "$n" < "$RUN/next.key.pem"
  done
}
write_all 0
spawn inbound "$PQLANE" run -c "$RUN/in.toml"; IN=$SPAWNED; spawn outbound "$PQLANE" run -c "$RUN/out.toml"
wait_ready $IN "$A" && wait_ready $SPAWNED "$B" || { echo "FAIL the lane did not start"; echo "0 passed, 1 failed"; exit 1; }
( trap - EXIT; n=1; while sleep 1; do write_all $n; n=$((n+1)); echo $n > "$RUN/rounds"; done ) & WRITER=$!
mkdir -p "$OUT"
python3 "$HERE/load.py" "http://127.0.0.1:$EGRESS/mcp" --calls "$CALLS" --rate 400 --streams 5 --audit "$RUN/in.audit" | tee "$OUT/reloads.log"
kill $WRITER 2>/dev/null
read -r p f < <(python3 "$HERE/summarize.py" --count "$OUT/reloads.log"); [ $((p+f)) -gt 0 ] || f=1
reloads() { ( exec 3<>"/dev/tcp/127.0.0.1/$1"; printf 'GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&3; cat <&3 ) | sed -nE "s/^pqlane_reloads_total\{outcome=\"$2\"\} ([0-9]+).*/\1/p" | grep . || echo 0; }
rounds=$(cat "$RUN/rounds" 2>/dev/null || echo 0)
for who in inbound:$A outbound:$B; do
  applied=$(reloads ${who#*:} applied); line="${who%:*} took up its files: $applied changes applied, $(reloads ${who#*:} refused) refused, in $rounds rounds"
  if [ "$rounds" -ge 5 ] && [ "$applied" -ge "$rounds" ]; then p=$((p+1)); echo "ok $line"; else f=$((f+1)); echo "FAIL $line"; fi
done
echo "$p passed, $f failed"; [ $f = 0 ]
