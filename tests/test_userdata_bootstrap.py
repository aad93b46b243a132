"""templates/bootstrap*.sh: their functions, run as shell on this computer, where nothing else shows them."""

from __future__ import annotations

import fcntl
import fnmatch
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from bootstrap import COMPONENTS, MASTER, MINION, Role, Shell

from lib.checks import fate
from lib.checks.situation import Asked, Begin, Disk, Situation
from lib.node import releases, userdata
from sandbox.hosts import controlplane


def test_each_step_is_named_on_the_console(tmp_path: Path) -> None:
    ran = Shell("minion", MINION, tmp_path).run("one() { :; }; two_words() { :; }", "main one two_words")
    assert ran.said == ["step 1/2 one: ok", "step 2/2 two words: ok", ran.said[-1]]
    assert re.fullmatch(r"done after \d+ s", ran.said[-1])


def test_a_step_that_fails_ends_the_run_in_its_own_words(tmp_path: Path) -> None:
    shell = Shell("minion", MINION, tmp_path)
    assert shell.run("one() { die no such luck; }", "main one two").said == ["step 1/2 one: failed: no such luck"]
    words = shell.run('one() { try sh -c "echo fine; echo Error: it broke; exit 3"; }', "main one").said
    assert words == ["step 1/1 one: failed: sh: Error: it broke"]
    words = shell.run("one() { ls /dev/null/none; }", "main one").said
    assert words[0].startswith("step 1/1 one: failed: ls /dev/null/none failed in line ")


def test_a_failed_run_exits_with_a_status(tmp_path: Path) -> None:
    assert Shell("minion", MINION, tmp_path).run("one() { false; }", "main one").status == 1


def test_a_download_is_placed_only_with_the_right_sum(tmp_path: Path) -> None:
    content = tmp_path / "kubectl"
    content.write_bytes(b"#!/bin/sh\n")
    sha256 = subprocess.run(["sha256sum", content], capture_output=True, text=True, check=True).stdout.split()[0]
    at = {"URL_KUBECTL": content.as_uri(), "SHA256_KUBECTL": sha256}
    functions = 'place() { echo "placed $1"; }; sleep() { :; }; mkdir -p "$STATE"'
    good = Shell("minion", {**MINION, **at}, tmp_path).run(functions, "eval_settings; download KUBECTL")
    assert good.output.splitlines() == ["placed KUBECTL"]
    at["SHA256_KUBECTL"] = "0" * 64
    bad = Shell("minion", {**MINION, **at}, tmp_path).run(functions, "eval_settings; download KUBECTL")
    assert bad.status != 0
    assert bad.output.count("attempt") == 5
    assert f"the sha256 of {content.as_uri()} is {sha256}, and must be {'0' * 64}" in bad.output


def test_a_download_that_cannot_be_reached_names_its_address(tmp_path: Path) -> None:
    every = {f"URL_{name}": "http://127.0.0.1:9/x/" + name.lower() for name in releases.NAMES}
    ran = Shell("minion", {**MINION, **every}, tmp_path).run("sleep() { :; }", "main eval_settings downloads")
    assert re.fullmatch(r"step 2/2 downloads: failed: curl: \(7\) .* \(http://127.0.0.1:9/x/\w+\)", ran.said[-1])


def test_masquerade_and_host_ports_go_by_iptables_alone_which_both_distributions_have(tmp_path: Path) -> None:
    """Debian's image for EC2 has no nft; its list of packages has iptables (as Ubuntu's has)."""
    stubs = """need() { echo "needs $1"; }
        put() { cat; }
        iptables-restore() { echo "iptables-restore $*"; }
        iptables() { case "$*" in *--check*) [ -n "$entered" ];; *) echo "iptables $*";; esac; }
    """
    shell = Shell("minion", MINION, tmp_path)
    first = shell.run(f"{stubs} entered=", "eval_settings; masquerade").output
    again = shell.run(f"{stubs} entered=yes", "eval_settings; masquerade").output
    assert first == again + "iptables --wait 30 --table nat --append POSTROUTING --jump POD-MASQUERADE\n"
    assert "needs iptables" in again
    assert "-A POD-MASQUERADE ! -s 10.244.0.0/16 -j RETURN" in again
    for text in (userdata.bootstrap("master"), userdata.bootstrap("minion")):
        assert '"type": "portmap", "backend": "iptables"' in text
        assert not re.search(r"\bnft\b", text)


def test_a_kernel_that_lacks_what_host_ports_need_ends_the_step_in_iptables_words(tmp_path: Path) -> None:
    """portmap's rules are tried, and gone with the same transaction; the words are those of iptables 1.8.11."""
    rules = tmp_path / "rules"
    stubs = f"""need() {{ :; }}; put() {{ cat >{rules}; }}; iptables() {{ :; }}
        iptables-restore() {{
            echo 'Warning: Extension multiport revision 0 not supported, missing kernel module?'
            echo 'iptables-restore v1.8.11 (nf_tables):'
            echo 'line 3: RULE_APPEND failed (No such file or directory): rule in chain POD-CHECK'
            return 4
        }}"""
    ran = Shell("minion", MINION, tmp_path).run(stubs, "main eval_settings masquerade")
    assert "masquerade: failed: iptables-restore: Warning: Extension multiport revision 0 not supported" in ran.said[-1]
    assert "RULE_APPEND failed (No such file or directory)" in ran.said[-1]
    lines = rules.read_text().splitlines()
    tried = [line for line in lines if line.startswith("-A POD-CHECK")]
    assert all(word in " ".join(tried) for word in ("comment", "multiport", "mark", "-j DNAT", "-j MARK"))
    assert lines.index("-X POD-CHECK") > lines.index(tried[-1])
    assert not any("-j POD-CHECK" in line for line in lines)


@pytest.mark.parametrize(
    ("status", "label", "made"),
    [
        (2, "", True),
        (0, "kube-unmade", True),
        (0, "kube-master", False),
        (0, "", False),
        (8, "", False),
        (4, "", False),
    ],
    ids=["empty", "making cut short", "ours", "somebody's", "ambiguous", "unreadable"],
)
def test_the_disk_is_formatted_only_when_nothing_is_on_it(tmp_path: Path, status: int, label: str, made: bool) -> None:
    stubs = f"""
        blkid() {{ case "$*" in *LABEL*) echo '{label}';; *) return {status};; esac; }}
        mkfs.ext4() {{ echo made; }}; e2label() {{ :; }}
    """
    ran = Shell("master", MASTER, tmp_path).run(stubs, "eval_settings; formatted /dev/x")
    assert ("made" in ran.output) is made
    assert (ran.status == 0) is (status in (0, 2))


@pytest.mark.parametrize("name", ["nvme-Amazon_Elastic_Block_Store_vol0abc", "virtio-vol0abc"])
def test_the_disk_is_found_by_its_volumes_id(tmp_path: Path, name: str) -> None:
    links = tmp_path / "by-id"
    links.mkdir()
    (links / name).symlink_to("/dev/null")
    shell = Shell(
        "master", {**MASTER, "MASTER_DISK_ID": "vol-0abc"}, tmp_path, {"/dev/disk/by-id": str(links), "-b ": "-e "}
    )
    assert shell.run("", "eval_settings; master_device").output.strip() == "/dev/null"


def test_a_masters_attaching_is_refused_in_aws_words(tmp_path: Path) -> None:
    stubs = """
        instance=i-1; master_device() { return 1; }
        refused='<Errors><Error><Code>VolumeInUse</Code><Message>vol-1 is used</Message></Error></Errors>'
        signed() { echo "<Response>$refused</Response>" >"$RUN/attach"; return 22; }
    """
    ran = Shell("master", MASTER, tmp_path).run(stubs, "eval_settings; ask_for_disk")
    assert ran.output.strip() == "AttachVolume: VolumeInUse: vol-1 is used"


def kubeadm(tmp_path: Path, **settings: str) -> dict[str, dict[str, Any]]:
    """The documents that kubeadm init is given, by kind."""
    shell = Shell("master", {**MASTER, **settings}, tmp_path, {"put /etc/": f"put {tmp_path}/etc/"})
    facts = "node=ip-172-20-0-9.us-west-2.compute.internal; address=172.20.0.9"
    token = 'echo abcdef.0123456789abcdef >"$RUN/join-token"'
    ran = shell.run(f"{facts}; {token}", 'eval_settings; kubeadm_config; cat "$RUN/kubeadm.yaml"')
    assert ran.status == 0, ran.output
    return {document["kind"]: document for document in yaml.safe_load_all(ran.output)}


def arguments(component: dict[str, Any], name: str) -> list[str]:
    return [each["value"] for each in component["extraArgs"] if each["name"] == name]


def test_kubeadm_is_given_the_address_the_port_and_every_name_of_the_original(tmp_path: Path) -> None:
    documents = kubeadm(tmp_path, KUBE_API_PORT="8443")
    cluster = documents["ClusterConfiguration"]
    assert documents["InitConfiguration"]["localAPIEndpoint"] == {"advertiseAddress": "172.20.0.9", "bindPort": 8443}
    assert cluster["controlPlaneEndpoint"] == "172.20.0.9:8443"
    assert cluster["kubernetesVersion"] == "v1.37.2"
    assert cluster["encryptionAlgorithm"] == "ECDSA-P256"
    assert set(cluster["apiServer"]["certSANs"]) == {
        *("203.0.113.9", "172.20.0.9", "10.0.0.1", "kubernetes-master", "kubernetes", "kubernetes.default"),
        *("kubernetes.default.svc", "kubernetes.default.svc.cluster.local"),
    }
    assert documents["InitConfiguration"]["bootstrapTokens"][0]["token"] == "abcdef.0123456789abcdef"


def test_a_master_without_a_public_address_has_none_in_its_certificate(tmp_path: Path) -> None:
    names = kubeadm(tmp_path, MASTER_PUBLIC_IP="")["ClusterConfiguration"]["apiServer"]["certSANs"]
    assert names[0] == "172.20.0.9"
    assert None not in names


def test_a_name_of_the_api_is_in_its_certificate(tmp_path: Path) -> None:
    """KUBE_API_DNS_NAME comes beside the address, or in its place (lib/node/kubeenv.py)."""
    names = kubeadm(tmp_path, MASTER_PUBLIC_IP="203.0.113.9, api.example.com")["ClusterConfiguration"]["apiServer"]
    assert names["certSANs"][:3] == ["203.0.113.9", "api.example.com", "172.20.0.9"]
    names = kubeadm(tmp_path, MASTER_PUBLIC_IP="api.example.com")["ClusterConfiguration"]["apiServer"]
    assert names["certSANs"][:2] == ["api.example.com", "172.20.0.9"]


def test_test_arguments_and_log_levels_reach_their_component_after_our_own(tmp_path: Path) -> None:
    given = {
        **{f"{name}_TEST_ARGS": f"--of={name.lower()} --flag" for name in COMPONENTS},
        **{f"{name}_TEST_LOG_LEVEL": "--v=4" for name in COMPONENTS},
        "SCHEDULER_TEST_ARGS": "--leader-elect=true --it=isn't",
    }
    documents = kubeadm(tmp_path, **given)
    cluster = documents["ClusterConfiguration"]
    for part, name in (("apiServer", "apiserver"), ("controllerManager", "controller_manager")):
        assert arguments(cluster[part], "of") == [name]
        assert arguments(cluster[part], "v") == ["4"]
        assert arguments(cluster[part], "flag") == ["true"]
    assert arguments(cluster["scheduler"], "leader-elect") == ["false", "true"]
    assert arguments(cluster["scheduler"], "it") == ["isn't"]
    kubelet = {
        each["name"]: each["value"] for each in documents["InitConfiguration"]["nodeRegistration"]["kubeletExtraArgs"]
    }
    assert kubelet == {"cloud-provider": "external", "node-ip": "172.20.0.9", "v": "4", "of": "kubelet", "flag": "true"}


def test_feature_gates_reach_every_component_and_runtime_config_the_api_server(tmp_path: Path) -> None:
    documents = kubeadm(tmp_path, FEATURE_GATES="A=true,B=false", KUBE_RUNTIME_CONFIG="api/all=true")
    cluster = documents["ClusterConfiguration"]
    for part in ("apiServer", "controllerManager", "scheduler"):
        assert arguments(cluster[part], "feature-gates") == ["A=true,B=false"]
    assert arguments(cluster["apiServer"], "runtime-config") == ["api/all=true"]
    assert documents["KubeProxyConfiguration"]["featureGates"] == {"A": True, "B": False}


@pytest.mark.parametrize("wanted", ["true", "false"])
def test_the_clusters_dns_is_an_option(tmp_path: Path, wanted: str) -> None:
    cluster = kubeadm(tmp_path, KUBE_ENABLE_CLUSTER_DNS=wanted)["ClusterConfiguration"]
    assert cluster["dns"]["disabled"] is (wanted == "false")


def test_labels_eviction_and_gates_reach_the_kubelet(tmp_path: Path) -> None:
    settings = {
        "EVICTION_HARD": "memory.available<100Mi,nodefs.available<10%",
        "FEATURE_GATES": "A=true",
        "NODE_LABELS": "a=b,c=d",
    }
    shell = Shell("minion", {**MINION, **settings}, tmp_path, {"put /etc/": f"put {tmp_path}/etc/"})
    facts = "node=n; address=172.20.0.20; provider=aws:///us-west-2a/i-1; systemctl() { :; };"
    facts += (
        f"KUBELET_DROP_INS={tmp_path}; joined() {{ false; }}; until_or_die() {{ :; }}; try() {{ :; }}; rm() {{ :; }};"
    )
    facts += "hide_kubelet_config() { :; }"
    ran = shell.run(facts, f'eval_settings; join; cat {tmp_path}/10-node.conf; echo ---; cat "$RUN/join.yaml"')
    kubelet, join = yaml.safe_load_all(ran.output)
    assert kubelet["evictionHard"] == {"memory.available": "100Mi", "nodefs.available": "10%"}
    assert kubelet["featureGates"] == {"A": True}
    assert kubelet["providerID"] == "aws:///us-west-2a/i-1"
    assert {"name": "node-labels", "value": "a=b,c=d"} in join["nodeRegistration"]["kubeletExtraArgs"]


def test_a_registry_mirror_is_asked_first_and_an_insecure_one_not_verified(tmp_path: Path) -> None:
    settings = {"DOCKER_REGISTRY_MIRROR_URL": "https://mirror.example.com", "KUBE_ENABLE_INSECURE_REGISTRY": "true"}
    hosts = tmp_path / "etc/containerd/certs.d/_default/hosts.toml"
    rename = {"put /etc/": f"put {tmp_path}/etc/"}
    Shell("minion", {**MINION, **settings}, tmp_path, rename).run("", "eval_settings; registry")
    assert '[host."https://mirror.example.com"]' in hosts.read_text()
    assert hosts.read_text().splitlines().index("skip_verify = true") > 0  # above the first [host] it is for all
    Shell("minion", MINION, tmp_path, rename).run("", "eval_settings; registry")
    assert hosts.read_text() == ""


@pytest.mark.parametrize(
    ("region", "name", "node"),
    [
        ("us-west-2", "ip-172-20-0-9.us-west-2.compute.internal", "ip-172-20-0-9.us-west-2.compute.internal"),
        ("us-east-1", "ip-172-20-0-9.ec2.internal", "ip-172-20-0-9.ec2.internal"),
        ("eu-west-1", "ip-172-20-0-9.corp.example.com more.example.com", "ip-172-20-0-9.eu-west-1.compute.internal"),
    ],
)
def test_a_node_is_named_by_its_private_dns_name(tmp_path: Path, region: str, name: str, node: str) -> None:
    stub = f"""imds() {{
        case $1 in
        local-hostname) echo "{name}" ;; instance-id) echo i-1 ;; *zone) echo {region}a ;; *) echo 172.20.0.9 ;;
        esac
    }}"""
    ran = Shell("minion", {**MINION, "AWS_REGION": region}, tmp_path).run(
        stub, 'eval_settings; identity; echo "$node $provider"'
    )
    assert ran.output.strip() == f"{node} aws:///{region}a/i-1"


def test_a_minion_waits_while_a_dead_instances_node_has_its_name(tmp_path: Path) -> None:
    def free(answer: str) -> str:
        stub = f"node=n; provider=aws:///us-west-2a/i-new; api() {{ printf '{answer}'; }}"
        ran = Shell("minion", MINION, tmp_path).run(stub, "eval_settings; name_is_free && echo free || echo not yet")
        return ran.output.strip()

    assert free(r"{}\n404") == "free"
    assert free(r'{"spec": {"providerID": "aws:///us-west-2a/i-old"}}\n200') == "not yet"
    assert free(r'{"spec": {"providerID": "aws:///us-west-2a/i-new"}}\n200') == "free"
    assert free(r"\n503") == "not yet"


@pytest.mark.parametrize(
    ("mib", "cores", "said"),
    [
        (952, 2, "cpu: 70m, memory: 255Mi"),
        (1024, 2, "cpu: 70m, memory: 256Mi"),
        (1912, 2, "cpu: 70m, memory: 478Mi"),
        (4096, 1, "cpu: 60m, memory: 1024Mi"),
        (8192, 2, "cpu: 70m, memory: 1843Mi"),
        (16384, 4, "cpu: 80m, memory: 2662Mi"),
        (131072, 32, "cpu: 150m, memory: 9543Mi"),
        (262144, 96, "cpu: 310m, memory: 12165Mi"),
    ],
)
def test_memory_and_cpu_are_reserved_by_the_machines_size(tmp_path: Path, mib: int, cores: int, said: str) -> None:
    """As GKE's table has it: 25, 20, 10, 6 and 2% of memory, and 6, 1, 0.5 and 0.25% of a core; 255 MiB at least."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemFree:  1 kB\nMemTotal:  {mib * 1024 + 7} kB\n")
    shell = Shell("minion", MINION, tmp_path, {"/proc/meminfo": str(meminfo)})
    assert shell.run(f"nproc() {{ echo {cores}; }}", "reserved").output == said


def test_what_is_reserved_is_in_the_kubelets_settings(tmp_path: Path) -> None:
    shell = Shell("master", MASTER, tmp_path, {"put /etc/": f"put {tmp_path}/etc/"})
    stubs = f"KUBELET_DROP_INS={tmp_path}; provider=p; systemctl() {{ :; }}"
    ran = shell.run(stubs, "eval_settings; kubelet_config")
    assert ran.status == 0, ran.output
    settings = yaml.safe_load((tmp_path / "10-node.conf").read_text())
    assert re.fullmatch(r"\d+m", settings["kubeReserved"]["cpu"])
    assert re.fullmatch(r"\d+Mi", settings["kubeReserved"]["memory"])
    assert "enforceNodeAllocatable" not in settings  # pods, the kubelet's own default


def test_foreign_routes_and_the_bridges_address_are_left_alone(tmp_path: Path) -> None:
    shell = Shell("minion", MINION, tmp_path, {"put /etc/": f"put {tmp_path}/"})
    ran = shell.run("udevadm() { return 1; }", "networkd; networkd")
    assert ran.status == 0, ran.output
    assert "ManageForeignRoutes=no" in (tmp_path / "systemd/networkd.conf.d/kube-bootstrap.conf").read_text()
    link = (tmp_path / "systemd/network/10-kube-bootstrap.link").read_text()
    assert link == "[Match]\nOriginalName=cbr0 veth*\n[Link]\nMACAddressPolicy=none\n"


def test_a_minion_joins_once_the_cluster_has_signed_for_its_token(tmp_path: Path) -> None:
    def signed(data: str) -> str:
        stub = f"""api() {{ echo '{{"data": {{{data}}}}}'; }}"""
        ran = Shell("minion", MINION, tmp_path).run(stub, "eval_settings; token_is_signed && echo yes || echo not yet")
        return ran.output.strip()

    assert signed('"kubeconfig": "x", "jws-kubeconfig-abcdef": "eyJ..x"') == "yes"
    assert signed('"kubeconfig": "x", "jws-kubeconfig-fedcba": "eyJ..x"') == "not yet"
    assert signed('"kubeconfig": "abcdef"') == "not yet"
    text = userdata.script("minion", MINION)
    assert text.index(" token_is_signed\n") < text.index("kubeadm join")


def test_a_wait_says_the_last_that_was_lacking(tmp_path: Path) -> None:
    stubs = f"""sleep() {{ SECONDS=$((SECONDS + 29)); }}
        there() {{
            if [ -e {tmp_path}/asked ]; then return 1; fi
            touch {tmp_path}/asked
            echo 'AttachVolume: VolumeInUse' >&2
            return 1
        }}
        disk() {{ until_or_die 70 'the disk' there; }}
    """
    ran = Shell("master", MASTER, tmp_path).run(stubs, "main disk")
    lacks = "the disk (AttachVolume: VolumeInUse)"
    assert ran.said == [f"waiting for {lacks}", f"step 1/1 disk: failed: gave up waiting for {lacks}"]


def test_a_wait_that_ends_its_run_says_why(tmp_path: Path) -> None:
    stubs = "refused() { die 'the token is refused'; }; joined() { until_or_die 70 'the master' refused; }"
    ran = Shell("minion", MINION, tmp_path).run(stubs, "main joined")
    assert ran.said == ["step 1/1 joined: failed: the token is refused"]


@pytest.mark.parametrize(("role", "settings"), [("master", MASTER), ("minion", MINION)], ids=["master", "minion"])
def test_systemd_reads_its_units_once_a_run(role: Role, settings: dict[str, str]) -> None:
    """And once when the script installs itself: each time takes a good part of a second before a node is Ready."""
    text = userdata.script(role, settings)
    assert text.count("systemctl daemon-reload") == 2
    assert all("--no-reload" in line for line in text.splitlines() if "systemctl enable" in line)
    steps = re.findall(r"(?:^main|set --) (settings .+?)$", text.replace("\\\n", ""), re.MULTILINE)[-1].split()
    assert steps.index("units") < steps.index("containerd")
    written = re.findall(r"put /etc/systemd/system/(\S+)", text[text.index("\nunits() {") :])
    assert {"containerd.service", "kubelet.service"} <= set(written)


def test_the_controller_manager_is_not_held_up_by_its_own_limit(tmp_path: Path) -> None:
    manager = kubeadm(tmp_path, CONTROLLER_MANAGER_TEST_ARGS="--kube-api-qps=20")["ClusterConfiguration"]
    assert arguments(manager["controllerManager"], "kube-api-qps") == ["100", "20"]  # the later one wins
    assert arguments(manager["controllerManager"], "kube-api-burst") == ["200"]


def test_a_refused_join_token_is_said(tmp_path: Path) -> None:
    stub = "node=n; provider=p; api() { printf '\\n401'; }"
    ran = Shell("minion", MINION, tmp_path).run(stub + "; joins() { name_is_free; }", "main eval_settings joins")
    assert ran.said[-1] == "step 2/2 joins: failed: the master refuses the join token (401)"


ENDED = "main() { :; }; step='step 1/2 host'; why=''; trap ended EXIT; "


def test_a_file_that_cannot_be_written_is_named_with_the_systems_words(tmp_path: Path) -> None:
    (tmp_path / "settings.new").mkdir()
    ran = Shell("minion", MINION, tmp_path).run("", f"{ENDED} echo a | put {tmp_path}/settings")
    assert ran.said == [f"step 1/2 host: failed: {tmp_path}/settings cannot be written: Is a directory"]


def test_what_kubeadm_warns_of_is_not_taken_for_its_error_and_the_kubelets_own_is_added(tmp_path: Path) -> None:
    stubs = """kubeadm() {
        echo '	[WARNING SystemVerification]: cgroups v1 support failed'
        echo 'error: error execution phase wait-control-plane: failed while waiting for the kubelet to start'
        return 1
    }
    systemctl() { return 3; }
    journalctl() { printf '%s\\n' 'I1 started' 'E1124 "failed to set gates" err="unrecognized feature gate: Nope"'; }
    """
    ran = Shell("minion", MINION, tmp_path).run(stubs, f"{ENDED} try kubeadm init")
    assert ran.said == [
        "step 1/2 host: failed: kubeadm: error: error execution phase wait-control-plane: failed while waiting for the "
        'kubelet to start; the kubelet does not run: E1124 "failed to set gates" '
        'err="unrecognized feature gate: Nope"'
    ]


def test_downloads_are_placed_once_and_one_that_cannot_be_says_why(tmp_path: Path) -> None:
    stubs = """fetch() { touch "$3"; }
    place() { [ "$1" != CNI ] || { echo 'tar: opt/cni/bin/bridge: No space left on device' >&2; return 1; }; }
    """
    shell = Shell("minion", MINION, tmp_path)
    ran = shell.run(stubs, f"eval_settings; {ENDED} downloads")
    assert ran.said == ["step 1/2 host: failed: tar: opt/cni/bin/bridge: No space left on device"]
    ran = shell.run(
        'fetch() { touch "$3"; }; place() { echo "$1"; }', "eval_settings; downloads; echo again; downloads"
    )
    assert sorted(ran.output.partition("again")[0].split()) == sorted(releases.NAMES)
    assert ran.output.partition("again")[2].split() == []  # what is placed is left alone


ETCD = """
    etcd_tools() { mkdir -p "$ETCD_TOOLS"; for name in etcdctl etcdutl; do make $name; done; }
    make() { printf '#!/bin/bash\\n%s\\n' "${!1}" >"$ETCD_TOOLS/$1"; chmod +x "$ETCD_TOOLS/$1"; }
    put_object() { echo "put $1 $(gzip -dc "$2")" >&2; }
    sync() { :; }
    PKI=/pki
"""


# What etcd 3.6 and 3.7 say of themselves, but for the sizes.
STATUS = (
    '[{"Endpoint":"https://127.0.0.1:2379","Status":{"header":{"cluster_id":14841639068965178418,"revision":12,'
    '"raft_term":2},"version":"3.7.0","dbSize":%d,"leader":10276657743932975437,"raftIndex":16,"dbSizeInUse":%d,'
    '"storageVersion":"3.7.0","dbSizeQuota":16777216,"downgradeInfo":{}}}]'
)
MIB = 2**20


@pytest.mark.parametrize(
    ("size", "used", "alarm", "asked"),
    [
        (90 * MIB, 10 * MIB, "", []),  # not worth it
        (900 * MIB, 700 * MIB, "", []),  # most of it is used
        (900 * MIB, 400 * MIB, "", ["defrag"]),
        (
            30 * MIB,
            20 * MIB,
            "memberID:1 alarm:NOSPACE ",
            ["compact --physical 12", "defrag", "disarm"],
        ),
    ],
    ids=["small", "in use", "half free", "alarm"],
)
def test_etcd_gives_room_back_where_it_is_worth_it_and_ends_its_alarm(
    tmp_path: Path, size: int, used: int, alarm: str, asked: list[str]
) -> None:
    etcdctl = f"""case $* in
        *'endpoint status'*) echo '{STATUS % (size, used)}' ;;
        *'alarm list') printf '{alarm}' ;;
        *) echo "$*" >>{tmp_path}/asked ;;
        esac"""
    stubs = f"etcdutl=true etcdctl={shlex.quote(etcdctl)}\n{ETCD}".replace("PKI=/pki", "")
    ran = Shell("master", MASTER, tmp_path).run(stubs, "main eval_settings etcd_room")
    assert ran.said[-2:-1] == ["step 2/2 etcd room: ok"], ran.output
    log = tmp_path / "asked"
    lines = log.read_text().splitlines() if log.exists() else []
    assert len(lines) == len(asked)
    assert all(words in line for words, line in zip(asked, lines, strict=True))
    assert any(f"etcd: {size} bytes, of which it used {used}" in line for line in ran.said) is bool(asked)


def test_what_containerd_made_of_a_file_that_was_not_there_does_not_stop_a_control_plane(tmp_path: Path) -> None:
    """A run that was cut short leaves a kubelet; it starts pods that mount these files while they are made again."""
    made = tmp_path / "scheduler.conf"
    made.mkdir()
    stubs = """
        systemctl() { if [ "$*" = "stop kubelet" ]; then touch "$STATE/stopped"; fi; }
        rm() { if [[ $* = *.conf* && ! -e $STATE/stopped ]]; then say "a kubelet runs"; fi; command rm "$@"; }
        openssl() { return 0; }
    """
    ran = Shell("master", MASTER, tmp_path, {"/etc/kubernetes": str(tmp_path)}).run(stubs, "stale_identities")
    assert (ran.status, ran.said) == (0, []), ran.output
    assert not made.exists()


@pytest.mark.parametrize(
    ("etcdctl", "etcdutl", "said"),
    [
        ('echo all >"${@: -1}"', """echo '{"hash":1,"totalKey":422,"totalSize":9}'""", "422 keys"),
        ('echo all >"${@: -1}"', """echo '{"hash":1,"totalKey":0,"totalSize":9}'""", "the snapshot is empty"),
        ('echo all >"${@: -1}"', "exit 1", "the snapshot is broken"),
        ("echo Error: no leader; exit 1", "exit 1", "etcdctl: Error: no leader"),
    ],
    ids=["whole", "empty", "broken", "not taken"],
)
def test_only_a_whole_snapshot_is_put_into_the_bucket(tmp_path: Path, etcdctl: str, etcdutl: str, said: str) -> None:
    shell = Shell("master", MASTER, tmp_path, {"/mnt/master-pd": str(tmp_path), "PKI=/etc/kubernetes/pki": "X=x"})
    (tmp_path / "initialized").touch()
    tools = f"etcdctl='{etcdctl}'\netcdutl={shlex.quote(etcdutl)}\n{ETCD}"
    ran = shell.run(tools, "main eval_settings etcd_snapshot")
    assert any(said in line for line in ran.said), ran.output
    assert ("put etcd-snapshot.db.gz all" in ran.output) is (said == "422 keys")
    assert (ran.status == 0) is (said == "422 keys")
    assert said != "422 keys" or list((tmp_path / "state").iterdir()) == []  # secrets of the cluster stay nowhere else


def test_a_snapshot_is_restored_on_an_empty_disk_as_the_member_that_kubeadm_starts(tmp_path: Path) -> None:
    settings = {**MASTER, "KUBE_RESTORE_VERSION": "v%2F1"}
    shell = Shell("master", settings, tmp_path, {"/mnt/master-pd": str(tmp_path)})
    tools = f"""node=n; etcdctl=true
        etcdutl='echo "$@" >{tmp_path}/asked; mkdir -p "{tmp_path}/etcd.new/member"'
        {ETCD}
        object() {{ [ "$1" = 'etcd-snapshot.db.gz?versionId=v%2F1' ] && echo all | gzip >"$2"; }}
    """
    (tmp_path / "etcd").mkdir()
    (tmp_path / "etcd" / "torn").touch()
    ran = shell.run(tools.replace("PKI=/pki", ""), "main eval_settings etcd_restored")
    assert ran.status == 0, ran.output
    asked = (tmp_path / "asked").read_text()
    assert f"--data-dir {tmp_path}/etcd.new --name n --initial-cluster n=https://172.20.0.9:2380" in asked
    assert "--initial-advertise-peer-urls https://172.20.0.9:2380 --bump-revision" in asked
    assert [path.name for path in (tmp_path / "etcd").iterdir()] == ["member"]


def upgraded(
    tmp_path: Path, has: str, wanted: str, *, broken: str = ":", **settings: str
) -> tuple[str, str, list[str]]:
    """What the control plane's step makes of a disk that has a version: its words, and what is on the disk after it."""
    disk, manifests = tmp_path / "disk", tmp_path / "manifests"
    for folder in (disk, manifests):
        folder.mkdir(exist_ok=True, parents=True)
    (disk / "initialized").touch()
    (manifests / "kube-apiserver.yaml").write_text(f"    image: registry.k8s.io/kube-apiserver:v{has}\n")
    arguments = "".join(f"    - {word}\n" for word in ("etcd", "--name=n", "--data-dir=/mnt/master-pd/etcd"))
    (manifests / "etcd.yaml").write_text(f"    command:\n{arguments}    image: registry.k8s.io/etcd:3.6.8-0\n")
    places = {"/mnt/master-pd": str(disk), "MANIFESTS=/etc/kubernetes/manifests": f"MANIFESTS={manifests}"}
    stubs = """
        etcd_tools() { mkdir -p "$ETCD_TOOLS"; make etcdctl "$healthy"; make etcd "$serve"; }
        make() { printf '#!/bin/bash\\n%s\\n' "$2" >"$ETCD_TOOLS/$1"; chmod +x "$ETCD_TOOLS/$1"; }
        healthy="[ -e $RUN/ran ]" serve="echo old etcd \\$@ >>$RUN/ran; exec sleep 60"
        etcd_snapshot() { BROKEN; echo snapshot >>"$RUN/ran"; }
        sleep() { command sleep 0.01; }; sync() { :; }
    """
    shell = Shell("master", {**MASTER, "KUBERNETES_VERSION": wanted, **settings}, tmp_path, places)
    ran = shell.run(stubs.replace("BROKEN", broken), "main eval_settings upgrading")
    log = tmp_path / "run" / "ran"
    lines = log.read_text().splitlines() if log.exists() else []
    return " ".join(ran.said), (disk / "version").read_text().strip(), lines


def test_before_an_upgrade_the_old_etcd_gives_a_snapshot_once(tmp_path: Path) -> None:
    said, has, ran = upgraded(tmp_path, "1.36.3", "1.37.2")
    assert ("upgrading from Kubernetes 1.36.3 to 1.37.2" in said, has) == (True, "1.36.3")
    assert ran == ["old etcd --name=n --data-dir=/mnt/master-pd/etcd", "snapshot"]
    # A run that was cut short after the manifests were written: what is on the disk may be the new etcd's by now.
    (tmp_path / "run" / "ran").unlink()
    said, has, ran = upgraded(tmp_path, "1.37.2", "1.37.2")
    assert ("upgrading from Kubernetes 1.36.3 to 1.37.2" in said, has, ran) == (True, "1.36.3", [])


def test_the_same_version_is_no_upgrade(tmp_path: Path) -> None:
    said, has, ran = upgraded(tmp_path, "1.37.2", "1.37.2")
    assert ("upgrading" in said.replace("upgrading: ok", ""), has, ran) == (False, "1.37.2", [])


def test_without_a_bucket_of_versions_an_upgrade_has_no_snapshot(tmp_path: Path) -> None:
    said, _, ran = upgraded(tmp_path, "1.36.3", "1.36.4", KUBE_ETCD_SNAPSHOT_HOURS="0")
    assert ("warning: no snapshot of etcd" in said, "to 1.36.4" in said, ran) == (True, True, [])


@pytest.mark.parametrize(
    ("has", "wanted", "words"),
    [
        ("1.35.9", "1.37.2", "Kubernetes 1.35.9, which is on vol-0123456789abcdef0, cannot become 1.37.2 in one step"),
        ("1.37.2", "1.36.3", "what is on vol-0123456789abcdef0 is Kubernetes 1.37.2 by now, and cannot become 1.36.3"),
        (
            "1.37.10",
            "1.37.2",
            "what is on vol-0123456789abcdef0 is Kubernetes 1.37.10 by now, and cannot become 1.37.2",
        ),
    ],
)
def test_a_disk_of_a_version_that_is_too_far_is_left_alone(tmp_path: Path, has: str, wanted: str, words: str) -> None:
    said, _, ran = upgraded(tmp_path, has, wanted)
    assert said.endswith(f"failed: {words}")
    assert ran == []


def runs_rule(has: str, wanted: str) -> bool:
    """Whether kube_up.py lets a disk of the one release become the other."""
    asked = Asked("kubernetes", "kubernetes-master-pd", version=wanted, says_version=wanted)
    return isinstance(fate.begin(Situation(asked, remembered=has, disk=Disk("vol-1", version=has))), Begin)


def sandboxes_rule(has: str, wanted: str) -> bool:
    """Whether the stand-in's bootstrap does."""
    disks = {"vol-1": has}
    try:
        controlplane._upgrade(disks, "vol-1", wanted)
    except controlplane.NotYet:
        return False
    return disks == {"vol-1": wanted}


@pytest.mark.parametrize("has", ["1.35.9", "1.36.3", "1.36.12", "1.37.2", "1.38.0"])
def test_the_bootstraps_rule_about_releases_is_the_runs(tmp_path: Path, has: str) -> None:
    """What is on a disk decides, so the rule stands in the bootstrap too; and in the sandbox's stand-in for it."""
    for wanted in ("1.36.3", "1.36.12", "1.37.2"):
        said = upgraded(tmp_path / wanted, has, wanted)[0]
        assert ("failed: " not in said, sandboxes_rule(has, wanted)) == (runs_rule(has, wanted),) * 2, (has, wanted)


def test_an_upgrade_that_has_begun_goes_up_only(tmp_path: Path) -> None:
    """As one whose snapshot failed leaves it, the disk is the old release's; afterwards no more."""
    assert "upgrading from" in upgraded(tmp_path, "1.36.3", "1.37.2")[0]
    said, has, _ = upgraded(tmp_path, "1.36.3", "1.36.3")
    assert said.endswith("is Kubernetes 1.37.2 by now, and cannot become 1.36.3")
    assert "upgrading from Kubernetes 1.36.3 to 1.37.5" in upgraded(tmp_path, has, "1.37.5")[0]


def test_a_snapshot_for_an_upgrade_that_was_called_off_is_none_for_a_later_one(tmp_path: Path) -> None:
    upgraded(tmp_path, "1.36.3", "1.36.3")
    (tmp_path / "disk" / "saved").write_text("1.36.3\n")
    upgraded(tmp_path, "1.36.3", "1.36.3")
    assert "snapshot" in upgraded(tmp_path, "1.36.3", "1.37.2")[2]


def test_no_snapshot_is_none_for_a_later_attempt(tmp_path: Path) -> None:
    upgraded(tmp_path, "1.36.3", "1.37.2", KUBE_ETCD_SNAPSHOT_HOURS="0")
    assert not (tmp_path / "disk" / "saved").exists()


def test_an_upgrade_whose_snapshot_failed_can_be_called_off(tmp_path: Path) -> None:
    said, _, _ = upgraded(tmp_path, "1.36.3", "1.37.2", broken='kill $pid; die "S3 refuses it"')
    assert said.endswith("failed: S3 refuses it")
    said, has, _ = upgraded(tmp_path, "1.36.3", "1.36.3")
    assert ("failed" in said, has) == (False, "1.36.3")


ECR_HOSTS = [
    *("123456789012.dkr.ecr.us-west-2.amazonaws.com", "123456789012.dkr.ecr.us-gov-east-1.amazonaws.com"),
    *("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "123456789012.dkr.ecr-fips.us-east-1.amazonaws.com"),
    *("123456789012.dkr-ecr.us-west-2.on.aws", "123456789012.dkr-ecr-fips.us-west-2.on.aws"),
    "123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
]
OTHER_HOSTS = [
    "registry.k8s.io",
    "public.ecr.aws",
    "ecr.us-west-2.amazonaws.com",
    "x.dkr.ecr.us-west-2.amazonaws.com.io",
]


def test_the_kubelet_asks_the_credential_provider_that_was_placed_about_ecr_alone(tmp_path: Path) -> None:
    """Names as its own tests have them (cmd/ecr-credential-provider); matched as the kubelet does, label by label."""
    etc = {"/etc/": f"{tmp_path}/etc/", "/usr/local/bin": f"{tmp_path}/bin", "/run/systemd/": "/nonexistent/"}
    shell = Shell("minion", MINION, tmp_path, etc)
    stubs = "systemctl() { :; }; provider=aws:///a/i-1; KUBELET_DROP_INS=" + str(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "got").write_text("#!/bin/sh\n")
    commands = f"eval_settings; kubelet_config; units; place ECR_CREDENTIAL_PROVIDER {tmp_path}/got"
    ran = shell.run(stubs.replace("KUBELET_DROP_INS=", "#"), f"KUBELET_DROP_INS={tmp_path}/conf; {commands}")
    assert ran.status == 0, ran.output
    unit = (tmp_path / "etc/systemd/system/kubelet.service").read_text()
    flags = dict(re.findall(r"--(image-credential-provider-[a-z-]+)=(\S+)", unit))
    config = yaml.safe_load(Path(flags["image-credential-provider-config"]).read_text())
    (provider,) = config["providers"]
    assert (Path(flags["image-credential-provider-bin-dir"]) / provider["name"]).stat().st_mode & 0o111

    def asked(host: str) -> bool:
        globs = [glob.split(".") for glob in provider["matchImages"]]
        labels = host.split(".")
        return any(len(g) == len(labels) and all(map(fnmatch.fnmatchcase, labels, g)) for g in globs)

    assert [host for host in ECR_HOSTS if not asked(host)] == []
    assert [host for host in OTHER_HOSTS if asked(host)] == []


APT = """
    dpkg-query() { if [ -e "$STATE/has-${@: -1}" ]; then echo installed; fi; }
    dpkg() { echo "dpkg $*"; }
    sleep() { :; }
    apt-get() {
        case " $* " in
        *" update "*) echo update >>"$STATE/asked"; if locked; then return 100; fi; touch "$STATE/lists" ;;
        *" nosuch "*) echo 'E: Unable to locate package nosuch'; return 100 ;;
        *) echo install >>"$STATE/asked"; [ -e "$STATE/lists" ] || return 100; touch "$STATE/has-${@: -1}" ;;
        esac
    }
    locked() { return 1; }
"""
HELD = """
    locked() {
        if [ -e "$STATE/once" ]; then return 1; fi
        touch "$STATE/once"
        echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)'
    }
"""
# What dpkg 1.21, as in Ubuntu 22.04 and Debian 12, and 1.22, as in Debian 13 and Ubuntu 24.04, say of it.
DPKGS_WORDS = [
    "dpkg: error: dpkg frontend lock was locked by another process with pid 28444",
    "dpkg: error: dpkg frontend lock was locked by /usr/bin/python3.13 process with pid 28444",
]


@pytest.mark.parametrize("words", DPKGS_WORDS)
def test_another_dpkg_is_waited_for(tmp_path: Path, words: str) -> None:
    held = f"""
    touch "$STATE/lists"
    dpkg() {{
        echo dpkg >>"$STATE/asked"
        if [ ! -e "$STATE/once" ]; then touch "$STATE/once"; echo '{words}'; return 2; fi
    }}
    """
    shell = Shell("minion", {**MINION, "KUBE_EXTRA_PACKAGES": "nfs-common"}, tmp_path)
    ran = shell.run(APT + held, "main eval_settings extra_packages")
    assert ran.said[1] == "step 2/2 extra packages: ok", ran.output
    assert (tmp_path / "state" / "asked").read_text().split() == ["dpkg", "dpkg", "install"]


@pytest.mark.skipif(not shutil.which("dpkg"), reason="no dpkg on this computer")
def test_a_lock_that_is_held_is_told_from_dpkgs_own_words(tmp_path: Path) -> None:
    for name in ("info", "updates", "triggers"):
        (tmp_path / "admin" / name).mkdir(parents=True)
    (tmp_path / "admin" / "status").touch()
    (tmp_path / "admin" / "available").touch()
    asked = f"unlocked dpkg --force-not-root --admindir={tmp_path}/admin --configure --pending"
    shell = Shell("minion", {**MINION, "KUBE_EXTRA_PACKAGES": "nfs-common"}, tmp_path)
    with (tmp_path / "admin" / "lock-frontend").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        held = shell.run(":", f"{asked} && echo free || echo held")
    assert held.output.split()[-1] == "held", held.output
    free = shell.run(":", f"{asked} && echo free || echo held")
    assert free.output.split() == ["free"]


@pytest.mark.parametrize(
    ("more", "asked"),
    [
        ("touch $STATE/has-nfs-common", []),
        ("touch $STATE/lists", ["install"]),
        (":", ["install", "update", "install"]),
        (HELD, ["install", "update", "update", "install"]),
    ],
    ids=["there", "with lists", "without lists", "lists locked"],
)
def test_extra_packages_are_asked_of_the_mirror_only_when_needed(tmp_path: Path, more: str, asked: list[str]) -> None:
    shell = Shell("minion", {**MINION, "KUBE_EXTRA_PACKAGES": "nfs-common"}, tmp_path)
    ran = shell.run(APT + more, "main eval_settings extra_packages")
    assert ran.said[1] == "step 2/2 extra packages: ok", ran.output
    log = tmp_path / "state" / "asked"
    assert (log.read_text().split() if log.exists() else []) == asked
    # A dpkg that was cut short is ended before anything is installed.
    assert ("dpkg --force-confold --configure --pending" in ran.output) is bool(asked)
    again = shell.run(APT, 'rm -f "$STATE/asked"; main eval_settings extra_packages')
    assert again.said[1] == "step 2/2 extra packages: ok"
    assert not log.exists()  # at the next boot nobody is asked


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (":", "apt-get: nosuch: E: Unable to locate package nosuch"),
        (
            "locked() { printf 'Err:3 https://deb.debian.org/debian trixie InRelease\\n  503  No way\\n'; "
            "echo 'W: Failed to fetch http://deb.debian.org/x  Could not connect'; return 1; }",
            "apt-get: nosuch: 503 No way W: Failed to fetch http://deb.debian.org/x Could not connect "
            "E: Unable to locate package nosuch",
        ),
    ],
    ids=["no such package", "no mirror"],
)
def test_a_package_that_cannot_be_had_is_a_failed_step_in_apts_words(tmp_path: Path, more: str, words: str) -> None:
    shell = Shell("minion", {**MINION, "KUBE_EXTRA_PACKAGES": "nosuch"}, tmp_path)
    ran = shell.run(f"{APT}\n{more}", "main eval_settings extra_packages")
    assert ran.status == 1
    assert ran.said[-1].rstrip() == f"step 2/2 extra packages: failed: {words}"


def test_a_spot_instance_shuts_down_once_it_has_notice_and_asks_until_then_whatever_the_answer(tmp_path: Path) -> None:
    stubs = f"""
        curl() {{
            echo "$*" >>{tmp_path}/asked
            case $*:$(wc -l <{tmp_path}/asked) in
            *api/token:1) return 28 ;;
            *api/token:*) echo "token-$*" ;;
            *instance-action:3) return 22 ;;
            *) echo '{{"action": "terminate", "time": "T"}}' ;;
            esac
        }}
        sleep() {{ echo "sleep $1"; }}
        systemctl() {{ echo "systemctl $*"; }}
        tee() {{ cat; }}
        . {userdata.TEMPLATES}/kube-spot.sh
    """
    ran = subprocess.run(["bash", "-c", stubs], capture_output=True, text=True, check=True, timeout=30)
    last = 'kube-spot: AWS takes this instance, it shuts down: {"action": "terminate", "time": "T"}'
    assert ran.stdout.splitlines() == ["sleep 5", "sleep 5", last, "systemctl poweroff"]
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line.rpartition("/")[2] for line in asked] == [
        "token",
        "token",
        "instance-action",
        "token",
        "instance-action",
    ]
    assert all("--max-time 2" in line for line in asked)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", userdata.TEMPLATES / "kube-spot.sh"], check=True)


def test_no_extra_packages_no_apt(tmp_path: Path) -> None:
    shell = Shell("minion", {**MINION, "KUBE_EXTRA_PACKAGES": "nfs-common"}, tmp_path)
    ran = shell.run("dpkg-query() { exit 9; }", "eval_settings; KUBE_EXTRA_PACKAGES=; main extra_packages")
    assert ran.status == 0, ran.output
    assert "apt" not in userdata.script("minion", MINION)


def test_resources_are_there_before_the_addons_that_have_objects_of_them(tmp_path: Path) -> None:
    names = ("aws-ebs-csi-driver", "snapshot-crds", "snapshot-controller")
    settings = {**MASTER, "ADDONS": " ".join(f"{name}:{number}" for number, name in enumerate(names))}
    shell = Shell("master", settings, tmp_path, {"/mnt/master-pd": str(tmp_path)})
    stubs = """addon() { touch "$2"; }
        kubectl() { echo "kubectl $*"; }
    """
    ran = shell.run(stubs, "eval_settings; addons")
    apply, at = "kubectl apply --server-side --force-conflicts", tmp_path / "state"
    assert ran.output.splitlines()[:3] == [
        f"{apply} --filename {at}/snapshot-crds-1.yaml",
        f"kubectl wait --for=condition=Established --timeout=60s --filename {at}/snapshot-crds-1.yaml",
        f"{apply} --filename {at}/aws-ebs-csi-driver-0.yaml --filename {at}/snapshot-controller-2.yaml",
    ]


def test_an_addon_that_is_off_by_now_is_deleted_as_it_was_applied(tmp_path: Path) -> None:
    """Not a resource, with which all its objects would go, nor the driver without which volumes are not let go of."""

    def shell_of(*names: str) -> Shell:
        listed = " ".join(f"{name}:{len(names)}" for name in names)
        return Shell("master", {**MASTER, "ADDONS": listed}, tmp_path, {"/mnt/master-pd": str(tmp_path)})

    stubs = """addon() { echo "$1" >"$2"; }
        kubectl() { echo "kubectl $*"; }
    """
    kept = ("cloud-controller-manager", "snapshot-crds", "aws-ebs-csi-driver")
    first = shell_of(*kept, "metrics-server", "pod-identity").run(stubs, "eval_settings; addons")
    assert "delete" not in first.output
    delete, at = "kubectl delete --ignore-not-found --wait=false --filename", tmp_path / "addons"
    assert (at / "metrics-server").read_text() == "5\n"
    later = shell_of("cloud-controller-manager", "metrics-server").run(stubs, "eval_settings; addons")
    assert [line for line in later.output.splitlines() if "delete" in line] == [f"{delete} {at}/pod-identity"]
    assert sorted(file.name for file in at.iterdir()) == ["cloud-controller-manager", "metrics-server"]
    assert (at / "metrics-server").read_text() == "2\n"
    again = shell_of("cloud-controller-manager", "metrics-server").run(stubs, "eval_settings; addons")
    assert "delete" not in again.output


def test_a_deletion_that_fails_is_tried_again_at_the_next_boot(tmp_path: Path) -> None:
    file = tmp_path / "addons" / "pod-identity"
    file.parent.mkdir()
    file.touch()
    shell = Shell("master", {**MASTER, "ADDONS": ""}, tmp_path, {"/mnt/master-pd": str(tmp_path)})
    ran = shell.run("kubectl() { return 1; }", "eval_settings; addons")
    assert ran.status != 0
    assert file.exists()
    assert not (tmp_path / "version").exists()
