#!/bin/sh
# Instructions per call of a function while a benchmark runs, counted by callgrind: the same on a busy machine as on
# an idle one, where times are noise. Times of the same run are callgrind's and mean nothing.
#
#   benches/instructions.sh publish without_id 'Shard::handle_event'
#   benches/instructions.sh tokens good 'Verifier::verify'
set -eu

if [ $# -ne 3 ]; then
    echo "usage: $0 BENCHMARK FILTER FUNCTION   (FUNCTION as a regular expression)" >&2
    exit 2
fi
cd "$(dirname "$0")/.."

program=$(cargo bench --quiet --bench "$1" --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
counts=$(mktemp)
trap 'rm -f "$counts"' EXIT
valgrind --tool=callgrind --callgrind-out-file="$counts" "$program" --bench --profile-time 3 "$2" >"$counts.log" 2>&1 ||
    { cat "$counts.log" >&2; rm -f "$counts.log"; exit 1; }
rm -f "$counts.log"

# A name stands in full once, after its number, and is the number alone from then on. The line behind `calls=` has
# what these calls cost together.
awk -v pattern="$3" '
    /^c?fn=/ {
        number = $0; sub(/^c?fn=/, "", number); sub(/\).*/, ")", number)
        name = $0; sub(/^c?fn=\([0-9]+\) ?/, "", name)
        if (name != "") names[number] = name
        if ($0 ~ /^cfn=/) callee = number
    }
    is_cost { cost[callee] += $2; is_cost = 0 }
    /^calls=/ { split($0, call, /[= ]/); calls[callee] += call[2]; is_cost = 1 }
    END {
        for (number in calls) {
            if (names[number] ~ pattern) {
                printf "%10.0f instructions a call, %d calls, %.0f in all: %s\n", \
                    cost[number] / calls[number], calls[number], cost[number], names[number]
            }
        }
    }
' "$counts" | sort -rn
