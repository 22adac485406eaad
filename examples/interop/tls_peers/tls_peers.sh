#!/usr/bin/env bash
# Handshakes of the lane with TLS stacks that are not its own: OpenSSL 4.0 (pyOpenSSL), OpenSSL 3.5 (Node 26) and this machine's
# Python ssl, as clients of `inbound` and as servers behind `outbound`; what must be refused, with which alert and audit reason.
# usage: tls_peers.sh [--self]      --self: the peers against each other, without the lane
. "$(dirname "$0")/../env.sh"; . "$HERE/lane.sh"; . "$HERE/tls_peers/peers.sh"
need "$NODE26" "$PY_TLS"; [ "${1:-}" = --self ] || need_pqlane
if [ "${1:-}" = --self ]; then
  LANE_PKI=$RUN/pki; BUNDLE=$LANE_PKI/bundle.pem; "$PY_TLS" "$T/openssl_peer.py" authority "$LANE_PKI" || exit 1
  for s in node openssl; do
    read -r PORT < <(free_ports 1); server $s "$PORT" "$LANE_PKI/server"
    for c in openssl node; do for k in client ed25519 ml-dsa-65; do expect "$c client, $s server, $k" "^OK $HYBRID $ID/server get=200 post=same" "$(client $c "$PORT" "$LANE_PKI/$k")"; done; done
    expect "$s server sees the client" "^SERVED TLSv1.3 (X25519MLKEM768|\?) $ID/client" "$(grep -m1 SERVED "$RUN/server.log")"
    [ $s = node ] || { stop; continue; }
    expect "HelloRetryRequest" "^OK $HYBRID" "$(client node "$PORT" "$LANE_PKI/client" --groups X25519:X25519MLKEM768)"
    for c in node:X25519 openssl:P-256 python:P-256; do expect "$c only" "^ALERT 40 " "$(client ${c%:*} "$PORT" "$LANE_PKI/client" --groups ${c#*:} --probe)"; done
    for c in node openssl python; do expect "$c TLS 1.2" "^ALERT 70 " "$(client $c "$PORT" "$LANE_PKI/client" --tls12 --probe)"; done
    for c in node openssl; do expect "$c without a certificate" "^ALERT 116 " "$(client $c "$PORT" "$LANE_PKI/client" --no-cert --probe)"; done
    stop
  done
  read -r PORT < <(free_ports 1); server node "$PORT" "$LANE_PKI/server" --h2
  expect "node client and server, HTTP/2" "^OK $HYBRID $ID/server get=200 post=same" "$(client node "$PORT" "$LANE_PKI/client" --h2)"
  echo "$p passed, $f failed"; [ $f = 0 ]; exit
fi

issue client client && issue server server && issue stranger stranger || { echo "FAIL authority"; cat "$RUN/authority.log"; echo "0 passed, 1 failed"; exit 1; }
LANE_PKI_MAIN=$LANE_PKI; LANE_PKI=$RUN/other; issue client client && issue server server; LANE_PKI=$LANE_PKI_MAIN
BUNDLE=$LANE_PKI/bundle.pem
for k in ed25519 ml-dsa-65; do issue client-$k client --key $k; issue server-$k server --key $k; done

# ---- clients of `inbound`
read -r W < <(free_ports 1); spawn workload python3 "$HERE/streams.py" serve "$W"; wait_port "$W"
inbound_start "$W" || { echo "FAIL inbound did not start"; echo "0 passed, 1 failed"; exit 1; }
for c in openssl node; do for k in client client-ed25519 client-ml-dsa-65; do
  expect "$c client, $k" "^OK $HYBRID $ID/server get=200 post=same" "$(client $c "$IN_PORT" "$LANE_PKI/$k")"
done; done
expect "node client, HTTP/2" "^OK $HYBRID $ID/server get=200 post=same" "$(client node "$IN_PORT" "$LANE_PKI/client" --h2)"
# A client that names the group but sends no share for it is asked again (HelloRetryRequest).
expect "node client, HelloRetryRequest" "^OK $HYBRID" "$(client node "$IN_PORT" "$LANE_PKI/client" --groups X25519:X25519MLKEM768)"

own=$LANE_PKI/client
refused "node, X25519 only" '^ALERT 40 ' no-hybrid-group node "$IN_PORT" "$own" --groups X25519 --probe
refused "node, P-256 and P-384 only" '^ALERT 40 ' no-hybrid-group node "$IN_PORT" "$own" --groups P-256:P-384 --probe
refused "openssl, P-256 only" '^ALERT 40 ' no-hybrid-group openssl "$IN_PORT" "$own" --groups P-256 --probe
refused "python ssl, P-256 only" '^ALERT 40 ' no-hybrid-group python "$IN_PORT" "$own" --groups P-256 --probe
for c in node openssl python; do refused "$c, TLS 1.2" '^ALERT 70 ' tls-version $c "$IN_PORT" "$own" --tls12 --probe; done
for c in node openssl; do refused "$c, no certificate" '^ALERT 116 ' no-peer-certificate $c "$IN_PORT" "$own" --no-cert --probe; done
for c in node openssl; do refused "$c, SVID of another CA" '^ALERT 48 ' issuer-untrusted $c "$IN_PORT" "$RUN/other/client" --probe; done
# A good SVID that no --allow names.
for c in node openssl; do refused "$c, SVID not allowed" '^ALERT 49 ' peer-not-allowed $c "$IN_PORT" "$LANE_PKI/stranger" --probe; done
stop

# ---- servers behind `outbound`
for s in openssl node; do for k in server server-ed25519 server-ml-dsa-65; do
  behind $s "$LANE_PKI/$k" || verdict 1 "$s server, $k" "outbound did not start"
  expect "$s server, $k" "^get=200 post=same" "$(ask)"
  expect "$s server, $k: sees the client" "^SERVED TLSv1.3 (X25519MLKEM768|\?) $ID/client" "$(grep -m1 SERVED "$RUN/server.log")"; stop
done; done
behind node "$LANE_PKI/server" --h2; expect "node server, HTTP/2" "^get=200 post=same" "$(ask)"; stop

not_reached "node server, X25519 only" peer-alert node "$LANE_PKI/server" --groups X25519
not_reached "openssl server, P-256 only" peer-alert openssl "$LANE_PKI/server" --groups P-256
not_reached "node server, TLS 1.2" peer-alert node "$LANE_PKI/server" --tls12 --groups X25519:P-256
not_reached "node server, SVID of another CA" issuer-untrusted node "$RUN/other/server"
not_reached "node server, not the expected peer" peer-not-allowed node "$LANE_PKI/stranger"
echo "$p passed, $f failed"; [ $f = 0 ]
