#!/bin/bash
# The user-data of a minion. cloud-init runs it once; it installs itself, and its own systemd unit runs it at every boot.
#@include bootstrap.sh

# api PATH [TOKEN]: asks the master. Only its CA's key is known in advance, so the CA is taken from the master and checked first.
api() {
	curl --silent --show-error --fail --max-time 10 "${@:2}" "https://$MASTER_INTERNAL_IP:$KUBE_API_PORT$1"
}

# The cluster's CA by the public ConfigMap, believed only when its key has the hash that kube_up.py baked in.
trusted_ca() {
	local ca=$RUN/ca.crt hash
	api /api/v1/namespaces/kube-public/configmaps/cluster-info --insecure 2>/dev/null |
		grep -o 'certificate-authority-data: [A-Za-z0-9+/=]*' | sed 's/.* //' | base64 -d >"$ca" || return 1
	hash=$(openssl x509 -in "$ca" -noout -pubkey | openssl pkey -pubin -outform der | sha256sum) || return 1
	[ "sha256:${hash%% *}" = "$CA_CERT_HASH" ] ||
		die "the master at $MASTER_INTERNAL_IP has a CA with the hash ${hash%% *}, and $CA_CERT_HASH was expected"
}

# There is no end to this wait: while the master is dead, its minions stand by.
master() {
	if joined; then return; fi
	until_or_die 1000000000 "the master at https://$MASTER_INTERNAL_IP:$KUBE_API_PORT" trusted_ca
}

joined() { [ -s /etc/kubernetes/kubelet.conf ] && [ -s /var/lib/kubelet/config.yaml ]; }

# A dead minion's Node keeps its name until the cloud controller manager has removed it. Its successor at the same
# address must not become it: a Node's instance can never be changed.
name_is_free() {
	local answer status
	answer=$(api "/api/v1/nodes/$node" --cacert "$RUN/ca.crt" --header @"$RUN/token" --no-fail --write-out '\n%{http_code}') || return 1
	status=${answer##*$'\n'}
	case $status in
	404) ;;
	200) grep -q "\"providerID\": *\"$provider\"" <<<"$answer" ;;
	401 | 403) die "the master refuses the join token ($status)" ;;
	*) return 1 ;;
	esac
}

# The controller manager signs cluster-info for each token, some seconds after the API is up. It is looked for here, since
# kubeadm looks for it only every five seconds.
token_is_signed() {
	api /api/v1/namespaces/kube-public/configmaps/cluster-info --cacert "$RUN/ca.crt" |
		grep -q "\"jws-kubeconfig-${KUBE_JOIN_TOKEN%%.*}\""
}

# more_units: a minion has none of its own, but for one that AWS may take away.
more_units() {
#@if NODE_SPOT
	put /usr/local/sbin/kube-spot 0755 <<'CONF'
#@include kube-spot.sh
CONF
	put /etc/systemd/system/kube-spot.service <<'CONF'
#@include kube-spot.service
CONF
#@end
	:
}

#@if NODE_SPOT
# Its unit was read by `units`. From before the node joins: what AWS takes need not.
spot_notice() { systemctl enable --now --no-reload --quiet kube-spot.service; }
#@end

join() {
	local config=$RUN/join.yaml
	kubelet_config
	if joined; then
		# Also of a join that was cut short once the kubelet had its identity.
		rm -f /etc/kubernetes/bootstrap-kubelet.conf
		hide_kubelet_config
		try systemctl restart kubelet
		return
	fi
	echo "Authorization: Bearer $KUBE_JOIN_TOKEN" | put "$RUN/token" 0600
	until_or_die 1000000000 "the removal of the Node $node of a dead instance" name_is_free
	until_or_die 300 "the cluster's signature for the join token" token_is_signed
	put "$config" 0600 <<CONF
#@include kubeadm-join.yaml
CONF
	# What a run that was killed has left; the kubelet gets a new identity.
	systemctl stop kubelet
	rm -f /etc/kubernetes/{bootstrap-kubelet,kubelet}.conf /etc/kubernetes/pki/ca.crt
	try kubeadm join --config "$config"
	hide_kubelet_config
	rm -f "$config" "$RUN/token"
}

main settings host units \
#@if KUBE_EXTRA_PACKAGES
	extra_packages \
#@end
#@if NODE_SCRIPT
	node_script \
#@end
#@if NODE_SPOT
	spot_notice \
#@end
	downloads containerd master join
