#!/usr/bin/env bash
# The SPIFFE Workload API against software that is not ours: the published client (PyPI spiffe) of `pqlane authority serve`, and a
# server on grpcio with certificates made as SPIRE makes them, from which two sidecars take their identities.
. "$(dirname "$0")/env.sh"; . "$HERE/lane.sh"; need "$PY_SPIFFE"; need_pqlane
p=0 f=0
# part NAME PEER ARGUMENT...: one peer, in a folder of its own with a short name: a socket's path has 107 bytes
part() {
  local name=$1 peer=$2; shift 2; mkdir -p "$RUN/$name" "$OUT"; echo "-- $name"
  timeout -k 3 240 "$PY_SPIFFE" "$HERE/peers/$peer" "$PQLANE" "$RUN/$name" "$@" </dev/null | tee "$OUT/workload-api-$name.log"
  read -r dp df < <(python3 "$HERE/summarize.py" --count "$OUT/workload-api-$name.log"); [ "$((dp+df))" -gt 0 ] || df=1
  p=$((p+dp)) f=$((f+df)); [ "$df" = 0 ] || for l in "$RUN/$name"/*.log; do echo "--- $l"; tail -n 8 "$l"; done >&2
}
PQLANE=$(realpath "$PQLANE")
part client spiffe_client.py
for leaf in p256 ed25519; do part $leaf spiffe_lane.py $leaf $(free_ports 5); done
echo "$p passed, $f failed"; [ $f = 0 ]
