#!/bin/sh
# make try: a cluster up, up again and down in the sandbox, and whether the account is afterwards as it was before.
# $1: the virtual environment's bin. It starts itself a second time inside the sandbox, then with TRY_FOLDER set.
set -eu

say() { printf '\n=== %s\n' "$*"; }

changes() { grep -c '"changes": true' "$TRY_FOLDER/calls" || true; }

inventory() { python -m sandbox.inventory >"$TRY_FOLDER/$1"; }

same() { # the account, at two times
	cmp -s "$TRY_FOLDER/$1" "$TRY_FOLDER/$2" && return
	diff -u "$TRY_FOLDER/$1" "$TRY_FOLDER/$2" || true
	say "FAILED: the account $2 is not the account $1"
	exit 1
}

ssh_key() { # kube_up.py makes one with ssh-keygen; where that is not installed, bring one
	command -v ssh-keygen >/dev/null || python -m sandbox.sshkey "$AWS_SSH_KEY"
}

show_nodes() {
	if command -v kubectl >/dev/null; then
		say "kubectl get nodes -o wide"
		kubectl --cache-dir "$TRY_FOLDER/kubectl" get nodes -o wide
	else
		say "the nodes, asked of the API since kubectl is not installed"
		python -m sandbox.show_nodes
	fi
}

inside() {
	inventory before
	ssh_key

	say "python kube_up.py"
	python kube_up.py
	up=$(changes)
	show_nodes

	say "python kube_up.py again: everything is there, so nothing is changed"
	inventory up
	python kube_up.py
	rerun=$(($(changes) - up))
	inventory rerun
	same up rerun

	say "python kube_down.py --yes"
	python kube_down.py --yes
	down=$(($(changes) - up - rerun))
	inventory after
	same before after

	calls=$(grep -c . "$TRY_FOLDER/calls")
	if [ "$up" -eq 0 ] || [ "$down" -eq 0 ] || [ "$rerun" -ne 0 ]; then
		say "FAILED: up made $up changing calls, the rerun $rerun, down $down"
		exit 1
	fi
	say "passed: up made $up changing calls, the rerun none, down $down ($calls calls in all), and the account is as before"
	printf '%s\n' "next: .venv/bin/python -m sandbox -- bash, to look around in the sandbox yourself;" \
		"      README.md, With an account, for a cluster on AWS"
}

outside() {
	# What a person has set for an account of theirs names nothing that the sandbox has.
	unset KUBECONFIG AWS_SSH_KEY AWS_IMAGE AWS_S3_BUCKET AWS_S3_REGION KUBE_CONFIG_FILE KUBE_DOWNLOAD_MIRROR \
		KUBE_NODE_IMAGE KUBE_USE_EXISTING_MASTER VPC_ID SUBNET_ID DHCP_OPTION_SET_ID MASTER_RESERVED_IP
	PATH=$(cd "$1" && pwd):$PATH
	TRY_FOLDER=$(mktemp -d)
	export PATH TRY_FOLDER
	trap 'rm -rf "$TRY_FOLDER"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	: >"$TRY_FOLDER/calls"
	status=0
	python -m sandbox --calls "$TRY_FOLDER/calls" -- sh "$0" || status=$?
	if [ "$status" -ne 0 ]; then say "make try FAILED with status $status"; fi
	return "$status"
}

cd "$(dirname "$0")/.."
if [ -n "${TRY_FOLDER:-}" ]; then inside; else outside "$1"; fi
