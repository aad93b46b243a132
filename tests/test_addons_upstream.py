"""templates/addons have what upstream's manifests of the same version have, but for what stands here with its reason.

tests/upstream_addons.json has upstream's side as facts, with repository, tag and files; upstream_addons.py renews it.
"""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import pytest
from test_userdata_addons import manifest
from upstream_addons import FACTS, facts

from lib.node import userdata
from lib.node.releases import versions

UPSTREAM: dict[str, Any] = json.loads(FACTS.read_text(encoding="utf-8"))
_PULL = "the default for an image with a tag"
_ONE_MASTER = "there is one master, and one replica on it"
_LEASES = "no leader is elected among one"
_NO_GROUPS = "the driver has no snapshots of groups of volumes"

# By addon: a pattern of paths (fnmatch, so brackets are written as ?), and why ours differs there.
DIFFERENT: dict[str, dict[str, str]] = {
    "aws-ebs-csi-driver": {
        "*.imagePullPolicy": _PULL,
        "*eks.amazonaws.com/compute-type*": "of EKS: no node has that label",
        "ebs-csi-controller.affinity.*": "of EKS, and to part two replicas: " + _ONE_MASTER,
        "ebs-csi-controller.nodeSelector.kubernetes.io/os": "it runs on the master, whose role has the rights",
        "ebs-csi-controller.tolerations*": "the control plane's taint is what keeps others off the master",
        "*AWS_ACCESS_KEY_ID": "the master's role has the rights; keys in a Secret are not needed",
        "*AWS_SECRET_ACCESS_KEY": "the same",
        "*AWS_EC2_ENDPOINT": "AWS's own",
        "*AWS_SAGEMAKER_ENDPOINT": "AWS's own",
        "*--logging-format": "text is the default",
        "*--user-agent-extra": "it would tell AWS that kustomize deployed it",
        "*--leader-election": _LEASES,
        "may * leases.coordination.k8s.io": _LEASES,
        "*.seccompProfile.type": "said once, for the pod",
        "*--endpoint": "another path of the socket, which only the containers of the pod see",
        "*--csi-address": "the same",
        "ebs-csi-controller/ebs-plugin.*Probe.httpGet.port": "on loopback: the pod has the master's network",
        "*/liveness-probe.resources.limits.memory": "32Mi leave a Go program no room for a large answer",
        "*/node-driver-registrar.resources.limits.memory": "the same",
        "ebs-csi-node.hostNetwork": "false is the default",
        # The driver's pull request 2806; neither csi-provisioner v6.3.0 nor csi-resizer v2.2.1 knows the name.
        "*ENABLE_VAC_FALLBACK": "read by AWS's own builds of the sidecars alone, for Kubernetes before 1.34",
        "may * volumegroupsnapshot*": _NO_GROUPS,
    },
    "snapshot-crds": {
        "*.source.* rules": "one rule of the whole source keeps it as it was given",
        "*.sourceVolumeMode rules": "the rule of spec keeps it as it was given",
        "*.volumeSnapshotRef rules": "name and namespace are required",
        "*.volumeSnapshotClassName rules": "its minLength says it",
        "*.status.restoreSize *": "a number or a text; only the controllers write it, with Kubernetes' own type",
    },
    "snapshot-controller": {
        "*.imagePullPolicy": _PULL,
        "*--leader-election": _LEASES,
        "may * leases.coordination.k8s.io": _LEASES,
        "may * volumegroupsnapshot*": _NO_GROUPS,
        "*--v": "each step in full would fill the log",
    },
    "cloud-controller-manager": {
        "*.tolerations*.value": "whatever the taint's value",
        "*--use-service-account-credentials": "one account for its three controllers, with what they need together",
        "may * serviceaccounts*": "for that token of each controller",
        "*--configure-cloud-routes": "the pods' network is the route table",
        "*.resources.requests.cpu": "for large clusters; it may take more",
        "may * nodes": "each verb by its name",
        "may * services/status": "it only writes it",
        "may * persistentvolumes": "for the volumes that left for the CSI driver",
        "may * endpoints": "once for electing a leader",
        "may * leases.coordination.k8s.io": _LEASES,
    },
    "metrics-server": {
        "*--kubelet-preferred-address-types": "a name of a node need not be known outside the VPC's DNS",
        "*.imagePullPolicy": _PULL,
        "*.resources.requests.*": "upstream's is for a hundred nodes; it may take more",
        "*.readinessProbe.*": "ready as soon as it is, not after 20 s",
        "*.livenessProbe.*": "the defaults",
        "*.securityContext.runAs*": "said once, for the pod",
        "*.securityContext.seccompProfile.type": "said once, for the pod",
    },
    "nvidia-device-plugin": {},
    "cluster-autoscaler": {
        "may * endpoints": "once for electing a leader",
        "may * leases.coordination.k8s.io": _LEASES,
        "may * *.extensions": "an API group that is gone since Kubernetes 1.22",
        "may patch jobs.batch": "nothing in it patches one",
        "*.fsGroup": "no volume of its own",
        "*--v": "each loop in full would fill the log",
        "*--stderrthreshold": "only where logs go to files",
        "*--skip-nodes-with-local-storage": "the default: a node with a pod's emptyDir on it is not taken away",
        "*--expander": "the default, which depends on nothing that the groups look like",
        "*--node-group-auto-discovery": "by tags that every group has had since its making",
        "*.resources.*": "for large clusters; it may take more memory than upstream's limit, and any CPU",
        "*.imagePullPolicy": _PULL,
    },
}


def differences(name: str) -> dict[str, tuple[Any, Any]]:
    """Path, upstream's value and ours, wherever upstream says something that ours does not say too."""
    entry, ours = UPSTREAM[name], facts(manifest(userdata.TEMPLATES / "addons" / f"{name}.yaml"))
    theirs = {re.sub(r"\baws-cloud-controller", "cloud-controller", path): v for path, v in entry["facts"].items()}
    indirect = {f"{path.split(' ')[0]} env {v[2:-1]}" for path, v in theirs.items() if str(v).startswith("$(")}
    resolved = {
        path: theirs[f"{path.split(' ')[0]} env {v[2:-1]}"] if str(v).startswith("$(") else v
        for path, v in theirs.items()
        if path not in indirect
    }
    return {path: (value, ours.get(path)) for path, value in resolved.items() if ours.get(path) != value}


def reasons(name: str, path: str) -> list[str]:
    return [pattern for pattern in DIFFERENT[name] if fnmatchcase(path, pattern)]


@pytest.mark.parametrize("name", UPSTREAM)
def test_what_upstreams_manifest_says_ours_says_too_or_it_is_listed_with_its_reason(name: str) -> None:
    assert {path: both for path, both in differences(name).items() if not reasons(name, path)} == {}


def test_the_resources_of_snapshots_ask_for_nothing_else_than_upstreams() -> None:
    ours = facts(manifest(userdata.TEMPLATES / "addons" / "snapshot-crds.yaml"))
    more = set(ours) - set(UPSTREAM["snapshot-crds"]["facts"])
    assert more == {
        "volumesnapshotcontents v1.spec.volumeSnapshotRef required",
        "volumesnapshots v1.spec.volumeSnapshotClassName minLength",
    }


@pytest.mark.parametrize("name", UPSTREAM)
def test_no_reason_outlives_its_difference(name: str) -> None:
    used = {pattern for path in differences(name) for pattern in reasons(name, path)}
    assert set(DIFFERENT[name]) - used == set()


# Actions of the driver's example policy that the master's role has not.
NOT_ALLOWED = {
    "ec2:CopyVolumes": "AWS has no condition on the volume that is copied (docs/volumes.md)",
    "ec2:EnableFastSnapshotRestores": "no parameter of the class here asks for it; it costs by the hour",
    "ec2:LockSnapshot": "the same; who may lock can make a bill that nobody can end",
    "ec2:DeleteTags": "AWS has no condition that leaves the tags alone by which what is the cluster's is known",
}


def test_the_role_may_do_what_the_drivers_example_policy_lists() -> None:
    files = [userdata.TEMPLATES / "iam" / f"master{part}-policy.json" for part in ("", "-snapshots")]
    allowed = {
        action
        for file in files
        for statement in json.loads(file.read_text(encoding="utf-8"))["Statement"]
        if statement["Effect"] == "Allow"
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    assert set(UPSTREAM["aws-ebs-csi-driver"]["actions"]) - allowed == set(NOT_ALLOWED)


def test_the_drivers_facts_are_those_of_the_version_that_runs() -> None:
    run = versions("1.37.2")
    assert UPSTREAM["aws-ebs-csi-driver"]["tag"] == run["EBS_CSI_DRIVER_VERSION"]
    assert UPSTREAM["snapshot-controller"]["tag"] == run["CSI_SNAPSHOTTER_VERSION"]
    assert UPSTREAM["snapshot-crds"]["tag"] == run["CSI_SNAPSHOTTER_VERSION"]
    assert UPSTREAM["nvidia-device-plugin"]["tag"] == run["NVIDIA_DEVICE_PLUGIN_VERSION"]
    assert UPSTREAM["metrics-server"]["tag"] == run["METRICS_SERVER_VERSION"]
    assert UPSTREAM["cluster-autoscaler"]["tag"].endswith(run["CLUSTER_AUTOSCALER_VERSION"].removeprefix("v"))


def test_no_pod_of_the_driver_starts_on_a_node_that_does_not_say_yet_what_it_is() -> None:
    (node,) = [
        d for d in manifest(userdata.TEMPLATES / "addons" / "aws-ebs-csi-driver.yaml") if d["kind"] == "DaemonSet"
    ]
    affinity = node["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "topology.kubernetes.io/zone", "operator": "Exists"}]
