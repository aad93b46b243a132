"""The way up in a new account: what is there afterwards, and what is not."""

from __future__ import annotations

import base64
import datetime
import gzip
import io
import json
import re
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import REGION, Box, Result
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from helpers import (
    GROUP,
    ID,
    MASTER_ROLE,
    MINION_ROLE,
    OWNED,
    TAGS,
    SharedBox,
    answer_with,
    bucket_of,
    kubeconfig,
    master_of,
    minion_settings,
    must,
    named,
    only,
    part,
    read_object,
    settings,
    shared_box,
    tags,
    template_data,
    unpack,
    user_data,
)
from policies import may

from lib.kube import certificates
from lib.kube.certificates import make_files
from sandbox.backend import cloud
from sandbox.calls import Call
from sandbox.world import Delays

pytestmark = pytest.mark.story

UPSTREAM = json.loads((Path(__file__).parent / "upstream_up.json").read_text())
PORTING = (Path(__file__).parent.parent / "docs" / "porting.md").read_text()


class Cluster(SharedBox):
    """A box in which kube_up.py ran once, with four minions as in the original's recorded run."""

    first: Result
    created: list[tuple[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def cluster(_server: Any, tmp_path_factory: pytest.TempPathFactory, ssh_key: Path) -> Iterator[Cluster]:
    with shared_box(Cluster, _server, tmp_path_factory.mktemp("up") / "home", ssh_key) as box:
        box.created = record(box)
        box.first = must(box.up(NUM_NODES=4))
        yield box


def record(box: Box) -> list[tuple[str, dict[str, Any]]]:
    """A list that gets the operation and parameters of each changing call from now on."""
    made: list[tuple[str, dict[str, Any]]] = []

    def look(call: Call) -> None:
        if call.changes:
            made.append((call.operation, call.params))

    box.aws.hooks.before.append(look)
    return made


# --- the same as the original


def test_network_is_the_originals(cluster: Cluster) -> None:
    vpc = only(part(cluster, "vpcs").values())
    assert [vpc["cidr"], _then(vpc["tags"])] == UPSTREAM["vpcs"][0]
    assert vpc["dns"] == ["true", "true"]
    subnet = only(part(cluster, "subnets").values())
    assert [subnet["cidr"], subnet["zone"], _then(subnet["tags"], "Name")] == UPSTREAM["subnets"][0]
    assert len(part(cluster, "internet gateways")) == UPSTREAM["igw"]


def test_dhcp_options_are_the_originals_and_the_vpcs(cluster: Cluster) -> None:
    options_id = only(part(cluster, "dhcp options"))
    options = part(cluster, "dhcp options")[options_id]
    then, then_tags = UPSTREAM["dhcp"][0]
    assert options["options"] == {option["Key"]: [v["Value"] for v in option["Values"]] for option in then}
    assert _then(options["tags"]) == then_tags
    assert only(part(cluster, "vpcs").values())["dhcp options"] == options_id


def test_route_table_leads_out_and_to_each_nodes_pods(cluster: Cluster) -> None:
    table = only(t for t in part(cluster, "route tables").values() if not t["main"])
    gateway = only(part(cluster, "internet gateways"))
    assert _then(table["tags"], "Name") == UPSTREAM["rtb"][2][0]
    assert f"0.0.0.0/0 {gateway}" in table["routes"]
    assert table["subnets"] == [only(part(cluster, "subnets"))]
    pods = [route for route in table["routes"] if route.startswith("10.244.")]  # 10.246.0.0/24 for the master then
    assert len(pods) == 5
    assert "MASTER_IP_RANGE" in PORTING


def test_security_groups_and_rules_are_the_originals(cluster: Cluster) -> None:
    groups = {g["name"]: (key, g) for key, g in part(cluster, "security groups").items() if g["name"] != "default"}
    ids = {key: name for name, (key, _) in groups.items()}
    then_ids = {i: name for name, _, rules in UPSTREAM["sgs"] for rule in rules[:1] for i in rule[3][:1]}
    for name, then_tags, then_rules in UPSTREAM["sgs"][2:]:
        group = groups[name][1]
        assert _then(group["tags"], "Name") == then_tags
        now = {" ".join(ids.get(word, word) for word in rule.split()) for rule in group["in"]}
        then = {f"-1 None-None {then_ids[i]}" for _, _, _, pairs in then_rules for i in pairs}
        then |= {f"tcp {port}-{port} {cidr}" for _, port, cidrs, _ in then_rules for cidr in cidrs}
        assert now == then


def test_instances_are_the_originals_but_for_todays_types(cluster: Cluster) -> None:
    answer = cluster.client("ec2").describe_instances()
    found = [i for r in answer["Reservations"] for i in r["Instances"]]
    ours = ("KubernetesUserData", "KubernetesVersion", "KubernetesMasterDisk")
    now = sorted((i["PrivateIpAddress"], sorted(_then(tags(i), *ours).items())) for i in found)
    assert now == sorted((address, sorted(t.items())) for _, address, _, _, t, _ in UPSTREAM["inst"])
    assert {(tags(i)["Name"], i["InstanceType"]) for i in found} == {
        ("kubernetes-master", "t3.medium"),
        ("kubernetes-minion", "t3.small"),
    }
    assert "today's types" in PORTING
    assert "`KubernetesUserData`" in PORTING


def test_master_disk_is_the_originals_but_encrypted_gp3(cluster: Cluster) -> None:
    disk = part(cluster, "volumes")[named(cluster, "volumes", "kubernetes-master-pd")]
    address = only(part(cluster, "addresses").values())["address"]
    size, _, _, then_tags = UPSTREAM["vols"][0]
    assert disk["size"] == size
    ours = ("Role", "KubernetesStagingBucket", "KubernetesVersion", "KubernetesCA")
    assert _then(disk["tags"], *ours) == then_tags | {"kubernetes.io/master-ip": address}
    assert (disk["type"], disk["encrypted"], disk["zone"]) == ("gp3", "true", f"{REGION}a")
    assert "gp3 in place of gp2, encrypted" in PORTING


def test_names_are_the_originals_but_for_the_region_and_cluster_in_them(cluster: Cluster) -> None:
    inventory = cluster.inventory()
    group = only(inventory[REGION]["groups"])
    assert [group, *inventory[REGION]["groups"][group]["size"]] == UPSTREAM["asg"][0]
    assert only(inventory[REGION]["launch templates"].values())["name"] == UPSTREAM["lc"][0]
    for kind in ("roles", "instance profiles"):
        assert sorted(inventory["iam"][kind]) == [f"{name}-{REGION}" for name in UPSTREAM[kind.split()[-1]]]
    then = UPSTREAM["key"][0].removeprefix("kubernetes-")
    assert re.fullmatch(
        rf"kubernetes-{ID}-SHA256.{{{len(then) - len('SHA256')}}}", only(inventory[REGION]["key pairs"])
    )
    assert re.fullmatch(r"kubernetes-staging-[0-9a-f]{32}", bucket_of(cluster))
    for words in ("these and `-<region>`", "`kubernetes-<id>-<fingerprint>`", "a launch template of that name"):
        assert words in PORTING


def _then(found: dict[str, str], *new: str) -> dict[str, str]:
    """The tags without those that docs/porting.md names as new, and those of AWS itself but the group's."""
    assert found[OWNED] == "owned"
    fresh = {OWNED, "aws:ec2launchtemplate:id", "aws:ec2launchtemplate:version", *new}
    return {key: value for key, value in found.items() if key not in fresh}


# --- tags


def test_everything_is_tagged_within_its_create_call(cluster: Cluster) -> None:
    operations = [call.operation for call in cluster.first.calls]
    assert not {"CreateTags", "TagRole", "TagInstanceProfile", "CreateOrUpdateTags"} & set(operations)
    without = [
        name
        for name, params in cluster.created
        if name in CREATES and OWNED not in json.dumps(params.get("TagSpecifications") or params.get("Tags"))
    ]
    assert without == []
    assert {name for name, _ in cluster.created} >= CREATES


CREATES = {
    *("CreateRole", "CreateInstanceProfile", "ImportKeyPair", "CreateVpc", "CreateDhcpOptions", "CreateSubnet"),
    *("CreateInternetGateway", "CreateRouteTable", "CreateSecurityGroup", "CreateNetworkInterface"),
    *("AllocateAddress", "CreateVolume", "RunInstances", "CreateLaunchTemplate", "CreateAutoScalingGroup"),
}


def test_nothing_in_the_account_lacks_the_clusters_tags(cluster: Cluster) -> None:
    inventory = cluster.inventory()
    for place in (inventory[REGION], inventory["iam"], {"buckets": inventory["s3"]}):
        for kind, things in place.items():
            if isinstance(things, list):
                continue  # load balancers, of which up makes none
            for key, thing in things.items():
                if thing.get("name") == "default" or thing.get("main"):
                    continue  # what EC2 makes along with a VPC
                found = {k: v[0] if isinstance(v, list) else v for k, v in thing["tags"].items()}
                assert found.items() >= TAGS.items(), (kind, key)


# --- machines


def test_metadata_wants_a_token_and_does_not_reach_pods(cluster: Cluster) -> None:
    for instance in part(cluster, "instances").values():
        assert (instance["tokens"], instance["hop limit"]) == ("required", 1)
    options = template_data(cluster)["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)


def test_every_disk_is_encrypted_gp3_of_the_size_that_was_set(cluster: Cluster) -> None:
    disks = part(cluster, "volumes").values()
    assert {(d["type"], d["encrypted"]) for d in disks} == {("gp3", "true")}
    sizes = sorted((d["tags"]["Name"], d["size"]) for d in disks)
    assert sizes == [
        ("kubernetes-master-pd", 20),
        ("kubernetes-master-root", 8),
        *[("kubernetes-minion-root", 32)] * 4,
    ]


def test_root_disks_go_with_their_instance_and_the_masters_own_does_not(cluster: Cluster) -> None:
    volumes = cluster.client("ec2").describe_volumes()["Volumes"]
    stays = {tags(v)["Name"]: v["Attachments"][0]["DeleteOnTermination"] for v in volumes}
    assert stays == {"kubernetes-master-pd": False, "kubernetes-master-root": True, "kubernetes-minion-root": True}


def test_master_lives_on_an_interface_that_outlives_it_at_the_fixed_address(cluster: Cluster) -> None:
    interface_id = named(cluster, "interfaces", "kubernetes-master")
    interface = part(cluster, "interfaces")[interface_id]
    assert interface["address"] == "172.20.0.9"
    assert interface["instance"] == master_of(cluster)
    assert interface["delete on termination"] is False
    assert only(part(cluster, "addresses").values())["interface"] == interface_id


# --- bucket and secrets


def test_bucket_is_private_and_encrypted_and_so_is_every_object(cluster: Cluster) -> None:
    name = bucket_of(cluster)
    bucket = cluster.inventory()["s3"][name]
    assert bucket["region"] == REGION
    assert bucket["public access blocked"]
    assert "AES256" in json.dumps(bucket["encryption"])
    operations = [call.operation for call in cluster.first.calls]
    assert "PutPublicAccessBlock" not in operations  # it is so when it is made, and an organization may deny the call
    last_put = len(operations) - operations[::-1].index("PutObject")
    assert last_put <= operations.index("PutBucketVersioning") < operations.index("RunInstances")
    puts = [params for operation, params in cluster.created if operation == "PutObject"]
    assert {p.get("ServerSideEncryption") for p in puts} == {"AES256"}
    assert not any(p.get("ACL") for p in puts)


def test_secrets_lie_under_the_clusters_prefix_alone(cluster: Cluster) -> None:
    keys = set(cluster.inventory()["s3"][bucket_of(cluster)]["objects"])
    assert {key.rsplit("/", 1)[0].split("/addons")[0].split("/claims")[0] for key in keys} == {f"{REGION}/{ID}"}
    assert {f"{REGION}/{ID}/{name}" for name in ("pki.tar", "join-token", "settings.env")} <= keys


def test_pki_holds_what_kubeadm_keeps(cluster: Cluster) -> None:
    files = _pki(cluster)
    assert set(files) == {"ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key", "sa.pub"}
    for name in ("ca", "front-proxy-ca"):
        certificate = x509.load_pem_x509_certificate(files[f"{name}.crt"])
        key = load_pem_private_key(files[f"{name}.key"], None)
        assert certificate.public_key() == key.public_key()
        assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def _pki(box: Box) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(read_object(box, f"{REGION}/{ID}/pki.tar"))) as archive:
        return {m.name: (archive.extractfile(m) or io.BytesIO()).read() for m in archive.getmembers()}


def test_join_token_has_kubeadms_form(cluster: Cluster) -> None:
    token = read_object(cluster, f"{REGION}/{ID}/join-token").decode().strip()
    assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", token)


def test_user_data_is_gzipped_once_and_says_the_masters_address_in_plain_text(cluster: Cluster) -> None:
    for encoded in (_encoded(cluster), template_data(cluster)["UserData"]):
        raw = base64.b64decode(encoded)
        assert len(raw) <= 16384
        inner = gzip.decompress(raw)
        assert inner[:2] != b"\x1f\x8b"
        assert b"\nMASTER_INTERNAL_IP=172.20.0.9\n" in inner
        assert not re.search(rb"H4sI[A-Za-z0-9+/]{40}", inner)  # no gzip within, in base64 either


def _encoded(box: Box) -> str:
    answer = box.client("ec2").describe_instance_attribute(InstanceId=master_of(box), Attribute="userData")
    return str(answer["UserData"]["Value"])


def test_user_data_holds_no_key_and_the_masters_no_token(cluster: Cluster) -> None:
    master, minion = user_data(cluster, master_of(cluster)), unpack(template_data(cluster)["UserData"])
    token = read_object(cluster, f"{REGION}/{ID}/join-token").decode().strip()
    secrets = [line for name, content in _pki(cluster).items() if name.endswith(".key") for line in _body(content)]
    secrets += _body(base64.b64decode(_user(cluster)["client-key-data"]))
    for script in (master, minion):
        assert "PRIVATE KEY" not in script
        assert not [secret for secret in secrets if secret in script]
    assert token not in master
    assert settings(minion)["KUBE_JOIN_TOKEN"] == token


def _body(pem: bytes) -> list[str]:
    return [line for line in pem.decode().splitlines() if line and not line.startswith("---")]


def test_minions_know_the_ca_by_its_hash(cluster: Cluster) -> None:
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", minion_settings(cluster)["CA_CERT_HASH"])


# --- roles


def test_masters_role_reads_its_own_prefix_and_changes_what_is_the_clusters(cluster: Cluster) -> None:
    statements = cluster.inventory()["iam"]["roles"][MASTER_ROLE]["policies"][MASTER_ROLE]["Statement"]
    on_s3 = [s for s in statements if "s3:" in json.dumps(s["Action"])]
    assert [(s["Action"], s["Resource"]) for s in on_s3] == [
        ("s3:GetObject", f"arn:aws:s3:::{bucket_of(cluster)}/{REGION}/{ID}/*"),
        (
            ["s3:PutObject", "s3:GetObjectVersion"],
            f"arn:aws:s3:::{bucket_of(cluster)}/{REGION}/{ID}/etcd-snapshot.db.gz",
        ),
    ]
    for statement in statements:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not [a for a in actions if "*" in a]
        looks = all(a.split(":")[1].startswith(("Describe", "Get", "List", "BatchGet", "BatchCheck")) for a in actions)
        assert looks or "Condition" in statement or "*" not in _ids(statement["Resource"]) or _harmless(statement)
    assert "${" not in json.dumps(statements)


def _ids(resource: Any) -> str:
    """What a statement's ARNs end with: a VPC's id is one VPC's, whosever account it is in."""
    return "".join(arn.rpartition(":")[2] for arn in (resource if isinstance(resource, list) else [resource]))


def _harmless(statement: Any) -> bool:
    """A brought VPC by its id, whoever owns it, and a snapshot as the source of what is tagged itself."""
    return statement["Sid"] in ("MakeGroupInBroughtVpc", "VolumeFromSnapshot")


def test_minions_role_may_pull_from_ecr_and_nothing_else(cluster: Cluster) -> None:
    role = cluster.inventory()["iam"]["roles"][MINION_ROLE]
    assert (list(role["policies"]), role["attached"]) == ([MINION_ROLE], [])
    (statement,) = role["policies"][MINION_ROLE]["Statement"]
    assert "ecr:BatchGetImage" in statement["Action"]
    assert all(action.startswith("ecr:") for action in statement["Action"])
    master = cluster.inventory()["iam"]["roles"][MASTER_ROLE]["policies"][MASTER_ROLE]
    assert all(may(master, action, "*") for action in statement["Action"])


def test_only_ec2_may_take_the_roles(cluster: Cluster) -> None:
    for role in cluster.inventory()["iam"]["roles"].values():
        assert [s["Principal"] for s in role["trust"]["Statement"]] == [{"Service": "ec2.amazonaws.com"}]


# --- kubeconfig and what is said


def _user(box: Box) -> Any:
    return only(yaml.safe_load(kubeconfig(box).read_text())["users"])["user"]


def test_kubeconfig_has_cluster_user_and_context_made_current(cluster: Cluster) -> None:
    data = yaml.safe_load(kubeconfig(cluster).read_text())
    address = only(part(cluster, "addresses").values())["address"]
    port = cluster.environ.get("KUBE_API_PORT", "443")
    assert data["current-context"] == f"aws_{ID}"
    assert data["contexts"] == [{"name": f"aws_{ID}", "context": {"cluster": f"aws_{ID}", "user": f"aws_{ID}"}}]
    server = only(data["clusters"])["cluster"]["server"]
    assert server == f"https://{address}" + ("" if port == "443" else f":{port}")
    assert stat.S_IMODE(kubeconfig(cluster).stat().st_mode) == 0o600


def test_kubeconfigs_certificate_is_the_clusters_and_for_its_admins(cluster: Cluster) -> None:
    certificate = x509.load_pem_x509_certificate(base64.b64decode(_user(cluster)["client-certificate-data"]))
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(_pki(cluster)["ca.crt"]))
    names = {attribute.rfc4514_string() for attribute in certificate.subject}
    assert names == {"O=kubeadm:cluster-admins", f"CN=aws_{ID}"}


def test_steps_are_said_in_the_originals_order_with_the_time(cluster: Cluster) -> None:
    steps = re.findall(r"^ *\d+:\d\d  (.+)$", cluster.first.out, re.MULTILINE)
    order = ["Staging bucket", "Roles and instance profiles", "SSH key", "VPC", "Subnet", "Gateway and routes"]
    order += ["Security groups", "Certificates", "Master's address and disk", "Master", "Minions"]
    assert [step for step in steps if step in order] == order


def test_run_says_who_it_is_what_it_made_and_what_to_type_next(cluster: Cluster) -> None:
    out = cluster.first.out
    assert "account 123456789012 as " in out
    assert f"region {REGION}" in out
    for kind in ("vpcs", "subnets", "internet gateways", "interfaces", "instances", "launch templates"):
        ids = [i for i, t in part(cluster, kind).items() if t["tags"].get("Name") != "kubernetes-minion"]
        assert all(i in out for i in ids), kind
    assert re.search(r"waiting for .*, at most \d+:\d\d", out)
    assert f"https://{only(part(cluster, 'addresses').values())['address']}" in out
    for command in ("get nodes", "ssh -i ", "kube_down.py"):
        assert command in out.rsplit("is up after", 1)[1]


def test_a_default_that_lets_the_world_in_is_said(cluster: Cluster) -> None:
    assert "SSH_CIDR=0.0.0.0/0" in cluster.first.err
    assert "HTTP_API_CIDR=0.0.0.0/0" in cluster.first.err


def test_output_in_a_pipe_is_plain(cluster: Cluster) -> None:
    assert "\x1b" not in cluster.first.out + cluster.first.err


def test_minions_group_is_asked_for_right_after_the_master_and_before_the_waits(cluster: Cluster) -> None:
    operations = cluster.first.operations
    group = operations.index("autoscaling:CreateAutoScalingGroup")
    run = max(i for i, operation in enumerate(operations) if operation == "ec2:RunInstances")
    between = [o for o in operations[run + 1 : group] if not o.startswith("s3:")]
    assert set(between) <= {
        "ec2:DescribeLaunchTemplates",
        "ec2:CreateLaunchTemplate",
        "autoscaling:DescribeAutoScalingGroups",
    }
    assert cluster.first.out.index("create  group") < cluster.first.out.index("waiting for")


def test_one_call_at_a_time(cluster: Cluster) -> None:
    ends = [call.end for call in cluster.first.calls]
    starts = [call.start for call in cluster.first.calls]
    assert all(start >= end - 0.001 for start, end in zip(starts[1:], ends, strict=False))


# --- in another account's state


def test_a_new_profile_that_ec2_does_not_see_yet_is_waited_for(sandbox: Box) -> None:
    sandbox.aws.world.delays = Delays(profile=40.0)
    must(sandbox.up())
    assert part(sandbox, "instances")
    assert only(part(sandbox, "groups")) == GROUP


def test_a_run_of_throttled_calls_is_survived(sandbox: Box) -> None:
    for operation in ("ec2:CreateVpc", "ec2:DescribeSubnets", "ec2:RunInstances", "ec2:AllocateAddress"):
        answer_with(sandbox, operation, "RequestLimitExceeded", "Request limit exceeded.", status=503, times=5)
    answer_with(sandbox, "autoscaling:CreateAutoScalingGroup", "Throttling", "Rate exceeded", times=5)
    answer_with(sandbox, "s3:PutObject", "SlowDown", "Please reduce your request rate.", status=503, times=5)
    answer_with(sandbox, "iam:CreateRole", "Throttling", "Rate exceeded", times=5)
    result = must(sandbox.up())
    assert len(part(sandbox, "vpcs")) == 1
    assert "calls repeated" in result.out


def test_a_missing_ssh_key_is_made_and_stays(sandbox: Box) -> None:
    key = Path(sandbox.environ["AWS_SSH_KEY"])
    key.unlink()
    key.with_name(key.name + ".pub").unlink()
    must(sandbox.up())
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    public = key.with_name(key.name + ".pub").read_text()
    pair = only(sandbox.client("ec2").describe_key_pairs(IncludePublicKey=True)["KeyPairs"])
    assert pair["PublicKey"].split()[:2] == public.split()[:2]
    made = key.read_bytes()
    must(sandbox.down())
    assert key.read_bytes() == made


def test_a_private_key_without_its_public_half_is_used(sandbox: Box) -> None:
    public = Path(sandbox.environ["AWS_SSH_KEY"] + ".pub")
    expected = public.read_text().split()[:2]
    public.unlink()
    must(sandbox.up())
    pair = only(sandbox.client("ec2").describe_key_pairs(IncludePublicKey=True)["KeyPairs"])
    assert pair["PublicKey"].split()[:2] == expected
    assert not public.exists()


def test_every_call_on_the_bucket_names_its_owner(sandbox: Box) -> None:
    asked: list[tuple[str, Any]] = []
    sandbox.aws.hooks.before.append(
        lambda call: asked.append((call.operation, call.params)) if call.service == "s3" else None
    )
    must(sandbox.up())
    must(sandbox.up())
    must(sandbox.down())
    assert {"PutObject", "GetObject", "DeleteObjects", "DeleteBucket"} <= {operation for operation, _ in asked}
    without = {operation for operation, params in asked if not params.get("ExpectedBucketOwner")}
    assert without <= {"CreateBucket"}


def test_two_runs_at_once_make_one_ca(sandbox: Box) -> None:
    # The other run's CA appears when this one, which saw none, puts its own: S3 decides.
    theirs = archive()

    def other_run() -> None:
        cloud.s3(REGION).put_object(only(sandbox.inventory()["s3"]), f"{REGION}/{ID}/pki.tar", theirs)

    at_put(sandbox, "pki.tar", other_run)
    must(sandbox.up())
    assert read_object(sandbox, f"{REGION}/{ID}/pki.tar") == theirs


def archive() -> bytes:
    """A cluster's pki.tar as another run would make it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in make_files().items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def at_put(box: Box, name: str, act: Callable[[], object]) -> None:
    """Do something when an object of that name is put."""

    def look(call: Call) -> None:
        if call.operation == "PutObject" and call.params["Key"].endswith(name):
            act()

    box.aws.hooks.before.append(look)


@pytest.mark.parametrize(("days", "warned"), [(29, True), (31, False)])
def test_the_end_of_the_certificates_is_told_and_warned_of_when_it_is_near(
    sandbox: Box, monkeypatch: pytest.MonkeyPatch, days: int, warned: bool
) -> None:
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    monkeypatch.setattr(certificates, "shown_ends", lambda _: end)
    result = must(sandbox.up())
    year = datetime.datetime.now(datetime.UTC).year
    assert f"kubeconfig's until {year + 1}-" in result.out
    assert f"the CA's until {year + 10}-" in result.out
    assert f"the API's until {end:%Y-%m-%d}" in result.out
    assert (f"warning: the API's certificate ends on {end:%Y-%m-%d}" in result.err) is warned


def test_a_certificate_with_few_days_left_is_renewed_by_a_reboot_of_the_master(
    sandbox: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.cluster()
    reboots = sandbox.aws.world.state.reboots
    days = {True: datetime.timedelta(days=365), False: datetime.timedelta(days=89)}
    now = datetime.datetime.now(datetime.UTC)
    monkeypatch.setattr(certificates, "shown_ends", lambda _: now + days[bool(reboots)])
    end = (now + days[False]).strftime("%Y-%m-%d")
    words = rf"reboot  ?master {master_of(sandbox)}, which renews its certificates: the API's ends on {end}"
    would = sandbox.up("--dry-run")
    assert (would.code, would.changing) == (3, [])
    assert re.search(f"would {words}", would.out)
    result = must(sandbox.up())
    assert re.search(words, result.out)
    assert result.changing == ["ec2:RebootInstances"]
    assert must(sandbox.up()).changing == []


def test_the_apis_certificate_is_looked_at_as_it_is_shown(sandbox: Box) -> None:
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=365)
    assert f"the API's until {end:%Y-%m-%d}" in must(sandbox.up()).out
