"""What a newcomer types wrong: each answer says what is wrong and what to do, in ten lines of 80 columns."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import documents
import pytest
from conftest import REGION, Box
from documents import Shell
from helpers import ID, bucket_of, master_of, must, part, speaking
from test_terminal import TERMINAL, on_terminal, plain

from lib.diagnosis import failing
from sandbox.backend import cloud
from sandbox.backend.nodes import UNINITIALIZED, node_object
from sandbox.backend.wire import result_answer
from sandbox.calls import Answer, Call, Refusal, refusal_answer
from sandbox.faults import put
from sandbox.faults.denials import Deny
from sandbox.world import Delays

MOST = 10


def run(box: Box, script: str, *argv: str, code: int, **settings: object) -> str:
    """What a terminal shows of a run."""
    environ: Mapping[str, Any] = TERMINAL | settings
    shown = plain(on_terminal(lambda: getattr(box, script)(*argv, **environ), code=code))
    assert "Traceback" not in shown
    return shown


def answer(shown: str, begins: str) -> str:
    """The lines from the first that begins so, of which there are no more than ten; in one line, for it is words."""
    lines = shown.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(begins))
    assert len(lines) - first <= MOST, shown
    assert [line for line in lines[first:] if len(line) > 80 and "/" not in line] == []  # paths
    return " ".join(line.strip() for line in lines[first:])


README = (documents.ROOT / "README.md").read_text(encoding="utf-8")


def read_and_typed(box: Box, heading: str, shell: Shell | None = None) -> Shell:
    """The commands below a heading of README, typed one after another."""
    shell = shell or Shell(box)
    for block in documents.blocks(documents.section(README, heading)):
        shell.type(block)
    return shell


def test_what_readme_says_to_type_with_an_account(sandbox: Box) -> None:
    shell = read_and_typed(sandbox, "With an account")
    preview, up, down = shell.results
    assert (preview.code, preview.changing) == (3, [])
    assert "Cluster kubernetes is up after" in up.out
    assert "nothing is left of it" in down.out
    assert shell.passed_over == ["kubectl"]
    assert sandbox.inventory() == {}


def test_what_readme_says_it_costs_is_what_a_run_says(sandbox: Box) -> None:
    words = documents.blocks(documents.section(README, "What it costs"))[0].strip()
    amount, made_of = words.split(": ")
    assert f"  price    {amount}\n           {made_of}\n" in sandbox.up("--dry-run", NUM_NODES="").out


def test_what_readme_says_to_type_for_a_change(sandbox: Box) -> None:
    must(sandbox.up())
    preview, change = read_and_typed(sandbox, "Change a cluster").results
    assert preview.code == 3
    assert change.changing
    minions = [each for each in part(sandbox, "instances").values() if each["tags"]["Name"] == f"{ID}-minion"]
    assert len(minions) == 6


@pytest.mark.parametrize("script", ["up", "down"])
def test_help_says_on_its_first_screen_what_it_does_and_how_to_go_on(sandbox: Box, script: str) -> None:
    first = "\n".join(run(sandbox, script, "--help", code=0).splitlines()[:30])
    for words in (
        "Kubernetes cluster on AWS",
        f"Usage: [NAME=value ...] python3 kube_{script}.py",
        "--dry-run",
        "Exit status",
    ):
        assert words in first
    assert "Options are set in the environment" in " ".join(first.split())


def test_a_dry_run_ends_with_what_it_found_and_what_to_type(sandbox: Box) -> None:
    shown = run(sandbox, "up", "--dry-run", code=3)
    assert re.search(r"\nThis would make \d+ changes and made none: leave out --dry-run to make them.\n$", shown)
    assert "create  " not in shown.replace("would create  ", "")
    # What is not there is not said to be found.
    assert set(re.findall(r"found +(\w+)", shown)) == {"image"}
    must(sandbox.up())
    assert run(sandbox, "up", "--dry-run", code=0).endswith("\nNothing to do.\n")
    assert "leave out --dry-run" in run(sandbox, "down", "--dry-run", code=3).splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("NUM_NODS", "2", "nothing reads it; did you mean NUM_NODES?"),
        ("NUM_MINION", "2", "nothing reads it; did you mean NUM_MINIONS? It is called NUM_NODES today"),
        ("MINION_SIZE", "t3.large", "is called NODE_SIZE today and has no effect under this name"),
        ("KUBE_MASTER_SIZE", "t3.large", "did you mean MASTER_SIZE?"),
    ],
)
def test_a_misspelt_variable_is_refused_before_anything_else(sandbox: Box, name: str, value: str, words: str) -> None:
    said = " ".join(run(sandbox, "up", "--dry-run", code=2, **{name: value}).split())
    assert said.startswith(f"error: {name}: ")
    assert words in said
    assert sandbox.changing_calls == []


def _elsewhere(box: Box) -> None:
    """The region has the types in its zones b and c only."""
    offered = {
        "InstanceTypeOfferings": [
            {"InstanceType": size, "Location": f"{REGION}{letter}", "LocationType": "availability-zone"}
            for size in ("t3.medium", "t3.small")
            for letter in "bc"
        ]
    }

    def before(call: Call) -> Answer | None:
        return result_answer(call, offered) if call.operation == "DescribeInstanceTypeOfferings" else None

    box.aws.hooks.before.append(before)


def _nothing(_: Box) -> None:
    """An account as any."""


@pytest.mark.parametrize(
    ("prepare", "settings", "words"),
    [
        (
            _elsewhere,
            {},
            f"MASTER_SIZE: t3.medium is not offered in {REGION}a; "
            f"give another type, or KUBE_AWS_ZONE={REGION}b or {REGION}c",
        ),
        (_nothing, {"KUBE_AWS_ZONE": f"{REGION}z"}, f"this account has no zone {REGION}z; give one of {REGION}a, "),
        (_nothing, {"KUBE_AWS_ZONE": REGION}, "add the zone's letter, such as us-west-2a"),
        (_nothing, {"KUBE_AWS_ZONE": "us-wst-2a"}, "there is no region us-wst-2; give us-west-2a or "),
        (_nothing, {"MASTER_SIZE": "m99.large"}, "has no instance type m99.large; give one such as t3.medium"),
        (_nothing, {"NUM_NODES": "four"}, "NUM_NODES: 'four' is not a whole number; give one from 0"),
    ],
)
def test_a_wrong_setting(sandbox: Box, prepare: Callable[[Box], None], settings: dict[str, object], words: str) -> None:
    prepare(sandbox)
    shown = run(sandbox, "up", code=2, **settings)
    assert words in answer(shown, "error: ")
    assert sandbox.changing_calls == []


@pytest.mark.parametrize("action", ["ec2:CreateVpc", "iam:PassRole", "s3:CreateBucket", "ec2:DescribeVpcs"])
def test_a_denied_action_is_named_with_what_to_do(sandbox: Box, action: str) -> None:
    put(sandbox.aws, Deny(action))
    said = answer(run(sandbox, "up", code=1), "error: ")
    assert f"ask for the permission to call {action} (docs/permissions.md has the whole policy)" in said
    assert "run the same command again: it goes on where it stopped" in said
    assert "all calls of this run: " in said
    assert "Encoded authorization failure" not in said


def test_a_dry_run_names_the_denied_action_before_anything_is_made(sandbox: Box) -> None:
    put(sandbox.aws, Deny("ec2:CreateVpc"))
    shown = " ".join(run(sandbox, "up", "--dry-run", code=1).split())
    assert "warning: IAM's simulation does not allow moto: ec2:CreateVpc; docs/permissions.md has" in shown
    assert "error: this would fail: no right to ec2:CreateVpc " in shown


@contextlib.contextmanager
def _no_machine_up(box: Box, lines: list[str]) -> Iterator[None]:
    """No machine ever comes up, and every console ends so."""
    box.aws.world.delays = Delays(host=10**6)
    with speaking(box, lines):
        yield


def test_an_api_that_never_answers(sandbox: Box) -> None:
    sandbox.aws.world.delays = Delays(host=10**6)
    said = answer(run(sandbox, "up", code=1, KUBE_WAIT_API_SECONDS=4), "error: ")
    master = master_of(sandbox)
    assert re.search(r"waited 4 s for the API at https://\S+, and it did not come last answer: ", said)
    assert f"master {master} is running AWS's status checks: system ok, instance ok" in said
    assert "nothing from its bootstrap is on its console" in said
    assert re.search(r"next: ssh -i \S+ admin@\S+ sudo journalctl -b -u kube-bootstrap -u kubelet", said)


def test_a_bootstrap_that_fails_at_step_4(sandbox: Box) -> None:
    failed = "kube-bootstrap: step 4/8 certificates: failed: pki.tar has another sha256"
    lines = [f"line {n}" for n in range(40)]
    with _no_machine_up(sandbox, [*lines, "kube-bootstrap: step 3/8 downloads: ok", failed, "[ OK ] Reached target"]):
        shown = run(sandbox, "up", code=1, KUBE_WAIT_API_SECONDS=4)
    said = answer(shown, "error: ")
    assert "its bootstrap: step 4/8 certificates: failed: pki.tar has another sha256" in said
    assert "next: ssh -i" in said
    before = shown.partition("\nerror: ")[0].partition("'s console ends:\n")[2].splitlines()
    assert len(before) == 30
    assert [line for line in before if line.startswith(">")] == [f"> {failed}"]


@pytest.mark.parametrize(
    ("state", "system", "instance", "words"),
    [
        ("running", "impaired", "ok", "next: aws ec2 reboot-instances --region us-west-2 --instance-ids i-"),
        ("running", "ok", "impaired", "next: aws ec2 reboot-instances --region us-west-2 --instance-ids i-"),
        ("stopped", "not-applicable", "not-applicable", "next: run the same command again: it starts what is stopped"),
    ],
)
def test_what_aws_checks_of_the_master_decides_what_to_do(
    sandbox: Box, state: str, system: str, instance: str, words: str
) -> None:
    def before(call: Call) -> Answer | None:
        if call.operation != "DescribeInstanceStatus":
            return None
        told = {"SystemStatus": {"Status": system}, "InstanceStatus": {"Status": instance}}
        return result_answer(call, {"InstanceStatuses": [{"InstanceState": {"Name": state}, **told}]})

    sandbox.aws.world.delays = Delays(host=10**6)
    sandbox.aws.hooks.before.append(before)
    said = answer(run(sandbox, "up", code=1, KUBE_WAIT_API_SECONDS=4), "error: ")
    assert f"is {state} AWS's status checks: system {system}, instance {instance}" in said
    assert words in said


@pytest.mark.parametrize(
    ("denied", "words"),
    [
        (
            "ec2:DescribeInstanceStatus",
            "not known (UnauthorizedOperation) its bootstrap: step 4/8 certificates: failed",
        ),
        ("ec2:GetConsoleOutput", "system ok, instance ok nothing from its bootstrap is on its console"),
    ],
)
def test_what_may_not_be_asked_hides_nothing_else(sandbox: Box, denied: str, words: str) -> None:
    with _no_machine_up(sandbox, ["kube-bootstrap: step 4/8 certificates: failed: no"]):
        put(sandbox.aws, Deny(denied))
        said = answer(run(sandbox, "up", code=1, KUBE_WAIT_API_SECONDS=4), "error: ")
    assert f"status checks: {words}" in said
    assert "next: ssh -i" in said


def test_a_failed_step_is_shown_however_long_ago(sandbox: Box) -> None:
    failed = "kube-bootstrap: step 4/8 certificates: failed: no"
    with _no_machine_up(sandbox, [failed, *(f"[ OK ] line {n}" for n in range(50))]):
        shown = run(sandbox, "up", code=1, KUBE_WAIT_API_SECONDS=4)
    assert "its bootstrap: step 4/8 certificates: failed: no" in answer(shown, "error: ")
    assert f"'s console ends:\n> {failed}\n  [ OK ] line 20\n" in shown


def test_a_minion_that_does_not_join_is_the_one_that_is_told_of(sandbox: Box) -> None:
    sandbox.cluster(NUM_NODES=1)
    with _no_machine_up(sandbox, ["kube-bootstrap: step 4/6 downloads: failed: no route"]):
        shown = run(sandbox, "up", code=1, NUM_NODES=2, KUBE_WAIT_NODES_SECONDS=4)
    said = answer(shown, "error: ")
    assert re.search(r"minion i-\w+ is running .* its bootstrap: step 4/6 downloads: failed: no route", said)
    assert re.search(r"minion i-\w+'s console ends:\n> kube-bootstrap: step 4/6", shown)
    assert "next: ssh -i" in said


@contextlib.contextmanager
def _no_addons(box: Box, content: bytes | None) -> Iterator[None]:
    """From a master's launch on, its addons' manifests have this content, or are gone."""

    def spoil(call: Call) -> None:
        if call.operation != "RunInstances":
            return
        for key in box.inventory()["s3"][bucket_of(box)]["objects"]:
            if "/addons/" in key:
                place = {"Bucket": bucket_of(box), "Key": key}
                s3 = box.client("s3")
                s3.delete_object(**place) if content is None else s3.put_object(**place, Body=content)

    box.aws.hooks.before.append(spoil)
    try:
        yield
    finally:
        box.aws.hooks.before.remove(spoil)


def told(shown: str) -> str:
    """The error's words in one line, however many they are: a name in the bucket is long."""
    return " ".join(shown.partition("\nerror: ")[2].split())


@pytest.mark.parametrize(
    ("content", "why", "allowed"),
    [(b"garbled", "has another content", 0), (None, "404", 0), (None, "404", 1)],
    ids=["garbled", "gone", "gone, and a node may be late"],
)
def test_a_cluster_without_its_addons_is_not_up(sandbox: Box, content: bytes | None, why: str, allowed: int) -> None:
    """Until the cloud controller manager, one of them, has initialized a node, no pods may run there."""
    with _no_addons(sandbox, content):
        settings = {"NUM_NODES": 1, "KUBE_WAIT_NODES_SECONDS": 4, "ALLOWED_NOTREADY_NODES": allowed}
        said = told(run(sandbox, "up", code=1, **settings))
    assert "waited 4 s for 2 nodes to be Ready, and it did not come 0 of 2 Ready; not Ready: ip-172-20-0-" in said
    assert "(each: the cloud controller manager has not initialized it)" in said
    assert re.search(rf"master {master_of(sandbox)} is running .* step 8/8 addons: failed: s3://\S+ {why}", said)
    assert "next: ssh -i" in said
    assert _pod_routes(sandbox) == []
    assert "Cluster kubernetes is up after" in must(sandbox.up(NUM_NODES=1)).out
    assert len(_pod_routes(sandbox)) == 2


def _pod_routes(box: Box) -> list[str]:
    tables = box.client("ec2").describe_route_tables()["RouteTables"]
    ranges = [route.get("DestinationCidrBlock", "") for table in tables for route in table["Routes"]]
    return [each for each in ranges if each.startswith("10.244.")]


@pytest.mark.parametrize("allowed", [0, 1])
def test_addons_that_fail_again_and_again_end_the_wait_for_the_nodes(sandbox: Box, allowed: int) -> None:
    """The master's bootstrap repeats it every 15 s; the node that may be late is none of these."""
    began = sandbox.clock.now
    with _no_addons(sandbox, None), _failing(sandbox, "8/8 addons: failed: s3://x 404", role="master", boots=True):
        said = told(run(sandbox, "up", code=1, NUM_NODES=1, ALLOWED_NOTREADY_NODES=allowed))
    assert sandbox.clock.now - began < 240
    assert re.search(r"^master i-\w+ fails at the same step again and again: kube-bootstrap: step 8/8 addons: ", said)


def test_a_later_master_needs_no_addons_anew_for_its_nodes(sandbox: Box) -> None:
    """Those of before are in etcd: docs/reliability.md says that nobody waits for what it applies."""
    must(sandbox.up(NUM_NODES=1))
    with _no_addons(sandbox, None):
        out = must(sandbox.up(NUM_NODES=1, KUBE_REPLACE_MASTER=master_of(sandbox))).out
    assert "Cluster kubernetes is up after" in out


@pytest.mark.parametrize(
    ("alive", "words"),
    [
        (False, r"next: kubectl describe node ip-172-20-0-4\."),
        (True, r"next: kubectl --namespace=kube-system logs deployment/cloud-controller-manager"),
    ],
)
def test_a_node_that_stays_late_is_said_with_where_to_look(
    sandbox: Box, monkeypatch: pytest.MonkeyPatch, alive: bool, words: str
) -> None:
    def late(cluster: Any, member: Any) -> dict[str, Any]:
        node = node_object(cluster, member)
        if not member.is_master and alive:
            node["spec"]["taints"] = [UNINITIALIZED]
        elif not member.is_master:
            node["status"]["conditions"][0] |= {"status": "False", "message": "container runtime is down"}
        return node

    monkeypatch.setattr("sandbox.hosts.apiserver.node_object", late)
    said = told(run(sandbox, "up", code=1, NUM_NODES=1, KUBE_WAIT_NODES_SECONDS=4))
    why = "the cloud controller manager has not initialized it" if alive else "container runtime is down"
    assert re.search(rf"1 of 2 Ready; not Ready: ip-172-20-0-4\.\S+ \({why}\) {words}", said)
    shown = run(sandbox, "up", "--dry-run", code=0, NUM_NODES=1)
    assert f"{'Ready, not initialized' if alive else 'NotReady'} v1." in " ".join(shown.split())


def test_with_the_permission_the_same_command_goes_on(sandbox: Box) -> None:
    put(sandbox.aws, Deny("ec2:CreateVpc"))
    run(sandbox, "up", code=1)
    sandbox.aws.hooks.before.clear()
    must(sandbox.up())
    assert len(part(sandbox, "vpcs")) == 1


@pytest.mark.parametrize("script", ["up", "down"])
def test_credentials_that_are_not_there(sandbox: Box, script: str) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        sandbox.environ[name] = ""
    said = answer(run(sandbox, script, code=1), "error: ")
    assert "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run aws configure" in said


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("NUM_NODES=2", "options stand before the command: NUM_NODES=2 python kube_up.py"),
        ("--dryrun", "did you mean --dry-run?"),
        ("up", "options are environment variables; --help lists them"),
    ],
)
def test_a_wrong_argument(sandbox: Box, typed: str, words: str) -> None:
    assert words in answer(run(sandbox, "up", typed, code=2), "error: ")


def test_a_down_that_finds_nothing_says_where_it_looked(sandbox: Box) -> None:
    said = answer(run(sandbox, "down", code=1), "error: ")
    assert f"nothing of cluster kubernetes in account 123456789012, {REGION}" in said
    assert "KUBE_AWS_ZONE says which region is meant" in said


# --- a bootstrap that repeats its failure


@contextlib.contextmanager
def _failing(box: Box, step: str, *, role: str, earlier: int = 0, boots: bool = False) -> Iterator[None]:
    """A role's machines fail at a step, as often as their unit repeats it: every 20 s from now on.

    No machine comes up meanwhile, unless it `boots`.
    """
    began = box.clock.now

    def speak() -> None:
        times = earlier + int((box.clock.now - began) / 20)
        for instance in cloud.instances(REGION):
            if any((tag["key"], tag["value"]) == ("Role", f"{ID}-{role}") for tag in instance.get_tags()):
                lines = [f"kube-bootstrap: step {step.format(ms=number)}" for number in range(times)]
                box.aws.world.state.consoles[instance.id] = [*lines, "kube-bootstrap: step 1/6 settings: ok"]

    if not boots:
        box.aws.world.delays = Delays(host=10**6)
    box.aws.on_tick.append(speak)
    try:
        yield
    finally:
        box.aws.on_tick.remove(speak)


@pytest.mark.parametrize("role", ["master", "minion"])
def test_the_wait_ends_when_a_bootstrap_fails_the_third_time_at_the_same(sandbox: Box, role: str) -> None:
    asked: list[str] = []
    sandbox.aws.hooks.before.append(lambda call: asked.append(call.operation))
    with _failing(sandbox, "2/6 host: failed: curl: (28) no answer after {ms} ms", role=role):
        began = sandbox.clock.now
        shown = run(sandbox, "up", code=1)
        assert sandbox.clock.now - began < 240
    said = answer(shown, "error: ")
    failed = "fails at the same step again and again: kube-bootstrap: step 2/6 host: failed: curl: (28)"
    assert re.search(rf"error: {role} i-\w+ {re.escape(failed)}", said)
    assert "next: ssh -i" in said
    assert re.search(rf"{role} i-\w+'s console ends:\n.*\n> kube-bootstrap: step 2/6", shown)
    assert asked.count("GetConsoleOutput") <= 20  # every 20 s, of the master and of minions


def test_a_minion_that_fails_again_and_again_ends_the_wait_for_the_nodes(sandbox: Box) -> None:
    sandbox.cluster(NUM_NODES=1)
    with _failing(sandbox, "5/6 join: failed: the master refuses the join token (401)", role="minion"):
        began = sandbox.clock.now
        said = answer(run(sandbox, "up", code=1, NUM_NODES=2), "error: ")
        assert sandbox.clock.now - began < 240
    assert "step 5/6 join: failed: the master refuses the join token (401)" in said


def test_what_an_earlier_run_saw_fail_is_waited_for_anew(sandbox: Box) -> None:
    """The unit has failed 40 times, and by now its cause is mended: only new failures count."""
    failed = ["kube-bootstrap: step 4/8 certificates: failed: no"] * 40
    with _no_machine_up(sandbox, failed):
        said = answer(run(sandbox, "up", code=1, KUBE_WAIT_API_SECONDS=90), "error: ")
    assert "waited 90 s for the API" in said


def test_types_without_nitro_give_the_console_that_they_have(sandbox: Box) -> None:
    """GetConsoleOutput's Latest is for types on Nitro."""

    def before(call: Call) -> Answer | None:
        if call.operation == "GetConsoleOutput" and call.params.get("Latest"):
            return refusal_answer(call, Refusal("UnsupportedOperation", "This instance type does not support it"))
        return None

    sandbox.aws.hooks.before.append(before)
    with _no_machine_up(sandbox, ["kube-bootstrap: step 4/8 certificates: failed: no"]):
        said = answer(run(sandbox, "up", code=1, KUBE_WAIT_API_SECONDS=4), "error: ")
    assert "its bootstrap: step 4/8 certificates: failed: no" in said


def test_a_step_that_a_later_run_got_over_fails_no_more() -> None:
    lines = [*["kube-bootstrap: step 2/6 host: failed: no"] * 9, "kube-bootstrap: step 2/6 host: ok"]
    assert failing("\n".join(lines[:-1])) == "step 2/6 host: failed: no"
    assert failing("\n".join(lines)) == ""
