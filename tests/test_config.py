"""Settings: from environment, file and memory to one Config, or to one line that says what is wrong."""

from __future__ import annotations

import dataclasses
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from lib.aws.tags import cluster_tags
from lib.run.errors import SettingError
from lib.settings import defaults, limits, options, sizes
from lib.settings.config import Config
from lib.settings.defaults import DEFAULTS
from lib.settings.layers import Layers, read_layers
from lib.settings.resolve import option_names, refuse_changes, resolve, to_remember

HOME = {"HOME": "/home/somebody"}


BARE = read_layers(HOME)


def layers(**environ: str) -> Layers:
    """What read_layers makes of this environment, without reading config-default.env again for each of many cases."""
    return dataclasses.replace(BARE, environment={**HOME, **environ})


def layers_of_file(file: Path, **environ: str) -> Layers:
    return read_layers({**HOME, "KUBE_CONFIG_FILE": str(file), **environ})


def config(**environ: str) -> Config:
    return resolve(layers(**environ))


def remembered(values: dict[str, str], **environ: str) -> Layers:
    return layers(**environ).with_remembered(values)


# --- the options and their defaults


def test_the_options_of_the_file_are_the_fields_of_config_in_their_order() -> None:
    names = [option.name for option in defaults.options()]
    assert names == list(option_names())
    assert len(names) == len(set(names))


@pytest.mark.parametrize("option", defaults.options(), ids=lambda option: option.name)
def test_every_option_has_a_group_and_a_comment_of_whole_sentences(option: defaults.Option) -> None:
    assert option.group
    assert len(option.comment) > 25
    assert option.comment.endswith(".")


@pytest.mark.parametrize("option", defaults.options(), ids=lambda option: option.name)
def test_an_option_that_is_empty_says_what_that_means(option: defaults.Option) -> None:
    text_of_no_consequence = option.name.endswith("_TEST_ARGS") or option.name in {
        "NODE_LABELS",
        "FEATURE_GATES",
        "KUBE_RUNTIME_CONFIG",
    }
    assert option.default or "Empty:" in option.comment or text_of_no_consequence


def test_the_defaults_make_a_cluster() -> None:
    c = config()
    assert (c.region, c.partition) == ("us-west-2", "aws")
    assert (c.kubernetes_version, c.num_nodes) == ("1.37.2", 4)
    assert (c.vpc_cidr, c.subnet_cidr, c.master_internal_ip) == ("172.20.0.0/16", "172.20.0.0/24", "172.20.0.9")
    assert (c.kubernetes_service_ip, c.dns_server_ip) == ("10.0.0.1", "10.0.0.10")
    assert (c.master_name, c.node_name) == ("kubernetes-master", "kubernetes-minion")
    assert c.group_name == "kubernetes-minion-group-us-west-2a"
    assert c.master_role == "kubernetes-master-kubernetes-kubernetes-vpc-us-west-2"
    assert c.minion_role == "kubernetes-minion-kubernetes-kubernetes-vpc-us-west-2"
    assert c.context == "aws_kubernetes"
    assert cluster_tags(c) == {"KubernetesCluster": "kubernetes", "kubernetes.io/cluster/kubernetes": "owned"}
    assert (c.aws_ssh_key, c.kubeconfig) == ("/home/somebody/.ssh/kube_aws_rsa", "/home/somebody/.kube/config")
    assert c.ssh_cidr == c.http_api_cidr == ("0.0.0.0/0",)


def test_config_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        config().num_nodes = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("zone", "region", "partition", "domain"),
    [
        ("us-east-1b", "us-east-1", "aws", "ec2.internal"),
        ("eu-central-1a", "eu-central-1", "aws", "eu-central-1.compute.internal"),
        ("us-west-2-lax-1a", "us-west-2", "aws", "us-west-2.compute.internal"),
        ("ap-southeast-4c", "ap-southeast-4", "aws", "ap-southeast-4.compute.internal"),
        ("us-gov-west-1a", "us-gov-west-1", "aws-us-gov", "us-gov-west-1.compute.internal"),
        ("cn-north-1a", "cn-north-1", "aws-cn", "cn-north-1.compute.internal"),
    ],
)
def test_region_partition_and_domain_follow_from_the_zone(zone: str, region: str, partition: str, domain: str) -> None:
    c = config(KUBE_AWS_ZONE=zone, AWS_IMAGE="ami-12345678")
    assert (c.region, c.partition, c.dhcp_domain, c.aws_s3_region) == (region, partition, domain, region)


def test_values_come_typed() -> None:
    c = config(
        KUBERNETES_VERSION="v1.36.4",
        KUBE_ENABLE_CLUSTER_MONITORING="FALSE",
        SSH_CIDR="203.0.113.0/24, 198.51.100.7/32",
        NODE_LABELS="disk=ssd,example.com/team=,node.kubernetes.io/pool=a",
        KUBE_RUNTIME_CONFIG="api/all,batch/v2alpha1=false",
        KUBELET_TEST_LOG_LEVEL="4",
        APISERVER_TEST_LOG_LEVEL="--v=6",
        KUBE_DOWNLOAD_MIRROR="http://mirror.example.com:8080/k8s/",
        KUBE_EXTRA_PACKAGES="nfs-common, g++  python3.13",
        EVICTION_HARD="memory.available<250Mi, nodefs.available<10%",
    )
    assert c.kubernetes_version == "1.36.4"
    assert c.kube_enable_cluster_monitoring is False
    assert c.ssh_cidr == ("203.0.113.0/24", "198.51.100.7/32")
    assert c.node_labels == (("disk", "ssd"), ("example.com/team", ""), ("node.kubernetes.io/pool", "a"))
    assert c.kube_runtime_config == "api/all=true,batch/v2alpha1=false"
    assert (c.kubelet_test_log_level, c.apiserver_test_log_level) == ("--v=4", "--v=6")
    assert c.kube_download_mirror == "http://mirror.example.com:8080/k8s"
    assert c.kube_extra_packages == ("nfs-common", "g++", "python3.13")
    assert c.eviction_hard == "memory.available<250Mi,nodefs.available<10%"


def test_text_gives_back_what_could_be_written_in_a_file() -> None:
    asked = {
        "NODE_LABELS": "a=b,c=",
        "SSH_CIDR": "10.1.0.0/16,10.2.0.0/16",
        "KUBE_ENABLE_CLUSTER_DNS": "false",
        "NUM_NODES": "7",
    }
    first = config(**asked)
    assert {name: first.text(name) for name in asked} == asked
    again = config(**{name: first.text(name) for name in option_names() if name != "KUBE_CONFIG_FILE"})
    assert again == first


# --- where a value comes from


def test_environment_wins_over_file_over_memory_over_default(tmp_path: Path) -> None:
    file = tmp_path / "my.env"
    file.write_text("NUM_NODES=5\nMASTER_DISK_SIZE=30\nexport VPC_NAME='quoted'  # a comment\n")
    made = layers_of_file(file, NUM_NODES="3").with_remembered(
        {"NUM_NODES": "6", "MASTER_DISK_SIZE": "31", "NODE_ROOT_DISK_SIZE": "60"}
    )
    c = resolve(made)
    assert (c.num_nodes, c.master_disk_size, c.node_root_disk_size, c.vpc_name) == (3, 30, 60, "quoted")
    names = ("NUM_NODES", "MASTER_DISK_SIZE", "NODE_ROOT_DISK_SIZE", "MASTER_ROOT_DISK_SIZE")
    assert [made.source(name) for name in names] == ["environment", "KUBE_CONFIG_FILE", "remembered", "default"]


@pytest.mark.parametrize("empty", ["", "  "])
def test_empty_means_the_default_and_overrides_memory_and_file(tmp_path: Path, empty: str) -> None:
    file = tmp_path / "my.env"
    file.write_text("NODE_SPOT_PRICE=\nNUM_NODES=9\n")
    made = layers_of_file(file, NUM_NODES=empty).with_remembered({"NODE_SPOT_PRICE": "0.05", "NUM_NODES": "8"})
    assert (resolve(made).node_spot_price, resolve(made).num_nodes) == ("", 4)
    assert {made.source("NODE_SPOT_PRICE"), made.source("NUM_NODES")} == {"default"}


def test_the_home_directory_is_the_environment_s_or_the_user_s() -> None:
    assert resolve(read_layers({"HOME": "/else"})).kubeconfig == "/else/.kube/config"
    assert resolve(read_layers({})).kubeconfig.startswith("/")
    assert config(KUBECONFIG="~/a:~/b:/c").kubeconfig == "/home/somebody/a:/home/somebody/b:/c"


def test_the_environment_is_not_printed() -> None:
    assert "very-secret" not in repr(layers(AWS_SECRET_ACCESS_KEY="very-secret"))


# --- what is remembered


def test_what_the_user_set_is_remembered_but_not_what_is_of_one_run_or_person(tmp_path: Path) -> None:
    file = tmp_path / "my.env"
    file.write_text("NODE_SIZE=m7g.large\nNOT_OURS=1\n")
    made = layers_of_file(
        file,
        NUM_NODES="10",
        MASTER_SIZE="",
        KUBECONFIG="/k",
        AWS_SSH_KEY="/s",
        AWS_S3_BUCKET="my-bucket",
        AWS_PROFILE="me",
        AWS_SECRET_ACCESS_KEY="very-secret",
    ).with_remembered({"NUM_NODES": "6", "VPC_NAME": "mine"})
    expected = {"NUM_NODES": "10", "NODE_SIZE": "m7g.large", "VPC_NAME": "mine", "AWS_S3_BUCKET": "my-bucket"}
    assert made.user_set() == expected


def test_version_and_ranges_are_remembered_as_resolved_and_other_defaults_are_not() -> None:
    made = layers(NUM_NODES="10")
    kept = to_remember(made, resolve(made))
    assert kept == {
        "KUBE_AWS_ZONE": "us-west-2a",
        "NUM_NODES": "10",
        "KUBERNETES_VERSION": "1.37.2",
        "KUBE_VPC_CIDR_BASE": "172.20",
        "KUBE_SUBNET_CIDR": "172.20.0.0/24",
        "MASTER_INTERNAL_IP": "172.20.0.9",
        "CLUSTER_IP_RANGE": "10.244.0.0/16",
        "SERVICE_CLUSTER_IP_RANGE": "10.0.0.0/16",
        "NON_MASQUERADE_CIDR": "10.244.0.0/16",
        "DNS_SERVER_IP": "10.0.0.10",
    }


def test_what_is_remembered_makes_the_same_cluster_again() -> None:
    made = layers(NUM_NODES="10", KUBE_SUBNET_CIDR="172.20.8.0/22", NODE_LABELS="a=b")
    kept = to_remember(made, resolve(made))
    again = remembered(kept)
    refuse_changes(again, has_master=True)
    assert dataclasses.asdict(resolve(again)) == dataclasses.asdict(resolve(made))
    assert to_remember(again, resolve(again)) == kept


def test_some_names_are_not_taken_from_memory() -> None:
    made = remembered({"KUBE_USE_EXISTING_MASTER": "true", "KUBECONFIG": "/else", "NO_OPTION": "1", "NUM_NODES": "6"})
    assert dict(made.remembered) == {"NUM_NODES": "6"}


def test_a_run_for_another_group_leaves_the_memory_as_it_was() -> None:
    before = {"NUM_NODES": "6", "KUBE_AWS_ZONE": "us-west-2a", "MASTER_INTERNAL_IP": "172.20.0.9"}
    made = remembered(
        before,
        KUBE_USE_EXISTING_MASTER="true",
        KUBE_AWS_ZONE="us-west-2b",
        KUBE_SUBNET_CIDR="172.20.1.0/24",
        NUM_NODES="2",
    )
    refuse_changes(made, has_master=True)
    c = resolve(made)
    assert (c.num_nodes, c.subnet_cidr, c.master_internal_ip) == (2, "172.20.1.0/24", "172.20.0.9")
    assert to_remember(made, c) == before


def test_with_an_existing_master_its_address_is_not_computed_from_the_new_subnet() -> None:
    c = config(KUBE_USE_EXISTING_MASTER="true", KUBE_SUBNET_CIDR="172.20.1.0/24")
    assert (c.subnet_cidr, c.master_internal_ip) == ("172.20.1.0/24", "")


REMEMBERED = {
    "KUBE_AWS_ZONE": "us-west-2a",
    "VPC_NAME": "kubernetes-vpc",
    "KUBE_VPC_CIDR_BASE": "172.20",
    "KUBE_SUBNET_CIDR": "172.20.0.0/24",
    "CLUSTER_IP_RANGE": "10.244.0.0/16",
    "SERVICE_CLUSTER_IP_RANGE": "10.0.0.0/16",
    "DNS_SERVER_IP": "10.0.0.10",
    "DNS_DOMAIN": "cluster.local",
    "MASTER_INTERNAL_IP": "172.20.0.9",
    "KUBE_API_PORT": "443",
    "VPC_ID": "vpc-11111111",
    "SUBNET_ID": "subnet-11111111",
    "MASTER_DISK_SIZE": "20",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KUBE_AWS_ZONE", "us-west-2b"),
        ("VPC_NAME", "other"),
        ("KUBE_VPC_CIDR_BASE", "10.9"),
        ("KUBE_SUBNET_CIDR", "172.20.4.0/22"),
        ("CLUSTER_IP_RANGE", "10.240.0.0/13"),
        ("SERVICE_CLUSTER_IP_RANGE", "10.1.0.0/16"),
        ("DNS_SERVER_IP", "10.0.0.11"),
        ("DNS_DOMAIN", "k8s.local"),
        ("MASTER_INTERNAL_IP", "172.20.0.10"),
        ("KUBE_API_PORT", "6443"),
        ("VPC_ID", "vpc-22222222"),
        ("SUBNET_ID", "subnet-22222222"),
        ("MASTER_DISK_SIZE", "10"),
    ],
)
def test_what_cannot_change_in_place_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"^{name}: ") as caught:
        refuse_changes(remembered(REMEMBERED, **{name: value}), has_master=True)
    assert REMEMBERED[name] in str(caught.value)
    refuse_changes(remembered(REMEMBERED, **{name: REMEMBERED[name]}), has_master=True)
    refuse_changes(remembered({}, **{name: value}), has_master=False)


@pytest.mark.parametrize(
    ("name", "value"), [("SUBNET_ID", "subnet-22222222"), ("VPC_ID", "vpc-22222222"), ("KUBE_API_PORT", "6443")]
)
def test_what_a_cluster_has_by_default_cannot_change_either(name: str, value: str) -> None:
    first = layers()
    memory = to_remember(first, resolve(first))
    with pytest.raises(SettingError, match=f"^{name}: "):
        refuse_changes(remembered(memory, **{name: value}), has_master=True)
    refuse_changes(remembered(memory, **{name: ""}), has_master=True)


def test_a_range_that_was_refused_by_aws_may_be_corrected_while_there_is_no_master() -> None:
    refuse_changes(remembered(REMEMBERED, KUBE_SUBNET_CIDR="172.20.4.0/22"), has_master=False)


def test_another_zone_may_be_asked_for_with_an_existing_master_but_not_another_pod_range() -> None:
    asked = {"KUBE_USE_EXISTING_MASTER": "true", "KUBE_AWS_ZONE": "us-west-2b", "KUBE_SUBNET_CIDR": "172.20.1.0/24"}
    refuse_changes(remembered(REMEMBERED, **asked), has_master=True)
    with pytest.raises(SettingError, match="CLUSTER_IP_RANGE"):
        refuse_changes(remembered(REMEMBERED, CLUSTER_IP_RANGE="10.245.0.0/16", **asked), has_master=True)


def test_one_setting_alone_can_be_read_before_the_memory_that_it_needs() -> None:
    asked = layers(NUM_NODES="990")
    assert resolve(asked, check=False).num_nodes == 990
    assert resolve(asked.with_remembered({"NUM_NODES": "900", **LARGE})).num_nodes == 990
    with pytest.raises(SettingError, match="NUM_NODES"):
        resolve(asked)


def test_a_larger_disk_and_what_may_change_are_not_refused() -> None:
    refuse_changes(remembered(REMEMBERED, MASTER_DISK_SIZE="40", NUM_NODES="9", VPC_NAME=""), has_master=True)


# --- the ladder


@pytest.mark.parametrize(
    ("nodes", "master", "node"),
    [
        (1, "t3.medium", "t3.small"),
        (5, "t3.medium", "t3.small"),
        (6, "m6i.large", "t3.small"),
        (10, "m6i.large", "t3.small"),
        (11, "m6i.xlarge", "t3.small"),
        (49, "m6i.xlarge", "t3.small"),
        (50, "m6i.xlarge", "t3.medium"),
        (100, "m6i.xlarge", "t3.medium"),
        (101, "m6i.2xlarge", "t3.medium"),
        (150, "m6i.2xlarge", "t3.large"),
        (250, "m6i.2xlarge", "t3.large"),
    ],
)
def test_the_ladder_is_applied(nodes: int, master: str, node: str) -> None:
    c = config(NUM_NODES=str(nodes), KUBE_SUBNET_CIDR="172.20.0.0/20")
    assert (c.master_size, c.node_size) == (master, node)


@pytest.mark.parametrize(("nodes", "master"), [(251, "c6i.4xlarge"), (500, "c6i.4xlarge"), (501, "c6i.8xlarge")])
def test_the_top_of_the_ladder(nodes: int, master: str) -> None:
    assert sizes.master_size(nodes) == master


def test_an_explicit_size_wins_over_the_ladder() -> None:
    c = config(NUM_NODES="11", MASTER_SIZE="m7g.large", NODE_SIZE="c7i.xlarge")
    assert (c.master_size, c.node_size) == ("m7g.large", "c7i.xlarge")


@pytest.mark.parametrize(
    ("arm64", "amd64"),
    [
        ("t4g.small", "t3.small"),
        ("m7gd.large", "m7i-flex.large"),
        ("c6gn.medium", "g4dn.xlarge"),
        ("a1.large", "g6e.xlarge"),
    ],
)
def test_the_architecture_follows_from_the_type(arm64: str, amd64: str) -> None:
    assert (sizes.architecture(arm64), sizes.architecture(amd64)) == ("arm64", "amd64")


def test_minions_share_the_master_s_image_only_when_they_can() -> None:
    image = "ami-0123456789abcdef0"
    assert config(AWS_IMAGE=image).kube_node_image == image
    assert config(AWS_IMAGE=image, NODE_SIZE="m7g.large").kube_node_image == ""


@pytest.mark.parametrize(("kind", "size", "asked"), [("gp3", 20, None), ("io1", 4, 200), ("io2", 20, 3000)])
def test_only_provisioned_disks_have_iops_to_ask_for(kind: str, size: int, asked: int | None) -> None:
    assert sizes.iops(kind, size) == asked


# --- what fits


LARGE = {"KUBE_SUBNET_CIDR": "172.20.0.0/20", "CLUSTER_IP_RANGE": "10.240.0.0/13"}


def test_990_minions_fit_a_larger_subnet_and_pod_range_with_the_quota_raised() -> None:
    c = config(NUM_NODES="990", **LARGE)
    limits.fits(c, subnet_prefix=20, routes_quota=1000)
    with pytest.raises(SettingError, match=r"NUM_NODES: .*need 993 routes.* may have 500;.*raised to 993"):
        limits.fits(c, subnet_prefix=20)


@pytest.mark.parametrize(("nodes", "prefix"), [(9, 28), (25, 27), (249, 24), (4089, 20)])
def test_a_subnet_holds_its_addresses_less_aws_s_five_the_master_and_a_spare(nodes: int, prefix: int) -> None:
    # 2 ** (32 - prefix) - 5, less the master and the spare
    c = dataclasses.replace(config(), num_nodes=nodes)
    limits.check_subnet(c, prefix=prefix)
    with pytest.raises(
        SettingError, match=rf"need {nodes + 3} addresses.* /{prefix} subnet has {nodes + 2} .*to {nodes}"
    ):
        limits.check_subnet(dataclasses.replace(config(), num_nodes=nodes + 1), prefix=prefix)


def test_the_autoscaler_s_maximum_is_what_must_fit() -> None:
    asked = {"KUBE_ENABLE_CLUSTER_AUTOSCALER": "true", "KUBE_AUTOSCALER_MAX_NODES": "250"}
    with pytest.raises(SettingError, match=r"^KUBE_AUTOSCALER_MAX_NODES: .*252 addresses"):
        config(**asked)
    assert config(KUBE_AUTOSCALER_MAX_NODES="250").num_nodes == 4
    assert limits.nodes_at_most(config(**{**asked, "KUBE_AUTOSCALER_MAX_NODES": "200"})) == 200


def test_a_brought_subnet_s_own_range_is_left_to_be_looked_up() -> None:
    c = config(VPC_ID="vpc-12345678", SUBNET_ID="subnet-12345678", NUM_NODES="200")
    assert (c.subnet_cidr, c.master_internal_ip) == ("", "")
    with pytest.raises(SettingError, match="202 addresses"):
        limits.fits(c, subnet_prefix=25)


# --- what is taken (what is refused is in bad_inputs.py)

GOOD: list[dict[str, str]] = [
    {"KUBE_AWS_INSTANCE_PREFIX": "prod.k8s-1"},
    {"MASTER_INTERNAL_IP": "172.20.0.4"},
    {"KUBE_SUBNET_CIDR": "172.20.0.16/28", "NUM_NODES": "9"},
    {"SERVICE_CLUSTER_IP_RANGE": "10.32.0.0/24"},
    {"MASTER_RESERVED_IP": "127.5.5.5"},
    {"KUBE_ENABLE_NODE_PUBLIC_IP": "false", "SUBNET_ID": "subnet-12345678"},
    {"KUBE_ENABLE_MASTER_PUBLIC_IP": "false", "KUBE_DOWNLOAD_MIRROR": "http://10.1.2.3:8080"},
    {"KUBE_API_PORT": "6443"},
    {"MASTER_SIZE": "t3.small"},
    {"NODE_SIZE": "t3.micro"},
    {"NODE_SPOT_PRICE": "0.0116"},
    {"KUBE_VPC_CIDR_BASE": "10.0", "SERVICE_CLUSTER_IP_RANGE": "10.1.0.0/16"},
    {"VPC_ID": "vpc-0123456789abcdef0", "KUBE_SUBNET_CIDR": "192.168.7.0/24"},
    {"NON_MASQUERADE_CIDR": "100.64.0.0/10", "CLUSTER_IP_RANGE": "100.66.0.0/16"},
    {"KUBELET_TEST_ARGS": "--max-pods=50 --system-reserved=cpu=100m,memory=100Mi --enable-server"},
]


@pytest.mark.parametrize("settings", GOOD, ids=str)
def test_a_good_setting_is_taken(settings: dict[str, str]) -> None:
    c = config(**settings)
    assert {name: c.text(name) for name in settings} == settings


# --- help and the table


def test_help_is_quick_and_needs_no_aws() -> None:
    program = (
        "import sys; from lib.settings.helptext import help_text; help_text('kube_up.py', 80);"
        "sys.exit(any(name in sys.modules for name in ('boto3', 'botocore', 'rich', 'dotenv')))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True, cwd=DEFAULTS.parent, env={"PATH": "/usr/bin:/bin"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of the processor: how long it takes depends on what else runs.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5


def test_the_table_of_settings_has_every_option_with_its_source() -> None:
    made = remembered({"NODE_ROOT_DISK_SIZE": "60"}, NUM_NODES="11")
    rows = {row.name: row for row in options.settings_table(made, resolve(made))}
    assert list(rows) == list(option_names())
    assert (rows["NUM_NODES"].value, rows["NUM_NODES"].source) == ("11", "environment")
    assert (rows["MASTER_SIZE"].value, rows["MASTER_SIZE"].source) == ("m6i.xlarge", "computed")
    assert (rows["MASTER_INTERNAL_IP"].value, rows["MASTER_INTERNAL_IP"].source) == ("172.20.0.9", "computed")
    assert (rows["NODE_ROOT_DISK_SIZE"].value, rows["NODE_ROOT_DISK_SIZE"].source) == ("60", "remembered")
    assert (rows["NODE_SPOT_PRICE"].value, rows["NODE_SPOT_PRICE"].source) == ("", "default")


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "KUBE_PASSWORD", "JOIN_TOKEN"])
def test_secrets_are_hidden(name: str) -> None:
    assert options.hidden(name, "abc") == "(hidden)"
    assert options.hidden("AWS_SSH_KEY", "/k") == "/k"


def test_a_file_of_another_system_s_editor_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.env").write_text("\ufeffNUM_NODES=3\r\nJUST_A_NAME\r\n", encoding="utf-8")
    assert resolve(read_layers({"KUBE_CONFIG_FILE": "my.env"})).num_nodes == 3
