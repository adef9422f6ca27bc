#!/usr/bin/env bash
# Says how far the routers of a run have come, from outside: in how many nodes'
# kernel tables the loopbacks of all nodes are. Looks at a sample of 20 nodes
# until they have all of them, then at every node.
#
#   scripts/converged.sh RUN [SECONDS]     # gives up after 300 s unless told otherwise
#
# Times are since the run's directory was made, which is the first that `orrery
# up` does. Reading takes CPU time that the routers would like to have, so it runs
# before them (nice -5, as root).
set -eu -o pipefail

run=${1:?usage: scripts/converged.sh RUN [SECONDS]}
limit=${2:-300}
dir=${ORRERY_RUNTIME_DIR:-/run/orrery}/$run

# Until all namespaces are bound: there are some, and no more after a second.
before=0
until found=$(ls "$dir/netns" 2>/dev/null | wc -l) && [ "$found" -gt 0 ] && [ "$found" -eq "$before" ]; do
	before=$found
	sleep 1
done
renice -n -5 $$ >/dev/null 2>&1 || true
begin=$(stat -c %W "$dir")
mapfile -t nodes < <(ls "$dir/netns")
total=${#nodes[@]}

# Destinations in a node's main table, its own loopback among them.
count() {
	nsenter --net="$dir/netns/$1" ip -6 -o route show table main 2>/dev/null |
		awk '$1 ~ /^fd/ && $1 !~ /\// && !seen[$1]++ { n++ } END { print n + 0 }'
}

# survey STEP: how many of every STEP-th node have all, and the share of all routes.
survey() {
	local i n full=0 sum=0 seen=0
	for ((i = 0; i < total; i += $1)); do
		n=$(count "${nodes[i]}")
		seen=$((seen + 1)) sum=$((sum + n))
		if [ "$n" -ge "$total" ]; then full=$((full + 1)); fi
	done
	printf '%4d s  %d of %d nodes have all %d loopbacks, %d %% of the routes are there, load %s\n' \
		$(($(date +%s) - begin)) "$full" "$seen" "$total" $((100 * sum / seen / total)) "$(cut -d' ' -f1 /proc/loadavg)"
	[ "$full" -eq "$seen" ]
}

while [ $(($(date +%s) - begin)) -lt "$limit" ]; do
	if survey $((total / 20 + 1)) && survey 1; then
		exit 0
	fi
	sleep 5
done
survey 1
