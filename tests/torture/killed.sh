#!/bin/sh
# In a sandbox that kills one client: up, up, down, and each again when it was killed. $1: where to write inventories.
set -u

run() {
	"$PYTHON" "$@" >"$OUT/said" 2>&1
	status=$?
	if [ "$status" = 137 ]; then
		echo killed >>"$OUT/killed"
		"$PYTHON" "$@" >"$OUT/said" 2>&1
		status=$?
	fi
}

fail() {
	echo "$1 ended with $status" >&2
	cat "$OUT/said" >&2
	exit 1
}

# As python -m sandbox.inventory prints it, without what that reads to make one.
inventory() {
	"$PYTHON" -c 'import os, urllib.request as r; print(r.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/_sandbox/inventory").read().decode())' \
		>"$OUT/$1" || exit 1
}

OUT=$1
run kube_up.py
[ "$status" = 0 ] || fail up
run kube_up.py
[ "$status" = 0 ] || fail "the second up"
grep -q "nothing to do" "$OUT/said" || fail "the second up changed something and"
inventory whole
run kube_down.py
[ "$status" = 0 ] || { [ "$status" = 1 ] && grep -q "nothing of cluster" "$OUT/said"; } || fail down
inventory gone
