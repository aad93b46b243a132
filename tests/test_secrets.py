"""Secrets: where they are, and that they are nowhere else; and what the master's role may reach of other clusters'."""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import REGION, Box, Result
from helpers import ID, SharedBox, answer_with, bucket_of, kubeconfig, must, part, read_object, shared_box
from policies import may
from spread import spread

from lib.cluster import Pki
from lib.kube.api import Client
from lib.settings.layers import read_layers
from sandbox.app import record_line

KEY_OF_AWS = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"


def secrets(box: Box, cluster: str = ID) -> set[str]:
    """Every line of every private key, in PEM and as kubeconfig has it, the join token, and the user's own keys."""
    found = {KEY_OF_AWS, *_body(Path(box.environ["AWS_SSH_KEY"]).read_bytes())}
    if not box.inventory().get("s3"):
        return found
    held = set(box.inventory()["s3"][bucket_of(box)]["objects"])
    if f"{REGION}/{cluster}/join-token" in held:
        token = read_object(box, f"{REGION}/{cluster}/join-token").decode().strip()
        found |= {token, token.split(".")[1]}
    if f"{REGION}/{cluster}/pki.tar" in held:
        with tarfile.open(fileobj=io.BytesIO(read_object(box, f"{REGION}/{cluster}/pki.tar"))) as archive:
            for member in archive.getmembers():
                content = (archive.extractfile(member) or io.BytesIO()).read()
                if member.name.endswith(".key"):
                    found |= {*_body(content), base64.b64encode(content).decode()[40:100]}
    if kubeconfig(box).exists():
        for user in yaml.safe_load(kubeconfig(box).read_text())["users"] or []:
            encoded = user["user"]["client-key-data"]
            found |= {encoded[:100], *_body(base64.b64decode(encoded))}
    return found


def _body(pem: bytes) -> set[str]:
    return {line for line in pem.decode().splitlines() if len(line) > 20 and not line.startswith("---")}


def told(result: Result) -> str:
    """All that a run left where somebody might read it: both outputs, and the lines of --calls."""
    return result.out + result.err + "".join(record_line(call) for call in result.calls)


def none_of(found: set[str], text: str) -> None:
    assert len(found) > 3  # they were found
    assert [secret for secret in found if secret in text] == []
    assert "PRIVATE KEY" not in text


@pytest.fixture
def box(sandbox: Box) -> Box:
    sandbox.environ["AWS_SECRET_ACCESS_KEY"] = KEY_OF_AWS
    return sandbox


# --- what a run says


def test_no_run_says_a_secret(box: Box) -> None:
    said = told(must(box.up()))
    found = secrets(box)
    assert len(found) > 40
    said += told(must(box.up("--show-settings")))
    said += told(must(box.up("--dry-run")))
    kubeconfig(box).unlink()
    said += told(must(box.up()))
    found |= secrets(box)  # another client's key
    said += told(box.down("--dry-run")) + told(must(box.down("--keep-disk"))) + told(must(box.down()))
    none_of(found, said)


CHANGES = [
    "s3:CreateBucket",
    "s3:PutObject",
    "iam:CreateRole",
    "iam:PutRolePolicy",
    "ec2:ImportKeyPair",
    "ec2:CreateVpc",
    "ec2:CreateSubnet",
    "ec2:CreateSecurityGroup",
    "ec2:CreateNetworkInterface",
    "ec2:AllocateAddress",
    "ec2:CreateVolume",
    "ec2:RunInstances",
    "ec2:CreateLaunchTemplate",
    "autoscaling:CreateAutoScalingGroup",
]


@pytest.mark.parametrize("operation", spread(CHANGES, 4))
def test_no_refusal_says_a_secret(box: Box, operation: str) -> None:
    answer_with(box, operation, "AccessDenied", "no", status=403)
    result = box.up()
    assert result.code == 1
    box.aws.hooks.before.clear()
    none_of(secrets(box), told(result))


def test_no_failure_of_the_api_says_a_secret(box: Box) -> None:
    answer_with(box, "autoscaling:CreateAutoScalingGroup", "ValidationError", "no")
    must_fail = box.up(KUBE_WAIT_AWS_SECONDS=1)
    box.aws.hooks.before.clear()
    late = box.up(KUBE_WAIT_API_SECONDS=1, KUBE_WAIT_NODES_SECONDS=1, KUBE_WAIT_INSTANCE_SECONDS=1)
    none_of(secrets(box), told(must_fail) + told(late))


def test_what_holds_a_secret_does_not_show_it_in_a_traceback() -> None:
    from lib.kube import certificates

    files = certificates.make_files()
    shown = repr(Pki(ca_cert=files["ca.crt"], ca_key=files["ca.key"], ca_cert_hash="sha256:0"))
    shown += repr(Client(server="https://x", ca_cert=files["ca.crt"], cert=files["ca.crt"], key=files["ca.key"]))
    shown += repr(read_layers({"HOME": "/h", "AWS_SECRET_ACCESS_KEY": KEY_OF_AWS}))
    none_of({KEY_OF_AWS, *_body(files["ca.key"])}, shown)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
def test_credentials_that_no_header_can_hold_are_not_shown(box: Box, name: str) -> None:
    result = box.up(**{name: f"{KEY_OF_AWS}\nmore"})
    assert (result.code, result.calls) == (1, [])
    assert KEY_OF_AWS not in result.out + result.err
    assert "AWS credentials" in result.err


# --- files


class _Watch:
    """The mode of each file that this process makes below a folder, as it was at once after it was made."""

    def __init__(self) -> None:
        self.folder, self.modes, self._pending = "", dict[str, int](), set[str]()

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.folder:
            return
        for path in list(self._pending):
            if os.path.exists(path):
                self._pending.discard(path)
                self.modes[path] = os.stat(path).st_mode & 0o777
        if event in ("open", "os.mkdir") and str(arguments[0]).startswith(self.folder):
            path = str(arguments[0])
            if not os.path.exists(path):
                self._pending.add(path)


_WATCH = _Watch()


@pytest.fixture
def watch(sandbox: Box) -> Iterator[_Watch]:
    if not getattr(sys, "_kube_up_watch", False):
        sys.addaudithook(_WATCH)
        sys._kube_up_watch = True  # type: ignore[attr-defined]  # a hook stays for good
    _WATCH.folder, _WATCH.modes = str(sandbox.home), {}
    before = os.umask(0)
    yield _WATCH
    os.umask(before)
    _WATCH.folder = ""


def test_files_are_nobody_elses_from_the_start_whatever_the_umask(sandbox: Box, watch: _Watch) -> None:
    key = sandbox.home / "deep" / "down" / "key"
    sandbox.cluster(AWS_SSH_KEY=key, KUBECONFIG=sandbox.home / "k" / "l" / "config")
    assert watch.modes, "nothing was seen"
    files = {path: mode for path, mode in watch.modes.items() if Path(path).is_dir() is False}
    assert any(".kube-up." in path for path in files)
    assert {oct(mode & 0o077) for mode in watch.modes.values()} == {"0o0"}, watch.modes
    assert oct(key.stat().st_mode & 0o777) == "0o600"
    for made in ("deep", "deep/down", "k", "k/l"):
        assert oct((sandbox.home / made).stat().st_mode & 0o777) == "0o700"
    assert oct((sandbox.home / "k" / "l" / "config").stat().st_mode & 0o777) == "0o600"


def test_a_kubeconfig_that_others_could_read_is_closed_when_it_is_written(sandbox: Box) -> None:
    kubeconfig(sandbox).parent.mkdir(parents=True)
    kubeconfig(sandbox).write_text("")
    kubeconfig(sandbox).chmod(0o666)
    must(sandbox.up())
    assert oct(kubeconfig(sandbox).stat().st_mode & 0o777) == "0o600"


# --- the account


class Kube(SharedBox):
    """A finished cluster whose id begins that of another: kube, and kube2."""


@pytest.fixture(scope="module")
def kube(_server: Any, tmp_path_factory: pytest.TempPathFactory, ssh_key: Path) -> Iterator[Kube]:
    with shared_box(Kube, _server, tmp_path_factory.mktemp("home"), ssh_key) as shared:
        must(shared.up(KUBE_AWS_INSTANCE_PREFIX="kube"))
        yield shared


def test_no_description_of_the_account_holds_a_secret(kube: Kube) -> None:
    none_of(secrets(kube, "kube"), json.dumps(kube.inventory(), default=str))


def test_every_object_is_encrypted(kube: Kube) -> None:
    s3, bucket = kube.client("s3"), bucket_of(kube)
    for name in kube.inventory()["s3"][bucket]["objects"]:
        assert s3.head_object(Bucket=bucket, Key=name)["ServerSideEncryption"] == "AES256"


EC2 = f"arn:aws:ec2:{REGION}:123456789012"
OWNED = {"aws:ResourceTag/kubernetes.io/cluster/kube": "owned"}
OTHERS = {"aws:ResourceTag/kubernetes.io/cluster/kube2": "owned", "aws:ResourceTag/KubernetesCluster": "kube2"}
DISK = {"aws:ResourceTag/Name": "kube-master-pd"}
TAGGED = {"aws:ResourceTag/KubernetesCluster": "kube"}
CLAIM = {"aws:ResourceTag/kubernetes.io/created-for/pvc/name": "data"}
ASKED = {"aws:RequestTag/kubernetes.io/cluster/kube": "owned"}
MADE_VOLUME = {"ec2:CreateAction": "CreateVolume"}
MADE_LB = {"elasticloadbalancing:CreateAction": "CreateLoadBalancer"}
DRIVER = {"aws:ResourceTag/ebs.csi.aws.com/cluster": "true"}
# The driver names each volume that it makes (1.63.1, pkg/driver/controller.go).
BY_DRIVER = {**DRIVER, "aws:ResourceTag/CSIVolumeName": "pvc-1"}
DISK_ACTIONS = ("Attach", "Detach", "Modify", "Delete")
ASG = f"arn:aws:autoscaling:{REGION}:123456789012:autoScalingGroup:x:autoScalingGroupName/y"
LB = f"arn:aws:elasticloadbalancing:{REGION}:123456789012:loadbalancer/x"
SERVICE_ROLE = "arn:aws:iam::123456789012:role/aws-service-role"

MASTER_MAY: list[tuple[str, str, dict[str, str], bool]] = [
    # its own prefix, to read
    ("s3:GetObject", "arn:aws:s3:::BUCKET/us-west-2/kube/pki.tar", {}, True),
    ("s3:GetObject", "arn:aws:s3:::BUCKET/us-west-2/kube/addons/0123", {}, True),
    ("s3:GetObject", "arn:aws:s3:::BUCKET/us-west-2/kube2/pki.tar", {}, False),
    ("s3:GetObject", "arn:aws:s3:::BUCKET/us-west-2/kub/pki.tar", {}, False),
    ("s3:GetObject", "arn:aws:s3:::BUCKET/us-east-1/kube/pki.tar", {}, False),
    ("s3:GetObject", "arn:aws:s3:::BUCKET/pki.tar", {}, False),
    ("s3:GetObject", "arn:aws:s3:::BUCKET2/us-west-2/kube/pki.tar", {}, False),
    ("s3:GetObject", "arn:aws:s3:::kubernetes-staging-0123/us-west-2/kube/pki.tar", {}, False),
    ("s3:GetObjectVersion", "arn:aws:s3:::BUCKET/us-west-2/kube/pki.tar", {}, False),
    ("s3:PutObject", "arn:aws:s3:::BUCKET/us-west-2/kube/pki.tar", {}, False),
    ("s3:DeleteObject", "arn:aws:s3:::BUCKET/us-west-2/kube/pki.tar", {}, False),
    ("s3:ListBucket", "arn:aws:s3:::BUCKET", {}, False),
    ("s3:ListAllMyBuckets", "*", {}, False),
    # machines: none made, none ended, no user-data of an instance read, no role passed on
    ("ec2:RunInstances", f"{EC2}:instance/i-1", OWNED, False),
    ("ec2:TerminateInstances", f"{EC2}:instance/i-1", OWNED, False),
    ("ec2:StopInstances", f"{EC2}:instance/i-1", OWNED, False),
    ("ec2:DescribeInstanceAttribute", f"{EC2}:instance/i-1", OWNED, False),
    ("ec2:CreateLaunchTemplateVersion", f"{EC2}:launch-template/lt-1", OWNED, False),
    ("ec2:AssociateIamInstanceProfile", f"{EC2}:instance/i-1", OWNED, False),
    ("ec2:DescribeInstances", "*", {}, True),
    ("ec2:ModifyInstanceAttribute", f"{EC2}:instance/i-1", TAGGED, True),
    ("ec2:ModifyInstanceAttribute", f"{EC2}:instance/i-1", OTHERS, False),
    ("ec2:ModifyInstanceAttribute", f"{EC2}:instance/i-1", {**TAGGED, "ec2:Attribute": "SourceDestCheck"}, True),
    ("ec2:ModifyInstanceAttribute", f"{EC2}:instance/i-1", {**TAGGED, "ec2:Attribute": "sourceDestCheck"}, True),
    ("ec2:ModifyInstanceAttribute", f"{EC2}:instance/i-1", {**TAGGED, "ec2:Attribute": "disableApiTermination"}, False),
    ("ec2:ModifyInstanceAttribute", f"{EC2}:instance/i-1", {**TAGGED, "ec2:Attribute": "userData"}, False),
    # No document says by which word EC2 calls the one that routes need: a word that nobody knows must not break them.
    ("ec2:ModifyInstanceAttribute", f"{EC2}:instance/i-1", {**TAGGED, "ec2:Attribute": "source-dest"}, True),
    ("iam:PassRole", "arn:aws:iam::123456789012:role/kubernetes-master-kube-kubernetes-vpc-us-west-2", {}, False),
    ("iam:PutRolePolicy", "arn:aws:iam::123456789012:role/kubernetes-master-kube-kubernetes-vpc-us-west-2", {}, False),
    ("sts:AssumeRole", "arn:aws:iam::123456789012:role/admin", {}, False),
    ("ssm:GetParameter", f"arn:aws:ssm:{REGION}:123456789012:parameter/x", {}, False),
    # disks
    ("ec2:AttachVolume", f"{EC2}:volume/vol-1", OWNED, True),
    ("ec2:AttachVolume", f"{EC2}:instance/i-1", OWNED, True),
    ("ec2:AttachVolume", f"{EC2}:volume/vol-1", OTHERS, False),
    ("ec2:AttachVolume", f"{EC2}:instance/i-1", OTHERS, False),
    ("ec2:AttachVolume", f"{EC2}:volume/vol-1", {}, False),
    ("ec2:DetachVolume", f"{EC2}:volume/vol-1", OWNED, True),
    ("ec2:DetachVolume", f"{EC2}:volume/vol-1", {}, False),
    ("ec2:DetachVolume", f"{EC2}:volume/vol-1", {**OWNED, "aws:ResourceTag/Name": "kube-dynamic-pvc-1"}, True),
    ("ec2:DetachVolume", f"{EC2}:volume/vol-1", {**OWNED, **DISK}, False),
    ("ec2:DetachVolume", f"{EC2}:instance/i-1", OWNED, True),
    ("ec2:AttachVolume", f"{EC2}:volume/vol-1", {**OWNED, **DISK}, True),
    ("ec2:DeleteVolume", f"{EC2}:volume/vol-1", {**OWNED, **CLAIM}, True),
    ("ec2:DeleteVolume", f"{EC2}:volume/vol-1", OWNED, False),  # the master's own disk
    ("ec2:DeleteVolume", f"{EC2}:volume/vol-1", {**OTHERS, **CLAIM}, False),
    # a volume that a person made for the driver: used and grown, never deleted; another cluster's claim's is not one
    *((f"ec2:{each}Volume", f"{EC2}:volume/vol-1", DRIVER, each != "Delete") for each in DISK_ACTIONS),
    *((f"ec2:{each}Volume", f"{EC2}:volume/vol-1", {**DRIVER, **OTHERS}, False) for each in DISK_ACTIONS),
    # nor is that of a cluster whose driver was not told the cluster's id: it has no cluster's tag
    *((f"ec2:{each}Volume", f"{EC2}:volume/vol-1", BY_DRIVER, False) for each in DISK_ACTIONS),
    *((f"ec2:{each}Volume", f"{EC2}:volume/vol-1", {**BY_DRIVER, **CLAIM}, False) for each in DISK_ACTIONS),
    *((f"ec2:{each}Volume", f"{EC2}:volume/vol-1", {**DRIVER, **OTHERS, **CLAIM}, False) for each in DISK_ACTIONS),
    ("ec2:CreateVolume", f"{EC2}:volume/*", {"aws:RequestTag/kubernetes.io/cluster/kube": "owned"}, True),
    ("ec2:CreateVolume", f"{EC2}:volume/*", {"aws:RequestTag/kubernetes.io/cluster/kube2": "owned"}, False),
    ("ec2:CreateVolume", f"{EC2}:volume/*", {}, False),
    ("ec2:CreateTags", f"{EC2}:volume/vol-1", {"ec2:CreateAction": "CreateVolume"}, True),
    (
        "ec2:CreateTags",
        f"{EC2}:volume/vol-1",
        {**MADE_VOLUME, **ASKED, "aws:RequestTag/KubernetesCluster": "kube"},
        True,
    ),
    # else it could be taken for another cluster's etcd, which is found by these names
    ("ec2:CreateTags", f"{EC2}:volume/vol-1", {**MADE_VOLUME, **ASKED, "aws:RequestTag/KubernetesCluster": "b"}, False),
    ("ec2:CreateTags", f"{EC2}:volume/vol-1", {**MADE_VOLUME, **ASKED, "aws:RequestTag/Name": "b-master-pd"}, False),
    ("ec2:CreateTags", f"{EC2}:volume/vol-1", {**MADE_VOLUME, **ASKED, "aws:RequestTag/Role": "b-master"}, False),
    ("ec2:CreateTags", f"{EC2}:volume/vol-1", {**MADE_VOLUME, **ASKED, "aws:RequestTag/Name": "kube-dynamic-1"}, True),
    ("ec2:CreateTags", f"{EC2}:volume/vol-1", {}, False),  # else it could make any disk its own
    ("ec2:CreateTags", f"{EC2}:instance/i-1", {"ec2:CreateAction": "RunInstances"}, False),
    ("ec2:DeleteTags", f"{EC2}:volume/vol-1", OWNED, False),
    # snapshots of etcd: it may add one, read each, and take none away
    ("s3:PutObject", "arn:aws:s3:::BUCKET/us-west-2/kube/etcd-snapshot.db.gz", {}, True),
    ("s3:GetObjectVersion", "arn:aws:s3:::BUCKET/us-west-2/kube/etcd-snapshot.db.gz", {}, True),
    ("s3:DeleteObject", "arn:aws:s3:::BUCKET/us-west-2/kube/etcd-snapshot.db.gz", {}, False),
    ("s3:DeleteObjectVersion", "arn:aws:s3:::BUCKET/us-west-2/kube/etcd-snapshot.db.gz", {}, False),
    ("s3:PutObject", "arn:aws:s3:::BUCKET/us-west-2/kube2/etcd-snapshot.db.gz", {}, False),
    ("s3:PutLifecycleConfiguration", "arn:aws:s3:::BUCKET", {}, False),
    ("s3:PutBucketVersioning", "arn:aws:s3:::BUCKET", {}, False),
    # network
    ("ec2:CreateRoute", f"{EC2}:route-table/rtb-1", TAGGED, True),
    ("ec2:CreateRoute", f"{EC2}:route-table/rtb-1", OTHERS, False),
    ("ec2:CreateRoute", f"{EC2}:route-table/rtb-1", {}, False),
    ("ec2:DeleteSecurityGroup", f"{EC2}:security-group/sg-1", TAGGED, True),
    ("ec2:DeleteSecurityGroup", f"{EC2}:security-group/sg-1", OTHERS, False),
    ("ec2:CreateSecurityGroup", f"{EC2}:security-group/*", ASKED, True),
    ("ec2:CreateSecurityGroup", f"{EC2}:vpc/vpc-1", TAGGED, True),
    ("ec2:CreateSecurityGroup", f"{EC2}:vpc/vpc-1", OTHERS, False),
    ("ec2:CreateSecurityGroup", f"{EC2}:vpc/vpc-1", {}, False),
    ("ec2:DeleteVpc", f"{EC2}:vpc/vpc-1", TAGGED, False),
    ("ec2:ReleaseAddress", f"{EC2}:elastic-ip/eipalloc-1", TAGGED, False),
    # load balancers and groups
    ("elasticloadbalancing:DeleteLoadBalancer", LB, OWNED, True),
    ("elasticloadbalancing:DeleteLoadBalancer", LB, OTHERS, False),
    ("elasticloadbalancing:AddTags", LB, {}, False),
    ("elasticloadbalancing:AddTags", LB, ASKED, False),  # else it could make any load balancer its own
    ("elasticloadbalancing:AddTags", LB, {**ASKED, **MADE_LB}, True),
    ("elasticloadbalancing:AddTags", LB, {**OWNED, "aws:RequestTag/team": "x"}, True),
    ("elasticloadbalancing:AddTags", LB, {**OWNED, "aws:RequestTag/KubernetesCluster": "kube2"}, False),
    ("elasticloadbalancing:CreateLoadBalancer", LB, ASKED, True),
    ("elasticloadbalancing:CreateLoadBalancer", LB, {}, False),
    ("autoscaling:SetDesiredCapacity", ASG, TAGGED, True),
    ("autoscaling:SetDesiredCapacity", ASG, OTHERS, False),
    ("autoscaling:UpdateAutoScalingGroup", ASG, TAGGED, False),
    (
        "iam:CreateServiceLinkedRole",
        f"{SERVICE_ROLE}/elasticloadbalancing.amazonaws.com/x",
        {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"},
        True,
    ),
    (
        "iam:CreateServiceLinkedRole",
        f"{SERVICE_ROLE}/spot.amazonaws.com/x",
        {"iam:AWSServiceName": "spot.amazonaws.com"},
        False,
    ),
]


def test_the_masters_disk_bears_the_name_by_which_it_is_kept(kube: Kube) -> None:
    names = [disk["tags"].get("Name") for disk in part(kube, "volumes").values()]
    assert names.count(DISK["aws:ResourceTag/Name"]) == 1


def the_policies(box: Box, role: str) -> dict[str, Any]:
    roles = box.inventory()["iam"]["roles"]
    found = roles[f"kubernetes-{role}-kube-kubernetes-vpc-{REGION}"]
    assert found["attached"] == []
    return {"Statement": [s for policy in found["policies"].values() for s in policy["Statement"]]}


@pytest.mark.parametrize(
    ("action", "resource", "context", "expected"), MASTER_MAY, ids=lambda value: str(value).removeprefix("arn:aws:")
)
def test_the_masters_role(kube: Kube, action: str, resource: str, context: dict[str, str], expected: bool) -> None:
    resource = resource.replace("BUCKET", bucket_of(kube))
    assert may(the_policies(kube, "master"), action, resource, context) is expected


def test_the_minions_role_may_do_none_of_it(kube: Kube) -> None:
    policy = the_policies(kube, "minion")
    assert not [row for row in MASTER_MAY if may(policy, row[0], row[1].replace("BUCKET", bucket_of(kube)), row[2])]


KEY = "s3:ExistingObjectTag/x"


def test_the_evaluator_knows_what_a_policy_says() -> None:
    allow = {"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::b/p/*"}
    assert may({"Statement": [allow]}, "S3:GETObject", "arn:aws:s3:::b/p/x")
    assert not may({"Statement": [allow]}, "s3:GetObject", "arn:aws:s3:::b/p2/x")
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringLike": {KEY: "a?c*"}}}
    assert not may({"Statement": [allow, deny]}, "s3:GetObject", "arn:aws:s3:::b/p/x", {KEY.upper(): "abcd"})
    assert may({"Statement": [allow, deny]}, "s3:GetObject", "arn:aws:s3:::b/p/x", {KEY: "ab"})
    with pytest.raises(NotImplementedError):
        may({"Statement": [{**allow, "NotResource": "x"}]}, "s3:GetObject", "arn:aws:s3:::b/p/x")
    with pytest.raises(NotImplementedError):
        may({"Statement": [{**allow, "Condition": {"IpAddress": {"a": "b"}}}]}, "s3:GetObject", "arn:aws:s3:::b/p/x")
