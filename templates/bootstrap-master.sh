#!/bin/bash
# The user-data of a master. cloud-init runs it once; it installs itself, and its own systemd unit runs it at every boot.
#@include bootstrap.sh

readonly DISK=/mnt/master-pd PKI=/etc/kubernetes/pki MANIFESTS=/etc/kubernetes/manifests ETCD_TOOLS=$STATE/etcd-tools
export KUBECONFIG=/etc/kubernetes/admin.conf
readonly EMPTY_SHA256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

# credential NAME: of the role's credentials on standard input, as instance metadata gives them.
credential() { sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p"; }

# signed SERVICE REGION CURL-ARGUMENT...: a call to AWS with the instance's role. The keys are on no command line.
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

# refusal FILE: AWS's code and message from an answer in XML.
refusal() {
	local code message
	code=$(sed -n 's|.*<Code>\([^<]*\)</Code>.*|\1|p' "$1")
	message=$(sed -n 's|.*<Message>\([^<]*\)</Message>.*|\1|p' "$1")
	printf '%s' "${code:-no answer}${message:+: $message}"
}

# asked NAME FILE CURL-ARGUMENT...: S3's answer of an object under the cluster's prefix into FILE, of the bucket of the
# cluster's own account and no stranger's. Without the answer it prints why.
asked() {
	local host=s3.$KUBE_BUCKET_REGION.$AWS_DNS_SUFFIX attempt
	# A bucket whose name has a dot does not match the certificate of its own host name.
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

# object NAME FILE CURL-ARGUMENT...: an object's content into FILE, or else words on why not.
object() { asked "$1" "$2" --header "x-amz-content-sha256: $EMPTY_SHA256" "${@:3}"; }

# put_object NAME FILE: puts the file there, or prints why not. S3 refuses what does not have the sum that the request is
# signed with.
put_object() {
	local sha256
	sha256=$(sha256sum "$2")
	asked "$1" "$RUN/answer" --upload-file "$2" --max-time 600 --header "x-amz-content-sha256: ${sha256%% *}" \
		--header "x-amz-server-side-encryption: AES256" --header "x-amz-meta-kubernetes-version: $(disk_version)"
}

# The master's disk: by the volume's id where the device tells it (Nitro), else by the name it is attached under.
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

# The master attaches its own disk. One that a dying master still holds is refused for a while.
attach() {
	signed ec2 "$AWS_REGION" --output "$RUN/attach" --data Action=AttachVolume --data Version=2016-11-15 --data Device=%2Fdev%2Fsdf \
		--data "VolumeId=$MASTER_DISK_ID" --data "InstanceId=$instance" "https://ec2.$AWS_REGION.$AWS_DNS_SUFFIX/" ||
		echo "AttachVolume: $(refusal "$RUN/attach")" >&2
}

# Asked for before the downloads, so that it is there after them.
ask_for_disk() {
	rm -f "$RUN/attach"
	master_device >/dev/null || attach
#@if MASTER_ALARMS
	alarms
#@end
}

#@if MASTER_ALARMS
# alarms: those of a master that AWS made by itself (METRIC:MINUTES:ACTION...). They name an instance, and no kube_up.py has
# made them for this one; each takes the place of the last master's. The master is not kept from booting by it.
alarms() {
	local each minutes action
	rm -f "$RUN/alarm"
	for each in $MASTER_ALARMS; do
		minutes=${each#*:} action=${each#*:*:}
		signed monitoring "$AWS_REGION" --output "$RUN/alarm" --retry 2 --retry-max-time 5 \
			--data Action=PutMetricAlarm --data Version=2010-08-01 --data Namespace=AWS%2FEC2 --data Statistic=Maximum \
			--data Period=60 --data Threshold=1 --data ActionsEnabled=true --data ComparisonOperator=GreaterThanOrEqualToThreshold \
			--data Dimensions.member.1.Name=InstanceId --data "Dimensions.member.1.Value=$instance" \
			--data "MetricName=${each%%:*}" --data "EvaluationPeriods=${minutes%%:*}" --data "AlarmName=$MASTER_NAME-${action##*:}" \
			--data-urlencode "AlarmActions.member.1=$action" "https://monitoring.$AWS_REGION.$AWS_DNS_SUFFIX/" || {
			say "warning: no alarm $MASTER_NAME-${action##*:}: $(refusal "$RUN/alarm")"
			return 0
		}
	done
}
#@end

attached() {
	if master_device >/dev/null; then return; fi
	if [ $((SECONDS % 5)) = 0 ]; then attach; fi
	return 1
}

# formatted DEVICE: only when nothing at all is on it. A label tells a file system whose making was cut short from one with
# data.
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
#@if KUBE_RESTORE_VERSION
	if untouched; then etcd_restored; fi
#@end
}

# etcd's own programs into $ETCD_TOOLS, out of its image, which is the release's own: they run as well outside of a
# container.
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

# What may have written what is on the disk: the release that an upgrade has begun with, else the one that is done, or begins.
disk_version() { (cat $DISK/upgrading $DISK/version 2>/dev/null || true; echo "$KUBERNETES_VERSION") | head -n 1; }

# etcdctl ARGUMENT...: asks the etcd of this master.
etcdctl() {
	"$ETCD_TOOLS/etcdctl" --endpoints=https://127.0.0.1:2379 --cacert=$PKI/etcd/ca.crt --cert=$PKI/etcd/healthcheck-client.crt \
		--key=$PKI/etcd/healthcheck-client.key "$@"
}

# etcd_snapshot: puts all that the cluster knows into the bucket, as a version of one object, once it has been looked at.
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

# etcd_status FIELD: of this master's etcd, a number.
etcd_status() { etcdctl endpoint status --write-out=json | tr -d '"' | sed -n "s/.*[{,]$1:\([0-9]*\).*/\1/p"; }

# etcd_room: gives the disk back what is free in etcd's file, where that is more than half of it, and 100 MiB; nothing is
# answered meanwhile, for some seconds a GiB. Where etcd has the alarm that it is full, it stores nothing, so that the API
# server cannot drop old revisions any more: then this does, and ends the alarm. (etcd.io/docs, Maintenance)
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

#@if KUBE_RESTORE_VERSION
# etcd_restored: on a new disk, etcd's data as they were in the snapshot that kube_up.py was told to restore. Revisions go
# on far above all that clients have seen, or these would wait for changes that never come.
etcd_restored() {
	local file=$STATE/etcd-snapshot.db peer=$node=https://$MASTER_INTERNAL_IP:2380 words
	words=$(object "$KUBE_SNAPSHOT?versionId=$KUBE_RESTORE_VERSION" "$file.gz" --max-time 600) || die "$words"
	(umask 077 && gzip -dc "$file.gz" >"$file") || die "the snapshot cannot be unpacked"
	etcd_tools
	rm -rf $DISK/etcd.new
	try "$ETCD_TOOLS/etcdutl" snapshot restore "$file" --data-dir $DISK/etcd.new --name "$node" --initial-cluster "$peer" \
		--initial-advertise-peer-urls "${peer#*=}" --bump-revision 1000000000 --mark-compacted
	sync
	rm -rf $DISK/etcd
	mv $DISK/etcd.new $DISK/etcd
	sync
	rm -rf "$file"* "$ETCD_TOOLS"
}
#@end

# etcd_before VERSION: a snapshot by the etcd that wrote what is on the disk, of that release, with its own arguments, as
# long as its data are in its format. No API server runs by now, so nothing can be stored that is not in it.
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

# upgrading: what comes before another version's control plane. What a disk has is in $DISK/version, which is written when
# all is done, so that an upgrade that was cut short is gone on with. $DISK/saved has the version that was saved before, and
# $DISK/upgrading the one that it is becoming: nothing older may write there any more.
# Sets: upgrade (from what to what, or nothing)
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

# Nothing was ever stored on this disk: what a run that was cut short has left on it, whole or torn, is made again.
untouched() { [ ! -e $DISK/initialized ] && [ ! -d $DISK/etcd/member ] && ! systemctl is-active --quiet kubelet; }

# The keys that the cluster is known by are made by kube_up.py and are in the bucket; what else kubeadm needs it makes.
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

# Profiles are off and every request is on record: CIS 1.2, 1.3, 1.4. One master elects nobody.
# shellcheck disable=SC2086 # arguments are words
api_server_args() {
	args --audit-policy-file=/etc/kubernetes/audit-policy.yaml --audit-log-path=/var/log/kubernetes/audit.log \
		--audit-log-maxage=30 --audit-log-maxbackup=10 --audit-log-maxsize=100 --profiling=false \
		--enable-admission-plugins=NodeRestriction,DenyServiceExternalIPs --service-account-extend-token-expiration=false \
		--authentication-config=/etc/kubernetes/authentication.yaml "--tls-cipher-suites=$CIPHERS" \
		${KUBE_RUNTIME_CONFIG:+"--runtime-config=$KUBE_RUNTIME_CONFIG"} ${FEATURE_GATES:+"--feature-gates=$FEATURE_GATES"} \
		$APISERVER_TEST_LOG_LEVEL $APISERVER_TEST_ARGS
}

# Its default of 20 requests a second held its controllers back for five seconds once the API was up; minions wait for its
# signature to join, and no node is Ready without a range for its pods.
# shellcheck disable=SC2086 # arguments are words
controller_manager_args() {
	args --cloud-provider=external --leader-elect=false --profiling=false --terminated-pod-gc-threshold=1000 \
		--kube-api-qps=100 --kube-api-burst=200 \
		${FEATURE_GATES:+"--feature-gates=$FEATURE_GATES"} $CONTROLLER_MANAGER_TEST_LOG_LEVEL $CONTROLLER_MANAGER_TEST_ARGS
}

# shellcheck disable=SC2086 # arguments are words
scheduler_args() {
	args --leader-elect=false --profiling=false ${FEATURE_GATES:+"--feature-gates=$FEATURE_GATES"} \
		$SCHEDULER_TEST_LOG_LEVEL $SCHEDULER_TEST_ARGS
}

# kubeadm_config [CHECKS]: kubeadm's configuration, with further checks to ignore, and what the API server reads beside it.
kubeadm_config() {
	local no_dns=true ignored=${1:+$1,}$KUBE_IGNORE_PREFLIGHT_ERRORS
	if [ "$KUBE_ENABLE_CLUSTER_DNS" = true ]; then no_dns=false; fi
	put "$RUN/kubeadm.yaml" 0600 <<CONF
#@include kubeadm-init.yaml
CONF
	put /etc/kubernetes/audit-policy.yaml 0600 <<'CONF'
#@include audit-policy.yaml
CONF
	put /etc/kubernetes/authentication.yaml 0600 <<'CONF'
#@include authentication.yaml
CONF
}

# init [PHASE-TO-SKIP...]
init() {
	local skip=show-join-command phase
	for phase; do skip+=,$phase; done
	try kubeadm init --config "$RUN/kubeadm.yaml" --skip-token-print --skip-phases "$skip"
}

# What kubeadm must make again: the API server's certificate, since the addresses in it may have changed; certificates
# that end within 90 days; the kubelet's identity, when the root disk that held it is gone. No kubelet runs meanwhile, as one
# does when this is tried again: containerd makes a directory of a file that a pod mounts and that is not there (WithMounts).
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

# A Node's instance can never be changed, and the controller manager fails for all routes while one points to a dead one.
# So a kubelet on a new root disk comes up without registering, and the dead instance's Node is deleted first.
drop_dead_node() {
	local found
	# Not admin.conf: its rights are an object in the cluster, and a run may have been cut short before that was made.
	local -x KUBECONFIG=/etc/kubernetes/super-admin.conf
	found=$(kubectl get node "$node" --ignore-not-found --output 'jsonpath={.spec.providerID}')
	if [ "$found" != "$provider" ]; then try kubectl delete node "$node" --ignore-not-found; fi
	rm -f "$KUBELET_DROP_INS/20-unregistered.conf"
	try systemctl restart kubelet
}

# goes_on: a control plane from what is on the disk, where an earlier run, or an earlier instance, has left it; also one of
# another version. These phases, with kube-proxy and CoreDNS, do what kubeadm upgrade apply does, which wants a control plane
# that runs.
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

# What kubeadm's checks would hold against a machine where it has run before.
left_by_earlier_run() {
	local name
	for name in kube-apiserver kube-controller-manager kube-scheduler etcd; do
		printf 'FileAvailable--etc-kubernetes-manifests-%s.yaml,' $name
	done
	printf 'Port-%s,' "$KUBE_API_PORT" 10250 10257 10259 2379 2380
	printf 'DirAvailable-%s' "${DISK//\//-}-etcd"
}

# more_units: a master's own. Certificates of a year would end on a master that is never rebooted. A snapshot is taken soon
# after each boot, and every KUBE_ETCD_SNAPSHOT_HOURS.
more_units() {
	put /etc/systemd/system/kube-certificates.service <<'CONF'
#@include kube-certificates.service
CONF
	put /etc/systemd/system/kube-certificates.timer <<'CONF'
#@include kube-certificates.timer
CONF
	put /etc/systemd/system/kube-etcd-snapshot.service <<'CONF'
#@include kube-etcd-snapshot.service
CONF
	if [ "$KUBE_ETCD_SNAPSHOT_HOURS" = 0 ]; then return; fi
	put /etc/systemd/system/kube-etcd-snapshot.timer <<CONF
#@include kube-etcd-snapshot.timer
CONF
}

# timer NAME: started, and at every boot from now on. Its unit was read by `units`.
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

#@if KUBEPROXY_TEST_LOG_LEVEL KUBEPROXY_TEST_ARGS
# kube-proxy takes flags only when it has no configuration file.
proxy_args() {
	local word command=''
	# shellcheck disable=SC2086 # arguments are words
	for word in /usr/local/bin/kube-proxy --kubeconfig=/var/lib/kube-proxy/kubeconfig.conf --proxy-mode=nftables \
		"--cluster-cidr=$CLUSTER_IP_RANGE" --conntrack-max-per-core=0 "--hostname-override=\$(NODE_NAME)" \
		$KUBEPROXY_TEST_LOG_LEVEL $KUBEPROXY_TEST_ARGS; do
		word=${word//\\/\\\\}
		command+="${command:+,}\"${word//\"/\\\"}\""
	done
	try kubectl --namespace kube-system patch daemonset kube-proxy --type json --patch \
		"[{\"op\":\"replace\",\"path\":\"/spec/template/spec/containers/0/command\",\"value\":[$command]}]"
}
#@end

# addon SHA256 FILE: the manifest with that hash into FILE, fetched once.
addon() {
	local words
	if [ -e "$2" ]; then return; fi
	words=$(object "addons/$1" "$RUN/addon") || die "$words"
	echo "$1 $RUN/addon" | sha256sum --quiet --check || die "s3://$KUBE_BUCKET/${KUBE_BUCKET_PREFIX}addons/$1 has another content"
	mv "$RUN/addon" "$2"
}

# unwanted_addons: deletes what an addon that is off by now was when it was last applied, as $DISK/addons has it.
unwanted_addons() {
	local file
	for file in "$DISK"/addons/*; do
		case " $ADDONS" in *" ${file##*/}:"*) continue ;; esac
		[ -e "$file" ] || continue
		try kubectl delete --ignore-not-found --wait=false --filename "$file"
		rm "$file"
	done
}

# ADDONS has NAME:SHA256 of each. Resources that are defined come before objects of them: kubectl refuses those of a kind
# that it does not find. With a resource all its objects would be deleted, and with the driver of volumes those who let go of
# them: these two stay once they are there.
addons() {
	local each file
	local -a files=()
#@if KUBEPROXY_TEST_LOG_LEVEL KUBEPROXY_TEST_ARGS
	proxy_args
#@end
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
	# Last of all, what the disk has now: until then an upgrade is not done.
	sync
	echo "$KUBERNETES_VERSION" | put $DISK/version
}

# Without arguments all steps; with some these, as kube-etcd-snapshot.service asks for.
if [ $# = 0 ]; then
	set -- settings host units ask_for_disk \
#@if KUBE_EXTRA_PACKAGES
		extra_packages \
#@end
#@if NODE_SCRIPT
		node_script \
#@end
		downloads containerd disk secrets control_plane addons
fi
main "$@"
