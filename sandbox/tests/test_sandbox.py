"""The sandbox as a command, the stand-in control plane over TLS, and the inventory."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import pty
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import REGION, Box
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from spread import spread

from sandbox import surroundings
from sandbox.clock import FakeClock

ROOT = Path(__file__).parents[2]


def run(*arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """python -m sandbox with these arguments, as a person runs it."""
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments],
        cwd=ROOT,
        env=dict(os.environ) | (environ or {}),
        capture_output=True,
        text=True,
        timeout=600,  # of a computer that is busy with other things
        stdin=subprocess.DEVNULL,
        check=False,
    )


def python(code: str) -> list[str]:
    """A command that runs this code with boto3 at hand."""
    return ["--", sys.executable, "-c", f"import boto3, os, json\n{code}"]


def is_gone(process: int) -> bool:
    """Whether a process ends within a moment; one that nobody has waited for yet counts as gone."""
    for _ in range(50):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "status"), spread([("exit 3", 3), ("exit 0", 0), ("kill -9 $$", 137)], 1))
def test_ends_with_the_commands_status(command: str, status: int) -> None:
    assert run("--", "sh", "-c", command).returncode == status


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--", "/no/such/command"], "/no/such/command: No such file or directory"),
        (["--", str(ROOT)], "Permission denied"),
        (["--"], "there is no command after --"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--latency", "soon", "--", "true"], "invalid float value"),
        (["--latency", "-1", "--", "true"], "0 or more"),
        (["--hosts", "real", "--", "true"], "invalid choice: 'real'"),
        (["--calls", "/no/such/folder/calls", "--", "true"], "No such file or directory"),
        (["--images", "/no/such/folder", "--", "true"], "there are none in /no/such/folder"),
        (["--kernel", "--", "true"], "--kernel is for --hosts machines"),
        (["--pull", "--", "true"], "--pull is for --hosts machines"),
        (["true"], "unrecognized arguments: true"),
    ],
)
def test_own_errors_are_one_line_and_125(arguments: list[str], words: str) -> None:
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (125, "")
    assert re.fullmatch(rf"sandbox: .*{re.escape(words)}.*\n", result.stderr)


HOSTILE = {
    "AWS_PROFILE": "production",
    "AWS_DEFAULT_PROFILE": "production",
    "AWS_SESSION_TOKEN": "token",
    "AWS_SECURITY_TOKEN": "token",
    "AWS_ACCESS_KEY_ID": "AKIAREAL",
    "AWS_SECRET_ACCESS_KEY": "real",
    "AWS_ENDPOINT_URL": "http://192.0.2.1",
    "AWS_ENDPOINT_URL_EC2": "http://192.0.2.1",
    "AWS_ENDPOINT_URL_S3": "http://192.0.2.1",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_CA_BUNDLE": "/no/such/file",
    "AWS_ROLE_ARN": "arn:aws:iam::1:role/x",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/no/such/file",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1",
    "AWS_CONFIG_FILE": "{folder}/config",
    "AWS_SHARED_CREDENTIALS_FILE": "{folder}/config",
    "AWS_EC2_METADATA_DISABLED": "false",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://192.0.2.1",
    "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "legacy",
    "http_proxy": "http://192.0.2.1",
    "HTTP_PROXY": "http://192.0.2.1",
    "https_proxy": "http://192.0.2.1",
    "HTTPS_PROXY": "http://192.0.2.1",
    "all_proxy": "http://192.0.2.1",
    "ALL_PROXY": "http://192.0.2.1",
    "no_proxy": "nothing.example",
    "NO_PROXY": "nothing.example",
}


def test_no_variable_leads_a_call_out(tmp_path: Path) -> None:
    """All hostile variables at once: the calls come to the sandbox, with its credentials."""
    config = "[profile production]\nendpoint_url = http://192.0.2.1\n[default]\nendpoint_url = http://192.0.2.1\n"
    (tmp_path / "config").write_text(config)
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(config)
    hostile = {name: value.format(folder=tmp_path) for name, value in HOSTILE.items()} | {"HOME": str(tmp_path)}
    code = (
        "c = lambda name: boto3.client(name, region_name='us-west-2')\n"
        "print(c('sts').get_caller_identity()['Account'], len(c('ec2').describe_vpcs()['Vpcs']))\n"
        "print(c('s3').list_buckets()['Buckets'], c('ec2').meta.endpoint_url == os.environ['AWS_ENDPOINT_URL'])\n"
    )
    result = run(*python(code), environ=hostile)
    assert result.stdout.splitlines() == ["123456789012 1", "[] True"], result.stderr


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_variable_does_not_reach_the_command(name: str, tmp_path: Path) -> None:
    inside = surroundings.inside({name: "hostile"}, "http://127.0.0.1:1", tmp_path)
    assert "hostile" not in inside.values()


def test_options_and_region_reach_the_command(tmp_path: Path) -> None:
    kept = {
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_SSH_KEY": "/a/key",
        "AWS_S3_BUCKET": "mine",
        "KUBECONFIG": "/a/kubeconfig",
        "NUM_NODES": "3",
    }
    inside = surroundings.inside(kept, "http://127.0.0.1:1", tmp_path)
    assert {name: inside[name] for name in kept} == kept


def test_key_and_kubeconfig_are_temporary_and_gone_afterwards() -> None:
    code = (
        "for name in ('KUBECONFIG', 'AWS_SSH_KEY'):\n"
        "    path = os.environ[name]; open(path, 'w').close(); print(path)\n"
    )
    environ = {"KUBECONFIG": "", "AWS_SSH_KEY": ""}
    paths = run(*python(code), environ=environ).stdout.split()
    assert len(paths) == 2
    assert not any(Path(path).parent.exists() for path in paths)


def test_calls_are_written_before_the_client_has_its_answer(tmp_path: Path) -> None:
    file = tmp_path / "calls"
    file.write_text("kept\n")
    code = (
        "ec2 = boto3.client('ec2', region_name='us-west-2')\n"
        f"lines = lambda: len(open({str(file)!r}).readlines())\n"
        "seen = [lines()]\n"
        "vpc = ec2.create_vpc(CidrBlock='10.0.0.0/16')['Vpc']['VpcId']; seen.append(lines())\n"
        "ec2.describe_vpcs(); seen.append(lines())\n"
        "try: ec2.delete_vpc(VpcId='vpc-00000000000000000')\n"
        "except Exception: seen.append(lines())\n"
        "import urllib.request; urllib.request.urlopen(os.environ['AWS_ENDPOINT_URL'] + '/_sandbox/inventory').read()\n"
        "print(seen)\n"
    )
    result = run("--calls", str(file), *python(code))
    assert result.stdout == "[1, 2, 3, 4]\n", result.stderr
    kept, *records = file.read_text().splitlines()
    calls = [json.loads(record) for record in records]
    assert kept == "kept"
    assert [(call["service"], call["operation"], call["changes"], call["status"]) for call in calls] == [
        ("ec2", "CreateVpc", True, 200),
        ("ec2", "DescribeVpcs", False, 200),
        ("ec2", "DeleteVpc", True, 400),
    ]
    assert calls[2]["error"] == "InvalidVpcID.NotFound"
    assert all(call["start"] <= call["end"] for call in calls)


def test_latency_delays_every_answer() -> None:
    code = (
        "import time; ec2 = boto3.client('ec2', region_name='us-west-2'); ec2.describe_vpcs()\n"
        "start = time.monotonic(); ec2.describe_vpcs(); ec2.describe_vpcs(); print(time.monotonic() - start)\n"
    )
    assert float(run("--latency", "300", *python(code)).stdout) >= 0.6


def test_without_command_it_prints_exports_and_stays(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox"],
        cwd=ROOT,
        env=dict(os.environ) | {"AWS_PROFILE": "production", "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    while line := process.stdout.readline():
        lines.append(line)
        if "AWS_SSH_KEY" in line:
            break
    script = "".join(lines) + f"{sys.executable} -m sandbox.inventory"
    seen = subprocess.run(["sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0
    assert (seen.returncode, json.loads(seen.stdout)) == (0, {})
    assert "AWS_PROFILE" in lines[0].removeprefix("unset ").split()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", spread([signal.SIGINT, signal.SIGTERM], 1))
def test_signal_goes_to_the_command_and_nothing_is_left(number: signal.Signals, tmp_path: Path) -> None:
    waiting = "trap 'echo told; exit 7' INT TERM; echo $$; while :; do sleep 0.1; done"
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "--", "sh", "-c", waiting],
        cwd=ROOT,
        env=dict(os.environ) | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.send_signal(number)
    assert process.stdout.read() == "told\n"
    assert process.wait(timeout=20) == 7
    assert is_gone(child)
    assert list(tmp_path.iterdir()) == []


def test_the_command_has_the_terminal_before_it_begins() -> None:
    # It reads at once, and what is done for it afterwards comes late: without the terminal it has stopped by then.
    code = """if True:
        import os, sys
        from sandbox import cli
        us, give = os.getpid(), os.tcsetpgrp
        def late(terminal, group):
            if os.getpid() == us:
                os.waitid(os.P_ALL, 0, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            give(terminal, group)
        os.tcsetpgrp = late
        with cli._Child(["sh", "-c", "read word </dev/tty; echo read $word"], os.environ) as child:
            sys.exit(child.wait())
    """
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-c", code])
    os.write(terminal, b"hello\n")
    shown = b""
    with suppress(OSError):  # EIO: the other side is closed
        while b"read hello" not in shown and select.select([terminal], [], [], 20)[0]:
            shown += os.read(terminal, 4096)
    os.close(terminal)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert b"read hello" in shown, shown


def test_what_the_command_leaves_running_is_ended() -> None:
    result = run("--", "sh", "-c", "sleep 300 >/dev/null 2>&1 & echo $!")
    assert is_gone(int(result.stdout))


def test_port_is_chosen_where_443_is_not_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "_can_bind", lambda port: port != 443)
    assert surroundings.api_port({}) == 6443
    assert surroundings.api_port({"KUBE_API_PORT": "8443"}) is None


TAKE_DOWN = sorted(
    file
    for folder in ("sandbox", "benchmarks")
    for file in (ROOT / folder).rglob("*.py")
    if '"kube_down.py"' in file.read_text() and "tests" not in file.parts
)


@pytest.mark.parametrize("file", TAKE_DOWN, ids=lambda file: str(file.relative_to(ROOT)))
def test_what_takes_a_cluster_down_unasked_does_so_in_the_sandbox_alone(file: Path, tmp_path: Path) -> None:
    """Else it would be the person's own, of the same name."""
    module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    mine = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "AKIAREAL", "HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-m", module, *(["calls", "out"] if file.name == "cycle.py" else [])],
        cwd=ROOT,
        env=os.environ | mine | {"XDG_STATE_HOME": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert "run it within python -m sandbox -- ..." in result.stderr
    assert list(tmp_path.iterdir()) == []  # no run has left a log


def test_what_takes_a_cluster_down_was_found() -> None:
    assert {file.name for file in TAKE_DOWN} >= {"__main__.py", "nodes.py", "bearing.py", "cycle.py"}


def test_inventory_outside_a_sandbox_says_so() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    result = subprocess.run(
        [sys.executable, "-m", "sandbox.inventory"], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (125, "inventory: run it within python -m sandbox -- ...\n")


# --- inventory -------------------------------------------------------------------------------------------------------


def test_a_new_account_is_empty(sandbox: Box) -> None:
    for region in (REGION, "us-east-1"):
        sandbox.client("ec2", region).describe_vpcs()
    sandbox.client("iam").list_roles()
    assert sandbox.inventory() == {}


def make_something(box: Box) -> None:
    ec2, s3 = box.client("ec2"), box.client("s3")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    for name in ("b", "a"):
        ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)
    ec2.allocate_address(Domain="vpc")
    s3.create_bucket(Bucket="staging", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="staging", Key="ca", Body=os.urandom(16))


def test_masked_inventories_of_equal_runs_are_equal(sandbox: Box) -> None:
    make_something(sandbox)
    plain, first = sandbox.inventory(), sandbox.inventory(mask=True)
    sandbox.aws.reset()
    make_something(sandbox)
    assert sandbox.inventory() != plain
    assert sandbox.inventory(mask=True) == first


def test_inventory_sees_a_change(sandbox: Box) -> None:
    make_something(sandbox)
    before = sandbox.inventory()
    sandbox.client("s3").put_object(Bucket="staging", Key="ca", Body=b"another")
    assert sandbox.inventory() != before


# --- the stand-in control plane --------------------------------------------------------------------------------------


class Authority:
    """A certificate authority for a test's cluster."""

    def __init__(self, name: str = "kubernetes") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self.name, self.key, ca=True)

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
        import datetime

        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1))
        return builder.add_extension(x509.BasicConstraints(ca, None), critical=True).sign(self.key, hashes.SHA256())

    def client(self, folder: Path, group: str = "system:masters") -> Path:
        """A file with a client's certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [(NameOID.ORGANIZATION_NAME, group), (NameOID.COMMON_NAME, "admin")]
        subject = x509.Name([x509.NameAttribute(kind, value) for kind, value in names])
        path = folder / f"{group.replace(':', '-')}-{id(self)}.pem"
        path.write_bytes(pem(self._sign(subject, key, ca=False)) + key_pem(key))
        return path

    def archive(self) -> bytes:
        """pki.tar as the bucket holds it."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as files:
            for name, content in (("ca.crt", pem(self.certificate)), ("ca.key", key_pem(self.key))):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                files.addfile(info, io.BytesIO(content))
        return buffer.getvalue()

    @property
    def hash(self) -> str:
        """CA_CERT_HASH."""
        import hashlib

        form = serialization.PublicFormat.SubjectPublicKeyInfo
        public = self.certificate.public_key().public_bytes(serialization.Encoding.DER, form)
        return "sha256:" + hashlib.sha256(public).hexdigest()


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Cluster:
    """A master and a group of minions made by plain calls, with user-data that carries settings."""

    def __init__(self, box: Box, folder: Path, *, port: str) -> None:
        self.box, self.folder, self.port = box, folder, port
        self.ec2 = box.client("ec2")
        self.authority = Authority()
        self.network()
        self.bucket()
        self.disk = self.ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=20, VolumeType="gp3")["VolumeId"]

    def network(self) -> None:
        self.vpc = self.ec2.create_vpc(CidrBlock="172.20.0.0/16")["Vpc"]["VpcId"]
        made = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock="172.20.0.0/24", AvailabilityZone=f"{REGION}a")
        self.subnet = made["Subnet"]["SubnetId"]
        self.gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        self.table = self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        self.ec2.associate_route_table(RouteTableId=self.table, SubnetId=self.subnet)
        self.out = {"RouteTableId": self.table, "DestinationCidrBlock": "0.0.0.0/0"}
        self.ec2.create_route(**self.out, GatewayId=self.gateway)
        self.group = self.ec2.create_security_group(GroupName="m", Description="m", VpcId=self.vpc)["GroupId"]
        port, range_ = int(self.port), [{"CidrIp": "0.0.0.0/0"}]
        self.rule = [{"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": range_}]
        self.ec2.authorize_security_group_ingress(GroupId=self.group, IpPermissions=self.rule)
        interface = self.ec2.create_network_interface(
            SubnetId=self.subnet, PrivateIpAddress="172.20.0.9", Groups=[self.group]
        )
        self.interface = interface["NetworkInterface"]["NetworkInterfaceId"]
        address = self.ec2.allocate_address(Domain="vpc")
        self.address, self.allocation = address["PublicIp"], address["AllocationId"]
        association = self.ec2.associate_address(AllocationId=self.allocation, NetworkInterfaceId=self.interface)
        self.association = association["AssociationId"]

    def bucket(self) -> None:
        s3 = self.box.client("s3")
        s3.create_bucket(Bucket="staging", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket="staging", Key="p/pki.tar", Body=self.authority.archive())
        s3.put_object(Bucket="staging", Key="p/join-token", Body=b"abcdef.0123456789abcdef\n")

    def settings(self, role: str, **more: str) -> str:
        values = {
            "KUBE_ROLE": role,
            "KUBERNETES_VERSION": "1.37.2",
            "MASTER_INTERNAL_IP": "172.20.0.9",
            "MASTER_NAME": "kubernetes-master",
            "MASTER_DISK_ID": self.disk,
            "KUBE_API_PORT": self.port,
            "KUBE_BUCKET": "staging",
            "KUBE_BUCKET_PREFIX": "p/",
            "CLUSTER_IP_RANGE": "10.244.0.0/16",
            "KUBERNETES_SERVICE_IP": "10.0.0.1",
            "CA_CERT_HASH": self.authority.hash,
            "KUBE_JOIN_TOKEN": "abcdef.0123456789abcdef",
        } | more
        return "".join(f"{name}='{value}'\n" for name, value in values.items())

    def image(self) -> str:
        found = self.box.client("ssm").get_parameter(Name="/aws/service/debian/release/13/latest/amd64")
        return str(found["Parameter"]["Value"])

    def launch(self, data: str, **where: Any) -> str:
        import gzip

        made = self.ec2.run_instances(
            ImageId=self.image(),
            InstanceType="t3.small",
            MinCount=1,
            MaxCount=1,
            UserData=gzip.compress(f"#!/bin/bash\n{data}".encode()),
            **where,
        )
        return str(made["Instances"][0]["InstanceId"])

    def launch_master(self, **more: str) -> str:
        nics = [{"DeviceIndex": 0, "NetworkInterfaceId": self.interface}]
        master = self.launch(self.settings("master", **more), NetworkInterfaces=nics)
        self.box.clock.sleep(10)
        return master

    def launch_minion(self, **more: str) -> str:
        minion = self.launch(self.settings("minion", **more), SubnetId=self.subnet)
        self.box.clock.sleep(10)
        return minion

    def ask(self, path: str, certificate: Path | None = None, accept: str = "application/json") -> tuple[int, str]:
        """Status and body of the API at the elastic IP, its certificate checked against the cluster's CA."""
        context = ssl.create_default_context(cadata=pem(self.authority.certificate).decode())
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if certificate:
            context.load_cert_chain(certificate)
        connection = http.client.HTTPSConnection(self.address, int(self.port), timeout=5, context=context)
        try:
            connection.request("GET", path, headers={"Accept": accept})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def nodes(self) -> list[str]:
        status, body = self.ask("/api/v1/nodes", self.authority.client(self.folder))
        assert status == 200
        return sorted(item["metadata"]["name"] for item in json.loads(body)["items"])

    def console(self, instance: str) -> str:
        return str(self.ec2.get_console_output(InstanceId=instance).get("Output", ""))


@pytest.fixture
def cluster(sandbox: Box, tmp_path: Path) -> Cluster:
    return Cluster(sandbox, tmp_path, port=sandbox.environ.get("KUBE_API_PORT", "443"))


def node(last: int) -> str:
    return f"ip-172-20-0-{last}.{REGION}.compute.internal"


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/version", "/readyz?verbose"])
def test_health_is_told_to_anybody(cluster: Cluster, path: str) -> None:
    cluster.launch_master()
    assert cluster.ask(path)[0] == 200


def test_the_rest_needs_a_certificate_of_the_clusters_ca(cluster: Cluster) -> None:
    cluster.launch_master()
    assert cluster.ask("/api/v1/nodes")[0] == 403
    assert cluster.ask("/api/v1/nodes", cluster.authority.client(cluster.folder, "nobody"))[0] == 403
    assert cluster.ask("/api/v1/nodes", cluster.authority.client(cluster.folder, "kubeadm:cluster-admins"))[0] == 200
    with pytest.raises((ssl.SSLError, ConnectionError)):
        cluster.ask("/api/v1/nodes", Authority().client(cluster.folder))


@pytest.mark.parametrize("name", ["kubernetes", "kubernetes.default.svc.cluster.local", "kubernetes-master"])
def test_certificate_has_the_names_of_the_original(cluster: Cluster, name: str) -> None:
    cluster.launch_master()
    context = ssl.create_default_context(cadata=pem(cluster.authority.certificate).decode())
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    with (
        socket.create_connection((cluster.address, int(cluster.port)), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        found: Any = secured.getpeercert()
    addresses = {value for kind, value in found["subjectAltName"] if kind == "IP Address"}
    assert addresses == {cluster.address, "172.20.0.9", "10.0.0.1"}


def refuses(cluster: Cluster) -> bool:
    try:
        cluster.ask("/healthz")
    except ConnectionRefusedError:
        return True
    return False


def test_api_answers_only_while_the_master_runs(cluster: Cluster) -> None:
    master = cluster.launch_master()
    assert not refuses(cluster)
    cluster.ec2.terminate_instances(InstanceIds=[master])
    cluster.box.clock.sleep(10)
    assert refuses(cluster)
    cluster.launch_master()
    assert not refuses(cluster)


@pytest.mark.parametrize("what", ["address", "rule", "route"])
def test_api_needs_address_rule_and_route(cluster: Cluster, what: str) -> None:
    cluster.launch_master()
    if what == "address":
        cluster.ec2.disassociate_address(AssociationId=cluster.association)
    if what == "rule":
        cluster.ec2.revoke_security_group_ingress(GroupId=cluster.group, IpPermissions=cluster.rule)
    if what == "route":
        cluster.ec2.delete_route(**cluster.out)
    cluster.box.clock.sleep(1)
    assert refuses(cluster)


def test_master_without_its_ca_says_so_and_waits_for_it(cluster: Cluster) -> None:
    s3 = cluster.box.client("s3")
    s3.delete_object(Bucket="staging", Key="p/pki.tar")
    master = cluster.launch_master()
    assert "secrets: failed: s3://staging/p/pki.tar: 404" in cluster.console(master)
    assert refuses(cluster)
    s3.put_object(Bucket="staging", Key="p/pki.tar", Body=cluster.authority.archive())
    cluster.box.clock.sleep(1)
    assert not refuses(cluster)


def test_console_says_the_steps(cluster: Cluster) -> None:
    lines = cluster.console(cluster.launch_master()).splitlines()
    assert all(re.fullmatch(r"kube-bootstrap: (step \d/\d [a-z ]+: ok|done after \d+ s)", line) for line in lines)


def test_master_attaches_its_disk(cluster: Cluster) -> None:
    master = cluster.launch_master()
    [disk] = cluster.ec2.describe_volumes(VolumeIds=[cluster.disk])["Volumes"]
    assert [attachment["InstanceId"] for attachment in disk["Attachments"]] == [master]


def test_minions_are_nodes_while_they_run(cluster: Cluster) -> None:
    cluster.launch_master()
    first, _ = cluster.launch_minion(), cluster.launch_minion()
    assert cluster.nodes() == sorted([node(9), node(4), node(5)])
    cluster.ec2.terminate_instances(InstanceIds=[first])
    assert cluster.nodes() == sorted([node(9), node(5)])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"CA_CERT_HASH": "sha256:0"}, "does not match the hash"),
        ({"KUBE_JOIN_TOKEN": "wrong0.0123456789abcdef"}, "the token is not known"),
        ({"MASTER_INTERNAL_IP": "172.20.0.10"}, ""),
    ],
)
def test_minion_that_cannot_trust_does_not_join(cluster: Cluster, wrong: dict[str, str], words: str) -> None:
    cluster.launch_master()
    minion = cluster.launch_minion(**wrong)
    assert cluster.nodes() == [node(9)]
    assert words in cluster.console(minion)


def test_nodes_pods_are_routed_and_routes_of_the_dead_go(cluster: Cluster) -> None:
    cluster.launch_master()
    minion = cluster.launch_minion()

    def routes() -> int:
        [table] = cluster.ec2.describe_route_tables(RouteTableIds=[cluster.table])["RouteTables"]
        return sum(route.get("DestinationCidrBlock", "").startswith("10.244.") for route in table["Routes"])

    assert routes() == 2
    cluster.ec2.terminate_instances(InstanceIds=[minion])
    cluster.box.clock.sleep(10)
    assert routes() == 1


def test_node_is_what_kubernetes_describes(cluster: Cluster) -> None:
    cluster.launch_master()
    minion = cluster.launch_minion(NODE_LABELS="tier=web,disk=ssd")
    admin = cluster.authority.client(cluster.folder)
    found = json.loads(cluster.ask(f"/api/v1/nodes/{node(4)}", admin)[1])
    assert found["spec"]["providerID"] == f"aws:///{REGION}a/{minion}"
    assert found["status"]["nodeInfo"]["kubeletVersion"] == "v1.37.2"
    labels = found["metadata"]["labels"]
    assert (labels["topology.kubernetes.io/zone"], labels["tier"], labels["disk"]) == (f"{REGION}a", "web", "ssd")
    assert cluster.ask("/api/v1/nodes/nobody", admin)[0] == 404


def test_table_is_what_kubectl_prints(cluster: Cluster) -> None:
    cluster.launch_master()
    admin = cluster.authority.client(cluster.folder)
    body = cluster.ask("/api/v1/nodes?limit=500", admin, "application/json;as=Table;v=v1;g=meta.k8s.io")[1]
    table = json.loads(body)
    assert [column["name"] for column in table["columnDefinitions"]][:3] == ["Name", "Status", "Roles"]
    assert table["rows"][0]["cells"][:3] == [node(9), "Ready", "control-plane"]


def test_foreign_instances_are_no_nodes(cluster: Cluster) -> None:
    cluster.launch_master()
    cluster.launch("echo hello\n", SubnetId=cluster.subnet)
    cluster.box.clock.sleep(10)
    assert cluster.nodes() == [node(9)]


def test_fake_clock_tells_who_listens() -> None:
    clock, seen = FakeClock(5.0), list[float]()
    clock.listeners.append(lambda: seen.append(clock.monotonic()))
    clock.sleep(1)
    clock.sleep(0)
    assert (seen, clock.slept) == ([5.5, 6.0, 6.0], [1, 0])


def test_user_data_may_be_plain_or_packed(cluster: Cluster) -> None:
    nics = [{"DeviceIndex": 0, "NetworkInterfaceId": cluster.interface}]
    made = cluster.ec2.run_instances(
        ImageId=cluster.image(),
        InstanceType="t3.small",
        MinCount=1,
        MaxCount=1,
        NetworkInterfaces=nics,
        UserData=cluster.settings("master"),
    )
    cluster.box.clock.sleep(10)
    assert not refuses(cluster)
    data = cluster.ec2.describe_instance_attribute(InstanceId=made["Instances"][0]["InstanceId"], Attribute="userData")
    assert base64.b64decode(data["UserData"]["Value"]).decode() == cluster.settings("master")


SOURCES = sorted(set((ROOT / "sandbox").rglob("*.py")) - set((ROOT / "sandbox" / "tests").rglob("*.py")))


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_the_sandbox_writes_down_no_partition(file: Path) -> None:
    """Each ARN and each host is of the partition that was asked: moto keeps a part of its state by it."""
    assert re.findall(r"arn:aws(?![\w-]*\[)(?:-\w+)*:|PARTITION\b|\[.aws.\]", file.read_text()) == []
