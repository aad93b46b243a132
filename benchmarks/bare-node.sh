#!/bin/bash
# The user-data of a node that a person sets up by hand: the same downloads, then kubeadm init or join as its documents
# have it, and nothing of this project's. benchmarks/nodes.py puts the settings in front: ROLE MASTER TOKEN KUBERNETES_VERSION
# PODS NODES, and URL_<NAME> of each download. It says on the console when what began and ended (seconds since 1970).
set -o errexit -o nounset -o pipefail

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export KUBECONFIG=/etc/kubernetes/admin.conf

say() { printf 'bare: %s %s\n' "$1" "$(date +%s.%N)" >/dev/console; }

host() {
	sysctl --quiet --write net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
	# What this machine needs of any kubeadm (see sandbox/machines/files).
	KUBE_IGNORE_PREFLIGHT_ERRORS=''
	# shellcheck source=/dev/null
	if [ -e /etc/default/kube-bootstrap ]; then . /etc/default/kube-bootstrap; fi
}

get() { curl --silent --show-error --fail --location --retry 5 --retry-all-errors --output "$2" "$1"; }

downloads() {
	local job work
	local -a jobs=()
	work=$(mktemp -d)
	mkdir -p /opt/cni/bin
	{ get "$URL_CONTAINERD" "$work/containerd" && tar -xz -C /usr/local -f "$work/containerd"; } & jobs+=($!)
	{ get "$URL_CNI" "$work/cni" && tar -xz -C /opt/cni/bin -f "$work/cni"; } & jobs+=($!)
	{ get "$URL_RUNC" /usr/local/sbin/runc && chmod +x /usr/local/sbin/runc; } & jobs+=($!)
	{ get "$URL_KUBEADM" /usr/local/bin/kubeadm && chmod +x /usr/local/bin/kubeadm; } & jobs+=($!)
	{ get "$URL_KUBELET" /usr/local/bin/kubelet && chmod +x /usr/local/bin/kubelet; } & jobs+=($!)
	{ get "$URL_KUBECTL" /usr/local/bin/kubectl && chmod +x /usr/local/bin/kubectl; } & jobs+=($!)
	for job in "${jobs[@]}"; do wait "$job"; done
	rm -r "$work"
}

containerd() {
	mkdir -p /etc/containerd/conf.d
	cat >/etc/containerd/config.toml <<'CONF'
version = 3
imports = ["/etc/containerd/conf.d/*.toml"]
[plugins.'io.containerd.cri.v1.runtime'.cni]
  conf_template = "/etc/containerd/cni.template"
CONF
	cat >/etc/containerd/cni.template <<'CONF'
{"cniVersion": "1.0.0", "name": "bare", "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true, "ipam":
{"type": "host-local", "ranges": [[{"subnet": "{{.PodCIDR}}"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
CONF
	systemd-run --quiet --unit=containerd --slice=system.slice --property=Delegate=yes --property=KillMode=process \
		/usr/local/bin/containerd
	until ctr version >/dev/null 2>&1; do sleep 0.1; done
}

# The unit and its flags as kubeadm's packages have them.
kubelet() {
	cat >/etc/systemd/system/kubelet.service <<'CONF'
[Service]
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=/usr/local/bin/kubelet --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
  --kubeconfig=/etc/kubernetes/kubelet.conf --config=/var/lib/kubelet/config.yaml --config-dir=/etc/kubelet.conf.d \
  $KUBELET_KUBEADM_ARGS
Restart=always
RestartSec=10
CONF
	mkdir -p /etc/kubelet.conf.d
	systemctl daemon-reload
}

master() {
	cat >/run/kubeadm.yaml <<CONF
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
bootstrapTokens: [{token: "$TOKEN"}]
localAPIEndpoint: {advertiseAddress: $MASTER}
nodeRegistration: {ignorePreflightErrors: [$KUBE_IGNORE_PREFLIGHT_ERRORS], imagePullPolicy: IfNotPresent}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v$KUBERNETES_VERSION
networking: {podSubnet: $PODS}
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
CONF
	say init-begins
	kubeadm init --config /run/kubeadm.yaml
	say init-ends
	until [ "$(kubectl get nodes --no-headers | awk '$2 == "Ready"' | wc -l)" = "$NODES" ]; do sleep 0.2; done
	say ready
}

minion() {
	until curl --silent --insecure --fail --max-time 2 --output /dev/null \
		"https://$MASTER:6443/api/v1/namespaces/kube-public/configmaps/cluster-info"; do sleep 0.2; done
	say join-begins
	kubeadm join "$MASTER:6443" --token "$TOKEN" --discovery-token-unsafe-skip-ca-verification \
		--ignore-preflight-errors "$KUBE_IGNORE_PREFLIGHT_ERRORS"
	say join-ends
}

say boot
host
downloads
containerd
kubelet
say installed
"$ROLE"
