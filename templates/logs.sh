#!/bin/bash
# Run as root on a node by lib/logs.py: writes a tar of its logs to standard output. What is not there yet is left out.
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
readonly work
trap 'rm -rf "$work"' EXIT

# journal UNIT: of this boot, into a file of its own.
journal() { journalctl --boot --no-pager --output=short-iso --unit="$1" >"$work/$1.log" 2>&1 || true; }

for unit in kube-bootstrap kubelet containerd cloud-final; do journal "$unit"; done
journalctl --boot --no-pager --output=short-iso --dmesg >"$work/kernel.log" 2>&1 || true
df -h >"$work/df.txt" 2>&1 || true
for folder in /var/log/pods/kube-system_*; do
	if [ -d "$folder" ]; then
		mkdir -p "$work/pods"
		cp -rL "$folder" "$work/pods/" 2>/dev/null || true # a container may end meanwhile
	fi
done
tar -C "$work" -c .
