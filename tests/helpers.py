"""What the tests of up, rerun and down share: a finished cluster, and short words for looking and breaking."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import os
import re
import shlex
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from conftest import REGION, Box, Result

from lib.node.userdata import TEMPLATES
from sandbox.backend import cloud
from sandbox.calls import Answer, Call, Refusal, refusal_answer

ID = "kubernetes"
OWNED = f"kubernetes.io/cluster/{ID}"
TAGS = {"KubernetesCluster": ID, OWNED: "owned"}
GROUP = f"{ID}-minion-group-{REGION}a"
MASTER_ROLE = f"kubernetes-master-{ID}-kubernetes-vpc-{REGION}"
MINION_ROLE = f"kubernetes-minion-{ID}-kubernetes-vpc-{REGION}"


# --- a cluster for several tests


class _Streams:
    """Stands in for capsys where a Box outlives a test."""

    def __init__(self) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()

    def readouterr(self) -> SimpleNamespace:
        shown = SimpleNamespace(out=self.out.getvalue(), err=self.err.getvalue())
        for stream in (self.out, self.err):
            stream.seek(0)
            stream.truncate()
        return shown


class SharedBox(Box):
    """A Box that outlives a test."""

    def __init__(self, server: Any, home: Path) -> None:
        self._streams = _Streams()
        super().__init__(server, home, self._streams)

    def _run(self, *arguments: Any) -> Result:
        with contextlib.redirect_stdout(self._streams.out), contextlib.redirect_stderr(self._streams.err):
            return super()._run(*arguments)


Shared = TypeVar("Shared", bound=SharedBox)


@contextlib.contextmanager
def shared_box(kind: type[Shared], server: Any, folder: Path, ssh_key: Path) -> Iterator[Shared]:
    """An empty simulated AWS for several tests, emptied again at the end."""
    server.aws.reset()
    (folder / ".ssh").mkdir(parents=True)
    for name in ("kube_aws_rsa", "kube_aws_rsa.pub"):
        shutil.copy(ssh_key.with_name(name), folder / ".ssh" / name)
    yield kind(server, folder)
    server.aws.reset()


def must(result: Result) -> Result:
    """The run, which ended well."""
    assert result.code == 0, result.out + result.err
    return result


def refused(result: Result, code: int, *words: str) -> str:
    """What a run said that ended with that status, with these words and no traceback; its log's path is not in it."""
    assert result.code == code, f"{result.code}: {result.out}{result.err}"
    aside = ("warning: ", "all calls of this run: ")
    said = "".join(line for line in result.err.splitlines(keepends=True) if not line.startswith(aside))
    for word in words:
        assert word in said, said
    assert "Traceback" not in result.out + result.err
    return said


def refused_untouched(box: Box, result: Result, code: int, *words: str) -> str:
    """The same, and not one changing call was tried."""
    assert [call.operation for call in result.calls if call.changes] == []
    return refused(result, code, *words)


# --- looking


def tags(thing: Any) -> dict[str, str]:
    """The tags of something that AWS described."""
    return {tag["Key"]: tag["Value"] for tag in thing.get("Tags") or thing.get("TagSet") or []}


def part(box: Box, kind: str, region: str = REGION) -> Any:
    """One kind of resource in the inventory, {} where there is none."""
    return box.inventory().get(region, {}).get(kind, {})


def only(things: Any) -> Any:
    """The one there is: of a mapping its key."""
    listed = list(things)
    assert len(listed) == 1, listed
    return listed[0]


def named(box: Box, kind: str, name: str, region: str = REGION) -> str:
    """The id of the one resource of that kind with that Name tag."""
    return str(only(key for key, thing in part(box, kind, region).items() if thing["tags"].get("Name") == name))


def master_of(box: Box, cluster: str = ID, region: str = REGION) -> str:
    """The id of the master instance."""
    return named(box, "instances", f"{cluster}-master", region)


def kill_master(box: Box, cluster: str = ID, region: str = REGION) -> str:
    """Have the master terminated, as by a person who means it, or by an AWS that retires it; its id."""
    ec2, master = box.client("ec2", region), master_of(box, cluster, region)
    ec2.modify_instance_attribute(InstanceId=master, DisableApiTermination={"Value": False})
    ec2.terminate_instances(InstanceIds=[master])
    return master


def user_data(box: Box, instance_id: str, region: str = REGION) -> str:
    """The script that an instance boots with."""
    answer = box.client("ec2", region).describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
    return unpack(answer["UserData"]["Value"])


def unpack(encoded: str) -> str:
    """User-data as the instance's shell sees it: one base64, one gzip."""
    data = base64.b64decode(encoded)
    assert data[:2] == b"\x1f\x8b"
    text = gzip.decompress(data).decode()
    assert text.startswith("#!/")
    return text


def template_data(box: Box, region: str = REGION, name: str = GROUP) -> dict[str, Any]:
    """What the minions' group launches from."""
    answer = box.client("ec2", region).describe_launch_template_versions(LaunchTemplateName=name, Versions=["$Default"])
    data: dict[str, Any] = answer["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    return data


def settings(script: str) -> dict[str, str]:
    """The settings in a user-data script: the lines that its kube_env prints; '' are those that it goes without."""
    lines = script.partition("<<'KUBE_ENV'\n")[2].partition("\nKUBE_ENV\n")[0].splitlines()
    found = {name: " ".join(shlex.split(value)) for name, _, value in (line.partition("=") for line in lines)}
    templates = ("bootstrap.sh", f"bootstrap-{found.get('KUBE_ROLE', 'minion')}.sh")
    parts = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in templates)
    optional = " ".join(re.findall(r"^#@if (.+)$", parts, re.MULTILINE)).split()
    return {**dict.fromkeys(optional, ""), **found}


def master_settings(box: Box, region: str = REGION, cluster: str = ID) -> dict[str, str]:
    """The master's settings."""
    return settings(user_data(box, master_of(box, cluster, region), region))


def minion_settings(box: Box, region: str = REGION, name: str = GROUP) -> dict[str, str]:
    """The minions' settings."""
    return settings(unpack(template_data(box, region, name)["UserData"]))


def bucket_of(box: Box) -> str:
    """The name of the one bucket."""
    return str(only(box.inventory()["s3"]))


def read_object(box: Box, key: str, bucket: str = "", region: str = REGION) -> bytes:
    """The content of an object."""
    body: bytes = box.client("s3", region).get_object(Bucket=bucket or bucket_of(box), Key=key)["Body"].read()
    return body


def remembered(box: Box, cluster: str = ID, bucket: str = "") -> dict[str, str]:
    """settings.env in the bucket."""
    text = read_object(box, f"{REGION}/{cluster}/settings.env", bucket).decode()
    pairs = (line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value.strip("'") for name, value in pairs}


@contextlib.contextmanager
def watched(box: Box, *, reads: bool = False) -> Iterator[list[Call]]:
    """The changing calls that scripts make meanwhile; with `reads` all of them."""
    calls: list[Call] = []

    def note(call: Call) -> None:
        if call.number and (call.changes or reads):
            calls.append(call)

    box.aws.hooks.before.append(note)
    yield calls
    box.aws.hooks.before.remove(note)


def kubeconfig(box: Box) -> Path:
    """Where the tests' kubeconfig is."""
    return Path(box.environ["KUBECONFIG"])


def prices(box: Box) -> Path:
    """Where the prices are that a run has asked for."""
    return box.home / "cache" / "kube-up" / "prices.json"


def shape(box: Box) -> str:
    """The inventory without what AWS or chance chose: two accounts that hold the same things have the same shape."""
    return json.dumps(_shape(box.inventory()), indent=1, sort_keys=True)


def _shape(thing: Any) -> Any:
    if isinstance(thing, dict):
        if thing.get("main"):
            return "a VPC's main route table"  # where simulated nodes' routes go while their own table is off
        if any(ALL_IDS.fullmatch(key) for key in thing):
            return sorted((_shape(value) for value in thing.values()), key=json.dumps)
        return {  # but for claims: who finds what another run made claims nothing
            _blank(key): "AES256" in json.dumps(v) if key == "encryption" else _shape(v)
            for key, v in thing.items()
            if "/claims/" not in key
        }
    if isinstance(thing, list):
        return sorted((_shape(value) for value in thing), key=json.dumps)
    return _blank(thing) if isinstance(thing, str) else thing


def _blank(text: str) -> str:
    text = re.sub(
        r"sha256:(?:[0-9a-f]{64}|[0-9a-f]{16})|\b[0-9a-f]{32}\b|addons/[0-9a-f]{64}",
        "<content>",
        ALL_IDS.sub("<id>", text),
    )
    text = re.sub(r"\b(?:127|198\.1[89]|203\.0\.113)(?:\.\d+){1,3}\b", "<public>", text)
    return re.sub(r"\b172\.20\.0\.([4-8]|1\d)\b|\b10\.244\.\d+\.0\b", "<node's>", text)


ALL_IDS = re.compile(r"\b(?:[a-z]{1,9}|eni-attach|vpc-cidr-assoc)-[0-9a-f]{17}\b")


# --- breaking


def drop_tags(box: Box, resource: str, *names: str) -> None:
    """Take tags off an EC2 resource."""
    box.client("ec2").delete_tags(Resources=[resource], Tags=[{"Key": name} for name in names])


def neighbour(box: Box) -> None:
    """Somebody else's VPC, disk, address, key, role, group of another cluster, and bucket in the same account."""
    ec2, other = box.client("ec2"), {"KubernetesCluster": "other", "kubernetes.io/cluster/other": "owned"}
    labels = [{"Key": key, "Value": value} for key, value in other.items()]
    vpc = ec2.create_vpc(CidrBlock="172.20.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": labels}])
    vpc_id = vpc["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc_id, CidrBlock="172.20.0.0/24")["Subnet"]["SubnetId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc_id)
    ec2.create_security_group(GroupName="kubernetes-master-other", Description="theirs", VpcId=vpc_id)
    ec2.create_network_interface(SubnetId=subnet)
    ec2.allocate_address(Domain="vpc")
    ec2.create_volume(
        Size=5, AvailabilityZone=f"{REGION}a", TagSpecifications=[{"ResourceType": "volume", "Tags": labels}]
    )
    ec2.create_dhcp_options(DhcpConfigurations=[{"Key": "domain-name", "Values": ["example.com"]}])
    ec2.create_key_pair(KeyName="theirs")
    box.client("iam").create_role(RoleName="kubernetes-master", AssumeRolePolicyDocument='{"Statement": []}')
    box.client("iam").create_instance_profile(InstanceProfileName="kubernetes-master")
    bucket = {"LocationConstraint": REGION}
    box.client("s3").create_bucket(Bucket="somebody-elses", CreateBucketConfiguration=bucket)
    box.client("s3").put_object(Bucket="somebody-elses", Key=f"{REGION}/{ID}/pki.tar", Body=b"theirs")


def tagged(kind: str, **more: str) -> list[dict[str, Any]]:
    """TagSpecifications with the cluster's tags."""
    return [
        {"ResourceType": kind, "Tags": [{"Key": k.replace("__", "/"), "Value": v} for k, v in (TAGS | more).items()]}
    ]


def put_alarm(box: Box, name: str) -> None:
    """An alarm of somebody's."""
    box.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        MetricName="StatusCheckFailed",
        Namespace="AWS/EC2",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        Statistic="Maximum",
    )


@contextlib.contextmanager
def speaking(box: Box, lines: list[str]) -> Iterator[None]:
    """Every console ends so, whatever its machine says itself."""
    consoles = box.aws.world.state.consoles

    def speak() -> None:
        consoles.update(dict.fromkeys([instance.id for instance in cloud.instances(REGION)], lines))

    box.aws.on_tick.append(speak)
    try:
        yield
    finally:
        box.aws.on_tick.remove(speak)


def answer_with(box: Box, operation: str, code: str, message: str, *, status: int = 400, times: int = 10**6) -> None:
    """Have AWS refuse an operation ("ec2:CreateVpc") from now on, so many times."""
    left = [times]

    def refuse(call: Call) -> Answer | None:
        if f"{call.service}:{call.operation}" != operation or not left[0]:
            return None
        left[0] -= 1
        return refusal_answer(call, Refusal(code, message, status))

    box.aws.hooks.before.append(refuse)


def stop_after(box: Box, operation: str, number: signal.Signals = signal.SIGINT) -> None:
    """Send this process a signal as soon as AWS has done an operation."""
    if number == signal.SIGINT:  # a shell's background job ignores it
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def look(call: Call, answer: Answer) -> Answer:
        if f"{call.service}:{call.operation}" == operation and not answer.refused:
            os.kill(os.getpid(), number)
        return answer

    box.aws.hooks.after.append(look)


def lose_settings(box: Box) -> None:
    """Delete what is remembered of the cluster."""
    name = only(name for name in box.inventory()["s3"] if name.startswith("kubernetes-staging-"))
    box.client("s3").delete_object(Bucket=name, Key=f"{REGION}/{ID}/settings.env")


def empty_bucket(box: Box, *, delete: bool) -> None:
    """What somebody else's clean-up does."""
    s3, name = box.client("s3"), bucket_of(box)
    for version in s3.list_object_versions(Bucket=name)["Versions"]:
        s3.delete_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])
    if delete:
        s3.delete_bucket(Bucket=name)


def settle(box: Box, seconds: float = 5.0) -> None:
    """Let the simulated AWS do what it has begun."""
    for _ in range(int(seconds)):
        box.clock.sleep(1.0)
