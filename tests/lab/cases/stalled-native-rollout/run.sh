#!/bin/sh
# shellcheck source=../lib.sh
# A native rollout is stuck on a missing image when the policy is added. A fix is pushed, and then
# the first version again. The stuck rollout blocks neither, and the newest push wins.
. "$(dirname "$0")/../lib.sh"
app | sed '/steelyard.io\/policy/s/annotations: {[^}]*}/annotations: {}/' | apply
k rollout status deployment/shop --timeout="${long}s" >/dev/null
image=typo:v9
app | sed '/steelyard.io\/policy/s/annotations: {[^}]*}/annotations: {}/' | apply
expect "$long" 'k get pods' 'ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull'
k annotate deployment shop steelyard.io/policy=shop >/dev/null
expect "$long" 'status "conditions[?(@.type==\"HoldEnforced\")].status"' True
image=demo:v2
app | apply; load
expect "$long" 'status "canary.tag"; status "stable.tag"' v2
image=demo:v1
app | apply
expect "$long" 'k get pods -o jsonpath="{.items[*].spec.containers[0].image}"' '^(demo:v1 ?)+$'
expect "$long" 'k get deployment shop -o jsonpath="{.spec.template.spec.containers[0].image}"' '^demo:v1$'
