#!/bin/sh
# shellcheck source=../lib.sh
# The Service selects version: v1, and the pushed pods have version: v2. The message names the
# Service and the label.
. "$(dirname "$0")/../lib.sh"
pod_labels='{app: shop, version: v1}' selector='{app: shop, version: v1}'
serve
image=demo:v2 pod_labels='{app: shop, version: v2}'
app | apply
accepted='status "conditions[?(@.type==\"Accepted\")].message"'
expect "$long" "$accepted" 'Service shop'
expect 1 "$accepted" 'version'
