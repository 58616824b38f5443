#!/bin/sh
# shellcheck source=../lib.sh
# A query looks back 30 s in a step that lasts 3 s, with a deadline of 15 s: no measurement could
# count before the deadline. `policy check` warns.
. "$(dirname "$0")/../lib.sh"
range=30s
policy >"$log"
expect 1 'steelyard policy check "$log" 2>&1' 'deadline'
