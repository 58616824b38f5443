#!/bin/sh
# shellcheck source=../lib.sh
# The route is in another namespace, and a ReferenceGrant allows it. It gets the weight.
. "$(dirname "$0")/../lib.sh"
step='{weight: 20, duration: 30s}'
kubectl create namespace "$namespace-routes" >/dev/null
trap 'kubectl delete namespace "$namespace-routes" --wait=false >/dev/null; end' EXIT
apply <<EOF
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: routes}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: $namespace-routes}]
  to: [{group: "", kind: Service}]
EOF
rules="[{backendRefs: [{name: shop, namespace: $namespace, port: 80}]}]"
route shop "$host" | kubectl -n "$namespace-routes" apply -f - >/dev/null || wrong 'no route'
{ workload; echo ---; policy; } | apply
expect "$long" 'status phase' Stable
expect "$long" 'request /' 200
load
image=demo:v2
{ workload; echo ---; policy; } | apply
expect "$long" 'status weight' '^20'
expect "$long" 'kubectl -n "$namespace-routes" get httproute shop -o jsonpath="{.spec.rules[0].backendRefs[*].name}"' 'shop-canary'
