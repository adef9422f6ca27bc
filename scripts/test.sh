#!/usr/bin/env bash
# test.sh all|pure|kernel|race: run the tests in tiers.
#
#   pure    needs neither root nor Linux; all packages side by side
#   kernel  makes namespaces, devices and daemons; one package at a time, since
#           they share the machine they measure. Tests that may not do what
#           they need skip and say why.
#   race    the race detector over the packages whose goroutines share memory,
#           with -short
set -euo pipefail
cd "$(dirname "$0")/.."

module=$(go list -m)
kernel_rooms="^$module/(tap|fabric|node|router|emulation|doctor|tune|userns|cmd)(/|\$)"
race_rooms="^$module/(clock|plan|celestrak|tap|fabric|node|router|emulation|api|doctor|tune|userns|cmd)(/|\$)"

packages=$(go list ./...)
failed=

tier() {
  local name=$1
  shift
  echo "== $name tests"
  go test -json "$@" | go run ./scripts/testreport -name "$name" || failed=yes
}

pure() {
  tier pure -timeout 15m $(grep -vE "$kernel_rooms" <<<"$packages")
}

kernel() {
  tier kernel -timeout 20m -p 1 -count 1 $(grep -E "$kernel_rooms" <<<"$packages")
}

race() {
  if ! command -v "$(go env CC)" >/dev/null; then
    echo "The race detector needs a C compiler, and there is no $(go env CC); scripts/deps.sh test installs one." >&2
    return
  fi
  CGO_ENABLED=1 tier race -race -short -timeout 20m -p 1 $(grep -E "$race_rooms" <<<"$packages")
}

case "${1-}" in
  all) pure; kernel; race ;;
  pure | kernel | race) "$1" ;;
  *) echo "usage: $0 all|pure|kernel|race" >&2; exit 2 ;;
esac

[[ -z $failed ]]
