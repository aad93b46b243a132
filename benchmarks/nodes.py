"""python -m benchmarks.nodes: kube_up.py beside bare kubeadm on the same machines, and how soon the dead are replaced.

Runs inside `python -m sandbox --hosts machines`, as `make bench-nodes` does.

kube_up.py's time has what bare kubeadm's has not: the calls to AWS before RunInstances, sums that are checked, a disk,
keys from a bucket, the cloud controller manager, addons and the validation. It is ahead in two things: its minions look
for the cluster's signature every second, kubeadm every five, and its controller manager may ask the API 100 times a
second, kubeadm's 20 times.
"""

from __future__ import annotations

import gzip
import os
import re
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3

from lib.kube.api import Api, Unreachable
from lib.node import releases
from lib.settings.layers import read_layers
from lib.settings.resolve import resolve
from sandbox import surroundings
from sandbox.show_nodes import read_client

HERE = Path(__file__).parent
ZONE = "us-west-2a"
MINIONS = 2
MINE = {"NUM_NODES": str(MINIONS)}
PATIENCE = 300.0  # seconds for anything; a benchmark that hangs tells nothing
MASTER = "172.21.0.9"

# The targets.
UP_FACTOR = 1.1  # all of kube_up.py, of what bare kubeadm takes from RunInstances until all nodes are Ready
MINION_REPLACED = 60.0  # seconds from its end until its successor is Ready
MASTER_BACK = 90.0  # seconds of the rerun


def inside() -> None:
    """Raises SystemExit outside the sandbox: a cluster that is taken down here is nobody's."""
    if not surroundings.is_inside(os.environ):
        raise SystemExit(f"benchmarks: {surroundings.OUTSIDE}")


def run(script: str) -> float:
    """Seconds that kube_up.py or kube_down.py took. Raises SystemExit with its output when it fails."""
    return timed_lines(script)[-1][0]


def timed_lines(script: str, settings: Mapping[str, str] = MINE) -> list[tuple[float, str]]:
    """What it says, each line with the seconds since its start; the last is its end, and empty.

    Raises SystemExit with its output when it fails.
    """
    started = time.monotonic()
    lines = []
    with subprocess.Popen(
        [sys.executable, script],
        cwd=HERE.parent,
        env={**os.environ, "KUBE_AWS_ZONE": ZONE, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        assert running.stdout
        lines += [(time.monotonic() - started, line) for line in running.stdout]
    if running.returncode:
        raise SystemExit(f"{script} ended with {running.returncode}:\n{''.join(line for _, line in lines)}")
    return [*lines, (time.monotonic() - started, "")]


def up() -> tuple[float, float]:
    """Seconds of kube_up.py: all of it, and from its step Master, which begins with RunInstances, until all nodes are
    Ready.
    """
    lines = timed_lines("kube_up.py")
    begun = next(when for when, line in lines if line.split()[1:] == ["Master"])
    ready = next(when for when, line in lines if re.search(r"waited .* nodes to be Ready", line))
    return lines[-1][0], ready - begun


def until(what: str, true: Callable[[], object], *, patience: float = PATIENCE) -> float:
    """Seconds until it is true. Raises SystemExit after `patience`."""
    started = time.monotonic()
    while not true():
        if time.monotonic() - started > patience:
            raise SystemExit(f"waited {patience:.0f} s for {what}")
        time.sleep(0.2)
    return time.monotonic() - started


# --- kube_up.py's cluster --------------------------------------------------------------------------------------------


def instances(ec2: Any, role: str) -> list[str]:
    """The cluster's running instances of that role (master, minion)."""
    filters = [
        {"Name": "tag:Role", "Values": [f"kubernetes-{role}"]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    return [i["InstanceId"] for r in ec2.describe_instances(Filters=filters)["Reservations"] for i in r["Instances"]]


def ready_instances() -> set[str]:
    """The instances whose nodes are Ready; none while the API does not answer."""
    try:
        items = Api(read_client(Path(os.environ["KUBECONFIG"]))).get_json("/api/v1/nodes")["items"]
    except Unreachable:
        return set()
    return {
        item["spec"].get("providerID", "").rpartition("/")[2]
        for item in items
        if any(c["type"] == "Ready" and c["status"] == "True" for c in item["status"].get("conditions", []))
    }


def minion_replaced(ec2: Any) -> float:
    """Seconds from a minion's end until its successor is Ready."""
    dead = instances(ec2, "minion")[0]
    ec2.terminate_instances(InstanceIds=[dead])
    until("the minion's end", lambda: dead not in instances(ec2, "minion"))

    def replaced() -> bool:
        alive = instances(ec2, "minion")
        return len(alive) == MINIONS and set(alive) <= ready_instances()

    return until("the minion's successor", replaced)


def master_back(ec2: Any) -> float:
    """Seconds that kube_up.py takes to bring a terminated master back."""
    (dead,) = instances(ec2, "master")
    ec2.modify_instance_attribute(InstanceId=dead, DisableApiTermination={"Value": False})
    ec2.terminate_instances(InstanceIds=[dead])
    until("the master's end", lambda: not instances(ec2, "master"))
    return run("kube_up.py")


# --- bare kubeadm's --------------------------------------------------------------------------------------------------


def bare(ec2: Any) -> dict[str, float]:
    """A master and minions with nothing but kubeadm. Seconds: `launch`, from RunInstances until all nodes are Ready;
    `install`, until the master could begin; `kubeadm`, from kubeadm init's begin until all nodes are Ready.
    """
    subnet, group, doomed = network(ec2)
    try:
        started = time.time()
        master = launch(ec2, subnet, group, {"ROLE": "master"}, {"PrivateIpAddress": MASTER})
        for _ in range(MINIONS):
            launch(ec2, subnet, group, {"ROLE": "minion"}, {})
        until("bare kubeadm's nodes", lambda: "ready" in said(ec2, master))
        times = said(ec2, master)
        return {
            "launch": times["ready"] - started,
            "install": times["installed"] - started,
            "kubeadm": times["ready"] - times["init-begins"],
        }
    finally:
        if left := instances_of(ec2, subnet):
            ec2.terminate_instances(InstanceIds=left)
        until("the bare machines' end", lambda: not instances_of(ec2, subnet))
        for delete in reversed(doomed):
            delete()


def network(ec2: Any) -> tuple[str, str, list[Callable[[], object]]]:
    """A subnet open to the internet and a group open to all: their ids, and what removes them, in order of making."""
    doomed: list[Callable[[], object]] = []
    vpc = ec2.create_vpc(CidrBlock="172.21.0.0/16")["Vpc"]["VpcId"]
    doomed.append(lambda: ec2.delete_vpc(VpcId=vpc))
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    doomed.append(lambda: ec2.delete_internet_gateway(InternetGatewayId=gateway))
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    doomed.append(lambda: ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc))
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="172.21.0.0/24", AvailabilityZone=ZONE)["Subnet"]["SubnetId"]
    doomed.append(lambda: ec2.delete_subnet(SubnetId=subnet))
    ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    (table,) = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    ec2.create_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    group = ec2.create_security_group(GroupName="bare", Description="bare kubeadm", VpcId=vpc)["GroupId"]
    doomed.append(lambda: ec2.delete_security_group(GroupId=group))
    everything: Any = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=everything)
    return subnet, group, doomed


def launch(ec2: Any, subnet: str, group: str, settings: Mapping[str, str], more: Mapping[str, Any]) -> str:
    """The id of a machine that boots benchmarks/bare-node.sh."""
    images = ec2.describe_images(Filters=[{"Name": "name", "Values": ["debian-13-amd64-*"]}])["Images"]
    interface = {"DeviceIndex": 0, "SubnetId": subnet, "Groups": [group], "AssociatePublicIpAddress": True, **more}
    answer = ec2.run_instances(
        ImageId=max(images, key=lambda image: str(image["CreationDate"]))["ImageId"],
        InstanceType="t3.medium",
        MinCount=1,
        MaxCount=1,
        NetworkInterfaces=[interface],
        UserData=gzip.compress(user_data(settings).encode()),
        MetadataOptions={"HttpTokens": "required"},
    )
    return str(answer["Instances"][0]["InstanceId"])


TOKEN = f"{secrets.token_hex(3)}.{secrets.token_hex(8)}"


def user_data(settings: Mapping[str, str]) -> str:
    """The script with its settings."""
    resolved = resolve(read_layers({**os.environ, "KUBE_AWS_ZONE": ZONE}), check=False)
    values = {
        "MASTER": MASTER,
        "TOKEN": TOKEN,
        "KUBERNETES_VERSION": resolved.kubernetes_version,
        "PODS": "10.245.0.0/16",
        "NODES": str(1 + MINIONS),
        **{f"URL_{each.name}": each.url for each in releases.downloads(resolved, "amd64")},
        **settings,
    }
    head, _, rest = (HERE / "bare-node.sh").read_text(encoding="utf-8").partition("\n")
    return "\n".join([head, *(f"{name}={shlex.quote(value)}" for name, value in values.items()), rest])


def instances_of(ec2: Any, subnet: str) -> list[str]:
    """What is in the subnet and not ended."""
    found = ec2.describe_instances(Filters=[{"Name": "subnet-id", "Values": [subnet]}])["Reservations"]
    return [i["InstanceId"] for r in found for i in r["Instances"] if i["State"]["Name"] != "terminated"]


def said(ec2: Any, instance: str) -> dict[str, float]:
    """What the machine said of itself on its console: words -> seconds since 1970."""
    output = str(ec2.get_console_output(InstanceId=instance).get("Output", ""))
    return {words: float(when) for words, when in re.findall(r"bare: (\S+) ([\d.]+)", output)}


# --- the table -------------------------------------------------------------------------------------------------------


def main() -> None:
    """Print what was measured, then the targets. A missed target is printed and is no failure; a failed run is."""
    inside()
    ec2 = boto3.client("ec2", region_name=ZONE[:-1])
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before", flush=True)
    whole, launch = up()
    _told("kube_up.py, from its start to its end: all nodes Ready, validated", whole)
    _told("  of it from RunInstances until all nodes are Ready", launch)
    _told("kube_up.py again, nothing to do", run("kube_up.py"))
    minion = _told("a minion terminated, until its successor is Ready", minion_replaced(ec2))
    master = _told("a master terminated, kube_up.py until all is Ready", master_back(ec2))
    _told("kube_down.py", run("kube_down.py"))
    alone = bare(ec2)
    _told("bare kubeadm, from RunInstances until all nodes are Ready", alone["launch"])
    _told("  of it booting and installing the same downloads", alone["install"])
    _told("  of it kubeadm init, joins, all nodes Ready", alone["kubeadm"])
    print("\ntargets")
    print(
        f"  from RunInstances until all nodes are Ready it takes {launch / alone['launch']:.2f} of bare kubeadm's time"
    )
    _judge(
        f"up within {UP_FACTOR} of bare kubeadm on the same machines: {whole / alone['launch']:.2f}",
        whole <= UP_FACTOR * alone["launch"],
    )
    _judge(f"a dead minion replaced within {MINION_REPLACED:.0f} s: {minion:.0f} s", minion <= MINION_REPLACED)
    _judge(f"a dead master back within {MASTER_BACK:.0f} s: {master:.0f} s", master <= MASTER_BACK)


def _told(what: str, seconds: float) -> float:
    print(f"{seconds:>7.1f} s  {what}", flush=True)
    return seconds


def _judge(words: str, met: bool) -> None:
    print(f"  {'met' if met else 'NOT MET':<8} {words}")


if __name__ == "__main__":
    main()
