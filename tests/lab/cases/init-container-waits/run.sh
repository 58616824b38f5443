#!/bin/sh
# shellcheck source=../lib.sh
# An init container exits with an error until its database is there, here twice. A native rollout
# completes, and so does this one: a container that has never run has until the deadline.
. "$(dirname "$0")/../lib.sh"
step='{weight: 20, duration: 1s}' replicas=1
serve; load
init_containers='[{name: wait-for-db, image: demo:v1, command: [sh, -c, "f=/var/tmp/case-$POD; n=$(cat $f 2>/dev/null || echo 0); echo $((n+1)) >$f; [ $n -ge 2 ]"], env: [{name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}]'
image=demo:v2
app | sed 's/deadline: 15s/deadline: 2m/' | apply
expect "$long" 'status stable.tag' v2
expect 1 'k get deployment shop -o jsonpath="{.spec.template.spec.containers[0].image}"' demo:v2
