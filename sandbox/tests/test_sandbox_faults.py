"""What goes wrong on purpose: each fault does what it says, and kube_up.py ends well or with one clear line."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from conftest import REGION, Box
from helpers import ID, bucket_of, must, part, put_alarm, refused, tagged
from spread import spread

from sandbox.faults import Errors, LoseAnswers, Stop, Throttle, keys, options, put, shortages
from sandbox.faults.denials import Deny, Expire
from sandbox.faults.late import Late
from sandbox.faults.pages import Pages
from sandbox.faults.shortages import Limits, NoCapacity
from sandbox.peers import processes_at
from sandbox.tests.test_sandbox import python, run
from sandbox.tests.test_sandbox_strict import TRUST

THREE_VPCS = (
    "from botocore.config import Config\n"
    "once = Config(retries={'total_max_attempts': 1})\n"
    "ec2 = boto3.client('ec2', region_name='us-west-2', config=once)\n"
    "for n in range(3): ec2.create_vpc(CidrBlock=f'10.{n}.0.0/16'); print(n, flush=True)\n"
)
COUNT = "ec2 = boto3.client('ec2', region_name='us-west-2'); print(len(ec2.describe_vpcs()['Vpcs']) - 1)"


def make_vpc(box: Box) -> str:
    return str(box.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"])


def refusal_of(call: Any) -> tuple[str, int]:
    """Code and status of what a call is refused with."""
    with pytest.raises(ClientError) as error:
        call()
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


# --- clients that die, answers that are lost


def test_a_stranger_at_the_same_port_is_not_the_client() -> None:
    with contextlib.ExitStack() as open_until_the_end:
        ours, theirs = (open_until_the_end.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2))
        client = open_until_the_end.enter_context(socket.create_connection(ours.getsockname()))
        port = client.getsockname()[1]
        holds = "import sys, time; print(flush=True); sys.stdin.read()"
        child = subprocess.Popen(
            [sys.executable, "-c", holds],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[client.fileno()],
        )
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"\n"
            assert processes_at(port, ours.getsockname()[1]) == [child.pid]
            assert processes_at(port, theirs.getsockname()[1]) == []
        finally:
            child.communicate()


@pytest.mark.parametrize(
    ("option", "there", "status", "fault"),
    [
        ("--stop-at", "1\n", 0, "client killed before the call"),
        ("--stop-after", "2\n", 200, "client killed after the call"),
    ],
)
def test_the_client_is_killed_and_the_command_goes_on(
    option: str, there: str, status: int, fault: str, tmp_path: Path
) -> None:
    code = [f"import boto3\n{text}" for text in (THREE_VPCS, COUNT)]
    script = f'{sys.executable} -c "$1"; echo $?; {sys.executable} -c "$2"'
    result = run(option, "2", "--calls", str(tmp_path / "calls"), "--", "sh", "-c", script, "sh", *code)
    assert (result.returncode, result.stdout) == (0, f"0\n137\n{there}")
    record = json.loads((tmp_path / "calls").read_text().splitlines()[1])
    assert (record["number"], record["status"], record["fault"]) == (2, status, fault)


def test_several_clients_can_be_killed(tmp_path: Path) -> None:
    script = f'for run in 1 2; do {sys.executable} -c "$1"; echo $?; done'
    result = run("--stop-at", "2", "--stop-after", "4", "--", "sh", "-c", script, "sh", f"import boto3\n{THREE_VPCS}")
    assert result.stdout == "0\n137\n0\n137\n"


def test_a_client_in_this_process_ends_by_what_kill_raises(sandbox: Box) -> None:
    ended: list[int] = []
    put(sandbox.aws, Stop(done=[1], kill=lambda call: ended.append(call.number)))
    with pytest.raises(ConnectionClosedError):
        make_vpc(sandbox)
    assert (ended, len(part(sandbox, "vpcs"))) == ([1], 1)


def test_a_lost_answer_is_a_call_that_was_done(tmp_path: Path) -> None:
    code = THREE_VPCS.replace("ec2.create_vpc(CidrBlock=f'10.{n}.0.0/16')", "make(n)").replace(
        "for n",
        "def make(n):\n"
        "  try: ec2.create_vpc(CidrBlock=f'10.{n}.0.0/16')\n"
        "  except Exception as error: print(type(error).__name__)\n"
        "for n",
    )
    result = run("--lose-answer", "2", "--calls", str(tmp_path / "calls"), *python(code + COUNT))
    assert result.stdout == "0\nConnectionClosedError\n1\n2\n3\n", result.stderr
    records = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    assert [record.get("fault") for record in records] == [None, "answer lost", None, None]


def test_every_changing_calls_answer_is_lost_once(sandbox: Box) -> None:
    put(sandbox.aws, LoseAnswers(every=True))
    sandbox.client("ec2").describe_vpcs()
    with pytest.raises(ConnectionClosedError):
        make_vpc(sandbox)
    assert make_vpc(sandbox)
    assert len(part(sandbox, "vpcs")) == 2


def test_up_and_down_lose_every_answer_and_end_well(sandbox: Box) -> None:
    put(sandbox.aws, LoseAnswers(every=True))
    must(sandbox.up())
    one_of_each(sandbox)
    must(sandbox.down())
    assert sandbox.inventory() == {}


# --- refusals at random

SERVICES: dict[str, tuple[Callable[[Box], Any], tuple[str, int]]] = {
    "ec2": (lambda box: box.client("ec2").describe_vpcs(), ("RequestLimitExceeded", 503)),
    "s3": (lambda box: box.client("s3").list_buckets(), ("SlowDown", 503)),
    "iam": (lambda box: box.client("iam").list_roles(), ("Throttling", 400)),
    "autoscaling": (lambda box: box.client("autoscaling").describe_auto_scaling_groups(), ("Throttling", 400)),
    "sts": (lambda box: box.client("sts").get_caller_identity(), ("Throttling", 400)),
    "ssm": (lambda box: box.client("ssm").get_parameters(Names=["x"]), ("ThrottlingException", 400)),
    "quotas": (
        lambda box: box.client("service-quotas").list_service_quotas(ServiceCode="vpc"),
        ("TooManyRequestsException", 400),
    ),
}


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_throttles_in_its_own_words(sandbox: Box, service: str) -> None:
    call, refusal = SERVICES[service]
    put(sandbox.aws, Throttle(1.0))
    assert refusal_of(lambda: call(sandbox)) == refusal
    assert sandbox.calls[-1].fault == "throttled"


def throttled(box: Box, seed: int) -> list[bool]:
    box.aws.reset()
    put(box.aws, Throttle(0.5, seed=seed))
    for _ in range(30):
        with contextlib.suppress(ClientError):
            box.client("ec2").describe_vpcs()
    return [bool(call.fault) for call in box.calls]


def test_the_same_seed_throttles_the_same_calls(sandbox: Box) -> None:
    first = throttled(sandbox, 1)
    assert 5 < sum(first) < 25
    assert first == throttled(sandbox, 1) != throttled(sandbox, 2)


def test_half_of_the_failed_changing_calls_were_done(sandbox: Box) -> None:
    put(sandbox.aws, Errors(1.0))
    seen = {refusal_of(lambda: make_vpc(sandbox)) for _ in range(30)}
    assert seen == {("InternalError", 500), ("Unavailable", 503)}
    faults = [call.fault for call in sandbox.calls]
    done = faults.count("failed after it was done")
    assert 5 < done < 25
    assert (len(part(sandbox, "vpcs")), done + faults.count("failed before it was done")) == (done, 30)


def test_up_and_down_end_well_while_aws_throttles_and_fails(sandbox: Box) -> None:
    put(sandbox.aws, Throttle(0.3), Errors(0.05))
    must(sandbox.up())
    assert len(part(sandbox, "vpcs")) == 1
    must(sandbox.down())
    assert sandbox.inventory() == {}


# --- rights and credentials


@pytest.mark.parametrize(
    ("denied", "operation", "code"),
    [
        ("ec2:CreateVpc", "CreateVpc", "UnauthorizedOperation"),
        ("ec2:Describe*", "DescribeNetworkInterfaces", "UnauthorizedOperation"),
        ("iam:*", "GetRole", "AccessDenied"),
        ("s3:CreateBucket", "CreateBucket", "AccessDenied"),
        ("autoscaling:CreateAutoScalingGroup", "CreateAutoScalingGroup", "AccessDenied"),
        ("ssm:GetParameters", "GetParameters", "AccessDeniedException"),
    ],
)
def test_up_names_the_action_that_is_denied(sandbox: Box, denied: str, operation: str, code: str) -> None:
    put(sandbox.aws, Deny(denied))
    said = refused(sandbox.up(), 1, operation, code, "permission").splitlines()
    assert len(said) == 2
    assert "Encoded" not in said[0]
    named = re.search(r"not authorized to perform: (\S+)", said[0])
    assert named is not None
    assert named[1] in said[1]


def test_a_right_that_a_call_needs_beside_its_own_is_named(sandbox: Box) -> None:
    put(sandbox.aws, Deny("iam:PassRole"))
    refused(sandbox.up(), 1, "AddRoleToInstanceProfile", "ask for the permission to call iam:PassRole")


@pytest.mark.parametrize("number", spread([1, 2, 5, 9, 15, 25, 40, 60], 3))
def test_a_token_that_expires_in_mid_run_is_one_line_and_a_new_one_goes_on(sandbox: Box, number: int) -> None:
    put(sandbox.aws, Expire(number))
    said = refused(sandbox.up(), 1, "expired")
    assert len(said.splitlines()) == 2
    assert "renew" in said
    sandbox.aws.hooks.before.clear()
    must(sandbox.up())


# --- what there is no more of


LIMITS = [
    ("vpcs", "VpcLimitExceeded"),
    ("subnets", "SubnetLimitExceeded"),
    ("gateways", "InternetGatewayLimitExceeded"),
    ("tables", "RouteTableLimitExceeded"),
    ("groups", "SecurityGroupLimitExceeded"),
    ("interfaces", "NetworkInterfaceLimitExceeded"),
    ("addresses", "AddressLimitExceeded"),
    ("volumes", "VolumeLimitExceeded"),
    ("instances", "InstanceLimitExceeded"),
    ("vcpus", "VcpuLimitExceeded"),
    ("roles", "LimitExceeded: Cannot exceed quota for RolesPerAccount: 0"),
    ("profiles", "LimitExceeded: Cannot exceed quota for InstanceProfilesPerAccount: 0"),
    ("buckets", "TooManyBuckets"),
]


@pytest.mark.parametrize(("what", "code"), spread(LIMITS, 4))
def test_up_names_the_limit_and_what_to_do(sandbox: Box, what: str, code: str) -> None:
    put(sandbox.aws, Limits({what: 0}))
    said = refused(sandbox.up(), 1, code, "Service Quotas")
    assert len(said.splitlines()) == 2
    sandbox.aws.reset()


def test_every_limit_and_who_may_lack_a_key_can_be_said() -> None:
    assert options.LIMITED == shortages.WHAT
    assert options.KEY_DENIED == keys.WHO


def test_a_limit_that_is_not_reached_stops_nothing(sandbox: Box) -> None:
    put(sandbox.aws, Limits({"vpcs": 1, "roles": 2, "instances": 3, "addresses": 1}))
    must(sandbox.up())
    must(sandbox.up())


@pytest.mark.parametrize(
    ("limits", "words"), [({"vcpus": 2}, "your current vCPU limit of 2"), ({"instances": 1}, "instance limit of 1")]
)
def test_a_groups_own_launch_meets_the_limit_and_up_says_so(sandbox: Box, limits: dict[str, int], words: str) -> None:
    put(sandbox.aws, Limits(limits))
    refused(sandbox.up(KUBE_WAIT_INSTANCE_SECONDS=60), 1, "minions", words)
    assert len(part(sandbox, "instances")) == 1


def test_no_capacity_is_said_at_once_and_a_rerun_goes_on(sandbox: Box) -> None:
    put(sandbox.aws, NoCapacity())
    said = refused(sandbox.up(), 1, "InsufficientInstanceCapacity", "MASTER_SIZE")
    assert len(said.splitlines()) == 2
    assert [call.error for call in sandbox.calls].count("InsufficientInstanceCapacity") == 1
    sandbox.aws.world.launches.clear()
    must(sandbox.up())


# --- options


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stop-at", "0"], "--stop-at: 0 is not the number of a call"),
        (["--stop-after", "x"], "--stop-after: x is not the number of a call"),
        (["--lose-answer", "-1"], "--lose-answer"),
        (["--throttle", "2"], "--throttle: 2 is not a probability"),
        (["--errors", "nan"], "--errors: nan is not a probability"),
        (["--seed", "x"], "--seed: invalid int value: 'x'"),
        (["--limit", "moons=1"], "moons has no limit here; there are: addresses, buckets"),
        (["--limit", "vpcs"], "give vpcs=0 or more"),
        (["--capacity", "some"], "invalid choice: 'some'"),
        (["--deny", "CreateVpc"], "CreateVpc is not an action: give one such as ec2:CreateVpc"),
        (["--pages", "0"], "--pages: 0 is not the length of a page"),
        (["--late", "soon"], "--late: soon is not a time"),
        (["--expire", "0"], "--expire: 0 is not the number of a call"),
    ],
)
def test_a_bad_value_is_one_line_and_125(arguments: list[str], words: str) -> None:
    result = run(*arguments, "--", "true")
    assert (result.returncode, result.stdout) == (125, "")
    assert re.fullmatch(rf"sandbox: .*{re.escape(words)}.*\n", result.stderr)


def test_where_processes_cannot_be_seen_stopping_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sandbox.cli import main

    monkeypatch.setattr(sys, "platform", "darwin")
    assert main(["--stop-at", "1", "--", "true"]) == 125
    assert capsys.readouterr().err == f"sandbox: {options.CANNOT_STOP}\n"


# --- what shows late


def test_what_was_made_is_found_neither_by_filter_nor_by_id_nor_by_use_until_its_time(sandbox: Box) -> None:
    put(sandbox.aws, Late(sandbox.aws.world, 5.0))
    ec2, vpc = sandbox.client("ec2"), make_vpc(sandbox)
    of_vpc = [{"Name": "vpc-id", "Values": [vpc]}]

    def use() -> Any:
        return ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")

    assert vpc not in [found["VpcId"] for found in ec2.describe_vpcs()["Vpcs"]]
    assert ec2.describe_vpcs(Filters=of_vpc)["Vpcs"] == []
    assert ec2.describe_security_groups(Filters=of_vpc)["SecurityGroups"] == []
    assert refusal_of(lambda: ec2.describe_vpcs(VpcIds=[vpc])) == ("InvalidVpcID.NotFound", 400)
    assert refusal_of(use) == ("InvalidVpcID.NotFound", 400)
    assert sandbox.calls[-1].fault == "late"
    sandbox.clock.sleep(5.0)
    assert ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["VpcId"] == vpc
    assert use()


def a_subnet(box: Box) -> str:
    ec2 = box.client("ec2")
    return str(ec2.create_subnet(VpcId=make_vpc(box), CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"])


USES: dict[str, Callable[..., Any]] = {
    "InvalidGroup.NotFound": lambda ec2, vpc, _: ec2.delete_security_group(
        GroupId=ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    ),
    "InvalidInternetGatewayID.NotFound": lambda ec2, vpc, _: ec2.attach_internet_gateway(
        InternetGatewayId=ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"], VpcId=vpc
    ),
    "InvalidRouteTableID.NotFound": lambda ec2, vpc, subnet: ec2.associate_route_table(
        RouteTableId=ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"], SubnetId=subnet
    ),
    "InvalidDhcpOptionID.NotFound": lambda ec2, vpc, _: ec2.associate_dhcp_options(
        DhcpOptionsId=ec2.create_dhcp_options(DhcpConfigurations=[{"Key": "domain-name", "Values": ["x"]}])[
            "DhcpOptions"
        ]["DhcpOptionsId"],
        VpcId=vpc,
    ),
    "InvalidNetworkInterfaceID.NotFound": lambda ec2, _, subnet: ec2.delete_network_interface(
        NetworkInterfaceId=ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    ),
    "InvalidAllocationID.NotFound": lambda ec2, *_: ec2.release_address(
        AllocationId=ec2.allocate_address(Domain="vpc")["AllocationId"]
    ),
    "InvalidVolume.NotFound": lambda ec2, *_: ec2.delete_volume(
        VolumeId=ec2.create_volume(AvailabilityZone="us-west-2a", Size=1)["VolumeId"]
    ),
    "InvalidLaunchTemplateId.NotFound": lambda ec2, *_: ec2.describe_launch_template_versions(
        LaunchTemplateId=ec2.create_launch_template(
            LaunchTemplateName="template", LaunchTemplateData={"InstanceType": "t3.small"}
        )["LaunchTemplate"]["LaunchTemplateId"]
    ),
}


@pytest.mark.parametrize("code", USES)
def test_each_kind_is_refused_in_its_own_words(sandbox: Box, code: str) -> None:
    subnet = a_subnet(sandbox)
    vpc = sandbox.inventory()["us-west-2"]["subnets"][subnet]["vpc"]
    put(sandbox.aws, Late(sandbox.aws.world, 5.0))
    assert refusal_of(lambda: USES[code](sandbox.client("ec2"), vpc, subnet)) == (code, 400)


def test_names_are_late_too_and_taken_at_once(sandbox: Box) -> None:
    put(sandbox.aws, Late(sandbox.aws.world, 5.0))
    iam, s3 = sandbox.client("iam"), sandbox.client("s3")
    create = {"RoleName": "r", "AssumeRolePolicyDocument": TRUST}
    place = {"LocationConstraint": "us-west-2"}
    iam.create_role(**create)
    s3.create_bucket(Bucket="a-late-bucket", CreateBucketConfiguration=place)
    assert refusal_of(lambda: iam.get_role(RoleName="r")) == ("NoSuchEntity", 404)
    assert [role["RoleName"] for role in iam.list_roles()["Roles"] if role["RoleName"] == "r"] == []
    assert refusal_of(lambda: iam.create_role(**create))[0] == "EntityAlreadyExists"
    assert refusal_of(lambda: s3.head_bucket(Bucket="a-late-bucket")) == ("404", 404)
    assert refusal_of(lambda: s3.put_object(Bucket="a-late-bucket", Key="k", Body=b"")) == ("NoSuchBucket", 404)
    sandbox.clock.sleep(5.0)
    iam.get_role(RoleName="r")
    s3.put_object(Bucket="a-late-bucket", Key="k", Body=b"")
    s3.head_object(Bucket="a-late-bucket", Key="k")  # objects are there at once, but for those of the next test


def test_what_is_put_just_after_versions_were_first_kept_is_late(sandbox: Box) -> None:
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket="b-late", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.put_object(Bucket="b-late", Key="before", Body=b"")
    put(sandbox.aws, Late(sandbox.aws.world, 5.0))
    kept = {"Bucket": "b-late", "VersioningConfiguration": {"Status": "Enabled"}}
    s3.put_bucket_versioning(**kept)
    s3.put_object(Bucket="b-late", Key="after", Body=b"")
    s3.head_object(Bucket="b-late", Key="before")
    assert refusal_of(lambda: s3.get_object(Bucket="b-late", Key="after")) == ("NoSuchKey", 404)
    assert refusal_of(lambda: s3.head_object(Bucket="b-late", Key="after")) == ("404", 404)
    sandbox.clock.sleep(5.0)
    s3.head_object(Bucket="b-late", Key="after")
    s3.put_bucket_versioning(**kept)
    s3.put_object(Bucket="b-late", Key="later", Body=b"")
    s3.head_object(Bucket="b-late", Key="later")


def test_a_name_that_comes_back_is_late_anew(sandbox: Box) -> None:
    put(sandbox.aws, Late(sandbox.aws.world, 5.0))
    iam = sandbox.client("iam")
    for _ in range(2):
        iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
        assert refusal_of(lambda: iam.get_role(RoleName="r")) == ("NoSuchEntity", 404)
        sandbox.clock.sleep(5.0)
        iam.delete_role(RoleName="r")


def test_a_repeated_token_is_answered_although_the_thing_is_late(sandbox: Box) -> None:
    put(sandbox.aws, Late(sandbox.aws.world, 5.0))
    ec2 = sandbox.client("ec2")
    volumes = [ec2.create_volume(AvailabilityZone="us-west-2a", Size=1, ClientToken="t")["VolumeId"] for _ in range(2)]
    assert volumes[0] == volumes[1]


def one_of_each(box: Box) -> None:
    for kind in ("vpcs", "subnets", "internet gateways", "addresses", "launch templates", "groups", "key pairs"):
        assert len(part(box, kind)) == 1, kind
    assert len([table for table in part(box, "route tables").values() if not table["main"]]) == 1


def test_everything_is_late_and_up_rerun_and_down_end_well(sandbox: Box) -> None:
    put(sandbox.aws, Late(sandbox.aws.world, 5.0))
    result = must(sandbox.up())
    assert len([call for call in result.calls if call.fault == "late"]) > 20
    one_of_each(sandbox)
    assert must(sandbox.up()).changing == []
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_answers_are_lost_of_what_is_late_too_and_nothing_is_made_twice(sandbox: Box) -> None:
    put(sandbox.aws, Late(sandbox.aws.world, 5.0), LoseAnswers(every=True))
    must(sandbox.up())
    one_of_each(sandbox)
    must(sandbox.down())
    assert sandbox.inventory() == {}


# --- lists in pages


def test_lists_come_in_pages_and_paginators_read_them_whole(sandbox: Box) -> None:
    ec2, iam, s3 = (sandbox.client(name) for name in ("ec2", "iam", "s3"))
    s3.create_bucket(Bucket="a-bucket", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    for number in range(5):
        ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")
        iam.create_role(RoleName=f"r{number}", AssumeRolePolicyDocument=TRUST)
        s3.put_object(Bucket="a-bucket", Key=f"k{number}", Body=b"")
    put(sandbox.aws, Pages(2))
    lists: list[tuple[Any, str, str, dict[str, str]]] = [
        (ec2, "describe_vpcs", "Vpcs", {}),
        (iam, "list_roles", "Roles", {}),
        (s3, "list_objects_v2", "Contents", {"Bucket": "a-bucket"}),
        (s3, "list_object_versions", "Versions", {"Bucket": "a-bucket"}),
    ]
    for client, operation, key, arguments in lists:
        assert len(getattr(client, operation)(**arguments)[key]) == 2, operation
        pages = client.get_paginator(operation).paginate(**arguments)
        whole = [json.dumps(item, default=str) for page in pages for item in page[key]]
        assert len(whole) == len(set(whole)) >= 5, operation


def test_up_rerun_and_down_read_every_list_whole(sandbox: Box) -> None:
    put(sandbox.aws, Pages(1))
    for number in range(2):
        sandbox.client("ec2").create_vpc(CidrBlock=f"10.{number}.0.0/16")
    before = sandbox.inventory()
    result = must(sandbox.up())
    assert "a further page" in {call.fault for call in result.calls}
    assert must(sandbox.up()).changing == []
    must(sandbox.down())
    assert sandbox.inventory() == before


def test_a_list_in_json_comes_in_pages_too(sandbox: Box) -> None:
    cloudwatch = sandbox.client("cloudwatch")
    for name in ("a", "b", "c"):
        put_alarm(sandbox, name)
    put(sandbox.aws, Pages(2))
    assert len(cloudwatch.describe_alarms()["MetricAlarms"]) == 2
    pages = cloudwatch.get_paginator("describe_alarms").paginate()
    assert [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]] == ["a", "b", "c"]


@pytest.mark.parametrize(("kind", "name"), [("internet-gateway", "kubernetes"), ("vpc", "kubernetes-vpc")])
def test_two_of_a_kind_on_two_pages_are_two(sandbox: Box, kind: str, name: str) -> None:
    sandbox.cluster()
    ec2 = sandbox.client("ec2")
    claim = "VPC" if kind == "vpc" else kind
    sandbox.client("s3").delete_object(Bucket=bucket_of(sandbox), Key=f"{REGION}/{ID}/claims/{claim}")
    tags = tagged(kind, Name=name)
    if kind == "vpc":
        ec2.create_vpc(TagSpecifications=tags, CidrBlock="10.0.0.0/16")
    else:
        ec2.create_internet_gateway(TagSpecifications=tags)
    put(sandbox.aws, Pages(1))
    refused(sandbox.up(), 1, "there must be one", "but there are 2")
