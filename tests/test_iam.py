"""Every policy of the tree, held against AWS's Service Authorization Reference; what addons ask of the master's role.

The lists are the documents of the programs that run with the master's role: docs/prerequisites.md of cloud-provider-aws
1.37, docs/example-iam-policy.json of aws-ebs-csi-driver 1.63.1, cloudprovider/aws/README.md of cluster-autoscaler.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from iamreference import faults, find_action, listed
from policies import may

from lib.checks import permissions
from lib.iam import TEMPLATES, joined, policy_document
from sandbox.faults import denials

VALUES = {
    "PARTITION": "aws",
    "DNS_SUFFIX": "amazonaws.com",
    "REGION": "us-west-2",
    "ACCOUNT": "123456789012",
    "CLUSTER_ID": "kube",
    "BUCKET": "bucket",
    "PREFIX": "us-west-2/kube/",
    "SNAPSHOT": "us-west-2/kube/etcd-snapshot.db.gz",
    "MASTER_NAME": "kube-master",
    "MASTER_ROLE": "kubernetes-master-kube",
    "DISK": "kube-master-pd",
    "BROUGHT_ROUTE_TABLE": "none",
    "BROUGHT_VPC": "none",
    "GROUP": "kube-master-heal",
    "TEMPLATE": "lt-0123",
    "INTERFACE": "eni-0123",
    "SUBNET": "subnet-0123",
    "SECURITY_GROUP": "sg-0123",
}
TEMPLATES_OF_POLICIES = sorted(path.stem for path in TEMPLATES.glob("*.json"))

# --- every statement of every policy


# What one template allows in part: the rest of the role's policy has the other part.
COMPLETED_BY = {"master-snapshots-policy": ["master-policy"]}


@pytest.mark.parametrize("name", TEMPLATES_OF_POLICIES)
def test_a_template_says_only_what_aws_knows(name: str) -> None:
    assert faults(joined([name, *COMPLETED_BY.get(name, [])], VALUES)) == []


def test_the_users_policy_says_only_what_aws_knows() -> None:
    assert faults({"Statement": permissions.statements()}) == []


def _statement(actions: Any, resources: Any, condition: Any = None) -> dict[str, Any]:
    made = {"Sid": "X", "Effect": "Allow", "Action": actions, "Resource": resources}
    return {"Statement": [made | ({"Condition": {"StringEquals": condition}} if condition else {})]}


@pytest.mark.parametrize(
    ("policy", "fault"),
    [
        (_statement("ec2:CreateVolumes", "*"), "X: there is no action ec2:CreateVolumes"),
        (_statement("s3:ListObjectsV2", "*"), "X: there is no action s3:ListObjectsV2"),
        (_statement("ec2:DeleteVpc", "arn:aws:ec2:*:*:subnet/*"), "X: ec2:DeleteVpc is on none of "),
        (_statement("ec2:DescribeVolumes", "arn:aws:ec2:*:*:volume/*"), "X: ec2:DescribeVolumes is on none of "),
        (
            _statement("ec2:CreateVolume", "arn:aws:ec2:*:*:volume/*", {"aws:ResourceTag/a": "b"}),
            "X: ec2:CreateVolume on arn:aws:ec2:*:*:volume/* has no key aws:ResourceTag/a",
        ),
        (_statement("ec2:DescribeVolumes", "*", {"aws:ResourceTag/a": "b"}), "X: ec2:DescribeVolumes on * has no key"),
        (
            _statement("ec2:AttachVolume", "arn:aws:ec2:*:*:volume/*"),
            "ec2:AttachVolume is allowed, and on no instance, which it needs",
        ),
        (
            _statement("ec2:CreateSnapshot", "*", {"aws:RequestTag/a": "b"}),
            "ec2:CreateSnapshot is allowed, and on no volume, which it needs",
        ),
    ],
)
def test_the_reference_finds(policy: dict[str, Any], fault: str) -> None:
    assert any(found.startswith(fault) for found in faults(policy)), faults(policy)


# --- what the sandbox says that a call needs, which tests/test_permissions.py holds against each call of lib


def test_the_actions_of_calls_are_actions() -> None:
    named = {action for needed in denials.ACTIONS.values() for action in needed}
    assert [action for action in sorted(named) if find_action(action) is None] == []


def test_what_an_action_needs_beside_it_is_allowed_too() -> None:
    allowed = {action for statement in permissions.statements() for action in listed(statement["Action"])}
    needs = {each for action in allowed if (found := find_action(action)) for each in found.needs}
    assert needs - allowed == set()


# --- what runs with the master's role

CONTROLLER_MANAGER = """
autoscaling: DescribeAutoScalingGroups DescribeLaunchConfigurations DescribeTags
ec2: DescribeInstances DescribeRegions DescribeRouteTables DescribeSecurityGroups DescribeSubnets DescribeVolumes
ec2: DescribeAvailabilityZones CreateSecurityGroup CreateTags CreateVolume ModifyInstanceAttribute ModifyVolume
ec2: AttachVolume
ec2: AuthorizeSecurityGroupIngress CreateRoute DeleteRoute DeleteSecurityGroup DeleteVolume DetachVolume
ec2: RevokeSecurityGroupIngress DescribeVpcs DescribeInstanceTopology
elasticloadbalancing: AddTags AttachLoadBalancerToSubnets ApplySecurityGroupsToLoadBalancer CreateLoadBalancer
elasticloadbalancing: CreateLoadBalancerPolicy CreateLoadBalancerListeners ConfigureHealthCheck DeleteLoadBalancer
elasticloadbalancing: DeleteLoadBalancerListeners DescribeLoadBalancers DescribeLoadBalancerAttributes
elasticloadbalancing: DetachLoadBalancerFromSubnets DeregisterInstancesFromLoadBalancer ModifyLoadBalancerAttributes
elasticloadbalancing: RegisterInstancesWithLoadBalancer SetLoadBalancerPoliciesForBackendServer CreateListener
elasticloadbalancing: CreateTargetGroup DeleteListener DeleteTargetGroup DescribeListeners DescribeLoadBalancerPolicies
elasticloadbalancing: DescribeTargetGroups DescribeTargetHealth ModifyListener ModifyTargetGroup RegisterTargets
elasticloadbalancing: DeregisterTargets SetLoadBalancerPoliciesOfListener SetSecurityGroups
iam: CreateServiceLinkedRole
kms: DescribeKey
"""
CSI_DRIVER = """
ec2: DescribeAvailabilityZones DescribeInstances DescribeInstanceTypes DescribeSnapshots DescribeTags DescribeVolumes
ec2: DescribeVolumesModifications DescribeVolumeStatus CreateSnapshot ModifyVolume CopyVolumes AttachVolume DetachVolume
ec2: CreateVolume EnableFastSnapshotRestores CreateTags DeleteTags DeleteVolume DeleteSnapshot LockSnapshot
kms: Decrypt GenerateDataKeyWithoutPlaintext CreateGrant
"""
AUTOSCALER = """
autoscaling: DescribeAutoScalingGroups DescribeAutoScalingInstances DescribeLaunchConfigurations
autoscaling: DescribeScalingActivities SetDesiredCapacity TerminateInstanceInAutoScalingGroup
ec2: DescribeImages DescribeInstanceTypes DescribeLaunchTemplateVersions GetInstanceTypesFromInstanceRequirements
eks: DescribeNodegroup
"""
LEFT_OUT = {
    "ec2:CopyVolumes": "AWS has no condition on the volume that is copied: it would be each of the account",
    "ec2:DeleteTags": "the driver's for tags that a StorageClass's modification removes",
    "ec2:EnableFastSnapshotRestores": "the default class of VolumeSnapshots does not ask for it; it costs by the hour",
    "ec2:LockSnapshot": "the same; what is locked costs money until its time is over",
    "eks:DescribeNodegroup": "no EKS here",
    "kms:DescribeKey": "named in the document, and called nowhere in its code",
}


def actions(text: str) -> list[str]:
    rows = (line.partition(": ") for line in text.split("\n") if line)
    return [f"{service}:{name}" for service, _, names in rows for name in names.split()]


UPSTREAM = sorted({*actions(CONTROLLER_MANAGER), *actions(CSI_DRIVER), *actions(AUTOSCALER)})


def sample(arn: str) -> str:
    """A resource of a type: `arn:*:ec2:*:*:volume/*` as one of this account's."""
    _, _, service, region, account, rest = arn.split(":", 5)
    here = ["us-west-2" if region else "", "123456789012" if account else ""]
    return ":".join(["arn", "aws", service, *here, rest.replace("*", "x")])


def on(action: str) -> list[str]:
    """What a call of the action is on: of each type that it needs, else of those that it may name, one."""
    found = find_action(action)
    types = found.types if found else ()
    also = {"ec2:CreateSecurityGroup": ("vpc",), "ec2:CreateTags": ("security-group", "volume")}.get(action, ())
    needed = [each for each in types if each.required or each.name in also]
    return [sample(each.arn) for each in needed or types] or ["*"]


def context(action: str, cluster: str) -> dict[str, str]:
    """The keys of a call of a cluster's on what carries that cluster's tags."""
    tags = {f"kubernetes.io/cluster/{cluster}": "owned", "KubernetesCluster": cluster}
    service, _, name = action.partition(":")
    made = {"ec2:CreateTags": "CreateVolume", "elasticloadbalancing:AddTags": "CreateLoadBalancer"}.get(action, name)
    keys = {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
    keys |= {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    keys["aws:ResourceTag/kubernetes.io/created-for/pvc/name"] = "data"
    keys["aws:ResourceTag/CSIVolumeSnapshotName"] = "snapshot-1"
    if service == "kms":
        keys |= {"kms:ViaService": "ec2.us-west-2.amazonaws.com", "kms:GrantIsForAWSResource": "true"}
    return keys | {f"{service}:CreateAction": made, "ec2:Attribute": "SourceDestCheck"}


def linked_role(service: str) -> tuple[str, dict[str, str]]:
    role = f"arn:aws:iam::123456789012:role/aws-service-role/{service}.amazonaws.com/x"
    return role, {"iam:AWSServiceName": f"{service}.amazonaws.com"}


def master() -> dict[str, Any]:
    """All that addons may do, with every option."""
    return joined(["master-policy", "master-snapshots-policy"], VALUES)


@pytest.mark.parametrize("action", UPSTREAM)
def test_what_upstreams_documents_list_is_allowed_for_what_is_the_clusters(action: str) -> None:
    named = {each for s in master()["Statement"] if s["Effect"] == "Allow" for each in listed(s["Action"])}
    assert (action in named) is not (action in LEFT_OUT), "say in LEFT_OUT why, or take it out of there"
    if action == "iam:CreateServiceLinkedRole":
        assert may(master(), action, *linked_role("elasticloadbalancing"))
    elif action in named:
        for resource in on(action):
            assert may(master(), action, resource, context(action, "kube")), resource


@pytest.mark.parametrize("action", [each for each in UPSTREAM if each not in LEFT_OUT])
def test_nothing_of_another_clusters_is_changed(action: str) -> None:
    if action == "iam:CreateServiceLinkedRole":
        assert not may(master(), action, *linked_role("spot"))
    elif not action.partition(":")[2].startswith(("Describe", "Get")) and not action.startswith("kms:"):
        assert not [r for r in on(action) if may(master(), action, r, context(action, "kube2"))]


def test_the_first_load_balancer_of_china_has_the_same_principal() -> None:
    """No partition but China's has another suffix, and AWS's own services have `amazonaws.com` there too."""
    values = {**VALUES, "PARTITION": "aws-cn", "DNS_SUFFIX": "amazonaws.com.cn"}
    role, keys = linked_role("elasticloadbalancing")
    policy = policy_document("master-policy", values)
    assert may(policy, "iam:CreateServiceLinkedRole", role.replace("arn:aws:", "arn:aws-cn:"), keys)


def test_a_brought_vpc_is_named_by_its_id() -> None:
    policy = policy_document("master-policy", {**VALUES, "BROUGHT_VPC": "vpc-0123"})
    vpc = "arn:aws:ec2:us-west-2:123456789012:vpc"
    assert may(policy, "ec2:CreateSecurityGroup", f"{vpc}/vpc-0123")
    assert not may(policy, "ec2:CreateSecurityGroup", f"{vpc}/vpc-4567")


def test_the_masters_policy_fits_into_its_role() -> None:
    """IAM quotas, "IAM object quotas": 10,240 characters of inline policies a role, without white space."""
    cluster, bucket = "x" * 32, "x" * 63  # the longest of both: limits.py, and S3's own
    long = {**VALUES, "PARTITION": "aws-us-gov", "REGION": "ap-southeast-1", "CLUSTER_ID": cluster, "BUCKET": bucket}
    long |= {name: value.replace("kube", cluster) for name, value in VALUES.items() if value.count("kube") == 1}
    parts = ("master-policy", "master-alarms-policy", "master-snapshots-policy", "ecr-policy")
    assert len("".join(json.dumps(joined(parts, long)).split())) < 10240


def test_documents_that_are_joined_say_what_each_says() -> None:
    names = ("master-policy", "master-snapshots-policy", "ecr-policy")

    def said(policy: dict[str, Any]) -> list[str]:
        rows = ((s, action) for s in policy["Statement"] for action in listed(s["Action"]))
        return sorted(json.dumps({**s, "Sid": "", "Action": action}, sort_keys=True) for s, action in rows)

    both = joined(names, VALUES)
    assert said(both) == sorted(row for name in names for row in said(policy_document(name, VALUES)))
    assert len(both["Statement"]) < sum(len(policy_document(name, VALUES)["Statement"]) for name in names)
