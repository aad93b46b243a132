"""Every bad input ends kube_up.py with one line that names the variable and what would be right; nothing is changed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bad_inputs import DIRECTORY, FILES, GONE, LOOP, PIPE, SETTINGS, SHELL, FileRow, Row
from conftest import REGION, Box, Result
from helpers import SharedBox, answer_with, must, shared_box

from lib.run.errors import SettingError
from lib.settings.config import OPTIONS
from lib.settings.layers import read_layers
from lib.settings.resolve import option_names, resolve
from sandbox.backend import cloud
from sandbox.backend.wire import result_answer

pytestmark = pytest.mark.story

# What the sandbox or the tests set of options, taken back to the defaults.
DEFAULTS = {"NUM_NODES": "", "KUBE_DOWNLOAD_MIRROR": "", "KUBE_AWS_ZONE": "", "KUBE_API_PORT": ""}


def refused_in_one_line(result: Result, variable: str, *words: str) -> str:
    """The line: one error, at most one hint, status 2, no traceback, and not one changing call was tried."""
    assert "Traceback" not in result.out + result.err
    assert result.code == 2, f"{result.code}: {result.out}{result.err}"
    assert [call.operation for call in result.calls if call.changes] == []
    said = [line for line in result.err.splitlines() if not line.startswith("warning: ")]
    assert 1 <= len(said) <= 2, said
    line = said[0]
    assert line.startswith(f"error: {variable}: "), line
    assert "; " in line, "what would be right comes after a semicolon"
    assert len(line) < 700
    for word in words:
        assert word in line
    return line


@pytest.fixture(scope="module")
def account(_server: Any, tmp_path_factory: pytest.TempPathFactory, ssh_key: Path) -> Iterator[SharedBox]:
    """An empty account for all rows: none of them may change it, so it need not be emptied in between."""
    with shared_box(SharedBox, _server, tmp_path_factory.mktemp("home"), ssh_key) as box:
        yield box
        assert box.inventory() == {}


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: str(row[0])[1:50])
def test_a_bad_setting(account: SharedBox, row: Row) -> None:
    settings, variable, words = row
    refused_in_one_line(account.up(**{**DEFAULTS, **settings}), variable, words)


PATHS = (
    "AWS_SSH_KEY",
    "KUBECONFIG",
    "KUBE_CONFIG_FILE",
    "KUBE_NODE_SCRIPT",
)  # of this computer: no shell of a node reads them


def not_in(name: str) -> list[str]:
    """What must not be in an option: a path may hold all but what asks for expansion, and what cannot be printed."""
    return [bad for bad in SHELL if name not in PATHS or not bad.isprintable() or set(bad) & {"$", "`"}]


@pytest.mark.parametrize(("number", "name"), list(enumerate(option_names())), ids=str)
def test_a_shells_characters_in_every_option(account: SharedBox, number: int, name: str) -> None:
    shell = not_in(name)
    for bad in (shell[number % len(shell)], shell[(number + 5) % len(shell)]):
        line = refused_in_one_line(account.up(**{**DEFAULTS, name: bad}), name, "character")
        assert "plain value" in line


@pytest.mark.parametrize("name", [name for name in option_names() if name != "KUBE_CONFIG_FILE"])
def test_no_option_takes_what_a_shell_acts_on(name: str) -> None:
    for bad in (*not_in(name), "a\x00b", *(["ü"] if name not in PATHS else []), "a\x1b[31m", "a\u202eb", "a\udcffb"):
        with pytest.raises(SettingError, match=f"^{name}: .*plain value") as caught:
            resolve(read_layers({"HOME": "/home/somebody", name: f"x{bad}"}))
        assert str(caught.value).isprintable()


def test_a_very_long_value_is_refused_without_being_repeated(account: SharedBox) -> None:
    line = refused_in_one_line(account.up(VPC_NAME="a" * 3000), "VPC_NAME", "has 3000 characters")
    assert len(line) < 200


# --- is the table whole


def test_every_option_has_a_row_of_its_own() -> None:
    named = {variable for table in (SETTINGS, FILES) for *_, variable, _ in table}
    lacking = set(option_names()) - named  # there is none of which no value is wrong
    assert lacking == set(), "write a value that is refused, and words of the refusal, into tests/bad_inputs.py"


def test_there_are_no_two_rows_alike_and_more_than_a_hundred() -> None:
    settings = [(sorted(row[0].items()), row[2]) for row in SETTINGS]
    assert len(settings) + len(FILES) > 250
    assert [row for row in settings if settings.count(row) > 1] == []


# --- files


@pytest.mark.parametrize("row", FILES, ids=lambda row: str(row[0])[1:60])
def test_a_bad_file(sandbox: Box, row: FileRow) -> None:
    files, settings, variable, words = row
    for name, content in files.items():
        _put(sandbox.home / name, content)
    before = _tree(sandbox.home)
    given = {name: value.format(home=sandbox.home) for name, value in settings.items()}
    if given.pop("NUM_NODES", "") == "-":
        del sandbox.environ["NUM_NODES"]  # for the file to be heard
    refused_in_one_line(sandbox.up(**given), variable, words)
    assert _tree(sandbox.home) == before


FILE_OPTIONS = [name for name, it in OPTIONS.items() if it.is_path]
# What a file may be that an option names, and what a run says of it; a part of it is enough.
NO_FILES: dict[str, bytes | str] = {
    "a pipe that nobody writes to": PIPE,
    "a directory": DIRECTORY,
    "a link to itself": LOOP,
    "without an end": "/dev/zero",
    "nothing that says anything": "/dev/null",
    "nothing": b"",
    "huge": b"#!/bin/sh\n" + b"a: b\n" * 2_500_000,
    "not UTF-8": b"#!/bin/sh\n\xff\xfe=1\n",
}
# Which of them are as good as any other: an empty file with options or kubeconfig, and a script is bytes.
GOOD_FILES = {
    ("KUBECONFIG", "nothing"),
    ("KUBE_CONFIG_FILE", "nothing"),
    ("KUBE_CONFIG_FILE", "nothing that says anything"),
    ("KUBE_NODE_SCRIPT", "not UTF-8"),
}


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize("name", FILE_OPTIONS)
def test_every_option_that_names_a_file_takes_no_other_thing(sandbox: Box, name: str, kind: str) -> None:
    content, path = NO_FILES[kind], sandbox.home / "named"
    if isinstance(content, str) and content.startswith("/dev/"):
        path.symlink_to(content)
    else:
        _put(path, content)
    began = time.monotonic()
    result = sandbox.up("--dry-run", **{name: path})
    assert time.monotonic() - began < 10
    if (name, kind) in GOOD_FILES:
        assert result.code == 3, result.err
    else:
        refused_in_one_line(result, name)


def test_a_pipe_that_somebody_writes_to_is_a_file(sandbox: Box) -> None:
    """As bash makes it for KUBE_NODE_SCRIPT=<(…)."""
    reader, writer = os.pipe()
    os.write(writer, b"#!/bin/sh\ntrue\n")
    os.close(writer)
    assert sandbox.up("--dry-run", KUBE_NODE_SCRIPT=f"/dev/fd/{reader}").code == 3
    os.close(reader)


def _put(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == DIRECTORY:
        path.mkdir()
    elif content == PIPE:
        os.mkfifo(path)
    elif content == LOOP:
        path.symlink_to(path)
    else:
        assert content == GONE


def _tree(folder: Path) -> dict[str, bytes]:
    there = [path for path in sorted(folder.rglob("*")) if folder / ".local" not in (path, *path.parents)]  # the log's
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in there}


def test_a_key_behind_a_passphrase_without_its_public_half(sandbox: Box) -> None:
    key = sandbox.home / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(key)], check=True)
    key.with_name("locked.pub").unlink()
    refused_in_one_line(sandbox.up(AWS_SSH_KEY=key), "AWS_SSH_KEY", "passphrase", "ssh-keygen -y")


@contextlib.contextmanager
def _as_nobody() -> Iterator[None]:
    """Root may read and write everything; os.access asks for whom the process really is."""
    if os.geteuid():
        yield
        return
    os.setreuid(65534, 0)
    try:
        yield
    finally:
        os.setreuid(0, 0)


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("kubeconfig", 0o444, "cannot be written"),
        ("key", 0o000, "cannot be read"),
        ("key.pub", 0o000, "cannot be read"),
    ],
)
def test_a_file_without_the_right_to_it(sandbox: Box, name: str, mode: int, words: str) -> None:
    folder = Path(tempfile.mkdtemp())  # pytest's own is closed to others
    try:
        folder.chmod(0o777)
        (folder / "kubeconfig").write_text("")
        shutil.copy(sandbox.environ["AWS_SSH_KEY"], folder / "key")
        shutil.copy(sandbox.environ["AWS_SSH_KEY"] + ".pub", folder / "key.pub")
        for each in folder.iterdir():
            each.chmod(0o666)
        (folder / name).chmod(mode)
        with _as_nobody():
            result = sandbox.up(KUBECONFIG=folder / "kubeconfig", AWS_SSH_KEY=folder / "key")
    finally:
        shutil.rmtree(folder)
    refused_in_one_line(result, "KUBECONFIG" if name == "kubeconfig" else "AWS_SSH_KEY", words, str(folder / name))


def test_no_home_at_all(sandbox: Box, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import pwd

    def nobody(_: int) -> None:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where the logs are then
    sandbox.environ["HOME"] = ""
    refused_in_one_line(sandbox.up(AWS_SSH_KEY="~/key"), "HOME", "no home directory")
    must(sandbox.up())  # with paths that need none all is well


# --- the account


def _type_not_offered(box: Box) -> dict[str, object]:
    there = [("t3.small", "a"), ("t3.small", "b"), ("t3.medium", "b")]
    offered = {
        "InstanceTypeOfferings": [
            {"InstanceType": size, "Location": f"{REGION}{letter}", "LocationType": "availability-zone"}
            for size, letter in there
        ]
    }
    box.aws.hooks.before.append(
        lambda call: result_answer(call, offered) if call.operation == "DescribeInstanceTypeOfferings" else None
    )
    return {}


def _arm_image(box: Box) -> str:
    box.client("ec2").describe_vpcs()
    name = "/aws/service/debian/release/13/latest/arm64"
    return str(box.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])


def _no_images(box: Box) -> dict[str, object]:
    box.client("ec2").describe_vpcs()
    cloud.ssm(REGION)._parameters.clear()
    return {}


def _bucket_of_another_account(box: Box) -> dict[str, object]:
    answer_with(box, "s3:HeadBucket", "403", "Forbidden", status=403)
    return {"AWS_S3_BUCKET": "somebody-elses"}


def _vpc(box: Box, cidr: str = "172.31.0.0/16") -> str:
    return str(box.client("ec2").create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"])


def _subnet(box: Box, vpc: str, cidr: str = "172.31.4.0/24", zone: str = "a") -> str:
    made = box.client("ec2").create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=f"{REGION}{zone}")
    return str(made["Subnet"]["SubnetId"])


def _range_in_use(box: Box) -> dict[str, object]:
    vpc = _vpc(box)
    _subnet(box, vpc)
    return {"VPC_ID": vpc, "KUBE_SUBNET_CIDR": "172.31.0.0/20"}


def _subnet_of_another_vpc(box: Box) -> dict[str, object]:
    return {"VPC_ID": _vpc(box), "SUBNET_ID": _subnet(box, _vpc(box))}


def _other_dhcp_options(box: Box) -> dict[str, object]:
    configuration = [{"Key": "domain-name", "Values": ["example.com"]}]
    made = box.client("ec2").create_dhcp_options(DhcpConfigurations=configuration)["DhcpOptions"]["DhcpOptionsId"]
    return {"VPC_ID": _vpc(box), "KUBE_SUBNET_CIDR": "172.31.0.0/24", "DHCP_OPTION_SET_ID": made}


ACCOUNT: list[tuple[Callable[[Box], dict[str, object]], str, str]] = [
    (_type_not_offered, "MASTER_SIZE", f"{REGION}a; give another type, or KUBE_AWS_ZONE={REGION}b"),
    (lambda box: {"AWS_IMAGE": _arm_image(box), "KUBE_NODE_IMAGE": ""}, "AWS_IMAGE", "t3.medium is amd64"),
    (lambda box: {"KUBE_NODE_IMAGE": _arm_image(box)}, "KUBE_NODE_IMAGE", "give an image for amd64"),
    (_no_images, "AWS_IMAGE", "/aws/service/debian/release/13/latest/amd64"),
    (_bucket_of_another_account, "AWS_S3_BUCKET", "somebody-elses is not account 123456789012's"),
    (lambda box: {"VPC_ID": _vpc(box)}, "KUBE_SUBNET_CIDR", "172.20.0.0/24 is not inside"),
    (_range_in_use, "KUBE_SUBNET_CIDR", "172.31.0.0/20 overlaps 172.31.4.0/24"),
    (lambda box: {"SUBNET_ID": _subnet(box, _vpc(box), zone="b")}, "SUBNET_ID", f"set KUBE_AWS_ZONE={REGION}b"),
    (_subnet_of_another_vpc, "SUBNET_ID", "or set VPC_ID="),
    (
        lambda box: {"SUBNET_ID": _subnet(box, _vpc(box)), "KUBE_SUBNET_CIDR": "172.31.5.0/24"},
        "KUBE_SUBNET_CIDR",
        "which is 172.31.4.0/24",
    ),
    (
        lambda box: {"SUBNET_ID": _subnet(box, _vpc(box)), "MASTER_INTERNAL_IP": "172.31.4.3"},
        "MASTER_INTERNAL_IP",
        "172.31.4.4 to 172.31.4.254",
    ),
    (
        lambda box: {"VPC_ID": _vpc(box, "10.244.0.0/16"), "KUBE_SUBNET_CIDR": "10.244.3.0/24"},
        "CLUSTER_IP_RANGE",
        "overlaps 10.244.3.0/24",
    ),
    (_other_dhcp_options, "DHCP_OPTION_SET_ID", "associate it there yourself"),
    (lambda _: {"KUBERNETES_VERSION": "1.37.99"}, "KUBERNETES_VERSION", "a version that is published"),
]  # fmt: skip


@pytest.mark.parametrize(("prepare", "variable", "words"), ACCOUNT, ids=range(len(ACCOUNT)))
def test_what_the_account_does_not_have(
    sandbox: Box, prepare: Callable[[Box], dict[str, object]], variable: str, words: str
) -> None:
    given = prepare(sandbox)
    before = sandbox.inventory()
    refused_in_one_line(sandbox.up(**given), variable, words)
    assert sandbox.inventory() == before


def test_another_group_in_a_range_that_is_taken(sandbox: Box) -> None:
    sandbox.cluster()
    more: dict[str, object] = {"KUBE_USE_EXISTING_MASTER": "true", "KUBE_AWS_ZONE": f"{REGION}b"}
    refused_in_one_line(sandbox.up(KUBE_SUBNET_CIDR="172.20.0.0/25", **more), "KUBE_SUBNET_CIDR", "overlaps")
    refused_in_one_line(sandbox.up(KUBE_SUBNET_CIDR="172.20.0.0/24", **more), "KUBE_SUBNET_CIDR", "overlaps")
