#!/usr/bin/env bash
# on-debian.sh SUITE COMMAND...: run a command, tests as a rule, with the routing
# daemons of another Debian, on this kernel. As root, with the package mmdebstrap.
#
#   scripts/on-debian.sh trixie go test -p 1 -count 1 ./router ./emulation ./cmd/...
#   scripts/on-debian.sh trixie bin/orrery up examples/iridium.yaml
#
# The Debian is unpacked into /var/tmp/orrery-SUITE once, in about a minute, and
# stays for the next time; ORRERY_DEBIAN names another directory. Go, its caches
# and this repository are those of the host, at their places. No service is
# started, and all mounts end with the script.
set -euo pipefail

suite=${1:?usage: on-debian.sh SUITE COMMAND...}
shift
repository=$(cd "$(dirname "$0")/.." && pwd)
root=${ORRERY_DEBIAN:-/var/tmp/orrery-$suite}

if [[ ! -e $root/usr/lib/frr/zebra ]]; then
  mmdebstrap --variant=minbase --include=bird2,frr,iproute2,iputils-ping,iperf3,tshark,procps,ca-certificates "$suite" "$root"
fi

# The root must be that of a mount namespace: entering one, as nodes do, leads
# out of a mere chroot.
cd "$repository"
GOROOT=$(go env GOROOT) GOMODCACHE=$(go env GOMODCACHE) GOCACHE=$(go env GOCACHE)
export GOROOT GOMODCACHE GOCACHE
exec unshare --mount --propagation slave -- bash -euo pipefail -c '
  root=$1 repository=$2
  shift 2
  mount --bind "$root" "$root"
  mount --rbind /dev "$root/dev"
  mount --rbind /proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount -t tmpfs -o mode=755 none "$root/run"
  mount -t tmpfs -o mode=1777 none "$root/tmp"
  for dir in "$GOROOT" "$GOMODCACHE" "$GOCACHE" "$repository"; do
    mkdir -p "$root$dir"
    mount --bind "$dir" "$root$dir"
  done
  cd "$root"
  mkdir -p .host
  pivot_root . .host
  umount -l /.host
  rmdir /.host
  cd "$repository"
  exec env -i HOME=/root LANG=C.UTF-8 PATH="$GOROOT/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    GOMODCACHE="$GOMODCACHE" GOCACHE="$GOCACHE" GOFLAGS=-buildvcs=false GOPROXY=off \
    "$@"
' bash "$root" "$repository" "$@"
