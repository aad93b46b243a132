"""docs/porting.md: whole, true of the tree, and what a user of an old variable is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lib.settings.defaults import DEFAULTS
from lib.settings.former import former, with_tables
from lib.settings.layers import read_layers
from lib.settings.options import unread
from lib.settings.resolve import option_names

ROOT = DEFAULTS.parent
TEXT = (ROOT / "docs" / "porting.md").read_text(encoding="utf-8")

_FUNCTIONS = """
load_distro_utils get_vpc_id get_subnet_id get_igw_id get_elbs_in_vpc get_instanceid_from_name get_instance_public_ip
get_instance_private_ip get_security_group_id find-tagged-master-ip get-tag detect-master get-master-env
query-running-minions detect-node-names detect-project detect-nodes detect-security-groups detect-image
detect-root-device get-aws-fingerprint get-ssh-fingerprint import-public-key create-security-group
authorize-security-group-ingress find-master-pd ensure-master-pd reboot-on-failure delete-instance-alarms
ensure-master-ip create-dhcp-option-set verify-prereqs ensure-temp-dir upload-server-tars add-tag create-iam-profile
ensure-iam-profiles delete-iam-profiles conceal-no-such-entity-response wait-for-instance-state allocate-elastic-ip
attach-ip-to-instance release-elastic-ip delete_security_group ssh-key-setup vpc-setup subnet-setup kube-up
create-bootstrap-script start-master start-minions wait-minions wait-master build-config check-cluster kube-down
kube-push test-build-release test-setup test-teardown get_ssh_hostname ssh-to-node prepare-e2e get-tokens
detect-minion-image generate-minion-user-data check-minion detect-jessie-image detect-wily-image create-kubeconfig
clear-kubeconfig tear_down_alive_resources load-or-gen-kube-basicauth load-or-gen-kube-bearertoken create-certs
generate-certs build-kube-env write-master-env write-node-env parse-master-env get-env-val kubectl_retry
"""

# What cluster/aws/config-default.sh of 1.5 read from the environment, and cluster/common.sh beside it.
_READ_BY_THE_ORIGINAL = """
KUBE_AWS_ZONE MASTER_SIZE NODE_SIZE NUM_NODES AWS_S3_BUCKET AWS_S3_REGION DOCKER_STORAGE EXTRA_DOCKER_OPTS
KUBE_AWS_INSTANCE_PREFIX VPC_NAME AWS_SSH_KEY KUBE_CONFIG_CONTEXT MASTER_DISK_TYPE MASTER_DISK_SIZE
MASTER_ROOT_DISK_TYPE MASTER_ROOT_DISK_SIZE NODE_ROOT_DISK_TYPE NODE_ROOT_DISK_SIZE NON_MASQUERADE_CIDR
SERVICE_CLUSTER_IP_RANGE CLUSTER_IP_RANGE MASTER_IP_RANGE SSH_CIDR HTTP_API_CIDR MASTER_RESERVED_IP
KUBE_RUNTIME_CONFIG KUBE_FEATURE_GATES KUBE_ENABLE_CLUSTER_MONITORING KUBE_ENABLE_NODE_LOGGING
KUBE_LOGGING_DESTINATION KUBE_ENABLE_CLUSTER_LOGGING KUBE_ENABLE_INSECURE_REGISTRY KUBE_ENABLE_CLUSTER_DNS
DNS_SERVER_IP KUBE_ENABLE_DNS_HORIZONTAL_AUTOSCALER KUBE_ENABLE_CLUSTER_UI KUBE_ENABLE_CLUSTER_AUTOSCALER
KUBE_AUTOSCALER_MIN_NODES KUBE_AUTOSCALER_MAX_NODES KUBE_TARGET_NODE_UTILIZATION KUBE_ENABLE_NODE_PUBLIC_IP
KUBE_OS_DISTRIBUTION KUBE_NODE_IMAGE COREOS_CHANNEL KUBE_CONTAINER_RUNTIME KUBE_RKT_VERSION NETWORK_PROVIDER
OPENCONTRAIL_TAG OPENCONTRAIL_KUBERNETES_TAG OPENCONTRAIL_PUBLIC_SUBNET KUBE_E2E_STORAGE_TEST_ENVIRONMENT
ENABLE_DEFAULT_STORAGE_CLASS KUBE_VPC_CIDR_BASE KUBE_SUBNET_CIDR MASTER_INTERNAL_IP VPC_ID SUBNET_ID
DHCP_OPTION_SET_ID AWS_IMAGE AWS_IMAGE_NAME KUBE_AWS_STORAGE NODE_SPOT_PRICE FEATURE_GATES NODE_LABELS EVICTION_HARD
DOCKER_REGISTRY_MIRROR_URL KUBE_CONFIG_FILE KUBE_CONTEXT KUBECONFIG KUBE_USE_EXISTING_MASTER KUBE_USER KUBE_PASSWORD
KUBE_BEARER_TOKEN KUBERNETES_PROVIDER ALLOWED_NOTREADY_NODES CLUSTER_READY_ADDITIONAL_TIME_SECONDS
APISERVER_TEST_ARGS CONTROLLER_MANAGER_TEST_ARGS SCHEDULER_TEST_ARGS KUBELET_TEST_ARGS KUBEPROXY_TEST_ARGS
APISERVER_TEST_LOG_LEVEL CONTROLLER_MANAGER_TEST_LOG_LEVEL SCHEDULER_TEST_LOG_LEVEL KUBELET_TEST_LOG_LEVEL
KUBEPROXY_TEST_LOG_LEVEL DOCKER_TEST_LOG_LEVEL NUM_MINIONS MINION_SIZE KUBE_MINION_IMAGE KUBE_ENABLE_MINION_PUBLIC_IP
INSTANCE_PREFIX ZONE PORTAL_NET ENABLE_NODE_MONITORING
"""

FUNCTIONS = _FUNCTIONS.split()
READ_BY_THE_ORIGINAL = _READ_BY_THE_ORIGINAL.split()
FORMER = former()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_of_the_original_has_its_row(name: str) -> None:
    assert re.search(rf"^\|[^|]*`{name}`", TEXT, re.MULTILINE)


@pytest.mark.parametrize("name", sorted({*READ_BY_THE_ORIGINAL, *option_names()}))
def test_every_variable_has_its_row(name: str) -> None:
    found = re.search(rf"^\|[^|]*`{name}`", TEXT, re.MULTILINE)
    assert found, f"docs/porting.md has no row of {name}: write what became of it, or which option it is"


@pytest.mark.parametrize("name", READ_BY_THE_ORIGINAL)
def test_a_variable_of_the_original_is_an_option_or_is_answered_for(name: str) -> None:
    assert (name in option_names()) != (name in FORMER)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:lib|templates)/\w+(?:\.\w+)?|kube_\w+\.py)`", TEXT))))
def test_what_it_points_at_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_its_tables_of_former_names_are_what_a_run_says_of_them() -> None:
    assert with_tables(TEXT) == TEXT, "run: make docs"
    assert with_tables(TEXT.replace("`NUM_MINIONS` |", "`NUM_MINION` |").replace("aufs", "")) == TEXT


def test_setting_a_former_name_prints_its_row() -> None:
    names = list(former())
    warnings, wrong = unread(read_layers(dict.fromkeys(names, "something")))
    assert len(warnings) + len(wrong) == len(names) > 100
    renamed = {name for name, said in former().items() if said.startswith("is called")}
    assert {error.variable for error in wrong} == renamed
    said = {error.variable: error.problem for error in wrong} | dict(words.split(": ", 1) for words in warnings)
    for name in names:
        assert said[name] in TEXT.replace("`", "")
        assert "no effect" in said[name]
        assert "\n" not in said[name]


@pytest.mark.parametrize(
    ("old", "new"), [("NUM_MINIONS", "NUM_NODES"), ("INSTANCE_PREFIX", "KUBE_AWS_INSTANCE_PREFIX")]
)
def test_a_renamed_variable_is_told_its_new_name(old: str, new: str) -> None:
    warnings, (error,) = unread(read_layers({old: "1"}))
    assert warnings == []
    assert str(error).startswith(f"{old}: is called {new} today")


def test_a_renamed_variable_beside_its_new_name_is_only_warned_of() -> None:
    (warning,), wrong = unread(read_layers({"INSTANCE_PREFIX": "dev", "KUBE_AWS_INSTANCE_PREFIX": "dev"}))
    assert wrong == []
    assert warning.startswith("INSTANCE_PREFIX: is called KUBE_AWS_INSTANCE_PREFIX today")


def test_a_new_name_is_an_option() -> None:
    named = [match[1] for text in former().values() if (match := re.match(r"is called (\w+) ", text))]
    assert named
    assert set(named) <= set(option_names())


def test_a_former_name_in_the_config_file_is_warned_of_and_an_empty_one_is_not(tmp_path: Path) -> None:
    file = tmp_path / "my.env"
    file.write_text("KUBE_USER=admin\nKUBE_PASSWORD=\n")
    (warning,), wrong = unread(read_layers({"KUBE_CONFIG_FILE": str(file)}))
    assert wrong == []
    assert warning.startswith("KUBE_USER: ")
    assert "admin" not in warning


def test_an_environment_without_former_names_is_not_warned_of() -> None:
    assert unread(read_layers({"HOME": "/x", "NUM_NODES": "3"})) == ([], [])
    assert "MASTER_DISK_ID" not in former()
