#!/bin/sh
# shellcheck source=../lib.sh
# One release changes the labels of the pods and the Service's selector. The Service then has no
# pod of stable any more. An Event reports this, the new version serves as soon as its first pod is
# ready, and the rollout completes.
. "$(dirname "$0")/../lib.sh"
serve; load
image=demo:v2 pod_labels='{app: shop, tier: web}' selector='{app: shop, tier: web}'
app | apply
lost='k get events --field-selector=reason=StableLost -o jsonpath="{.items[*].message}"'
expect "$long" "$lost" 'Service shop no longer selects stable'
expect "$long" 'request /' 200
echo "answers until it serves: $(answers)"
expect "$long" 'status stable.tag; status "conditions[?(@.type==\"Complete\")].status"' 'v2'
failed=$(grep -cv 200 "$log")
[ "$failed" -lt 200 ] || wrong "$failed requests failed: $(answers)"
