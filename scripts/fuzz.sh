#!/usr/bin/env bash
# fuzz.sh TIME [PATTERN]: run every fuzz target (whose name matches PATTERN)
# for TIME. New failing inputs are written to the package's testdata/fuzz. Inputs that
# reach new code are made smaller for a moment only: by default each takes up to a minute
# of TIME.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s} pattern=${2:-.}

count=0
while IFS=: read -r file target; do
  [[ $target =~ $pattern ]] || continue
  echo "== $target in $(dirname "$file"), $time"
  go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x "./$(dirname "$file")"
  count=$((count + 1))
done < <(git ls-files --cached --others --exclude-standard '*_test.go' |
  xargs grep -HoE '^func Fuzz[A-Za-z0-9_]+' | sed 's/func //')

if ((count == 0)); then
  echo "No fuzz target matches \"$pattern\"." >&2
  exit 1
fi
echo "$count fuzz targets ran without a failure."
