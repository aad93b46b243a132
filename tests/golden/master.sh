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
KUBE_ROLE=master
KUBE_AWS_INSTANCE_PREFIX=kubernetes
KUBERNETES_VERSION=1.37.2
MASTER_INTERNAL_IP=172.20.0.9
CLUSTER_IP_RANGE=10.244.0.0/16
SERVICE_CLUSTER_IP_RANGE=10.0.0.0/16
NON_MASQUERADE_CIDR=10.244.0.0/16
DNS_SERVER_IP=10.0.0.10
DNS_DOMAIN=cluster.local
KUBE_API_PORT=443
KUBE_ETCD_SNAPSHOT_HOURS=6
KUBE_ETCD_QUOTA_GIB=2
EVICTION_HARD=
FEATURE_GATES=
KUBE_RUNTIME_CONFIG=
APISERVER_TEST_ARGS=
CONTROLLER_MANAGER_TEST_ARGS=
SCHEDULER_TEST_ARGS=
KUBELET_TEST_ARGS=
APISERVER_TEST_LOG_LEVEL=
CONTROLLER_MANAGER_TEST_LOG_LEVEL=
SCHEDULER_TEST_LOG_LEVEL=
KUBELET_TEST_LOG_LEVEL=
DOCKER_REGISTRY_MIRROR_URL=
KUBE_ENABLE_INSECURE_REGISTRY=false
KUBE_ENABLE_CLUSTER_DNS=true
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
AWS_DNS_SUFFIX=amazonaws.com
AWS_ACCOUNT_ID=123456789012
MASTER_PUBLIC_IP=203.0.113.9
MASTER_NAME=kubernetes-master
MASTER_DISK_ID=vol-0123456789abcdef0
KUBERNETES_SERVICE_IP=10.0.0.1
KUBE_BUCKET=kubernetes-staging-0123456789abcdef0123456789abcdef
KUBE_BUCKET_REGION=us-west-2
KUBE_BUCKET_PREFIX=us-west-2/kubernetes/
KUBE_SNAPSHOT=etcd-snapshot.db.gz
ADDONS='cloud-controller-manager:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa metrics-server:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb'
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

readonly DISK=/mnt/master-pd PKI=/etc/kubernetes/pki MANIFESTS=/etc/kubernetes/manifests ETCD_TOOLS=$STATE/etcd-tools
export KUBECONFIG=/etc/kubernetes/admin.conf
readonly EMPTY_SHA256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

credential() { sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p"; }

signed() {
	local role credentials
	role=$(imds iam/security-credentials/)
	credentials=$(imds "iam/security-credentials/$role")
	curl --silent --show-error --fail-with-body --connect-timeout 10 --max-time 60 --config - "${@:3}" <<CONF
aws-sigv4 = "aws:amz:$2:$1"
user = "$(credential AccessKeyId <<<"$credentials"):$(credential SecretAccessKey <<<"$credentials")"
header = "x-amz-security-token: $(credential Token <<<"$credentials")"
CONF
}

refusal() {
	local code message
	code=$(sed -n 's|.*<Code>\([^<]*\)</Code>.*|\1|p' "$1")
	message=$(sed -n 's|.*<Message>\([^<]*\)</Message>.*|\1|p' "$1")
	printf '%s' "${code:-no answer}${message:+: $message}"
}

asked() {
	local host=s3.$KUBE_BUCKET_REGION.$AWS_DNS_SUFFIX attempt
	case $KUBE_BUCKET in
	*.*) host=$host/$KUBE_BUCKET ;;
	*) host=$KUBE_BUCKET.$host ;;
	esac
	for attempt in 1 2 3 4 5; do
		if (umask 077 && : >"$2.new" && signed s3 "$KUBE_BUCKET_REGION" --output "$2.new" "${@:3}" \
			--header "x-amz-expected-bucket-owner: $AWS_ACCOUNT_ID" "https://$host/$KUBE_BUCKET_PREFIX$1" 2>"$2.words"); then
			mv "$2.new" "$2"
			rm -f "$2.words"
			return
		fi
		sleep "$attempt"
	done
	echo "s3://$KUBE_BUCKET/$KUBE_BUCKET_PREFIX$1: $(refusal "$2.new" 2>/dev/null) $(tail -n 1 "$2.words")"
	rm -f "$2.new" "$2.words"
	return 1
}

object() { asked "$1" "$2" --header "x-amz-content-sha256: $EMPTY_SHA256" "${@:3}"; }

put_object() {
	local sha256
	sha256=$(sha256sum "$2")
	asked "$1" "$RUN/answer" --upload-file "$2" --max-time 600 --header "x-amz-content-sha256: ${sha256%% *}" \
		--header "x-amz-server-side-encryption: AES256" --header "x-amz-meta-kubernetes-version: $(disk_version)"
}

master_device() {
	local path
	for path in /dev/disk/by-id/{nvme-Amazon_Elastic_Block_Store_,virtio-}"${MASTER_DISK_ID/-/}" /dev/{xvdf,vdf,sdf}; do
		if [ -b "$path" ]; then
			readlink -f "$path"
			return
		fi
	done
	return 1
}

attach() {
	signed ec2 "$AWS_REGION" --output "$RUN/attach" --data Action=AttachVolume --data Version=2016-11-15 --data Device=%2Fdev%2Fsdf \
		--data "VolumeId=$MASTER_DISK_ID" --data "InstanceId=$instance" "https://ec2.$AWS_REGION.$AWS_DNS_SUFFIX/" ||
		echo "AttachVolume: $(refusal "$RUN/attach")" >&2
}

ask_for_disk() {
	rm -f "$RUN/attach"
	master_device >/dev/null || attach
}

attached() {
	if master_device >/dev/null; then return; fi
	if [ $((SECONDS % 5)) = 0 ]; then attach; fi
	return 1
}

formatted() {
	local device=$1 status=0 label
	blkid -p "$device" || status=$?
	label=$(blkid -p -o value -s LABEL "$device" || true)
	case $status:$label in
	2:* | 0:kube-unmade) ;;
	0:*) return ;;
	*) die "blkid cannot tell what is on $MASTER_DISK_ID ($device): status $status" ;;
	esac
	try mkfs.ext4 -q -F -L kube-unmade "$device"
	try e2label "$device" kube-master
}

disk() {
	local device uuid
	until_or_die 300 "the disk $MASTER_DISK_ID" attached
	device=$(master_device)
	if ! mountpoint -q $DISK; then
		formatted "$device"
		uuid=$(blkid -p -o value -s UUID "$device")
		mkdir -p $DISK
		fsck -p "$device" || [ $? -lt 4 ] || die "the file system of $MASTER_DISK_ID has errors: fsck $device"
		try mount -o noatime "UUID=$uuid" $DISK
	fi
	resize2fs "$device" || say "warning: the file system of $MASTER_DISK_ID did not grow"
	install -d -m 0700 $DISK/kubernetes $DISK/audit
	mkdir -p /etc/kubernetes
	mountpoint -q /etc/kubernetes || try mount --bind $DISK/kubernetes /etc/kubernetes
}

etcd_tools() {
	local image at=$RUN/etcd-image
	local -a images=(ctr --namespace k8s.io images)
	image=$(sed -n 's/^ *image: *//p' $MANIFESTS/etcd.yaml 2>/dev/null || true)
	image=${image:-$(kubeadm config images list --kubernetes-version "v$KUBERNETES_VERSION" | grep /etcd:)}
	mkdir -p "$at"
	"${images[@]}" unmount --rm "$at" >/dev/null 2>&1 || true # left by a run that was cut short
	if ! "${images[@]}" mount "$image" "$at" >/dev/null 2>&1; then
		try "${images[@]}" pull --hosts-dir /etc/containerd/certs.d "$image"
		try "${images[@]}" mount "$image" "$at"
	fi
	mkdir -p "$ETCD_TOOLS"
	install "$at"/usr/local/bin/etcd{,ctl,utl} "$ETCD_TOOLS"
	try "${images[@]}" unmount --rm "$at"
}

disk_version() { (cat $DISK/upgrading $DISK/version 2>/dev/null || true; echo "$KUBERNETES_VERSION") | head -n 1; }

etcdctl() {
	"$ETCD_TOOLS/etcdctl" --endpoints=https://127.0.0.1:2379 --cacert=$PKI/etcd/ca.crt --cert=$PKI/etcd/healthcheck-client.crt \
		--key=$PKI/etcd/healthcheck-client.key "$@"
}

etcd_snapshot() {
	local file=$STATE/etcd-snapshot.db keys words
	[ -e $DISK/initialized ] || die "there is no control plane yet"
	etcd_tools
	rm -f "$file"*
	try etcdctl --command-timeout=10m snapshot save "$file"
	keys=$("$ETCD_TOOLS/etcdutl" --write-out=json snapshot status "$file" | sed -n 's/.*"totalKey":\([0-9]*\).*/\1/p') ||
		die "the snapshot is broken"
	[ "${keys:-0}" -gt 0 ] || die "the snapshot is empty"
	(umask 077 && gzip -c "$file" >"$file.gz") || die "the snapshot cannot be compressed"
	words=$(put_object "$KUBE_SNAPSHOT" "$file.gz") || die "$words"
	say "snapshot of etcd in s3://$KUBE_BUCKET/$KUBE_BUCKET_PREFIX$KUBE_SNAPSHOT: $keys keys, $(stat -c %s "$file.gz") bytes"
	rm -rf "$file"* "$ETCD_TOOLS"
}

etcd_status() { etcdctl endpoint status --write-out=json | tr -d '"' | sed -n "s/.*[{,]$1:\([0-9]*\).*/\1/p"; }

etcd_room() {
	local alarm size used free
	etcd_tools
	alarm=$(etcdctl alarm list) || die "etcd does not answer"
	if [ -n "$alarm" ]; then try etcdctl --command-timeout=5m compact --physical "$(etcd_status revision)"; fi
	size=$(etcd_status dbSize)
	used=$(etcd_status dbSizeInUse)
	free=$((size - used))
	if [ -n "$alarm" ] || { [ "$free" -gt 104857600 ] && [ "$free" -gt "$used" ]; }; then
		try etcdctl --command-timeout=10m defrag
		say "etcd: $size bytes, of which it used $used, are now $(etcd_status dbSize)"
	fi
	if [ -n "$alarm" ]; then
		try etcdctl alarm disarm
		say "etcd was full, and stores again"
	fi
	rm -rf "$ETCD_TOOLS"
}

etcd_before() {
	local was=$1 pid
	local -a arguments
	if [ "$KUBE_ETCD_SNAPSHOT_HOURS" = 0 ]; then
		say "warning: no snapshot of etcd is taken, KUBE_ETCD_SNAPSHOT_HOURS is 0 or the bucket has no versions"
		return
	fi
	etcd_tools
	mapfile -t arguments < <(sed -n 's/^ *- --/--/p' $MANIFESTS/etcd.yaml)
	"$ETCD_TOOLS/etcd" "${arguments[@]}" >"$RUN/etcd.log" 2>&1 &
	pid=$!
	until_or_die 120 "the etcd of $was" etcdctl endpoint health
	etcd_snapshot
	kill $pid
	wait $pid || true
	sync
	echo "$was" | put $DISK/saved
	sync
}

upgrading() {
	local was newest minor=${KUBERNETES_VERSION#*.}
	minor=${minor%.*}
	if [ ! -e $DISK/version ] && [ -e $MANIFESTS/kube-apiserver.yaml ]; then
		sed -n 's|^ *image: .*/kube-apiserver:v||p' $MANIFESTS/kube-apiserver.yaml | put $DISK/version
	fi
	was=$(cat $DISK/version 2>/dev/null || true)
	upgrade=''
	newest=$(printf '%s\n' "$(disk_version)" "$KUBERNETES_VERSION" | sort -V | tail -n 1)
	[ "$newest" = "$KUBERNETES_VERSION" ] ||
		die "what is on $MASTER_DISK_ID is Kubernetes $newest by now, and cannot become $KUBERNETES_VERSION"
	if [ "${was:-$KUBERNETES_VERSION}" = "$KUBERNETES_VERSION" ]; then
		rm -f $DISK/saved # of an upgrade that was called off
		return
	fi
	case $was in
	"1.$minor."* | "1.$((minor - 1))."*) ;;
	*) die "Kubernetes $was, which is on $MASTER_DISK_ID, cannot become $KUBERNETES_VERSION in one step" ;;
	esac
	upgrade="from Kubernetes $was to $KUBERNETES_VERSION"
	if [ -e $DISK/initialized ] && [ "$(cat $DISK/saved 2>/dev/null)" != "$was" ]; then etcd_before "$was"; fi
	echo "$KUBERNETES_VERSION" | put $DISK/upgrading
	sync
	say "upgrading $upgrade"
}

untouched() { [ ! -e $DISK/initialized ] && [ ! -d $DISK/etcd/member ] && ! systemctl is-active --quiet kubelet; }

secrets() {
	local hash words
	if untouched; then rm -rf $PKI /etc/kubernetes/manifests /etc/kubernetes/*.conf; fi
	if [ ! -e $PKI/ca.key ]; then
		words=$(object pki.tar "$RUN/pki.tar") || die "$words"
		rm -rf $PKI.new
		install -d -m 0700 $PKI.new
		try tar -x --no-same-owner -C $PKI.new -f "$RUN/pki.tar"
		rm -rf $PKI "$RUN/pki.tar"
		mv $PKI.new $PKI
	fi
	hash=$(openssl x509 -in $PKI/ca.crt -noout -pubkey | openssl pkey -pubin -outform der | sha256sum)
	[ "sha256:${hash%% *}" = "$CA_CERT_HASH" ] || die "the CA on $MASTER_DISK_ID is not this cluster's ($CA_CERT_HASH)"
	if ! words=$(object join-token "$RUN/join-token"); then
		[ -e $DISK/initialized ] || die "$words"
		say "warning: no join token, minions join with what they have: $words"
	fi
}

api_server_args() {
	args --audit-policy-file=/etc/kubernetes/audit-policy.yaml --audit-log-path=/var/log/kubernetes/audit.log \
		--audit-log-maxage=30 --audit-log-maxbackup=10 --audit-log-maxsize=100 --profiling=false \
		--enable-admission-plugins=NodeRestriction,DenyServiceExternalIPs --service-account-extend-token-expiration=false \
		--authentication-config=/etc/kubernetes/authentication.yaml "--tls-cipher-suites=$CIPHERS" \
		${KUBE_RUNTIME_CONFIG:+"--runtime-config=$KUBE_RUNTIME_CONFIG"} ${FEATURE_GATES:+"--feature-gates=$FEATURE_GATES"} \
		$APISERVER_TEST_LOG_LEVEL $APISERVER_TEST_ARGS
}

controller_manager_args() {
	args --cloud-provider=external --leader-elect=false --profiling=false --terminated-pod-gc-threshold=1000 \
		--kube-api-qps=100 --kube-api-burst=200 \
		${FEATURE_GATES:+"--feature-gates=$FEATURE_GATES"} $CONTROLLER_MANAGER_TEST_LOG_LEVEL $CONTROLLER_MANAGER_TEST_ARGS
}

scheduler_args() {
	args --leader-elect=false --profiling=false ${FEATURE_GATES:+"--feature-gates=$FEATURE_GATES"} \
		$SCHEDULER_TEST_LOG_LEVEL $SCHEDULER_TEST_ARGS
}

kubeadm_config() {
	local no_dns=true ignored=${1:+$1,}$KUBE_IGNORE_PREFLIGHT_ERRORS
	if [ "$KUBE_ENABLE_CLUSTER_DNS" = true ]; then no_dns=false; fi
	put "$RUN/kubeadm.yaml" 0600 <<CONF
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
bootstrapTokens:
  - token: "$(cat "$RUN/join-token" 2>/dev/null || true)"
    ttl: 0s
    description: made by kube_up.py, stands in the minions' user-data
localAPIEndpoint: {advertiseAddress: $MASTER_INTERNAL_IP, bindPort: $KUBE_API_PORT}
nodeRegistration:
$(registration "$ignored")
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
clusterName: '$(yaml "$KUBE_AWS_INSTANCE_PREFIX")'
kubernetesVersion: v$KUBERNETES_VERSION
controlPlaneEndpoint: "$MASTER_INTERNAL_IP:$KUBE_API_PORT"
encryptionAlgorithm: ECDSA-P256
certificateValidityPeriod: 8760h
networking: {podSubnet: $CLUSTER_IP_RANGE, serviceSubnet: $SERVICE_CLUSTER_IP_RANGE, dnsDomain: $DNS_DOMAIN}
dns: {disabled: $no_dns}
etcd:
  local:
    dataDir: $DISK/etcd
    extraArgs: [$(args "--quota-backend-bytes=$(numfmt --from=iec "${KUBE_ETCD_QUOTA_GIB}G")")]
apiServer:
  certSANs: [${MASTER_PUBLIC_IP:+$MASTER_PUBLIC_IP, }$MASTER_INTERNAL_IP, $KUBERNETES_SERVICE_IP, kubernetes, kubernetes.default, kubernetes.default.svc, kubernetes.default.svc.$DNS_DOMAIN, '$(yaml "$MASTER_NAME")']
  extraArgs: [$(api_server_args)]
  extraVolumes:
    - {name: audit-policy, hostPath: /etc/kubernetes/audit-policy.yaml, mountPath: /etc/kubernetes/audit-policy.yaml, readOnly: true, pathType: File}
    - {name: authentication, hostPath: /etc/kubernetes/authentication.yaml, mountPath: /etc/kubernetes/authentication.yaml, readOnly: true, pathType: File}
    - {name: audit, hostPath: $DISK/audit, mountPath: /var/log/kubernetes, pathType: DirectoryOrCreate}
controllerManager:
  extraArgs: [$(controller_manager_args)]
scheduler:
  extraArgs: [$(scheduler_args)]
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: $CLUSTER_IP_RANGE
featureGates: {${FEATURE_GATES//=/: }}
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
CONF
	put /etc/kubernetes/audit-policy.yaml 0600 <<'CONF'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    nonResourceURLs: ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi/*"]
  - level: None
    verbs: [get, list, watch]
    users: ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy"]
  - level: None
    verbs: [get, list, watch]
    userGroups: ["system:nodes"]
  - level: None
    resources:
      - {group: coordination.k8s.io, resources: [leases]}
      - {group: "", resources: [events]}
      - {group: events.k8s.io, resources: [events]}
  - level: Metadata
    resources:
      - {group: "", resources: [secrets, configmaps, serviceaccounts/token]}
      - {group: authentication.k8s.io, resources: [tokenreviews]}
  - level: Metadata
    verbs: [get, list, watch]
  - level: Request
    resources:
      - {group: rbac.authorization.k8s.io}
      - {group: certificates.k8s.io}
      - {group: "", resources: [pods/exec, pods/attach, pods/portforward]}
  - level: Metadata
CONF
	put /etc/kubernetes/authentication.yaml 0600 <<'CONF'
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions:
    - path: /healthz
    - path: /livez
    - path: /readyz
    - path: /api/v1/namespaces/kube-public/configmaps/cluster-info
CONF
}

init() {
	local skip=show-join-command phase
	for phase; do skip+=,$phase; done
	try kubeadm init --config "$RUN/kubeadm.yaml" --skip-token-print --skip-phases "$skip"
}

stale_identities() {
	local key=/var/lib/kubelet/pki/kubelet-client-current.pem crt
	for crt in $PKI/apiserver.crt $PKI/{apiserver-*,front-proxy-client}.crt $PKI/etcd/{server,peer,healthcheck-client}.crt; do
		if [ "$crt" != $PKI/apiserver.crt ] && openssl x509 -in "$crt" -noout -checkend 7776000 >/dev/null 2>&1; then continue; fi
		rm -f "$crt" "${crt%.crt}.key"
	done
	systemctl stop kubelet
	rm -rf /etc/kubernetes/{admin,super-admin,controller-manager,scheduler}.conf
	openssl x509 -in $key -noout -checkend 86400 >/dev/null 2>&1 || rm -f /etc/kubernetes/kubelet.conf
}

drop_dead_node() {
	local found
	local -x KUBECONFIG=/etc/kubernetes/super-admin.conf
	found=$(kubectl get node "$node" --ignore-not-found --output 'jsonpath={.spec.providerID}')
	if [ "$found" != "$provider" ]; then try kubectl delete node "$node" --ignore-not-found; fi
	rm -f "$KUBELET_DROP_INS/20-unregistered.conf"
	try systemctl restart kubelet
}

goes_on() {
	local later=(upload-config mark-control-plane bootstrap-token kubelet-finalize addon)
	local earlier=(preflight certs kubeconfig etcd control-plane kubelet-start wait-control-plane)
	local unregistered=$KUBELET_DROP_INS/20-unregistered.conf
	upgrading
	kubeadm_config "$(left_by_earlier_run)"
	stale_identities
	if [ ! -e /etc/kubernetes/kubelet.conf ]; then
		printf '%s\n' 'apiVersion: kubelet.config.k8s.io/v1beta1' 'kind: KubeletConfiguration' 'registerNode: false' | put "$unregistered"
	fi
	init "${later[@]}"
	if [ -e "$unregistered" ]; then drop_dead_node; fi
	if [ -e $DISK/initialized ] && [ -z "$upgrade" ]; then earlier+=(addon); fi
	if [ ! -e "$RUN/join-token" ]; then earlier+=(bootstrap-token); fi
	init "${earlier[@]}"
}

left_by_earlier_run() {
	local name
	for name in kube-apiserver kube-controller-manager kube-scheduler etcd; do
		printf 'FileAvailable--etc-kubernetes-manifests-%s.yaml,' $name
	done
	printf 'Port-%s,' "$KUBE_API_PORT" 10250 10257 10259 2379 2380
	printf 'DirAvailable-%s' "${DISK//\//-}-etcd"
}

more_units() {
	put /etc/systemd/system/kube-certificates.service <<'CONF'
[Unit]
Description=Renews the control plane's certificates

[Service]
Type=oneshot
ExecStart=/usr/local/bin/kubeadm certs renew all
ExecStart=-/usr/bin/pkill -x kube-controller|kube-scheduler
CONF
	put /etc/systemd/system/kube-certificates.timer <<'CONF'
[Unit]
Description=Renews the control plane's certificates, long before they end

[Timer]
OnCalendar=monthly
RandomizedDelaySec=1d
Persistent=true

[Install]
WantedBy=timers.target
CONF
	put /etc/systemd/system/kube-etcd-snapshot.service <<'CONF'
[Unit]
Description=Puts a snapshot of etcd into the cluster's bucket

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/kube-bootstrap settings etcd_snapshot
ExecStart=-/usr/local/sbin/kube-bootstrap settings etcd_room
Restart=on-failure
RestartSec=5min
CONF
	if [ "$KUBE_ETCD_SNAPSHOT_HOURS" = 0 ]; then return; fi
	put /etc/systemd/system/kube-etcd-snapshot.timer <<CONF
[Unit]
Description=Puts a snapshot of etcd into the cluster's bucket, at times

[Timer]
OnActiveSec=3min
OnUnitActiveSec=${KUBE_ETCD_SNAPSHOT_HOURS}h

[Install]
WantedBy=timers.target
CONF
}

timer() { systemctl enable --now --no-reload --quiet "$1.timer"; }

control_plane() {
	kubelet_config
	timer kube-certificates
	if untouched; then
		kubeadm_config
		init
	else
		goes_on
	fi
	hide_kubelet_config
	sync
	touch $DISK/initialized
	if [ "$KUBE_ETCD_SNAPSHOT_HOURS" != 0 ]; then timer kube-etcd-snapshot; fi
	rm -f "$RUN/kubeadm.yaml" "$RUN/join-token"
}

addon() {
	local words
	if [ -e "$2" ]; then return; fi
	words=$(object "addons/$1" "$RUN/addon") || die "$words"
	echo "$1 $RUN/addon" | sha256sum --quiet --check || die "s3://$KUBE_BUCKET/${KUBE_BUCKET_PREFIX}addons/$1 has another content"
	mv "$RUN/addon" "$2"
}

unwanted_addons() {
	local file
	for file in "$DISK"/addons/*; do
		case " $ADDONS" in *" ${file##*/}:"*) continue ;; esac
		[ -e "$file" ] || continue
		try kubectl delete --ignore-not-found --wait=false --filename "$file"
		rm "$file"
	done
}

addons() {
	local each file
	local -a files=()
	for each in $ADDONS; do
		file=$STATE/${each/:/-}.yaml
		addon "${each#*:}" "$file"
		if [[ $each = *-crds:* ]]; then
			try kubectl apply --server-side --force-conflicts --filename "$file"
			try kubectl wait --for=condition=Established --timeout=60s --filename "$file"
		else
			files+=(--filename "$file")
			[[ $each = aws-ebs-csi-driver:* ]] || install -D -m 0600 "$file" "$DISK/addons/${each%:*}"
		fi
	done
	[ ${#files[@]} = 0 ] || try kubectl apply --server-side --force-conflicts "${files[@]}"
	unwanted_addons
	sync
	echo "$KUBERNETES_VERSION" | put $DISK/version
}

if [ $# = 0 ]; then
	set -- settings host units ask_for_disk \
		downloads containerd disk secrets control_plane addons
fi
main "$@"
