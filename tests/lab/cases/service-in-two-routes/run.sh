#!/bin/sh
# shellcheck source=../lib.sh
# One Service is in two routes, internal and external. Both get the weight.
. "$(dirname "$0")/../lib.sh"
step='{weight: 20, duration: 30s}'
route shop-internal "int.$host" | apply
serve; load
image=demo:v2
app | apply
weights='k get httproutes -o jsonpath="{.items[*].spec.rules[0].backendRefs[?(@.name==\"shop-canary\")].weight}"'
expect "$long" "$weights" '^([0-9]+) \1$'
expect "$long" 'status weight' '^20'
