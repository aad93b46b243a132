"""A second computer, another key, a kubeconfig that other clusters are in: nothing is undone, overwritten or untrue."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import Box, make_ssh_key
from helpers import kubeconfig, master_of, must, part, refused_untouched, template_data
from spread import spread

OTHER = "eu-central-1"


@pytest.fixture(scope="session")
def second_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another computer's ssh key."""
    return make_ssh_key(tmp_path_factory.mktemp("second"))


def pair_of_master(box: Box) -> str:
    """The name of the key pair that the master was made with."""
    answer = box.client("ec2").describe_instances(InstanceIds=[master_of(box)])
    return str(answer["Reservations"][0]["Instances"][0]["KeyName"])


@pytest.mark.parametrize("heals", spread(["true", "false"], 1))
def test_another_computers_key_makes_no_version(sandbox: Box, second_key: Path, heals: str) -> None:
    sandbox.cluster(KUBE_MASTER_SELF_HEAL=heals)
    before, key = part(sandbox, "launch templates"), template_data(sandbox)["KeyName"]
    there = {"AWS_SSH_KEY": second_key, "KUBECONFIG": sandbox.home / "second", "KUBE_MASTER_SELF_HEAL": heals}
    first = must(sandbox.up(**there))
    assert f"the template's ssh key is {key}, another computer's, and stays" in first.out
    assert first.changing == ["ec2:ImportKeyPair"]
    assert must(sandbox.up(**there)).changing == []
    assert must(sandbox.up()).changing == []
    assert part(sandbox, "launch templates") == before
    assert template_data(sandbox)["KeyName"] == key


def test_a_key_pair_that_is_gone_is_no_reason_not_to_launch(sandbox: Box, second_key: Path) -> None:
    sandbox.cluster()
    old = template_data(sandbox)["KeyName"]
    sandbox.client("ec2").delete_key_pair(KeyName=old)
    must(sandbox.up(AWS_SSH_KEY=second_key))
    assert template_data(sandbox)["KeyName"] not in ("", old)


def test_the_ssh_hint_is_true(sandbox: Box, second_key: Path) -> None:
    first = must(sandbox.up())
    key = sandbox.environ["AWS_SSH_KEY"]
    assert re.search(rf"^ +ssh -i {re.escape(key)} admin@\S+$", first.out, re.M)
    second = must(sandbox.up(AWS_SSH_KEY=second_key)).out
    assert f"ssh -i {second_key}" not in second
    assert re.search(r"^ +ssh -i ITS_FILE admin@\S+$", second, re.M)
    assert f"(the master's key is {pair_of_master(sandbox)}, another computer's; without it:" in second
    assert re.search(r"kubectl debug node/ip-172-20-0-9\S+ -it --image=busybox  ", second)
    assert f"KUBE_REPLACE_MASTER={master_of(sandbox)} python kube_up.py" in second
    must(sandbox.up(AWS_SSH_KEY=second_key, KUBE_REPLACE_MASTER=master_of(sandbox)))
    assert f"ssh -i {second_key} admin@" in must(sandbox.up(AWS_SSH_KEY=second_key)).out


# --- kubeconfig


def put_current(box: Box, name: str) -> None:
    path = kubeconfig(box)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = yaml.safe_load(path.read_text()) if path.exists() else {"apiVersion": "v1", "kind": "Config"}
    path.write_text(yaml.safe_dump(data | {"current-context": name}))


def test_another_current_context_is_said(sandbox: Box) -> None:
    said = "kubectl's context {} aws_kubernetes; it was my work: kubectl config use-context 'my work'"
    put_current(sandbox, "my work")
    assert said.format("would become") in sandbox.up("--dry-run").out
    assert said.format("is now") in must(sandbox.up()).out
    assert "kubectl's context" not in must(sandbox.up()).out


def test_a_living_clusters_entry_is_not_overwritten(sandbox: Box) -> None:
    sandbox.cluster()
    before = kubeconfig(sandbox).read_text()
    elsewhere = {"KUBE_AWS_ZONE": f"{OTHER}a"}
    for argv in (["--dry-run"], []):
        refused_untouched(
            sandbox,
            sandbox.up(*argv, **elsewhere),
            2,
            "KUBE_CONFIG_CONTEXT: aws_kubernetes is another cluster's in ",
            ", which answers; give another name, such as aws_kubernetes_eu-central-1",
        )
    assert kubeconfig(sandbox).read_text() == before
    must(sandbox.up(KUBE_CONFIG_CONTEXT="aws_kubernetes_eu-central-1", **elsewhere))
    names = [each["name"] for each in yaml.safe_load(kubeconfig(sandbox).read_text())["clusters"]]
    assert names == ["aws_kubernetes", "aws_kubernetes_eu-central-1"]


def test_an_entry_of_a_cluster_that_is_gone_is_replaced_and_said(sandbox: Box) -> None:
    sandbox.cluster()
    stale = kubeconfig(sandbox).read_text()
    must(sandbox.down())
    kubeconfig(sandbox).write_text(stale)
    server = yaml.safe_load(stale)["clusters"][0]["cluster"]["server"]
    result = must(sandbox.up())
    assert f"aws_kubernetes is of {server}, which does not answer, and is replaced" in result.err
    assert must(sandbox.up()).err.count("does not answer") == 0


def test_a_context_that_leads_to_another_living_cluster_is_not_turned_round(sandbox: Box) -> None:
    sandbox.cluster(KUBE_CONFIG_CONTEXT="work")
    data = yaml.safe_load(kubeconfig(sandbox).read_text())
    data["contexts"][0]["name"] = "aws_kubernetes"
    kubeconfig(sandbox).write_text(yaml.safe_dump(data))
    refused_untouched(sandbox, sandbox.up(KUBE_AWS_ZONE=f"{OTHER}a"), 2, "KUBE_CONFIG_CONTEXT: ", "which answers")


def test_the_clusters_own_entry_with_another_address_is_its_own(sandbox: Box) -> None:
    sandbox.cluster()
    text = kubeconfig(sandbox).read_text()
    server = yaml.safe_load(text)["clusters"][0]["cluster"]["server"]
    kubeconfig(sandbox).write_text(text.replace(server, "https://192.0.2.1"))
    result = must(sandbox.up())
    assert "192.0.2.1" not in result.err
    assert yaml.safe_load(kubeconfig(sandbox).read_text())["clusters"][0]["cluster"]["server"] == server


def test_kubectl_is_told_of_a_kubeconfig_that_only_our_file_names(sandbox: Box) -> None:
    path, file = sandbox.home / "my config", sandbox.home / "options.env"
    file.write_text(f"KUBECONFIG={path}\n")
    del sandbox.environ["KUBECONFIG"]
    out = must(sandbox.up(KUBE_CONFIG_FILE=file)).out
    assert re.search(rf"KUBECONFIG={re.escape(shlex.quote(str(path)))} kubectl.* get nodes", out)


# --- paths

PATHS = [
    "a b",
    "it's",
    'the "key"',
    "schlüssel-鍵",
    "-rf",
    "a&b;c|d",
    "(x)",
    "100%h",
    "#1",
    "a*?[b]",
    "back\\slash",
    "a$b`c",
    "5 $",
    "a~",
]


@pytest.mark.parametrize("name", spread(PATHS, 3))
def test_any_path_works_and_is_printed_so_that_it_can_be_typed(
    sandbox: Box, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Relative, so that a name that begins with a dash does."""
    monkeypatch.chdir(sandbox.home)
    for suffix in ("", ".pub"):
        shutil.copy(f"{sandbox.environ['AWS_SSH_KEY']}{suffix}", sandbox.home / f"{name}x{suffix}")
    given = {"AWS_SSH_KEY": f"{name}x", "KUBECONFIG": f"{name}y"}
    out = must(sandbox.up(**given)).out
    assert (sandbox.home / f"{name}y").is_file()
    (typed,) = [line for line in out.splitlines() if " ssh -i " in line]
    words = shlex.split(typed)
    assert words[:2] == ["ssh", "-i"]
    assert words[2].replace("%%", "%") == f"{name}x"
    must(sandbox.down(**given))


@pytest.mark.parametrize(("variable", "word"), [("KUBECONFIG", "cannot be written"), ("AWS_SSH_KEY", "cannot be made")])
def test_what_cannot_be_made_is_refused_before_anything_is(sandbox: Box, variable: str, word: str) -> None:
    given = {variable: "/proc/kube-up/file"}
    refused_untouched(sandbox, sandbox.up(**given), 2, f"{variable}: ", word)


def test_a_dry_run_without_a_key_counts_what_the_run_will_make(sandbox: Box) -> None:
    key = sandbox.home / "new key"
    foretold = sandbox.up("--dry-run", AWS_SSH_KEY=key).out
    (changes,) = re.findall(r"This would make (\d+) changes", foretold)
    assert f"({changes} changes" in must(sandbox.up(AWS_SSH_KEY=key)).out
