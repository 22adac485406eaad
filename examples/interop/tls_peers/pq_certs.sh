#!/usr/bin/env bash
# Certificates of every kind, CNSA 2.0, policies of key exchange and resumption, against OpenSSL 4.0 (pyOpenSSL) and OpenSSL 3.5
# (Node 26), as clients of `inbound` and as servers behind `outbound`. What a sidecar did is read off its audit record.
. "$(dirname "$0")/../env.sh"; . "$HERE/lane.sh"; . "$HERE/tls_peers/peers.sh"
need "$NODE26" "$PY_TLS"; need_pqlane
read -r W < <(free_ports 1); workload() { spawn workload python3 "$HERE/streams.py" serve "$W"; wait_port "$W"; }

# domain NAME CA LEAF [INIT_OPTION...]: a trust domain of its own, with `client` and `server` of that kind of key
domain() {
  LANE_PKI=$RUN/$1 BUNDLE=$RUN/$1/bundle.pem CA_OPTIONS=(--ca-key "$2" "${@:4}")
  issue client client --key "$3" && issue server server --key "$3" || { verdict 1 "domain $1" "$(tail -n 1 "$RUN/authority.log")"; return 1; }
}
# opened FILE LINES MEMBER: what the connections opened after the first LINES lines say of it, one word each; waits a little
opened() {
  local r; for _ in $(seq 40); do
    r=$(tail -n "+$(($2+1))" "$1" | grep -F '"event":"connection.open"' | grep -oE "\"$3\":\"[^\"]*\"" | cut -d'"' -f4 | tr '\n' ' '); [ -n "$r" ] && break; sleep 0.05
  done; echo "$3: $r"
}
# both_roles NAME GROUP SCHEME [GROUPS]: every stack as client and as server; the lane reports GROUP and the peer's SCHEME
both_roles() {
  local name=$1 group=$2 scheme=$3 offer=() s n; [ -n "${4:-}" ] && offer=(--groups "$4")
  workload; inbound_start "$W" || { verdict 1 "$name" "inbound did not start"; stop; return; }
  for s in openssl node; do
    n=$(lines "$IN_AUDIT"); expect "$name: $s client" "^OK TLSv1\.3 .* $ID/server get=200 post=same" "$(client $s "$IN_PORT" "$LANE_PKI/client" "${offer[@]}")"
    expect "$name: $s client's group" "^group: $group $" "$(opened "$IN_AUDIT" "$n" group)"
    expect "$name: $s client's signature" "^peer_signature: $scheme $" "$(opened "$IN_AUDIT" "$n" peer_signature)"
  done; stop
  for s in openssl node; do
    behind $s "$LANE_PKI/server" "${offer[@]}" || verdict 1 "$name: $s server" "outbound did not start"
    expect "$name: $s server" "^get=200 post=same" "$(ask)"
    expect "$name: $s server's group" "^group: ($group )+$" "$(opened "$OUT_AUDIT" 0 group)"
    expect "$name: $s server's signature" "^peer_signature: ($scheme )+$" "$(opened "$OUT_AUDIT" 0 peer_signature)"; stop
  done
}

# ---- chains
H=X25519MLKEM768
domain p384 ecdsa-p384 ecdsa-p384 --intermediate               && both_roles "P-384, intermediate" $H ecdsa_secp384r1_sha384
domain rsa rsa-2048 rsa-2048                                    && both_roles "RSA" $H 'rsa_pss_rsae_sha(256|512)'
domain spire rsa-2048 ecdsa-p256 --intermediate=ecdsa-p384      && both_roles "RSA root, P-384 CA, P-256 leaf" $H ecdsa_secp256r1_sha256
domain mixed ml-dsa-65 ecdsa-p256                               && both_roles "ML-DSA-65 CA, P-256 leaf" $H ecdsa_secp256r1_sha256
domain mldsa44 ml-dsa-44 ml-dsa-44                              && both_roles "ML-DSA-44" $H mldsa44
domain mldsa65 ml-dsa-65 ml-dsa-65 --intermediate               && both_roles "ML-DSA-65, intermediate" $H mldsa65

# ---- CNSA 2.0: ML-DSA-87 with MLKEM1024 or SecP384r1MLKEM1024
IN_OPTIONS=(--kx-policy cnsa) OUT_OPTIONS=(--kx-policy cnsa)
if domain mldsa87 ml-dsa-87 ml-dsa-87; then
  for g in MLKEM1024 SecP384r1MLKEM1024; do both_roles "CNSA, $g" $g mldsa87 $g; done
  issue weak client --key ml-dsa-65; issue weak-server server --key ml-dsa-65
  workload; inbound_start "$W"
  for s in openssl node; do
    refused "CNSA, $s client without its groups" '^ALERT 40 ' no-hybrid-group $s "$IN_PORT" "$LANE_PKI/client" --groups X25519MLKEM768 --probe
    # ML-DSA-87 is all that is asked for, so OpenSSL finds that it has no certificate to send.
    refused "CNSA, $s client with ML-DSA-65" '^ALERT 116 ' no-peer-certificate $s "$IN_PORT" "$LANE_PKI/weak" --groups MLKEM1024 --probe
  done; stop
  for s in openssl node; do not_reached "CNSA, $s server with ML-DSA-65" peer-alert $s "$LANE_PKI/weak-server" --groups MLKEM1024; done
fi
IN_OPTIONS=() OUT_OPTIONS=()

# ---- the client's order, and clients without a hybrid group
domain order ecdsa-p256 ecdsa-p256
own=$LANE_PKI/client
for policy in require-hybrid prefer-hybrid allow-classical-until=2099-01-01; do
  IN_OPTIONS=(--kx-policy $policy); workload; inbound_start "$W"; n=$(lines "$IN_AUDIT")
  expect "$policy, classical first" "^OK $HYBRID" "$(client node "$IN_PORT" "$own" --groups X25519:X25519MLKEM768)"
  expect "$policy, classical first: offer" '"offered_groups":\["(X25519|x25519)","X25519MLKEM768"' "$(grep -F connection.open "$IN_AUDIT" | tail -n 1)"; stop
done
IN_OPTIONS=(--kx-policy allow-classical-until=2020-01-01); workload; inbound_start "$W"
refused "the date has passed, X25519 only" '^ALERT 40 ' no-hybrid-group node "$IN_PORT" "$own" --groups X25519 --probe; stop

IN_OPTIONS=(--kx-policy prefer-hybrid --state-dir "$RUN/state" --allow $ID/fresh); mkdir "$RUN/state"; workload; inbound_start "$W"
for s in node:X25519:x25519 openssl:P-256:secp256r1 python:P-256:secp256r1; do
  IFS=: read -r s g as <<<"$s"; n=$(lines "$IN_AUDIT")
  expect "prefer-hybrid, $s, $g only: served" "^OK TLSv1\.3 .* get=200 post=same" "$(client $s "$IN_PORT" "$own" --groups $g)"
  expect "prefer-hybrid, $s, $g only: record" "^group: $as $" "$(opened "$IN_AUDIT" "$n" group | tr '[:upper:]' '[:lower:]')"
done
expect "prefer-hybrid: the same SVID shows hybrid" "^OK $HYBRID" "$(client openssl "$IN_PORT" "$own")"
for s in node:X25519 openssl:P-256 python:P-256; do
  refused "downgraded: ${s%:*}, ${s#*:} only" '^(ALERT|ERROR closed)' downgraded ${s%:*} "$IN_PORT" "$own" --groups ${s#*:} --probe
done
expect "prefer-hybrid: hybrid is served as before" "^OK $HYBRID" "$(client node "$IN_PORT" "$own")"
# Who is of another CA shows hybrid in somebody's name; that binds nobody, and the name's owner is served classically.
LANE_PKI=$RUN/forged CA_OPTIONS=(); issue fresh fresh; LANE_PKI=$RUN/order; issue fresh fresh
refused "another CA shows hybrid in a name" '^ALERT 48 ' issuer-untrusted openssl "$IN_PORT" "$RUN/forged/fresh" --probe
expect "its owner is served classically" "^OK TLSv1\.3 X25519 .* get=200 post=same" "$(client node "$IN_PORT" "$LANE_PKI/fresh" --groups X25519)"
expect "ratchet list names the client" "$ID/client" "$("$PQLANE" ratchet list --state "$RUN/state/ratchet.jsonl" 2>&1 | tr '\n' ' ')"
stop

# ---- resumption
IN_OPTIONS=(--deny-list "$RUN/deny"); : > "$RUN/deny"; workload; inbound_start "$W"
for s in node openssl; do
  n=$(lines "$IN_AUDIT"); expect "$s, second connection" "^OK $HYBRID .* then resumed OK $HYBRID ($ID/server|-) get=200 post=same" "$(client $s "$IN_PORT" "$own" --again)"
  expect "$s, second connection: record" "^handshake: full resumed " "$(opened "$IN_AUDIT" "$n" handshake)"
done
# strike ENTRY: the deny-list's one entry; ends once the sidecar counts that it has taken it up. A file, since the peers run it too.
cat > "$RUN/strike" <<SH
#!/usr/bin/env bash
applied() { ( exec 3<>/dev/tcp/127.0.0.1/$IN_ADMIN; printf 'GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&3; cat <&3 ) | sed -nE 's/^pqlane_reloads_total\{outcome="applied"\} ([0-9]+).*/\1/p' | grep . || echo 0; }
before=\$(applied); printf '%s\n' "\$1" > "$RUN/deny"
for _ in \$(seq 200); do [ "\$(applied)" -gt "\$before" ] && exit 0; sleep 0.05; done; exit 1
SH
chmod +x "$RUN/strike"
for s in node openssl; do
  n=$(lines "$IN_AUDIT")
  expect "$s, denied in between" "^OK $HYBRID .* then ((resumed|full) )?(ALERT|ERROR)" "$(client $s "$IN_PORT" "$own" --again --between "$RUN/strike $ID/client")"
  expect "$s, denied in between: audit" "^reason: peer-denied " "$(reason "$IN_AUDIT" "$n")"
  expect "$s, denied in between: nothing resumed" "^handshake: full $" "$(opened "$IN_AUDIT" "$n" handshake)"
  "$RUN/strike" '# nobody' || verdict 1 "deny-list" "was not taken up"
done
expect "resumption goes on once the list is empty" "then resumed OK" "$(client node "$IN_PORT" "$own" --again)"
stop
echo "$p passed, $f failed"; [ $f = 0 ]
