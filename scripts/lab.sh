#!/usr/bin/env bash
# lab.sh [bench]: run the fabric's tests (or benchmarks) that set it beside netem, in a
# kernel that has netem: Debian's user-mode Linux, which boots in seconds as a process
# of the caller's. It sees the host's files, read-only, and has no network and no
# devices of the host. Its kernel is older than most hosts' (6.1, without segmentation
# of UDP on TAPs), which is worth some other tests of the fabric there, too.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

modules=/usr/lib/uml/modules
if ! command -v linux.uml >/dev/null || [[ ! -d $modules ]]; then
  echo "Skipped: the lab needs user-mode Linux with its modules, and there is no linux.uml; on Debian, install user-mode-linux." >&2
  exit 0
fi
if ! command -v modprobe >/dev/null; then
  echo "Skipped: the lab needs modprobe, which is not installed; on Debian, install kmod." >&2
  exit 0
fi

case "${1-}" in
  '') select=(-test.v -test.run 'Netem|Join|TwoNodes|TCP|Coalesce' -test.timeout 10m) ;;
  bench) select=(-test.run '^$' -test.bench BesideNetem -test.benchtime "${BENCHTIME:-1s}" -test.timeout 10m) ;;
  *) echo "usage: $0 [bench]" >&2; exit 2 ;;
esac

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
CGO_ENABLED=0 go test -c -o "$out/fabric.test" ./fabric

# What the lab's kernel runs as its first process, and last.
cat >"$out/init" <<INIT
#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH HOME=/run TMPDIR=/run
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /run/out /run/root/lib
mount -t hostfs -o $out none /run/out
ln -s $modules /run/root/lib/modules
for module in ipv6 tun veth sch_netem; do
  modprobe -d /run/root \$module 2>/dev/null
done
ip link set lo up
cd /run
/run/out/fabric.test $(printf "'%s' " "${select[@]}") >/run/out/output 2>&1
echo \$? >/run/out/code
sync
echo o >/proc/sysrq-trigger
sleep 60
INIT
chmod 755 "$out/init"

# The lab is given ten minutes in all, and leaves nothing but what it wrote to $out.
timeout --kill-after=10 660 linux.uml mem=1G root=/dev/root rootfstype=hostfs rootflags=/ ro quiet \
  init="$out/init" con=null con0=null,fd:1 umid="lab-$$" uml_dir="$out/" </dev/null >"$out/console" 2>&1 || true

if [[ ! -e $out/code ]]; then
  cat "$out/console" >&2
  [[ ! -e $out/output ]] || cat "$out/output" >&2
  echo "The lab's kernel did not come to an end of its tests." >&2
  exit 1
fi
cat "$out/output"
exit "$(<"$out/code")"
