#!/bin/sh
# shellcheck source=../lib.sh
# Another rule of the route refers to a Service that does not exist, so the gateway reported
# ResolvedRefs=False before the rollout. The canary, whose requests fail, is measured and rolled
# back all the same.
. "$(dirname "$0")/../lib.sh"
rules='[{matches: [{path: {type: PathPrefix, value: /old}}], backendRefs: [{name: gone, port: 80}]}, {backendRefs: [{name: shop, port: 80}]}]'
serve; load; fail
