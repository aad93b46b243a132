"""templates/addons: what every manifest must hold."""

from __future__ import annotations

import json
import re
import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from bootstrap import MASTER
from upstream_addons import FACTS

from lib import addons
from lib.node import userdata

MANIFESTS = sorted((userdata.TEMPLATES / "addons").glob("*.yaml"))


def manifest(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(string.Template(path.read_text(encoding="utf-8")).substitute(NAMES)))


NAMES = {
    **dict(re.findall(r"^(\w+_VERSION)=(\S+)$", (userdata.TEMPLATES / "releases.env").read_text(), re.MULTILINE)),
    **MASTER,
    "KUBE_AUTOSCALER_MIN_NODES": "1",
    "KUBE_AUTOSCALER_MAX_NODES": "5",
    "KUBE_EXTRA_TAGS": "team=a",
    "GROUP_NAME": "kubernetes-minion-group-us-west-2a",
    "KUBE_AWS_ZONE": "us-west-2a",
    "VPC_ID": "vpc-1",
    "SUBNET_ID": "subnet-1",
    "ROUTE_TABLE_ID": "rtb-1",
}


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifests_workloads_run_pinned_images_without_more_rights_than_they_need(path: Path) -> None:
    for document in manifest(path):
        if document["kind"] not in ("Deployment", "DaemonSet"):
            continue
        assert document["metadata"]["namespace"] == "kube-system"
        for container in document["spec"]["template"]["spec"]["containers"]:
            assert re.search(r":v\d+\.\d+\.\d+$", container["image"])
            allowed = container["name"] == "ebs-plugin" and document["kind"] == "DaemonSet"
            assert container["securityContext"].get("privileged", False) is allowed
            writes = container["name"] == "nvidia-device-plugin-ctr"  # upstream's may; it was never run here
            assert container["securityContext"].get("readOnlyRootFilesystem", False) is not writes


@pytest.mark.parametrize("name", ["cloud-controller-manager", "aws-ebs-csi-driver", "cluster-autoscaler"])
def test_what_calls_aws_runs_on_the_master_with_its_network_region_and_authorities(name: str) -> None:
    documents = manifest(userdata.TEMPLATES / "addons" / f"{name}.yaml")
    pod = next(each for each in documents if each["kind"] == "Deployment")["spec"]["template"]["spec"]
    assert pod["hostNetwork"] is True
    assert pod["nodeSelector"] == {"node-role.kubernetes.io/control-plane": ""}
    caller = pod["containers"][0]
    assert {"name": "AWS_REGION", "value": "us-west-2"} in caller["env"]
    assert "/etc/ssl/certs" in {mount["mountPath"] for mount in caller["volumeMounts"]}


# Programs that cannot be built here and so never were started with these: upstream's manifests of the versions have
# them (upstream_addons.json), or the driver's docs/options.md, the sidecars' READMEs and the autoscaler's FAQ.
DOCUMENTED = {
    "ebs-plugin": {"extra-tags", "k8s-tag-cluster-id", "metadata-sources"},
    "liveness-probe": {"http-endpoint"},
    "cluster-autoscaler": {"address", "leader-elect"},
}


def in_upstreams(addon: str, container: str) -> set[str]:
    paths = json.loads(FACTS.read_text(encoding="utf-8"))[addon]["facts"]
    return {flag for path in paths for flag in re.findall(rf"/{container} --(\S+)$", path)}


@pytest.mark.parametrize("name", ["aws-ebs-csi-driver", "cluster-autoscaler"])
def test_programs_that_cannot_be_run_here_get_no_argument_that_their_documents_lack(name: str) -> None:
    for document in manifest(userdata.TEMPLATES / "addons" / f"{name}.yaml"):
        for container in document.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
            words = [*container.get("command", []), *container.get("args", [])]
            given = {word.removeprefix("--").partition("=")[0] for word in words if word.startswith("--")}
            assert given, container["name"]
            known = in_upstreams(name, container["name"]) | DOCUMENTED.get(container["name"], set())
            assert given <= known, container["name"]


@pytest.mark.parametrize(
    "marks",
    [
        "# with A\na\n# end of B\n",
        "# with A\na\n# end of B\nb\n# with A\na\n# end of A\n",
        "# with A\na\n",
        "a\n# end of A\n",
    ],
    ids=["misspelt", "misspelt before another", "no end", "no beginning"],
)
@pytest.mark.parametrize("value", ["true", "false"])
def test_an_options_lines_without_an_end_are_an_error_of_the_manifest(marks: str, value: str) -> None:
    settings = {"A": value, "B": value}
    with pytest.raises(ValueError, match="# end of OPTION"):
        addons.with_options(marks, settings)
    kept = addons.with_options("x\n# with A\na\n# end of A\n  # with B\nb\n  # end of B\n", settings)
    assert kept == ("x\na\nb\n" if value == "true" else "x\n")
