"""Where settings come from in a run, what is remembered of a cluster, and what cannot change."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from conftest import REGION, Box
from helpers import (
    GROUP,
    ID,
    bucket_of,
    kubeconfig,
    master_of,
    minion_settings,
    must,
    only,
    part,
    refused_untouched,
    remembered,
    template_data,
)

from lib.settings.config import OPTIONS
from lib.settings.defaults import DEFAULTS
from lib.settings.layers import read_layers
from lib.settings.options import options_page, unread

pytestmark = pytest.mark.story


def size(box: Box) -> object:
    """The group's number of minions."""
    return part(box, "groups")[GROUP]["size"]


# --- remembered


def test_a_rerun_that_forgets_num_nodes_keeps_it_and_says_where_from(sandbox: Box) -> None:
    del sandbox.environ["NUM_NODES"]
    must(sandbox.up(NUM_NODES=6, NODE_LABELS="team=web"))
    result = must(sandbox.up())
    assert result.changing == []
    assert size(sandbox) == [6, 6, 6]
    line = next(line for line in result.out.splitlines() if "remembered from the last run:" in line)
    assert "NUM_NODES=6" in line
    assert "NODE_LABELS=team=web" in line
    assert "MASTER_DISK_SIZE" not in line  # a default that nobody set
    settings = line.partition("remembered from the last run: ")[2]
    assert settings == "NUM_NODES=6, NODE_LABELS=team=web"  # no image, range or version that the run found out


def test_what_was_set_and_is_remembered_as_resolved_is_said_too(sandbox: Box) -> None:
    del sandbox.environ["NUM_NODES"], sandbox.environ["KUBE_AWS_ZONE"]
    must(sandbox.up(KUBE_AWS_ZONE=f"{REGION}b", KUBE_VPC_CIDR_BASE="172.21", KUBERNETES_VERSION="1.36.4"))
    result = must(sandbox.up())
    assert result.changing == []
    line = next(line for line in result.out.splitlines() if "remembered from the last run:" in line)
    said = [each.partition("=")[0] for each in line.partition("run: ")[2].split(", ")]
    assert said == ["KUBE_AWS_ZONE", "KUBERNETES_VERSION", "KUBE_VPC_CIDR_BASE"]


def test_a_size_that_was_computed_is_no_word_of_anybodys_until_it_is_another_than_today(sandbox: Box) -> None:
    def said() -> str:
        return must(sandbox.up()).out.partition("remembered from the last run: ")[2].partition("\n")[0]

    del sandbox.environ["NUM_NODES"]
    must(sandbox.up(NUM_NODES=2))
    must(sandbox.up(NODE_LABELS="team=web"))  # from now on the sizes are remembered, lest they follow NUM_NODES
    assert said() == "NUM_NODES=2, NODE_LABELS=team=web"
    must(sandbox.up(NUM_NODES=6))
    assert said() == "NUM_NODES=6, MASTER_SIZE=t3.medium, NODE_LABELS=team=web"


def test_empty_in_the_environment_clears_what_is_remembered(sandbox: Box) -> None:
    sandbox.cluster(NODE_SPOT_PRICE="0.05")
    assert "InstanceMarketOptions" in template_data(sandbox)
    must(sandbox.up(NODE_SPOT_PRICE=""))
    assert "InstanceMarketOptions" not in template_data(sandbox)
    assert "NODE_SPOT_PRICE" not in remembered(sandbox)
    assert must(sandbox.up()).changing == []


def test_what_is_remembered_is_what_was_set_and_some_values_as_resolved(sandbox: Box) -> None:
    sandbox.environ["KUBE_CONFIG_FILE"] = str(sandbox.home / "mine.env")
    (sandbox.home / "mine.env").write_text("MASTER_DISK_SIZE=30\n")
    must(sandbox.up(KUBE_CONFIG_CONTEXT="mine", ALLOWED_NOTREADY_NODES=1))
    found = remembered(sandbox)
    assert (
        found.items()
        >= {
            "NUM_NODES": "2",
            "MASTER_DISK_SIZE": "30",
            "KUBE_CONFIG_CONTEXT": "mine",
            "ALLOWED_NOTREADY_NODES": "1",
            "KUBERNETES_VERSION": "1.37.2",
            "AWS_IMAGE": str(template_data(sandbox)["ImageId"]),
            "KUBE_NODE_IMAGE": str(template_data(sandbox)["ImageId"]),
            "KUBE_SUBNET_CIDR": "172.20.0.0/24",
            "MASTER_INTERNAL_IP": "172.20.0.9",
            "CLUSTER_IP_RANGE": "10.244.0.0/16",
            "SERVICE_CLUSTER_IP_RANGE": "10.0.0.0/16",
        }.items()
    )
    never = {"KUBECONFIG", "AWS_SSH_KEY", "KUBE_CONFIG_FILE", "KUBE_USE_EXISTING_MASTER", "AWS_PROFILE"}
    never |= {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "HOME", "PATH"}
    assert not never & set(found)
    assert "NODE_ROOT_DISK_SIZE" not in found  # follows config-default.env


def test_images_of_the_cluster_stay_though_newer_ones_are_published(sandbox: Box) -> None:
    sandbox.cluster()
    image = template_data(sandbox)["ImageId"]
    result = must(sandbox.up())
    assert "ssm:GetParameters" not in result.operations
    assert template_data(sandbox)["ImageId"] == image


def test_a_forgotten_bucket_is_found_by_the_masters_tag(sandbox: Box) -> None:
    sandbox.cluster(AWS_S3_BUCKET="kube-of-mine-7")
    result = must(sandbox.up())
    assert result.changing == []
    assert bucket_of(sandbox) == "kube-of-mine-7"
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_down_reads_what_is_remembered(sandbox: Box) -> None:
    sandbox.cluster(KUBE_CONFIG_CONTEXT="mine", VPC_NAME="a-vpc")
    assert [c["name"] for c in yaml.safe_load(kubeconfig(sandbox).read_text())["contexts"]] == ["mine"]
    must(sandbox.down())
    assert sandbox.inventory() == {}  # the roles' names end in the VPC's
    assert not yaml.safe_load(kubeconfig(sandbox).read_text()).get("contexts")


def test_the_file_of_settings_is_readable_and_says_what_it_is(sandbox: Box) -> None:
    sandbox.cluster(EVICTION_HARD="memory.available<250Mi,nodefs.available<10%")
    found = remembered(sandbox)
    assert found["EVICTION_HARD"] == "memory.available<250Mi,nodefs.available<10%"
    assert must(sandbox.up()).changing == []
    assert minion_settings(sandbox)["EVICTION_HARD"] == "memory.available<250Mi,nodefs.available<10%"


# --- precedence


def test_environment_wins_over_file_over_memory_over_default(sandbox: Box) -> None:
    file = sandbox.home / "mine.env"
    file.write_text("NUM_NODES=3\nNODE_LABELS=from=file\nMASTER_DISK_SIZE=25\n")
    del sandbox.environ["NUM_NODES"]
    must(sandbox.up(KUBE_CONFIG_FILE=file, NUM_NODES=2))
    assert size(sandbox) == [2, 2, 2]
    assert minion_settings(sandbox)["NODE_LABELS"] == "from=file"
    must(sandbox.up(KUBE_CONFIG_FILE=file))
    assert size(sandbox) == [3, 3, 3]
    assert must(sandbox.up()).changing == []
    assert remembered(sandbox)["MASTER_DISK_SIZE"] == "25"


def test_a_file_that_cannot_be_read_is_refused(sandbox: Box) -> None:
    refused_untouched(sandbox, sandbox.up(KUBE_CONFIG_FILE="/nowhere.env"), 2, "KUBE_CONFIG_FILE", "/nowhere.env")


def test_show_settings_says_where_each_comes_from_and_changes_nothing(sandbox: Box) -> None:
    sandbox.cluster(NODE_LABELS="team=web")
    before = sandbox.inventory()
    out = must(sandbox.up("--show-settings", MASTER_DISK_SIZE=30)).out
    assert "NODE_LABELS=team=web  (remembered)" in out
    assert "MASTER_DISK_SIZE=30  (environment)" in out
    assert "DNS_DOMAIN=cluster.local  (default)" in out
    assert sandbox.inventory() == before


# --- what cannot change


UNCHANGEABLE = {
    "KUBE_AWS_ZONE": f"{REGION}b",
    "KUBE_SUBNET_CIDR": "172.20.1.0/24",
    "VPC_NAME": "another",
    "VPC_ID": "vpc-0123456789abcdef0",
    "SUBNET_ID": "subnet-0123456789abcdef0",
    "KUBE_VPC_CIDR_BASE": "172.21",
    "CLUSTER_IP_RANGE": "10.240.0.0/16",
    "SERVICE_CLUSTER_IP_RANGE": "10.1.0.0/16",
    "DNS_SERVER_IP": "10.0.0.11",
    "DNS_DOMAIN": "example.local",
    "MASTER_INTERNAL_IP": "172.20.0.20",
    "KUBE_API_PORT": "8443",
}


def test_what_a_cluster_cannot_become_is_refused_before_anything(sandbox: Box) -> None:
    del sandbox.environ["KUBE_AWS_ZONE"]  # the default was never set, and cannot change either
    must(sandbox.up())
    before = sandbox.inventory()
    for name, value in UNCHANGEABLE.items():
        refused_untouched(sandbox, sandbox.up(**{name: value}), 2, name, value)
    assert sandbox.inventory() == before


def test_the_same_value_again_is_no_change(sandbox: Box) -> None:
    sandbox.cluster()
    same: dict[str, object] = {"KUBE_SUBNET_CIDR": "172.20.0.0/24", "VPC_NAME": "kubernetes-vpc"}
    same |= {"DNS_DOMAIN": "cluster.local", "MASTER_INTERNAL_IP": "172.20.0.9", "DNS_SERVER_IP": "10.0.0.10"}
    result = must(sandbox.up(**same))
    assert set(result.changing) <= {"s3:PutObject"}  # they are now remembered as set


# --- names of former days


def test_an_option_of_former_days_is_said_and_has_no_effect(sandbox: Box) -> None:
    refused_untouched(sandbox, sandbox.up(MINION_SIZE="t3.large"), 2, "MINION_SIZE: is called NODE_SIZE today")
    result = must(sandbox.up(NUM_MINIONS=7, NUM_NODES=2, KUBE_PASSWORD="secret", DOCKER_STORAGE="aufs"))
    assert "warning: NUM_MINIONS: is called NUM_NODES today" in result.err
    assert "warning: KUBE_PASSWORD: has no effect: Kubernetes dropped basic auth" in result.err
    assert "warning: DOCKER_STORAGE: has no effect" in result.err
    assert "secret" not in result.out + result.err
    assert size(sandbox) == [2, 2, 2]


def test_a_mistyped_option_is_said_with_the_near_name(sandbox: Box) -> None:
    file = sandbox.home / "mine.env"
    file.write_text("MINIONS=4\nNUM_NODE=3\n")
    given: dict[str, object] = {"KUBE_AWS_ZONES": "eu-central-1b", "NODE_SIZES": "t3.large", "KUBE_FOO": 1}
    others: dict[str, object] = {"NODE_ENV": "test", "SSH_AUTH_SOCK": "/x", "HOME_FOLDER": 1, "KUBE_EDITOR": "vi"}
    result = sandbox.up("--show-settings", KUBE_CONFIG_FILE=file, **given, **others)
    assert result.code == 2
    said = {line.split(": ", 1)[1]: line.split(": ")[0] for line in result.err.splitlines() if "nothing reads" in line}
    assert {words.split(":")[0] for words in said} == {*given, "MINIONS", "NUM_NODE"}
    assert said["KUBE_AWS_ZONES: nothing reads it; did you mean KUBE_AWS_ZONE?"] == "error"
    assert said["KUBE_FOO: nothing reads it; --help all lists all options"] == "error"
    assert said["NODE_SIZES: nothing reads it; did you mean NODE_SIZE?"] == "error"
    assert said["NUM_NODE: nothing reads it; did you mean NUM_NODES?"] == "error"
    words = "MINIONS: nothing reads it; did you mean NUM_MINIONS? It is called NUM_NODES today and has no effect under"
    assert said[f"{words} this name"] == "error"


@pytest.mark.parametrize("script", ["up", "down"])
def test_all_that_is_wrong_is_said_at_once_a_line_each(sandbox: Box, script: str) -> None:
    sandbox.cluster()
    wrong = {"KUBE_AWS_INSTANCE_PREFX": "dev", "NUM_NODES": "four", "VPC_ID": "x", "INSTANCE_PREFIX": "dev"}
    result = getattr(sandbox, script)(**wrong)
    assert result.code == 2
    lines = result.err.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    assert [line.split(": ")[1] for line in lines] == [
        "INSTANCE_PREFIX",
        "KUBE_AWS_INSTANCE_PREFX",
        "NUM_NODES",
        "VPC_ID",
    ]
    assert "did you mean KUBE_AWS_INSTANCE_PREFIX?" in lines[1]
    assert result.calls == []


def test_all_that_settings_do_not_agree_on_is_said(sandbox: Box) -> None:
    result = sandbox.up(ALLOWED_NOTREADY_NODES=9, KUBE_API_PORT=22, DNS_SERVER_IP="10.9.0.10")
    refused_untouched(sandbox, result, 2, "ALLOWED_NOTREADY_NODES: 9", "KUBE_API_PORT: 22", "DNS_SERVER_IP: 10.9.0.10")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("NUM_NDOES", "NUM_NODES"),
        ("MASTER_SIZ", "MASTER_SIZE"),
        ("AWS_S3_BUKCET", "AWS_S3_BUCKET"),
        ("SSH_CDIR", "SSH_CIDR"),
        ("AWS_ZONE", "KUBE_AWS_ZONE"),
        ("KUBE_AWS_INSTANCE_PREFX", "KUBE_AWS_INSTANCE_PREFIX"),
        ("KUBE_FOO", ""),
        ("KUBE_MASTER_DISK_SIZE", "MASTER_DISK_SIZE"),
    ],
)
def test_what_may_be_meant_is_named(typed: str, meant: str) -> None:
    warnings, (error,) = unread(read_layers({typed: "1", "HOME": "/x"}))
    assert warnings == []
    advice = f"did you mean {meant}?" if meant else "--help all lists all options"
    assert str(error) == f"{typed}: nothing reads it; {advice}"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("NODE_FLAVOUR", ""), ("NUM_MASTERS", ""), ("APP_NAME", "VPC_NAME"), ("S3_BUCKET", "AWS_S3_BUCKET")],
)
def test_what_may_be_anothers_is_only_warned_of(typed: str, meant: str) -> None:
    (warning,), wrong = unread(read_layers({typed: "1", "HOME": "/x"}))
    assert wrong == []
    assert warning == f"{typed}: nothing reads it; " + (
        f"did you mean {meant}?" if meant else "--help all lists all options"
    )


@pytest.mark.parametrize(
    "name",
    [
        *(
            "KUBE_EDITOR",
            "KUBERNETES_SERVICE_HOST",
            "KUBERNETES_PORT_443_TCP",
            "NODE_OPTIONS",
            "PATH",
            "DNS",
            "SSH_TTY",
        ),
        *("KUBERNETES_SERVICE_PORT_HTTPS", "KUBERNETES_PORT_443_TCP_ADDR", "KUBECTL_EXTERNAL_DIFF", "KUBERC"),
        *("KUBE_PS1_NS_ENABLE", "KUBE_CONFIG_PATH", "KUBE_CTX", "KUBE_TOKEN", "KUBE_FEATURE_WatchListClient"),
    ],
)
def test_what_is_another_programs_is_left_unsaid(name: str) -> None:
    assert unread(read_layers({name: "1"})) == ([], [])


def test_what_the_run_itself_reads_beside_its_options_is_left_unsaid(sandbox: Box) -> None:
    """What botocore's own table of settings has, the proxies, in both ways to write them, and what the sandbox sets."""
    asked = [named for _, named, *_ in BOTOCORE_DEFAUT_SESSION_VARIABLES.values() if named]
    names = {each for named in asked for each in ([named] if isinstance(named, str) else named)}
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
    names |= {*proxies, *(name.lower() for name in proxies), *sandbox.environ} - set(OPTIONS)
    assert len(names) > 40
    assert {name: said for name in names if (said := unread(read_layers({name: "x"}))) != ([], [])} == {}


def test_in_a_pod_the_variables_of_a_service_are_left_unsaid() -> None:
    told = ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_DNS_TCP", "PORT", "PORT_53_UDP", "PORT_53_UDP_ADDR")
    service = {f"KUBE_DNS_{name}": "x" for name in told}
    assert unread(read_layers(service)) == ([], [])
    assert [each.variable for each in unread(read_layers({"KUBE_DNS_PORT": "53"}))[1]] == ["KUBE_DNS_PORT"]


def test_the_table_of_options_is_what_config_default_env_says() -> None:
    assert (DEFAULTS.parent / "docs" / "options.md").read_text(encoding="utf-8") == options_page(), "run: make docs"


# --- help


@pytest.mark.parametrize("script", ["up", "down"])
def test_help_needs_no_credentials_and_no_network(sandbox: Box, script: str) -> None:
    for name in [name for name in sandbox.environ if name.startswith("AWS_")]:
        del sandbox.environ[name]
    result = must(getattr(sandbox, script)("--help", "all"))
    assert result.calls == []
    for name in ("KUBE_AWS_ZONE=us-west-2a", "MASTER_RESERVED_IP=", "KUBE_WAIT_DELETE_SECONDS=900"):
        assert name in result.out
    for name in ("NUM_NODES=4", "KUBE_WAIT_API_SECONDS=900"):
        assert (name in result.out) is (script == "up")
    assert "Network:" in result.out
    assert "KUBE_AWS_ZONE=us-west-2a" in must(getattr(sandbox, script)("--help")).out


def test_an_unknown_flag_is_refused(sandbox: Box) -> None:
    refused_untouched(sandbox, sandbox.up("--keep-disk"), 2, "--keep-disk")


def test_nothing_is_read_from_the_folder_that_a_run_starts_in(
    sandbox: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("NUM_NODES=9\n")
    monkeypatch.chdir(tmp_path)
    must(sandbox.up())
    assert size(sandbox) == [2, 2, 2]
    assert part(sandbox, "instances")[master_of(sandbox)]["type"] == "t3.medium"
    assert only(part(sandbox, "groups")) == f"{ID}-minion-group-{REGION}a"
