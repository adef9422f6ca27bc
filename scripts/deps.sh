#!/usr/bin/env bash
# deps.sh run|test|lab|vm|browser|cluster: install the Debian or Ubuntu packages that are missing
# for running (run), for running and testing (test), for the tests in a kernel of
# their own (lab), for building node images and booting them in virtual machines (vm),
# or for testing and the tests in Kubernetes clusters (cluster).
# Prints nothing if there is nothing to do. Without root it says what is missing and
# how to get it.
#
# The packages of the routing daemons start services, and so do containerd's and
# etcd's. They must not: zebra of the host would follow every interface of every
# run, and Orrery starts daemons of its own. So services are kept from starting
# while packages are installed, and are disabled afterwards; "systemctl enable
# --now frr" takes that back.
set -euo pipefail

# Package, and a file or command that shows that it is there.
run_packages=(
  "bird2 bird"
  "frr /usr/lib/frr/zebra"
  "iproute2 ip"
  "iputils-ping ping"
)
test_packages=(
  "${run_packages[@]}"
  "tshark tshark"
  "iperf3 iperf3"
  "curl curl"
  "python3 python3"
  "gcc gcc"                          # go test -race links with it
  "libc6-dev /usr/include/stdlib.h"
)
cluster_packages=(
  "${test_packages[@]}"
  "containerd containerd"
  "runc runc"
  "conmon conmon"                    # for CRI-O, which is built
  "skopeo skopeo"
  "containernetworking-plugins /usr/lib/cni/ptp"
  "etcd-server etcd"
  "iptables iptables"
  "conntrack conntrack"
  "busybox-static busybox"
)

browser_packages=(
  "nodejs node"
  "npm npm"
  "chromium chromium"
)
cluster_packages+=("${browser_packages[@]}")

lab_packages=(
  "user-mode-linux linux.uml"
  "kmod modprobe"
  "iproute2 ip"
)

vm_packages=(
  "mmdebstrap mmdebstrap"
  "squashfs-tools mksquashfs"
  "binutils objcopy"
  "kmod depmod"
  "cpio cpio"
  "xz-utils xz"
  "systemd-boot-efi /usr/lib/systemd/boot/efi"
  "sbsigntool sbsign"
  "fdisk sfdisk"
  "dosfstools mkfs.fat"
  "mtools mcopy"
  "qemu-system-x86 qemu-system-x86_64"
  "ovmf /usr/share/OVMF/OVMF_CODE_4M.fd"
  "ipxe /usr/lib/ipxe/ipxe.efi"
)

case "${1-}" in
  run) packages=("${run_packages[@]}") ;;
  test) packages=("${test_packages[@]}") ;;
  browser) packages=("${browser_packages[@]}") ;;
  lab) packages=("${lab_packages[@]}") ;;
  vm) packages=("${vm_packages[@]}") ;;
  cluster) packages=("${cluster_packages[@]}") ;;
  *) echo "usage: $0 run|test|lab|vm|browser|cluster" >&2; exit 2 ;;
esac

# Daemons live in sbin, which is not on everybody's PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

missing=()
for entry in "${packages[@]}"; do
  read -r package evidence <<<"$entry"
  case $evidence in
    /*) [[ -e $evidence ]] || missing+=("$package") ;;
    *) command -v "$evidence" >/dev/null || missing+=("$package") ;;
  esac
done
((${#missing[@]})) || exit 0

if ! command -v apt-get >/dev/null; then
  echo "Missing, in Debian's names: ${missing[*]}. Install them with your distribution's package manager." >&2
  exit 0
fi
if ((EUID != 0)); then
  echo "Missing: ${missing[*]}. Install them with: sudo scripts/deps.sh $1" >&2
  exit 0
fi

echo "Installing ${missing[*]} ..."
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
own_policy=

cleanup() {
  [[ -z $own_policy ]] || rm -f "$policy"
  rm -f "$log"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# invoke-rc.d asks this script before it starts a service; 101 forbids it
# (/usr/share/doc/init-system-helpers/README.policy-rc.d.gz). One that stands
# there already is the administrator's: it decides.
if [[ ! -e $policy ]]; then
  own_policy=yes
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi

# again COMMAND...: up to four tries, since mirrors and locks have bad moments.
again() {
  local try
  for try in 1 2 3 4; do
    if "$@" >"$log" 2>&1 </dev/null; then
      return 0
    fi
    ((try == 4)) || sleep $((try * 3))
  done
  cat "$log" >&2
  echo "\"$*\" failed four times; its last output stands above." >&2
  return 1
}

export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -q -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3)
again "${apt[@]}" update
again "${apt[@]}" install --no-install-recommends "${missing[@]}"

for package in "${missing[@]}"; do
  case $package in
    bird2) service=bird ;;
    frr) service=frr ;;
    containerd) service=containerd ;;
    etcd-server) service=etcd ;;
    *) continue ;;
  esac
  if command -v systemctl >/dev/null; then
    systemctl disable --quiet "$service" >/dev/null 2>&1 || true
  fi
done
