#!/bin/sh
# shellcheck source=../lib.sh
# A query that ends in `or vector(1)` passes without any traffic, however it is spelled.
# `policy check` warns of each spelling.
. "$(dirname "$0")/../lib.sh"
for always in 'or vector(1)' 'or vector( 1 )' 'OR vector(1)' 'or vector(1.0)' 'or on() vector(1)' 'or (vector(1))' 'or vector(2 - 1)'; do
    policy | sed "s/^        sum.*code.*/        sum(rate(http_requests_total{pod=~\"\$canary_pods\"}[4s])) $always/; /^          \/ sum/d" >"$log"
    expect 1 'steelyard policy check "$log" 2>&1' 'warning'
done
