#!/usr/bin/env bash
# The conformance harness runs this as its client: it puts egress and ingress between the client and the harness's own server.
# usage: wrap_lane.sh UPSTREAM_URL        e.g. http://localhost:41234/mcp; ends with the client's status
. "$(dirname "$0")/env.sh"; MAX_SECONDS=60; . "$HERE/lane.sh"
up=${1#http://} path=/${1#http://*/}; port=${up%%/*}; port=${port##*:}
lane_start "$port" || exit 1
"$NODE22" "$LAB/js22/mcp_client.mjs" "$LANE$path"
