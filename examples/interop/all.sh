#!/usr/bin/env bash
# Installs the peers and runs every check, one script after the other. usage: all.sh [--direct]
# --direct: without the lane; shows that the peers work and give the expected figures.
. "$(dirname "$0")/env.sh"
"$HERE/setup.sh" || { echo "FAIL setup"; echo "0 passed, 1 failed"; exit 1; }
p=0 f=0 s=0 table="" log=$(mktemp); trap 'rm -f "$log"' EXIT
for run in "through_lane.sh" "legacy_sse.sh" "a2a_03.sh" "streams.sh" "hostile_calls.sh" "tls_peers/tls_peers.sh --self" "tls_peers/tls_peers.sh" \
  "tls_peers/pq_certs.sh" "workload_api.sh" "rotation.sh 1" "reloads.sh" "revocation.sh 30"; do
  if [ "${1:-}" = --direct ]; then
    case $run in *--self) ;; tls_peers/* | workload_api.sh | rotation.sh* | reloads.sh | revocation.sh*) continue ;; *) run+=" --direct" ;; esac
  fi
  echo "== $run"; t=$SECONDS
  # shellcheck disable=SC2086  # a script and its options
  "$HERE/"$run 2>&1 | tee "$log"; rc=${PIPESTATUS[0]}
  # The closing line of a script is its last of this form; what a failed one prints after it are logs.
  last=$(grep -aE '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
  read -r a b c < <(sed -E 's/^([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?.*/\1 \2 \4/' <<<"${last:-0 passed, 1 failed}")
  [ "$rc" = 0 ] || [ "$b" != 0 ] || b=1
  p=$((p+a)) f=$((f+b)) s=$((s+${c:-0})); table+=$(printf '%-32s %5s s   %s' "$run" $((SECONDS-t)) "${last:-no result}")$'\n'
done
printf '==\n%s' "$table"
[ $s = 0 ] && echo "$p passed, $f failed" || echo "$p passed, $f failed, $s skipped"
[ $f = 0 ]
