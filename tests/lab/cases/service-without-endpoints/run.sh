#!/bin/sh
# shellcheck source=../lib.sh
# Beside the routed Service there is one whose targetPort no pod has. It carries nothing, so the
# rollout does not wait for it.
. "$(dirname "$0")/../lib.sh"
apply <<EOF
apiVersion: v1
kind: Service
metadata: {name: shop-metrics}
spec: {selector: {app: shop}, ports: [{name: metrics, port: 9090, targetPort: metrics}]}
EOF
serve; load
image=demo:v2
app | apply
expect "$long" 'status "conditions[?(@.type==\"Complete\")].status"; k get deployment shop -o jsonpath="{.status.conditions[0].type} {.spec.paused}"; status stable.tag' 'v2'
