#!/usr/bin/env bash
# check.sh: formatting and go vet, also for the systems that only the pure
# packages support.
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(git ls-files '*.go' | xargs -r gofmt -l)
if [[ -n $unformatted ]]; then
  printf 'These files are not formatted; run gofmt -w on them:\n%s\n' "$unformatted" >&2
  exit 1
fi
go vet ./...
