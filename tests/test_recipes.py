"""docs/recipes.md: what each recipe says to type, typed in the sandbox; a recipe without a test fails."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable

import documents
import pytest
from conftest import REGION, Box
from documents import Shell
from helpers import GROUP, MINION_ROLE, master_of, minion_settings, must, only, part, template_data
from spread import spread
from test_options import Brought
from test_podidentity import assume, refusal, token
from test_proxies import proxy

from lib.bucket import name_for
from sandbox.backend import cloud

PAGE = (documents.ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
SUBNET, IMAGE = "subnet-0123456789abcdef0", "ami-0123456789abcdef0"


def typed(box: Box, heading: str, **replaced: str) -> Shell:
    """A recipe's blocks of commands, typed one after another."""
    shell = Shell(box, replaced)
    for block in documents.blocks(documents.section(PAGE, heading)):
        if not block.startswith(("version = ", "volumes:")):  # a file's text
            shell.type(block)
    return shell


def frankfurt(box: Box) -> None:
    typed(box, "Frankfurt, on Graviton, for my address only")
    instances = part(box, "instances", "eu-central-1").values()
    assert {each["type"] for each in instances} == {"t4g.medium", "t4g.small"}
    groups = str(part(box, "security groups", "eu-central-1"))
    assert "203.0.113.7/32" in groups
    assert "tcp 22-22 0.0.0.0/0" not in groups


def two_files(box: Box) -> None:
    shell = typed(box, "dev and prod, by two files")
    names = [each["tags"]["Name"] for each in part(box, "instances").values()]
    assert sorted(name for name in names if "master" in name) == ["prod-master"]
    assert len(names) == 4
    assert shell.passed_over == ["kubectl"]


def colleague(box: Box) -> None:
    box.cluster()
    shell = typed(box, "Sharing with a colleague")
    assert shell.results[-1].changing == []
    assert set(shell.passed_over) == {"kubectl"}


def private(box: Box) -> None:
    brought = with_nat(box)
    before = box.inventory()
    shell = Shell(box, {SUBNET: brought.subnet}, {"KUBE_WAIT_API_SECONDS": "1"})
    shell.type(documents.blocks(documents.section(PAGE, "A private cluster"))[0])
    assert "not checked" in shell.results[0].err
    assert part(box, "addresses") == before[REGION].get("addresses", {})
    ours = [each for each in part(box, "interfaces").values() if each["tags"].get("Name", "").startswith("kubernetes-")]
    assert len(ours) == 5
    assert not any(each["public address"] for each in ours)
    must(box.down())
    assert box.inventory() == before


def with_nat(box: Box) -> Brought:
    """A subnet whose table leads to a NAT gateway, as that of a private subnet does."""
    brought = Brought(box)
    address = brought.ec2.allocate_address(Domain="vpc")["AllocationId"]
    made = brought.ec2.create_nat_gateway(SubnetId=brought.subnet, AllocationId=address)
    gateway, anywhere = made["NatGateway"]["NatGatewayId"], "0.0.0.0/0"
    subnet = brought.ec2.create_subnet(VpcId=brought.vpc, CidrBlock="172.31.9.0/24", AvailabilityZone=f"{REGION}a")
    table = brought.ec2.create_route_table(VpcId=brought.vpc)["RouteTable"]["RouteTableId"]
    brought.subnet = subnet["Subnet"]["SubnetId"]
    brought.ec2.associate_route_table(RouteTableId=table, SubnetId=brought.subnet)
    brought.ec2.create_route(RouteTableId=table, DestinationCidrBlock=anywhere, NatGatewayId=gateway)
    return brought


def off_at_night(box: Box) -> None:
    box.cluster()
    master, before = master_of(box), len(running(box))
    evening, morning = typed(box, "Off at night").results
    assert {"ec2:StopInstances", "autoscaling:UpdateAutoScalingGroup"} <= set(evening.changing)
    assert "USD an hour" in evening.out
    assert "ec2:StartInstances" in morning.changing
    assert master in running(box)
    assert len(running(box)) == before


def gpus(box: Box) -> None:
    box.cluster()
    image = box.client("ec2").describe_images(Filters=[{"Name": "name", "Values": ["debian-13-amd64-*"]}])["Images"][0]
    shell = typed(box, "Minions with GPUs", **{IMAGE: image["ImageId"]})
    assert f"g4dn.xlarge has GPUs by NVIDIA: nothing here installs a driver, so image {image['ImageId']}" in " ".join(
        shell.results[-1].out.split()
    )
    assert "GPUs" not in shell.results[0].out
    group = f"kubernetes-minion-group-{REGION}a-g4dn-xlarge"
    assert template_data(box, name=group)["ImageId"] == image["ImageId"]
    assert len(part(box, "groups")) == 2


def registry(box: Box) -> None:
    assert typed(box, "Images from ECR").passed_over == ["kubectl"]
    must(box.up())
    role = next(role for name, role in box.inventory()["iam"]["roles"].items() if "minion" in name)
    assert "ecr:BatchGetImage" in str(role)


def nfs(box: Box) -> None:
    box.cluster()
    before = running(box)
    typed(box, "NFS and EFS")
    assert running(box) & before == {master_of(box)}
    assert minion_settings(box)["KUBE_EXTRA_PACKAGES"] == "nfs-common"


def own_script(box: Box) -> None:
    typed(box, "A script of yours on every node", **{"SCRIPT=prepare.sh": f"SCRIPT={box.home}/prepare.sh"})
    text = gzip.decompress(base64.b64decode(minion_settings(box)["NODE_SCRIPT"])).decode()
    assert text.startswith("#!/bin/bash\nset -e\n")


def spot(box: Box) -> None:
    typed(box, "Spot minions")
    assert "InstanceMarketOptions" in template_data(box)
    assert minion_settings(box)["NODE_SPOT"] == "true"


def spot_sizes(box: Box) -> None:
    typed(box, "Spot minions of several sizes")
    assert part(box, "groups")[GROUP]["policy"]["InstancesDistribution"]["SpotMaxPrice"] == "0.05"
    assert minion_settings(box)["NODE_SPOT"] == "true"


def running(box: Box) -> set[str]:
    return {name for name, each in part(box, "instances").items() if each["state"] == "running"}


def nodes_behind_a_proxy(box: Box) -> None:
    brought = Brought(box)
    shell = Shell(box, {SUBNET: brought.subnet}, {"KUBE_WAIT_API_SECONDS": "1"})
    shell.type(documents.blocks(documents.section(PAGE, "Nodes behind a proxy"))[0])
    told = minion_settings(box)
    assert told["KUBE_HTTP_PROXY"] == "http://172.31.0.10:3128"
    assert {".corp.example.com", "172.31.0.0/16", ".svc"} <= set(told["KUBE_NO_PROXY"].split(","))


def company_tags(box: Box) -> None:
    typed(box, "Tags of your company")
    found = [each["tags"] for kind in ("instances", "volumes", "vpcs") for each in part(box, kind).values()]
    assert {each["team"] for each in found} == {"b"}
    assert not any("cost center" in each for each in found)


def given_iam(box: Box) -> None:
    typed(box, "In a company that gives out IAM")
    roles = box.inventory()["iam"]["roles"]
    assert {role["boundary"] for role in roles.values()} == {"arn:aws:iam::123456789012:policy/boundary"}
    assert roles[MINION_ROLE]["attached"] == ["arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"]


def pods_role(box: Box) -> None:
    bucket = name_for(cloud.ACCOUNT, REGION, "kubernetes").replace("staging", "oidc")
    host = f"{bucket}.s3.{REGION}.amazonaws.com"
    shown = f"kubernetes-oidc-{'0123456789abcdef' * 2}.s3.{REGION}.amazonaws.com"
    typed(box, "AWS rights for a pod", **{shown: host})
    iam = box.inventory()["iam"]
    statement = only(iam["roles"]["reader"]["trust"]["Statement"])
    assert statement["Principal"]["Federated"] == only(iam["identity providers"])
    assert assume(box, "arn:aws:iam::123456789012:role/reader", token(box, "default:reader"))["Credentials"]
    assert refusal(box, "arn:aws:iam::123456789012:role/reader", token(box, "default:other")) == "AccessDenied"


def behind_a_proxy(box: Box) -> None:
    # An address of loopback, as the sandbox's masters have, is never asked through a proxy.
    box.environ |= {"no_proxy": "", "KUBE_ENABLE_MASTER_PUBLIC_IP": "false"}
    with proxy() as it:
        typed(box, "Behind a proxy", **{"proxy.example.com:3128": it.address})
        assert it.asked
        assert all(head.startswith("CONNECT 172.20.0.9:") for head in it.asked)


def tags(box: Box) -> None:
    brought = Brought(box)
    typed(box, "A subnet of yours, and its tags", **{SUBNET: brought.subnet})
    given = part(box, "subnets")[brought.subnet]["tags"]
    assert given == {"kubernetes.io/role/elb": "1", "kubernetes.io/cluster/kubernetes": "shared"}
    assert set(must(box.up(NUM_NODES=4)).changing) <= {"s3:PutObject"}  # NUM_NODES, remembered from now on
    must(box.down())
    assert set(part(box, "subnets")) == {brought.subnet}


def many_balancers(box: Box) -> None:
    typed(box, "Many load balancers")
    groups = part(box, "security groups").values()
    assert [each["name"] for each in groups if "30000-32767 172.20.0.0/16" in str(each)] == [
        "kubernetes-minion-kubernetes"
    ]


def mfa(box: Box) -> None:
    file = box.home / "config"
    file.write_text("[profile staging]\naws_access_key_id = one\naws_secret_access_key = two\n")
    box.environ |= {"AWS_CONFIG_FILE": str(file)}
    typed(box, "Credentials with an MFA code")


RECIPES: dict[str, Callable[[Box], None]] = {
    "Frankfurt, on Graviton, for my address only": frankfurt,
    "dev and prod, by two files": two_files,
    "In a company that gives out IAM": given_iam,
    "AWS rights for a pod": pods_role,
    "Sharing with a colleague": colleague,
    "A private cluster": private,
    "Off at night": off_at_night,
    "Minions with GPUs": gpus,
    "Images from ECR": registry,
    "NFS and EFS": nfs,
    "Tags of your company": company_tags,
    "Spot minions": spot,
    "Spot minions of several sizes": spot_sizes,
    "A script of yours on every node": own_script,
    "Behind a proxy": behind_a_proxy,
    "Nodes behind a proxy": nodes_behind_a_proxy,
    "A subnet of yours, and its tags": tags,
    "Many load balancers": many_balancers,
    "Credentials with an MFA code": mfa,
}


def test_every_recipe_is_typed() -> None:
    assert sorted(documents.headings(PAGE)) == sorted(RECIPES)


@pytest.mark.parametrize("heading", spread(RECIPES, 4))
def test_a_recipe_is_what_it_says(sandbox: Box, heading: str) -> None:
    RECIPES[heading](sandbox)
