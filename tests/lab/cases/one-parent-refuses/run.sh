#!/bin/sh
# shellcheck source=../lib.sh
# The route has two parents, and the listener of one does not exist: Accepted=False for that one
# before the rollout. The other parent serves, so the canary is measured and rolled back.
. "$(dirname "$0")/../lib.sh"
parents='[{name: lab, namespace: lab-system, sectionName: http}, {name: lab, namespace: lab-system, sectionName: https}]'
serve; load; fail
