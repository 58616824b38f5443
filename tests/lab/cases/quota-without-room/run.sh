#!/bin/sh
# shellcheck source=../lib.sh
# A quota leaves no room for the canary Service. The wait names the write and what the API server
# said, an Event reports it, and the wait has a deadline.
. "$(dirname "$0")/../lib.sh"
serve
k create quota services --hard=services=1 >/dev/null
expect "$long" 'k get quota services -o jsonpath="{.status.used.services}"' 1
image=demo:v2
app | apply
expect "$long" 'status waiting.message' 'exceeded quota'
expect "$long" 'status waiting.until' '20'
expect "$long" 'k get events --field-selector=involvedObject.kind=Rollout -o jsonpath="{.items[*].message}"' 'exceeded quota'
expect "$long" 'status phase' RolledBack
