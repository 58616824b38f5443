#!/bin/sh
# shellcheck source=../lib.sh
# A cleaner deletes ReplicaSets without pods, and then the Deployment changes. The rejected
# template stays rejected: no rollout of it starts unasked.
. "$(dirname "$0")/../lib.sh"
serve; load; fail
k get replicasets -o jsonpath='{range .items[?(@.spec.replicas==0)]}{.metadata.name}{"\n"}{end}' |
    xargs kubectl -n "$namespace" delete replicaset >/dev/null
k annotate deployment shop note=1 >/dev/null
sleep 5
expect 1 'status phase' RolledBack
expect 1 'k get events --field-selector=reason=Preparing -o jsonpath="{.items[*].message}" | wc -w' '.'
preparing=$(k get events --field-selector=reason=Preparing -o jsonpath='{range .items[*]}{.message}{"\n"}{end}' | grep -c 'v2')
[ "$preparing" = 1 ] || wrong "$preparing rollouts of v2 started"
