#!/bin/sh
# shellcheck source=../lib.sh
# Metrics are scraped through a separate Service, as with a ServiceMonitor. It carries no traffic,
# so it is left out by its label and selects the pods of both versions during a rollout.
. "$(dirname "$0")/../lib.sh"
step='{weight: 20, duration: 30s}'
k create -f - >/dev/null <<EOF
apiVersion: v1
kind: Service
metadata: {name: shop-metrics, labels: {steelyard.io/ignore: "true"}}
spec: {selector: {app: shop}, ports: [{name: metrics, port: 9090, targetPort: http}], clusterIP: None}
EOF
serve; load
image=demo:v2
app | apply
expect "$long" 'status weight' '^20'
expect "$long" 'k get service shop-metrics -o jsonpath="{.spec.selector}"' '^{"app":"shop"}$'
pods='k get endpointslices -l kubernetes.io/service-name=shop-metrics -o jsonpath="{.items[*].endpoints[*].targetRef.name}" | wc -w'
expect "$long" "$pods" '^3$'
