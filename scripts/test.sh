#!/usr/bin/env bash
# test.sh all|pure|kernel|race|cluster|browser|vm: run the tests in tiers.
#
#   pure    needs neither root nor Linux; all packages side by side
#   kernel  makes namespaces, devices and daemons; one package at a time, since
#           they share the machine they measure. Tests that may not do what
#           they need skip and say why.
#   race    the race detector over the packages whose goroutines share memory,
#           with -short
#   cluster real Kubernetes clusters, whose programs are built first if they are
#           not in the cache: minutes on the first time
#   browser the page in a real browser, over a computed constellation and over a
#           run; its unit tests, which need node only
#   vm      a node image is built and booted in virtual machines; not part of all,
#           since without KVM it takes minutes of both cores
#
# At most three tests of a tier that failed run a second time, by themselves: real
# daemons on a busy machine of two cores now and then need longer than any test
# waits. One that passes then is reported as flaky, and is a defect to be mended.
set -euo pipefail
cd "$(dirname "$0")/.."

module=$(go list -m)
kernel_rooms="^$module/(tap|fabric|node|router|emulation|doctor|tune|userns|cmd|provision/lab|kube/agent|kube/pod|kube/supervise|test/cluster/machine)(/|\$)"
vm_rooms="^$module/provision/lab\$"
cluster_rooms="^$module/(test/cluster|test/endtoend|kube/operator|kube/watch)\$"
race_rooms="^$module/(clock|provision|plan|celestrak|tap|fabric|node|router|emulation|observe|experiment|api|metrics|doctor|tune|userns|cmd|kube/agent|kube/cni|kube/fdstore|kube/gateway|kube/kubectl|kube/supervise|test/cluster/machine)(/|\$)"

packages=$(go list ./...)
failed=

list=$(mktemp)
trap 'rm -f "$list"' EXIT

# report NAME FLAGS... -- PACKAGES...: run tests, and list those that failed.
report() {
  local name=$1
  shift
  local flags=()
  while [[ $1 != -- ]]; do
    flags+=("$1")
    shift
  done
  shift
  go test -json "${flags[@]}" "$@" | go run ./scripts/testreport -name "$name" -failures "$list"
}

# tier NAME FLAGS... -- PACKAGES...
tier() {
  echo "== $1 tests"
  report "$@" || again "$@" || failed=yes
}

again() {
  local name=$1 flags=() tests package pattern
  shift
  while [[ $1 != -- ]]; do
    flags+=("$1")
    shift
  done
  mapfile -t tests <"$list"
  ((${#tests[@]} >= 1 && ${#tests[@]} <= 3)) || return 1
  local t
  for t in "${tests[@]}"; do
    read -r package pattern <<<"$t"
    echo "== $name again: $package $pattern"
    report "$name again" "${flags[@]}" -count 1 -run "$pattern" -- "$package" || return 1
  done
  for t in "${tests[@]}"; do
    echo "FLAKY: $t failed, and passed when it ran again by itself"
  done
}

pure() {
  tier pure -timeout 15m -- $(grep -vE "$kernel_rooms|$cluster_rooms" <<<"$packages")
}

kernel() {
  tier kernel -timeout 20m -p 1 -count 1 -- $(grep -E "$kernel_rooms" <<<"$packages")
}

race() {
  if ! command -v "$(go env CC)" >/dev/null; then
    echo "The race detector needs a C compiler, and there is no $(go env CC); scripts/deps.sh test installs one." >&2
    return
  fi
  CGO_ENABLED=1 tier race -race -short -timeout 20m -p 1 -- $(grep -E "$race_rooms" <<<"$packages" | grep -vE "$vm_rooms")
}

cluster() {
  # Apart from the tests, so that it does not count against their time. If it
  # fails the tests skip, and say why.
  echo "== programs of the clusters"
  go run ./test/cluster/ctl build -runtime cri-o || true
  local race=
  if command -v "$(go env CC)" >/dev/null; then
    race=-race # costs nothing: the tests only wait for other programs
  fi
  CGO_ENABLED=${race:+1} tier cluster $race -timeout 20m -p 1 -count 1 -- $(grep -E "$cluster_rooms" <<<"$packages")
}

browser() {
  echo "== browser tests"
  if ! command -v npm >/dev/null; then
    echo "SKIP: the tests of the page need node and npm; scripts/deps.sh browser installs them."
    return
  fi
  if [[ ! -x web/node_modules/.bin/vitest ]] && ! (cd web && npm ci --no-audit --no-fund); then
    echo "The page's packages cannot be installed; see above." >&2
    failed=yes
    return
  fi
  (cd web && npm run --silent test) || failed=yes
  # What the page is tested on, if this machine can run it.
  CGO_ENABLED=0 go build -o bin/ ./cmd/orrery
  (cd web && npm run --silent browser) || failed=yes
}

vm() {
  echo "== vm tests" # once: a second time would take too long
  ORRERY_VM=1 report vm -timeout 20m -p 1 -count 1 -run TestMachines -- $(grep -E "$vm_rooms" <<<"$packages") || failed=yes
}

case "${1-}" in
  all) pure; kernel; race; cluster; browser ;;
  pure | kernel | race | cluster | browser | vm) "$1" ;;
  *) echo "usage: $0 all|pure|kernel|race|cluster|browser|vm" >&2; exit 2 ;;
esac

[[ -z $failed ]]
