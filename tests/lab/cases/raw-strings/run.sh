#!/bin/sh
# shellcheck source=../lib.sh
# Nothing is escaped between backticks in PromQL. `policy check` accepts it.
. "$(dirname "$0")/../lib.sh"
policy | sed 's/code!~"5.."/code!~`5\\d\\d`/' >"$log"
grep -q '`5' "$log" || wrong 'the query has no backticks'
expect 1 'steelyard policy check "$log" 2>&1; echo exit=$?' 'exit=0'
