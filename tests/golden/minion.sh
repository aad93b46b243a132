#!/bin/bash
set -o errexit -o nounset -o pipefail -o errtrace

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
readonly SELF=/usr/local/sbin/kube-bootstrap STATE=/var/lib/kube-bootstrap RUN=/run/kube-bootstrap
readonly CRI=unix:///run/containerd/containerd.sock
readonly CIPHERS=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384

KUBE_IGNORE_PREFLIGHT_ERRORS='' # of kubeadm, by name, separated by commas
CONTAINERD_DROP_INS=/etc/containerd/conf.d
KUBELET_DROP_INS=/etc/kubelet.conf.d

kube_env() {
	cat <<'KUBE_ENV'
KUBE_ROLE=minion
KUBERNETES_VERSION=1.37.2
MASTER_INTERNAL_IP=172.20.0.9
CLUSTER_IP_RANGE=10.244.0.0/16
NON_MASQUERADE_CIDR=10.244.0.0/16
DNS_SERVER_IP=10.0.0.10
KUBE_API_PORT=443
NODE_LABELS=
EVICTION_HARD=
FEATURE_GATES=
KUBELET_TEST_ARGS=
KUBELET_TEST_LOG_LEVEL=
DOCKER_REGISTRY_MIRROR_URL=
KUBE_ENABLE_INSECURE_REGISTRY=false
AWS_REGION=us-west-2
CA_CERT_HASH=sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc
URL_KUBEADM=https://dl.k8s.io/release/v1.37.2/bin/linux/amd64/kubeadm
URL_KUBELET=https://dl.k8s.io/release/v1.37.2/bin/linux/amd64/kubelet
URL_KUBECTL=https://dl.k8s.io/release/v1.37.2/bin/linux/amd64/kubectl
URL_CONTAINERD=https://github.com/containerd/containerd/releases/download/v2.3.7/containerd-static-2.3.7-linux-amd64.tar.gz
URL_RUNC=https://github.com/opencontainers/runc/releases/download/v1.5.2/runc.amd64
URL_CNI=https://github.com/containernetworking/plugins/releases/download/v1.9.1/cni-plugins-linux-amd64-v1.9.1.tgz
URL_ECR_CREDENTIAL_PROVIDER=https://artifacts.k8s.io/binaries/cloud-provider-aws/v1.31.7/linux/amd64/ecr-credential-provider-linux-amd64
SHA256_KUBEADM=9999999999999999999999999999999999999999999999999999999999999999
SHA256_KUBELET=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
SHA256_KUBECTL=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
SHA256_CONTAINERD=cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc
SHA256_RUNC=dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
SHA256_CNI=eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee
SHA256_ECR_CREDENTIAL_PROVIDER=ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
KUBE_JOIN_TOKEN=abcdef.0123456789abcdef
KUBE_ENV
}

say() {
	printf 'kube-bootstrap: %s\n' "$*"
	{ printf 'kube-bootstrap: %s\n' "$*" >/dev/console; } 2>/dev/null || true
}

die() {
	printf '%s' "$*" >"$RUN/why"
	exit 1
}

try() {
	local words=$RUN/words reason
	if ! "$@" 2>&1 | tee "$words"; then
		reason=$(grep -iE 'error|fail|denied|refused|timed out|not supported' "$words" | grep -vE 'stack trace|\[WARNING|\[preflight\]|^W[0-9]' |
			tail -n 3 | tr -s '\n\t ' ' ' || true)
		reason=${reason:-$(tail -n 1 "$words")}
		die "${1##*/}: ${reason% }$(kubelets_words)"
	fi
}

kubelets_words() {
	local words
	if systemctl is-active --quiet kubelet; then return; fi
	words=$(journalctl --unit=kubelet --boot --output=cat --lines=50 2>/dev/null | grep -E '^(E[0-9]|Error)|failed' | tail -n 1 || true)
	printf '%s' "${words:+; the kubelet does not run: ${words:0:300}}"
}

until_or_die() {
	local end=$((SECONDS + $1)) what=$2 next=$((SECONDS + 30)) lacks=''
	shift 2
	until "$@" 2>"$RUN/lacks"; do
		if [ -s "$RUN/lacks" ]; then lacks=" ($(tail -n 1 "$RUN/lacks"))"; fi
		[ "$SECONDS" -lt "$end" ] || die "gave up waiting for $what$lacks"
		if [ "$SECONDS" -ge "$next" ]; then
			say "waiting for $what$lacks"
			next=$((SECONDS + 30))
		fi
		sleep 1
	done
}

put() {
	local words
	mkdir -p "$(dirname "$1")"
	words=$({ umask 077 && cat >"$1.new"; } 2>&1) || die "$1 cannot be written: ${words##*: }"
	chmod "${2:-0644}" "$1.new"
	if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi
}

imds() {
	local at=http://169.254.169.254/latest token
	local -a curl=(curl --silent --show-error --fail --max-time 5 --retry 10 --retry-all-errors --retry-delay 1)
	token=$("${curl[@]}" -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$at/api/token")
	"${curl[@]}" -H "X-aws-ec2-metadata-token: $token" "$at/meta-data/$1"
}

identity() {
	local domain=$AWS_REGION.compute.internal zone
	if [ "$AWS_REGION" = us-east-1 ]; then domain=ec2.internal; fi
	instance=$(imds instance-id)
	address=$(imds local-ipv4)
	zone=$(imds placement/availability-zone)
	node=$(imds local-hostname)
	node=${node%%[. ]*}.$domain
	provider=aws:///$zone/$instance
}

settings() {
	kube_env | put /etc/kube-bootstrap/kube_env 0600
	. /etc/kube-bootstrap/kube_env
	if [ -e /etc/default/kube-bootstrap ]; then . /etc/default/kube-bootstrap; fi
	identity
}

need() { command -v "$1" >/dev/null || die "the image has no $1: make one that has the package $2"; }

modules() {
	local sign name lacking=''
	printf '%s\n' overlay br_netfilter nf_conntrack nf_tables | put /etc/modules-load.d/kube-bootstrap.conf
	for name in overlay br_netfilter nf_conntrack nf_conntrack_netlink bridge veth nf_tables nft_compat nft_chain_nat nf_nat \
		xt_{MASQUERADE,addrtype,comment,conntrack,mark,multiport,nat,tcpudp} \
		nft_{ct,fib,fib_ipv4,fib_ipv6,masq,nat,numgen,reject,reject_ipv4,reject_ipv6}; do
		modprobe --quiet "$name" || lacking+=" $name"
	done
	if [ -n "$lacking" ] && [ -e "/lib/modules/$(uname -r)/modules.dep" ]; then
		say "warning: the kernel $(uname -r) has no$lacking: services or host ports may not work"
	fi
	for sign in /proc/sys/net/bridge/bridge-nf-call-iptables /proc/sys/net/netfilter/nf_conntrack_max; do
		[ -e $sign ] || die "the kernel lacks br_netfilter or nf_conntrack: there is no $sign"
	done
	grep -qw overlay /proc/filesystems || die "the kernel lacks overlay"
}

sysctls() {
	put /usr/local/lib/sysctl.d/90-kube-network.conf <<'CONF'
net.ipv4.ip_forward = 1
net.bridge.bridge-nf-call-iptables = 1
net.ipv4.neigh.default.gc_thresh1 = 0
CONF
	put /usr/local/lib/sysctl.d/90-kube-kernel.conf <<'CONF'
vm.overcommit_memory = 1
vm.panic_on_oom = 0
kernel.panic = 10
kernel.panic_on_oops = 1
kernel.keys.root_maxkeys = 1000000
kernel.keys.root_maxbytes = 25000000
net.netfilter.nf_conntrack_max = 262144
net.netfilter.nf_conntrack_tcp_timeout_established = 86400
net.netfilter.nf_conntrack_tcp_timeout_close_wait = 3600
fs.inotify.max_user_instances = 8192
fs.inotify.max_user_watches = 524288
CONF
	try /usr/lib/systemd/systemd-sysctl 90-kube-network.conf 90-kube-kernel.conf
}

clock() {
	local service
	for service in chrony systemd-timesyncd; do
		if systemctl cat "$service" >/dev/null 2>&1; then
			systemctl enable --now --no-reload --quiet "$service" || say "warning: $service does not start"
			return
		fi
	done
	say "warning: no time service on this image"
}

logs() {
	put /etc/systemd/journald.conf.d/kube-bootstrap.conf <<'CONF'
[Journal]
SystemMaxUse=500M
CONF
	systemctl try-restart systemd-journald
}

masquerade() {
	need iptables iptables
	put /etc/kube-bootstrap/masquerade.iptables <<CONF
*nat
:POD-CHECK - [0:0]
-A POD-CHECK -p tcp -m comment --comment portmap -m multiport --destination-ports 1 -m mark --mark 0x2000/0x2000 -j DNAT --to-destination 127.0.0.1:1
-A POD-CHECK -j MARK --set-xmark 0x2000/0x2000
-F POD-CHECK
-X POD-CHECK
:POD-MASQUERADE - [0:0]
-A POD-MASQUERADE ! -s $CLUSTER_IP_RANGE -j RETURN
-A POD-MASQUERADE -d $CLUSTER_IP_RANGE -j RETURN
-A POD-MASQUERADE -d $NON_MASQUERADE_CIDR -j RETURN
-A POD-MASQUERADE -m addrtype ! --dst-type LOCAL -j MASQUERADE
COMMIT
CONF
	try iptables-restore --wait 30 --noflush /etc/kube-bootstrap/masquerade.iptables
	iptables --wait 30 --table nat --check POSTROUTING --jump POD-MASQUERADE 2>/dev/null ||
		try iptables --wait 30 --table nat --append POSTROUTING --jump POD-MASQUERADE
}

networkd() {
	put /etc/systemd/networkd.conf.d/kube-bootstrap.conf <<'CONF'
[Network]
ManageForeignRoutes=no
ManageForeignRoutingPolicyRules=no
CONF
	put /etc/systemd/network/10-kube-bootstrap.link <<'CONF'
[Match]
OriginalName=cbr0 veth*
[Link]
MACAddressPolicy=none
CONF
	udevadm control --reload 2>/dev/null || true
}

host() {
	modules
	sysctls
	networkd
	clock
	logs
	masquerade
}

fetch() {
	local url=$1 sha256=$2 file=$3 attempt is=''
	for attempt in 1 2 3 4 5; do
		if curl --silent --show-error --fail --location --connect-timeout 10 --speed-limit 1000 --speed-time 30 \
			--output "$file" "$url" 2>"$file.words"; then
			is=$(sha256sum "$file")
			if [ "${is%% *}" = "$sha256" ]; then return; fi
			echo "the sha256 of $url is ${is%% *}, and must be $sha256" >"$file.words"
		else
			sed -i "s|\$| ($url)|" "$file.words"
		fi
		echo "attempt $attempt: $(cat "$file.words")"
		sleep "$attempt"
	done
	return 1
}

program() { install -m 0755 "$1" "$2.new" && mv "$2.new" "$2"; }

place() {
	local name
	case $1 in
	CONTAINERD) tar -xz -C /usr/local --no-same-owner -f "$2" ;;
	CNI) mkdir -p /opt/cni/bin && tar -xz -C /opt/cni/bin --no-same-owner -f "$2" ;;
	RUNC) program "$2" /usr/local/sbin/runc ;;
	*) name=${1,,} && program "$2" "/usr/local/bin/${name//_/-}" ;;
	esac
}

download() {
	local url=URL_$1 sha256=SHA256_$1 file=$STATE/$1
	fetch "${!url}" "${!sha256}" "$file"
	place "$1" "$file" 2>"$file.words"
	rm -f "$file" "$file.words"
}

downloads() {
	local name sha256 words
	local -A jobs=()
	mkdir -p "$STATE"
	for name in CONTAINERD RUNC CNI KUBELET KUBEADM KUBECTL ECR_CREDENTIAL_PROVIDER; do
		sha256=SHA256_$name
		if [ "$(cat "$STATE/$name.placed" 2>/dev/null)" = "${!sha256}" ]; then continue; fi
		download "$name" &
		jobs[$name]=$!
	done
	for name in "${!jobs[@]}"; do
		words=$STATE/$name.words
		wait "${jobs[$name]}" || die "$([ -s "$words" ] && tail -n 1 "$words" || echo "$name could not be placed")"
	done
	if [ ${#jobs[@]} != 0 ]; then sync; fi
	for name in "${!jobs[@]}"; do
		sha256=SHA256_$name
		echo "${!sha256}" | put "$STATE/$name.placed"
	done
}

registry() {
	if [ -n "$DOCKER_REGISTRY_MIRROR_URL" ]; then
		printf '[host."%s"]\ncapabilities = ["pull", "resolve"]\nskip_verify = %s\n' \
			"$DOCKER_REGISTRY_MIRROR_URL" "$KUBE_ENABLE_INSECURE_REGISTRY"
	fi | put /etc/containerd/certs.d/_default/hosts.toml
}

pod_network() {
	local device mtu
	device=$(ip -o -4 route show default | sed 's/.* dev \([^ ]*\).*/\1/' | head -n 1)
	mtu=$(cat "/sys/class/net/${device:-lo}/mtu")
	put /etc/containerd/cni.template <<CONF
{"cniVersion": "1.0.0", "name": "kubenet", "plugins": [
{"type": "bridge", "bridge": "cbr0", "mtu": $mtu, "isGateway": true, "hairpinMode": true, "ipMasq": false, "ipam": {
"type": "host-local", "dataDir": "/run/kube-cni", "ranges": [[{"subnet": "{{.PodCIDR}}"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
{"type": "portmap", "backend": "iptables", "capabilities": {"portMappings": true}}]}
CONF
	systemctl is-active --quiet containerd || rm -f /etc/cni/net.d/10-containerd-net.conflist
}

containerd() {
	local sum sandbox
	sandbox=$(kubeadm config images list --kubernetes-version "v$KUBERNETES_VERSION" | grep /pause:)
	mkdir -p "$CONTAINERD_DROP_INS"
	put /etc/containerd/config.toml <<CONF
version = 3
imports = ["$CONTAINERD_DROP_INS/*.toml"]
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "$sandbox"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "/etc/containerd/certs.d"
[plugins.'io.containerd.cri.v1.runtime'.cni]
  conf_template = "/etc/containerd/cni.template"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = true
CONF
	registry
	pod_network
	sum=$(cat /etc/containerd/config.toml /etc/systemd/system/containerd.service "$STATE/CONTAINERD.placed" | sha256sum)
	if [ "$sum" != "$(cat "$RUN/containerd" 2>/dev/null)" ]; then
		try systemctl restart containerd
		echo "$sum" | put "$RUN/containerd"
	fi
}

eviction() {
	local rule
	for rule in ${EVICTION_HARD//,/ }; do printf '%s: "%s", ' "${rule%%<*}" "${rule#*<}"; done
}

part() {
	printf '%s\n' "${@:2}" | awk -F: -v amount="$1" 'amount > $1 { sum += (amount - $1) * $2; amount = $1 } END { print int(sum / 100) }'
}

reserved() {
	local mib memory
	mib=$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1024))
	memory=$(part "$mib" 131072:2 16384:6 8192:10 4096:20 0:25)
	if [ "$mib" -lt 1024 ]; then memory=255; fi
	printf 'cpu: %sm, memory: %sMi' "$(part $(($(nproc) * 1000)) 4000:0.25 2000:0.5 1000:1 0:6)" "$memory"
}

units() {
	put /etc/systemd/system/containerd.service <<'CONF'
[Unit]
Description=containerd
After=network.target
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=/usr/local/bin/containerd
Restart=always
RestartSec=2
Delegate=yes
KillMode=process
LimitNOFILE=1048576
TasksMax=infinity
OOMScoreAdjust=-999
CONF
	put /etc/systemd/system/kubelet.service 0600 <<CONF
[Unit]
Description=kubelet
Wants=containerd.service
After=containerd.service
StartLimitIntervalSec=0

[Service]
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=/usr/local/bin/kubelet --config=/var/lib/kubelet/config.yaml --config-dir=$KUBELET_DROP_INS --kubeconfig=/etc/kubernetes/kubelet.conf --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --image-credential-provider-config=/etc/kube-bootstrap/credential-providers.yaml --image-credential-provider-bin-dir=/usr/local/bin \$KUBELET_KUBEADM_ARGS
Restart=always
RestartSec=2
CONF
	more_units
	systemctl daemon-reload
}

kubelet_config() {
	local resolv=/etc/resolv.conf
	if [ -e /run/systemd/resolve/resolv.conf ]; then resolv=/run/systemd/resolve/resolv.conf; fi
	put /etc/kube-bootstrap/credential-providers.yaml <<'CONF'
apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
  - name: ecr-credential-provider
    apiVersion: credentialprovider.kubelet.k8s.io/v1
    defaultCacheDuration: 0s
    matchImages:
      - "*.dkr.ecr.*.amazonaws.com"
      - "*.dkr.ecr.*.amazonaws.com.cn"
      - "*.dkr.ecr-fips.*.amazonaws.com"
      - "*.dkr-ecr.*.on.aws"
      - "*.dkr-ecr-fips.*.on.aws"
      - "*.dkr-ecr.*.on.amazonwebservices.com.cn"
CONF
	put "$KUBELET_DROP_INS/10-node.conf" 0600 <<CONF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
providerID: "$provider"
resolvConf: $resolv
clusterDNS: ["$DNS_SERVER_IP"]
featureGates: {${FEATURE_GATES//=/: }}
kubeReserved: {$(reserved)}
evictionHard: {$(eviction)}
mergeDefaultEvictionSettings: true
protectKernelDefaults: true
readOnlyPort: 0
seccompDefault: true
podPidsLimit: 4096
streamingConnectionIdleTimeout: 30m
tlsMinVersion: VersionTLS12
tlsCipherSuites: [$CIPHERS]
serializeImagePulls: false
maxParallelImagePulls: 4
imageGCHighThresholdPercent: 85
imageGCLowThresholdPercent: 80
containerLogMaxSize: 10Mi
containerLogMaxFiles: 5
shutdownGracePeriod: 30s
shutdownGracePeriodCriticalPods: 10s
CONF
}

args() {
	local word
	for word; do
		word=${word#--}
		case $word in
		*=*) ;;
		*[!0-9]*) word=$word=true ;;
		*) word=v=$word ;;
		esac
		printf "{name: '%s', value: '%s'}, " "${word%%=*}" "$(yaml "${word#*=}")"
	done
}

yaml() { printf '%s' "${1//\'/\'\'}"; }

registration() {
	cat <<CONF
  name: $node
  criSocket: $CRI
  imagePullPolicy: IfNotPresent
  imagePullSerial: false
  ignorePreflightErrors: [$1]
  kubeletExtraArgs: [$(args --cloud-provider=external "--node-ip=$address" "${@:2}" \
		$KUBELET_TEST_LOG_LEVEL $KUBELET_TEST_ARGS)]
CONF
}

hide_kubelet_config() { chmod 0600 /var/lib/kubelet/config.yaml; }

installed() {
	put "$SELF" 0700 <"$0"
	put /etc/systemd/system/kube-bootstrap.service <<'CONF'
[Unit]
Description=Makes this host a node of its cluster
DefaultDependencies=no
Requires=sysinit.target
Wants=network-online.target
After=sysinit.target basic.target network-online.target
Conflicts=shutdown.target
Before=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/kube-bootstrap
Restart=on-failure
RestartSec=15

[Install]
WantedBy=multi-user.target
CONF
	sync
	systemctl enable --no-reload --quiet kube-bootstrap.service
	systemctl daemon-reload
	systemctl start --no-block kube-bootstrap.service
}

ended() {
	local status=$? words=$why
	if [ -s "$RUN/why" ]; then words=$(cat "$RUN/why"); fi
	if [ $status != 0 ]; then say "$step: failed: ${words:-see journalctl -u kube-bootstrap}"; fi
	exit $status
}

main() {
	local each number=0
	umask 022
	if [ "$0" != "$SELF" ]; then
		installed
		return
	fi
	mkdir -p "$RUN"
	chmod 0700 "$RUN"
	exec 9>"$RUN/lock"
	flock 9
	rm -f "$RUN/why"
	step='' why=''
	trap 'why=${why:-"$BASH_COMMAND" failed in line $LINENO}' ERR
	trap ended EXIT
	for each in "$@"; do
		number=$((number + 1))
		step="step $number/$# ${each//_/ }"
		"$each"
		say "$step: ok"
	done
	say "done after $SECONDS s"
}

api() {
	curl --silent --show-error --fail --max-time 10 "${@:2}" "https://$MASTER_INTERNAL_IP:$KUBE_API_PORT$1"
}

trusted_ca() {
	local ca=$RUN/ca.crt hash
	api /api/v1/namespaces/kube-public/configmaps/cluster-info --insecure 2>/dev/null |
		grep -o 'certificate-authority-data: [A-Za-z0-9+/=]*' | sed 's/.* //' | base64 -d >"$ca" || return 1
	hash=$(openssl x509 -in "$ca" -noout -pubkey | openssl pkey -pubin -outform der | sha256sum) || return 1
	[ "sha256:${hash%% *}" = "$CA_CERT_HASH" ] ||
		die "the master at $MASTER_INTERNAL_IP has a CA with the hash ${hash%% *}, and $CA_CERT_HASH was expected"
}

master() {
	if joined; then return; fi
	until_or_die 1000000000 "the master at https://$MASTER_INTERNAL_IP:$KUBE_API_PORT" trusted_ca
}

joined() { [ -s /etc/kubernetes/kubelet.conf ] && [ -s /var/lib/kubelet/config.yaml ]; }

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

token_is_signed() {
	api /api/v1/namespaces/kube-public/configmaps/cluster-info --cacert "$RUN/ca.crt" |
		grep -q "\"jws-kubeconfig-${KUBE_JOIN_TOKEN%%.*}\""
}

more_units() {
	:
}

join() {
	local config=$RUN/join.yaml
	kubelet_config
	if joined; then
		rm -f /etc/kubernetes/bootstrap-kubelet.conf
		hide_kubelet_config
		try systemctl restart kubelet
		return
	fi
	echo "Authorization: Bearer $KUBE_JOIN_TOKEN" | put "$RUN/token" 0600
	until_or_die 1000000000 "the removal of the Node $node of a dead instance" name_is_free
	until_or_die 300 "the cluster's signature for the join token" token_is_signed
	put "$config" 0600 <<CONF
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
nodeRegistration:
$(registration "$KUBE_IGNORE_PREFLIGHT_ERRORS" ${NODE_LABELS:+"--node-labels=$NODE_LABELS"})
discovery:
  bootstrapToken:
    token: $KUBE_JOIN_TOKEN
    apiServerEndpoint: "$MASTER_INTERNAL_IP:$KUBE_API_PORT"
    caCertHashes: ["$CA_CERT_HASH"]
CONF
	systemctl stop kubelet
	rm -f /etc/kubernetes/{bootstrap-kubelet,kubelet}.conf /etc/kubernetes/pki/ca.crt
	try kubeadm join --config "$config"
	hide_kubelet_config
	rm -f "$config" "$RUN/token"
}

main settings host units \
	downloads containerd master join
