#!/bin/sh
# shellcheck source=../lib.sh
# The template renames the container port that the routed Service uses; another port stays. The
# new pods could not serve the routed port, so no rollout starts, no request fails, and the message
# names the port.
. "$(dirname "$0")/../lib.sh"
container_ports='[{name: http, containerPort: 8080}, {name: admin, containerPort: 8081}]'
service_ports='[{name: http, port: 80, targetPort: http}, {name: admin, port: 81, targetPort: admin}]'
serve; load
image=demo:v2 container_ports='[{name: web, containerPort: 8080}, {name: admin, containerPort: 8081}]'
app | apply
expect "$long" 'status "conditions[?(@.type==\"Accepted\")].reason"' PortNotServed
expect 1 'status "conditions[?(@.type==\"Accepted\")].message"' 'targetPort http'
echo "answers: $(answers)"
answers | grep -Eqv '[45][0-9][0-9]' || wrong "requests failed: $(answers)"
