# Functions for the cases: each is something that users of such tools reported, on a real cluster.
#
# A case sets variables, applies the objects that `app` prints, changes variables, and applies them
# again, as a deployment tool does. It prints what it expects and sees, and fails if they differ.

set -u
case=$(basename "$(cd "$(dirname "$0")" && pwd)")
namespace=$(printf '%.40s' "$case")-$$
host=$namespace.test

# The variables of `app`, with their defaults.
image=demo:v1
replicas=2
environment='[]'
init_containers='[]'
pod_labels='{app: shop}'
container_ports='[{name: http, containerPort: 8080}]'
selector='{app: shop}'
service_ports='[{name: http, port: 80, targetPort: http}]'
parents='[{name: lab, namespace: lab-system}]'
rules='[{backendRefs: [{name: shop, port: 80}]}]'
step='{weight: 20, duration: 3s}'
routes='[]'
range=4s

# Prints the objects of an application: a Deployment, its Service, route and policy.
app() {
    workload
    echo ---
    route shop "$host"
    echo ---
    policy
}

# Prints the Deployment and its Service.
workload() {
    cat <<EOF
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, annotations: {steelyard.io/policy: shop}}
spec:
  replicas: $replicas
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: $pod_labels}
    spec:
      terminationGracePeriodSeconds: 3
      initContainers: $init_containers
      containers:
      - name: app
        image: $image
        env: $environment
        ports: $container_ports
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: $selector, ports: $service_ports}
EOF
}

# route NAME HOST: prints a route.
route() {
    cat <<EOF
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $1}
spec:
  parentRefs: $parents
  hostnames: [$2]
  rules: $rules
EOF
}

# Prints the policy. Its metric fails below a success rate of 90 %.
policy() {
    cat <<EOF
apiVersion: steelyard.io/v1alpha1
kind: RolloutPolicy
metadata: {name: shop}
spec:
  strategy: {canary: {steps: [$step]}}
  traffic: {gatewayAPI: {routes: $routes}}
  deadline: 15s
  analysis:
    settle: 1s
    interval: 1s
    metrics:
    - name: success
      min: 0.9
      query: |
        sum(rate(http_requests_total{pod=~"\$canary_pods",code!~"5.."}[$range]))
          / sum(rate(http_requests_total{pod=~"\$canary_pods"}[$range]))
EOF
}

# kubectl in the namespace of the case.
k() { kubectl -n "$namespace" "$@"; }

# Applies the objects of standard input.
apply() { k apply -f - >/dev/null || wrong "kubectl apply failed"; }

# Ends the case: something differs from what is expected.
wrong() {
    echo "WRONG: $*"
    k get rollouts.steelyard.io -o jsonpath='{range .items[*]}{.metadata.name}: {.status}{"\n"}{end}'
    exit 1
}

# status PATH: prints a field of the Rollout's status.
status() { k get rollouts.steelyard.io shop -o jsonpath="{.status.$1}" 2>/dev/null; }

# How many seconds an outcome may take where the machine is busy with other work.
long=150

# expect SECONDS COMMAND PATTERN: waits until the output of a command matches a regular expression.
expect() {
    end=$(($(date +%s) + $1))
    until seen=$(eval "$2") && echo "$seen" | grep -Eq -- "$3"; do
        [ "$(date +%s)" -lt "$end" ] || wrong "expected $3 within $1 s, saw: $seen"
        sleep 0.3
    done
    echo "right: $(echo "$seen" | grep -E -- "$3" | head -1)"
}

# Applies the first version and waits until Steelyard has adopted it.
start() {
    app | apply
    expect "$long" 'status "conditions[?(@.type==\"HoldEnforced\")].status"' True
}

# Applies the first version and waits until it serves.
serve() {
    start
    k rollout status deployment/shop --timeout="${long}s" >/dev/null || wrong "the first version is not ready"
    expect "$long" 'status phase' Stable
    expect "$long" 'request /' 200
}

# Releases a version that fails every request, and waits until its metric rolls it back.
fail() {
    image=demo:v2 environment='[{name: ERROR_RATE, value: "1"}]'
    app | apply
    expect "$long" 'status phase' RolledBack
    expect 1 'status failure.reason' MetricFailed
}

# request PATH: sends one request through the Gateway and prints the code of the answer.
request() {
    curl -s -m 2 -o /dev/null -w '%{http_code}\n' -H "Host: $host" "$LAB_GATEWAY$1"
}

# Sends ten requests per second, for five minutes at most, until the case ends.
load() {
    (for _ in $(seq 3000); do request /; sleep 0.1; done >"$log") &
    loader=$!
}

# Prints how many requests were answered with each code.
answers() { sort "$log" | uniq -c | tr -s ' \n' ' '; }

log=$(mktemp)
loader=
end() {
    code=$?
    [ -z "$loader" ] || kill "$loader" 2>/dev/null
    rm -f "$log"
    kubectl delete namespace "$namespace" --wait=false >/dev/null 2>&1
    exit $code
}
trap end EXIT
trap 'exit 130' INT TERM
kubectl create namespace "$namespace" >/dev/null || exit 1
