# shellcheck shell=bash
# What a master and a minion have in common: the settings, the host, the downloads, containerd, the kubelet's unit.
# Every step looks at what is there first, so that a run may be repeated, or be killed anywhere and repeated.
# A function's result is what it prints. What it sets for others its comment says ("Sets:"), and no function reads another's
# locals, though bash would let it: tests/test_userdata_functions.py.
set -o errexit -o nounset -o pipefail -o errtrace

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
readonly SELF=/usr/local/sbin/kube-bootstrap STATE=/var/lib/kube-bootstrap RUN=/run/kube-bootstrap
readonly CRI=unix:///run/containerd/containerd.sock
readonly CIPHERS=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384

# What differs by machine and not by cluster; an image may ship /etc/default/kube-bootstrap with other values.
KUBE_IGNORE_PREFLIGHT_ERRORS='' # of kubeadm, by name, separated by commas
CONTAINERD_DROP_INS=/etc/containerd/conf.d
KUBELET_DROP_INS=/etc/kubelet.conf.d

# The settings of this node, as kube_up.py resolved them.
kube_env() {
	cat <<'KUBE_ENV'
#@settings
KUBE_ENV
}

# say WORDS: one line on the console, where GetConsoleOutput and a person at the screen find it, and in the journal.
# The console is opened anew for each: it is hung up when its login prompt starts, and may be missing altogether.
say() {
	printf 'kube-bootstrap: %s\n' "$*"
	{ printf 'kube-bootstrap: %s\n' "$*" >/dev/console; } 2>/dev/null || true
}

# die WORDS: ends this run; the words are what the console says of the step, also when a part of a pipeline says them.
die() {
	printf '%s' "$*" >"$RUN/why"
	exit 1
}

# try COMMAND...: runs it, and when it fails, its own last words about an error become the reason, and the kubelet's when
# it does not run: kubeadm only knows that it waited for it in vain.
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

# until_or_die SECONDS WHAT COMMAND...: repeats the command once a second; says what it waits for every half minute,
# with the last that the command has said of what it lacks, on standard error.
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

# put FILE [MODE]: writes standard input there, whole or not at all; what is the same already is left alone.
put() {
	local words
	mkdir -p "$(dirname "$1")"
	words=$({ umask 077 && cat >"$1.new"; } 2>&1) || die "$1 cannot be written: ${words##*: }"
	chmod "${2:-0644}" "$1.new"
	if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi
}

# imds PATH: instance metadata, by IMDSv2 alone.
imds() {
	local at=http://169.254.169.254/latest token
	local -a curl=(curl --silent --show-error --fail --max-time 5 --retry 10 --retry-all-errors --retry-delay 1)
	token=$("${curl[@]}" -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$at/api/token")
	"${curl[@]}" -H "X-aws-ec2-metadata-token: $token" "$at/meta-data/$1"
}

# The names and addresses by which AWS, the cloud controller manager and the cluster know this node.
# Sets: instance, address, node, provider
identity() {
	local domain=$AWS_REGION.compute.internal zone
	if [ "$AWS_REGION" = us-east-1 ]; then domain=ec2.internal; fi
	instance=$(imds instance-id)
	address=$(imds local-ipv4)
	zone=$(imds placement/availability-zone)
	# Its first label only: with a DHCP option set of the user's own the rest is not EC2's private DNS name.
	node=$(imds local-hostname)
	node=${node%%[. ]*}.$domain
	provider=aws:///$zone/$instance
}

# The settings become variables, and what the image's own file has in their place.
settings() {
	kube_env | put /etc/kube-bootstrap/kube_env 0600
	# shellcheck source=/dev/null
	. /etc/kube-bootstrap/kube_env
	# shellcheck source=/dev/null
	if [ -e /etc/default/kube-bootstrap ]; then . /etc/default/kube-bootstrap; fi
#@if KUBE_HTTP_PROXY KUBE_NO_PROXY
	way_out
#@end
	identity
}

#@if KUBE_HTTP_PROXY KUBE_NO_PROXY
# way_out: for curl, apt and kubeadm, which hands it on to the control plane.
# Sets: http_proxy, https_proxy, no_proxy
way_out() { export http_proxy=$KUBE_HTTP_PROXY https_proxy=$KUBE_HTTP_PROXY no_proxy=$KUBE_NO_PROXY; }
#@end

# need PROGRAM PACKAGE: images of Debian and Ubuntu have them all; an image of one's own may not. Nothing is installed here.
need() { command -v "$1" >/dev/null || die "the image has no $1: make one that has the package $2"; }

# What counts is what the kernel can do: a module may be built in, and then there is no file of it. What the rules of iptables
# need is tried by `masquerade`. The rest can only be asked for by name, and names change: that one is lacking is a warning.
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

# Not in /etc, so that an image can mask one by a file of the same name there (sysctl.d(5)).
sysctls() {
	put /usr/local/lib/sysctl.d/90-kube-network.conf <<'CONF'
#@include sysctl-network.conf
CONF
	put /usr/local/lib/sysctl.d/90-kube-kernel.conf <<'CONF'
#@include sysctl-kernel.conf
CONF
	try /usr/lib/systemd/systemd-sysctl 90-kube-network.conf 90-kube-kernel.conf
}

# Certificates and tokens are worth nothing on a host whose clock is wrong.
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

# Pods' packets leave the cluster as their node's; inside it, and in NON_MASQUERADE_CIDR, they keep their address.
# By iptables, which Debian's and Ubuntu's images have (Debian's has no nft). The chain is filled in one transaction, also
# where it is there already; a run that was killed before the jump leaves a chain that nothing enters. POD-CHECK is made and
# unmade in the same transaction: whether the kernel has what the rules of portmap, for pods' host ports, will need.
masquerade() {
	need iptables iptables
	put /etc/kube-bootstrap/masquerade.iptables <<CONF
#@include masquerade.iptables
CONF
	try iptables-restore --wait 30 --noflush /etc/kube-bootstrap/masquerade.iptables
	iptables --wait 30 --table nat --check POSTROUTING --jump POD-MASQUERADE 2>/dev/null ||
		try iptables --wait 30 --table nat --append POSTROUTING --jump POD-MASQUERADE
}

# Both by files that are read when they are next needed: networkd at its next start, which an upgrade of its package
# brings, and by which it would take away routes and rules that are not its own (kops 17433, k0s 5623); udev when a link
# comes up, whose address it would set anew while the bridge is already in use (libnetwork 2380).
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

#@if KUBE_EXTRA_PACKAGES
# unlocked COMMAND...: runs it, its words in $RUN/words; false only while another process, such as the distribution's own
# updates at a first boot, has apt or dpkg for itself. dpkg says "was locked by another process", and from 1.22 on "was locked
# by NAME process"; apt "Could not get lock".
unlocked() { "$@" 2>&1 </dev/null | tee "$RUN/words" || ! grep -qE 'not get lock|(was|is) locked by' "$RUN/words"; }

# The lock of the lists is not waited for by apt-get itself. A name with a dot is a name, no pattern.
apt_get() {
	apt-get --quiet --yes --no-install-recommends \
		-o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold -o APT::Cmd::Pattern-Only=true "$@"
}

# Why apt failed: the line below the last "Err:", which has the cause where a mirror does not answer, and the last errors.
apts_words() {
	awk '/^Err:/ { getline; sub(/^ +/, ""); cause = $0 "\n" } /^[EW]: / { before = last; last = $0 "\n" } END { printf "%s", cause before last }'
}

# What KUBE_EXTRA_PACKAGES names and is not installed, whole: a run of dpkg that was cut short is ended first. The lists are
# asked for anew only when those that are there, if any, do not do.
extra_packages() {
	local name missing=() state="--showformat=\${db:Status-Status}"
	local -x LC_ALL=C DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 # Ubuntu's needrestart would restart services
	for name in ${KUBE_EXTRA_PACKAGES//,/ }; do
		if [ "$(dpkg-query --show "$state" "$name" 2>/dev/null)" != installed ]; then missing+=("$name"); fi
	done
	if [ ${#missing[@]} = 0 ]; then return; fi
	until_or_die 600 "the end of another dpkg" unlocked dpkg --force-confold --configure --pending
	if apt_get install "${missing[@]}" </dev/null; then return; fi
	until_or_die 600 "the end of another apt-get" unlocked apt_get update
	apt_get install "${missing[@]}" 2>&1 </dev/null | tee -a "$RUN/words" ||
		die "apt-get: ${missing[*]}: $(apts_words <"$RUN/words" | tr -s '\n\t ' ' ')"
}
#@end

#@if NODE_SCRIPT
# node_script: what KUBE_NODE_SCRIPT named when kube_up.py ran, as it was, with its own first line.
node_script() {
	base64 -d <<<"$NODE_SCRIPT" | gzip -d | put "$STATE/node-script" 0700
	export KUBE_ROLE
	try "$STATE/node-script" </dev/null
}
#@end

# fetch URL SHA256 FILE: gets a download whose sum was baked in by kube_up.py, five times at most.
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

# program FILE PLACE: installs it whole, also over one that runs.
program() { install -m 0755 "$1" "$2.new" && mv "$2.new" "$2"; }

# place NAME FILE: puts a verified download where it belongs.
place() {
	local name
	case $1 in
	CONTAINERD) tar -xz -C /usr/local --no-same-owner -f "$2" ;;
	CNI) mkdir -p /opt/cni/bin && tar -xz -C /opt/cni/bin --no-same-owner -f "$2" ;;
	RUNC) program "$2" /usr/local/sbin/runc ;;
	*) name=${1,,} && program "$2" "/usr/local/bin/${name//_/-}" ;;
	esac
}

# download NAME: fetches and places URL_NAME.
download() {
	local url=URL_$1 sha256=SHA256_$1 file=$STATE/$1
	fetch "${!url}" "${!sha256}" "$file"
	place "$1" "$file" 2>"$file.words"
	rm -f "$file" "$file.words"
}

# What was placed before, whole and on the disk, is left alone.
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

# A mirror is asked first, for every registry; what it does not have comes from the registry itself. The certificates of
# all others are checked, whatever is said of the mirror's.
registry() {
	if [ -n "$DOCKER_REGISTRY_MIRROR_URL" ]; then
		printf '[host."%s"]\ncapabilities = ["pull", "resolve"]\nskip_verify = %s\n' \
			"$DOCKER_REGISTRY_MIRROR_URL" "$KUBE_ENABLE_INSECURE_REGISTRY"
	fi | put /etc/containerd/certs.d/_default/hosts.toml
}

# The pods' network of kubenet: one bridge a node, addresses from the node's own range. containerd fills in {{.PodCIDR}}.
pod_network() {
	local device mtu
	device=$(ip -o -4 route show default | sed 's/.* dev \([^ ]*\).*/\1/' | head -n 1)
	mtu=$(cat "/sys/class/net/${device:-lo}/mtu")
	put /etc/containerd/cni.template <<CONF
#@include cni.template
CONF
	# containerd keeps the range it was given first; the Node may have got another since.
	systemctl is-active --quiet containerd || rm -f /etc/cni/net.d/10-containerd-net.conflist
}

containerd() {
	local sum sandbox
	sandbox=$(kubeadm config images list --kubernetes-version "v$KUBERNETES_VERSION" | grep /pause:)
	mkdir -p "$CONTAINERD_DROP_INS"
	put /etc/containerd/config.toml <<CONF
#@include containerd.toml
CONF
	registry
	pod_network
	# Restarted only when it does not run as it should by now; its containers live on meanwhile.
	sum=$(cat /etc/containerd/config.toml /etc/systemd/system/containerd.service "$STATE/CONTAINERD.placed" | sha256sum)
	if [ "$sum" != "$(cat "$RUN/containerd" 2>/dev/null)" ]; then
		try systemctl restart containerd
		echo "$sum" | put "$RUN/containerd"
	fi
}

# EVICTION_HARD (SIGNAL<VALUE,SIGNAL<VALUE) as a map's content.
eviction() {
	local rule
	for rule in ${EVICTION_HARD//,/ }; do printf '%s: "%s", ' "${rule%%<*}" "${rule#*<}"; done
}

# part AMOUNT FROM:PERCENT...: of what the amount has from each of these up to the one before it so many percent, added up.
part() {
	printf '%s\n' "${@:2}" | awk -F: -v amount="$1" 'amount > $1 { sum += (amount - $1) * $2; amount = $1 } END { print int(sum / 100) }'
}

# What pods may not take, so that the kubelet and containerd live on beside a pod that wants all: what GKE reserves up to
# 1.36, by the machine's size alone, since any node here may have 110 pods (cloud.google.com/kubernetes-engine/docs/
# concepts/plan-node-sizes): of memory, in MiB, and of cores, in thousandths, and 255 MiB of less than 1 GiB.
reserved() {
	local mib memory
	mib=$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1024))
	memory=$(part "$mib" 131072:2 16384:6 8192:10 4096:20 0:25)
	if [ "$mib" -lt 1024 ]; then memory=255; fi
	printf 'cpu: %sm, memory: %sMi' "$(part $(($(nproc) * 1000)) 4000:0.25 2000:0.5 1000:1 0:6)" "$memory"
}

# units: of all that runs here, those of `more_units` too. systemd reads them once: on a small machine each reading takes it
# a good part of a second. The kubelet is started by this script, never by itself: on a master nothing may run before the
# disk is mounted.
units() {
	put /etc/systemd/system/containerd.service <<'CONF'
#@include containerd.service
CONF
	put /etc/systemd/system/kubelet.service 0600 <<CONF
#@include kubelet.service
CONF
#@if KUBE_HTTP_PROXY KUBE_NO_PROXY
	local unit
	for unit in containerd kubelet; do
		put "/etc/systemd/system/$unit.service.d/http-proxy.conf" <<CONF
[Service]
Environment=HTTP_PROXY=$KUBE_HTTP_PROXY HTTPS_PROXY=$KUBE_HTTP_PROXY NO_PROXY=$KUBE_NO_PROXY
CONF
	done
#@end
	more_units
	systemctl daemon-reload
}

# What this node's kubelet is told, beside what kubeadm writes.
kubelet_config() {
	local resolv=/etc/resolv.conf
	if [ -e /run/systemd/resolve/resolv.conf ]; then resolv=/run/systemd/resolve/resolv.conf; fi
	put /etc/kube-bootstrap/credential-providers.yaml <<'CONF'
#@include credential-providers.yaml
CONF
	put "$KUBELET_DROP_INS/10-node.conf" 0600 <<CONF
#@include kubelet.conf
CONF
}

# args [WORD...]: a component's arguments, as people write them, as kubeadm's list. A later one wins over an earlier.
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

# yaml TEXT: fit to stand between single quotes.
yaml() { printf '%s' "${1//\'/\'\'}"; }

# registration CHECKS [ARGUMENT...]: what nodeRegistration says of this node, in kubeadm init's and join's configuration alike;
# checks to ignore, by name, separated by commas, and further arguments of its kubelet.
registration() {
	# shellcheck disable=SC2086 # arguments are words
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

# kubeadm writes it readable for all (CIS 4.1.9).
hide_kubelet_config() { chmod 0600 /var/lib/kubelet/config.yaml; }

# installed: puts this script where the unit runs it at every boot, and starts the unit.
installed() {
	put "$SELF" 0700 <"$0"
	put /etc/systemd/system/kube-bootstrap.service <<'CONF'
#@include kube-bootstrap.service
CONF
	sync
	systemctl enable --no-reload --quiet kube-bootstrap.service
	systemctl daemon-reload
	systemctl start --no-block kube-bootstrap.service
}

# What a run that failed says at its end: what `die` was told, or else the command that failed.
ended() {
	local status=$? words=$why
	if [ -s "$RUN/why" ]; then words=$(cat "$RUN/why"); fi
	if [ $status != 0 ]; then say "$step: failed: ${words:-see journalctl -u kube-bootstrap}"; fi
	exit $status
}

# main STEP...: the steps in order, each a function; the first that fails ends the run, and the next run starts over.
# Sets: step (as the console names it), why (the command that failed)
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
