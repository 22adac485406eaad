#!/usr/bin/env bash
# How long a revocation takes from the call, or from the deny-list's change, to the last byte of whom it names, with many
# other streams open. usage: revocation.sh [TIMES [STREAMS]]     100 and 2000 by default
. "$(dirname "$0")/env.sh"; TIMES=${1:-100}; MAX_SECONDS=$((TIMES * 5 + 120)); . "$HERE/lane.sh"; need_pqlane
ulimit -n "$(ulimit -Hn)" 2>/dev/null
read -r M LANE_AT MANY ONE A < <(free_ports 5); ID=spiffe://example.org
issue server server && issue many many && issue one one || exit 1
mkdir "$RUN/state"; : >"$RUN/deny"; (umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$RUN/token")
cat >"$RUN/in.toml" <<TOML
state_dir = "state"
[identity]
svid = "$LANE_PKI/server.svid.pem"
key = "$LANE_PKI/server.key.pem"
[trust]
"example.org" = "$LANE_PKI/bundle.pem"
[revocation]
deny_list = "deny"
[audit]
to = "in.audit"
[admin]
listen = "127.0.0.1:$A"
token_file = "token"
[limits]
upstream_connections = 10000
[[inbound]]
listen = "127.0.0.1:$LANE_AT"
workload = "http://127.0.0.1:$M"
allow = ["$ID/many", "$ID/one"]
TOML
spawn target python3 "$HERE/revocation.py" serve "$M"; wait_port "$M" || exit 1
spawn inbound "$PQLANE" run -c "$RUN/in.toml"; wait_ready $SPAWNED "$A" || { echo "FAIL the lane did not start"; echo "0 passed, 1 failed"; exit 1; }
for who in many one; do
  port=$ONE; [ $who = many ] && port=$MANY
  # shellcheck disable=SC2046  # options
  spawn "outbound-$who" "$PQLANE" outbound --listen "127.0.0.1:$port" --connect "127.0.0.1:$LANE_AT" --peer $ID/server $(svid $who) --audit "$RUN/$who.audit"
  wait_port "$port" || exit 1
done
mkdir -p "$OUT"
python3 "$HERE/revocation.py" measure --target "$MANY" --victim "$ONE" --id $ID/one --admin "$A" --token "$RUN/token" --deny "$RUN/deny" \
  --times "$TIMES" --streams "${2:-2000}" | tee "$OUT/revocation.log"
read -r p f < <(python3 "$HERE/summarize.py" --count "$OUT/revocation.log"); [ $((p+f)) -gt 0 ] || f=1
n=$(grep -c '"event":"remediation"' "$RUN/in.audit")
if [ "$n" -ge "$TIMES" ]; then p=$((p+1)); echo "ok each is on record | $n remediations"; else f=$((f+1)); echo "FAIL each is on record | $n remediations"; fi
echo "$p passed, $f failed"; [ $f = 0 ]
