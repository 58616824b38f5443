#!/bin/sh
# shellcheck source=../lib.sh
# The first version was never ready, so it carries no traffic. Its fix serves as soon as it is
# ready, and the rollout completes.
. "$(dirname "$0")/../lib.sh"
image=typo:v1
start
image=demo:v2
app | apply
expect "$long" 'request /' 200; load
expect "$long" 'status "conditions[?(@.type==\"Complete\")].status"' True
