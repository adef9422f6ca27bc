#!/usr/bin/env bash
# test.sh all|pure|kernel|race|cluster|vm: run the tests in tiers.
#
#   pure    needs neither root nor Linux; all packages side by side
#   kernel  makes namespaces, devices and daemons; one package at a time, since
#           they share the machine they measure. Tests that may not do what
#           they need skip and say why.
#   race    the race detector over the packages whose goroutines share memory,
#           with -short
#   cluster real Kubernetes clusters, whose programs are built first if they are
#           not in the cache: minutes on the first time
#   vm      a node image is built and booted in virtual machines; not part of all,
#           since without KVM it takes minutes of both cores
set -euo pipefail
cd "$(dirname "$0")/.."

module=$(go list -m)
kernel_rooms="^$module/(tap|fabric|node|router|emulation|doctor|tune|userns|cmd|provision/lab|kube/agent|kube/pod|kube/supervise|test/cluster/machine)(/|\$)"
vm_rooms="^$module/provision/lab\$"
cluster_rooms="^$module/(test/cluster|kube/operator|kube/watch)\$"
race_rooms="^$module/(clock|provision|plan|celestrak|tap|fabric|node|router|emulation|api|doctor|tune|userns|cmd|kube/agent|kube/cni|kube/supervise|test/cluster/machine)(/|\$)"

packages=$(go list ./...)
failed=

tier() {
  local name=$1
  shift
  echo "== $name tests"
  go test -json "$@" | go run ./scripts/testreport -name "$name" || failed=yes
}

pure() {
  tier pure -timeout 15m $(grep -vE "$kernel_rooms|$cluster_rooms" <<<"$packages")
}

kernel() {
  tier kernel -timeout 20m -p 1 -count 1 $(grep -E "$kernel_rooms" <<<"$packages")
}

race() {
  if ! command -v "$(go env CC)" >/dev/null; then
    echo "The race detector needs a C compiler, and there is no $(go env CC); scripts/deps.sh test installs one." >&2
    return
  fi
  CGO_ENABLED=1 tier race -race -short -timeout 20m -p 1 $(grep -E "$race_rooms" <<<"$packages" | grep -vE "$vm_rooms")
}

cluster() {
  # Apart from the tests, so that it does not count against their time. If it
  # fails the tests skip, and say why.
  echo "== programs of the clusters"
  go run ./test/cluster/ctl build || true
  local race=
  if command -v "$(go env CC)" >/dev/null; then
    race=-race # costs nothing: the tests only wait for other programs
  fi
  CGO_ENABLED=${race:+1} tier cluster $race -timeout 20m -p 1 -count 1 $(grep -E "$cluster_rooms" <<<"$packages")
}

vm() {
  ORRERY_VM=1 tier vm -timeout 20m -p 1 -count 1 -run TestMachines $(grep -E "$vm_rooms" <<<"$packages")
}

case "${1-}" in
  all) pure; kernel; race; cluster ;;
  pure | kernel | race | cluster | vm) "$1" ;;
  *) echo "usage: $0 all|pure|kernel|race|cluster|vm" >&2; exit 2 ;;
esac

[[ -z $failed ]]
