"""Where a case plays: one simulated account, empty at its start, and what an undisturbed run makes of it."""

from __future__ import annotations

import difflib
import itertools
import json
import random
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from conftest import clean_environment, make_ssh_key, simulated_aws
from helpers import (
    ALL_IDS,
    SharedBox,
    kubeconfig,
    master_settings,
    minion_settings,
    must,
    only,
    prices,
    remembered,
    settle,
    shared_box,
)
from quickboto import models_read_once

from sandbox.app import Record
from sandbox.backend import saved
from sandbox.inventory import masked

# What was in kubeconfig before; all of it must be there, byte for byte, when the cluster is gone.
OTHERS = """\
# written by hand
apiVersion: v1
kind: Config
current-context: theirs
contexts:
- {name: theirs, context: {cluster: theirs, user: theirs}}
clusters:
- {name: theirs, cluster: {server: "https://192.0.2.1"}}
users:
- {name: theirs, user: {token: theirs}}
"""

WAITS = [f"KUBE_WAIT_{what}_SECONDS" for what in ("AWS", "INSTANCE", "API", "NODES", "DELETE")]
SETTINGS = {"NUM_NODES": "1", **dict.fromkeys(WAITS, "120")}

Portrait = dict[str, Any]


@dataclass
class Stage:
    """The account and the undisturbed run: `whole` after up, `bare` the kubeconfig after down, and all their calls."""

    box: SharedBox
    whole: Portrait = field(default_factory=dict)
    bare: str = ""
    rerun_calls: int = 0
    up_calls: list[Record] = field(default_factory=list)
    down_calls: list[Record] = field(default_factory=list)
    changed: dict[str, tuple[list[Record], Portrait]] = field(default_factory=dict)

    def rehearse(self) -> None:
        """The undisturbed run, which says what is right."""
        self.empty()
        self.up_calls = must(self.box.up()).calls
        self.whole = portrait(self.box)
        self.rerun_calls = len(must(self.box.up()).calls)
        self.empty(1)
        calls = must(self.box.up()).calls
        assert len(calls) == len(self.up_calls), "a case's up makes other calls than the one that they are counted by"
        same(portrait(self.box), self.whole, "a second undisturbed up")
        random.seed(1)
        self.down_calls = must(self.box.down()).calls
        same(self.box.inventory(), {}, "an undisturbed down")
        self.bare = kubeconfig(self.box).read_text()

    def empty(self, seed: int = 0) -> None:
        """A new account, dice that fall the same way each time, and no prices from before: they are asked for again."""
        self.box.aws.reset()
        self.box.aws.hooks.before.clear()
        self.box.aws.hooks.after.clear()
        saved.seed(seed)
        kubeconfig(self.box).parent.mkdir(parents=True, exist_ok=True)
        kubeconfig(self.box).write_text(OTHERS)
        for left in kubeconfig(self.box).parent.iterdir():
            if left != kubeconfig(self.box):
                left.unlink()
        prices(self.box).unlink(missing_ok=True)

    def whole_cluster(self) -> None:
        """A new account with a finished cluster."""
        self.empty()
        self.box.cluster()

    def check_whole(self, what: str, whole: Portrait | None = None, **settings: str) -> None:
        """The account holds what an undisturbed run makes (or `whole`), and the next up changes nothing."""
        same(portrait(self.box), whole or self.whole, what)
        again = must(self.box.up(**settings))
        assert [call.operation for call in again.calls if call.changes] == [], f"{what}: another up changes something"
        assert "nothing to do" in again.out

    def check_gone(self, what: str, *, kubeconfig_as: str | None = "") -> None:
        """The account is as empty as it was, and kubeconfig as an undisturbed down leaves it, or as given; None: any"""
        same(self.box.inventory(), {}, what)
        if kubeconfig_as is not None:
            same(kubeconfig(self.box).read_text(), kubeconfig_as or self.bare, f"{what}: kubeconfig")

    def end(self, what: str) -> None:
        """Whole, and then gone by one down."""
        self.check_whole(what)
        must(self.box.down())
        self.check_gone(f"{what}, then down")


@contextmanager
def stage() -> Iterator[Stage]:
    """A stage in a process of its own, rehearsed."""
    with tempfile.TemporaryDirectory(prefix="torture-") as name, clean_environment(), models_read_once():
        folder = Path(name)
        with simulated_aws() as server, shared_box(SharedBox, server, folder / "home", make_ssh_key(folder)) as box:
            yield rehearsed(box)


def rehearsed(box: SharedBox) -> Stage:
    """A stage that knows what an undisturbed run makes. One minion: of two, chance says which is the first."""
    box.environ |= SETTINGS
    made = Stage(box)
    made.rehearse()
    return made


def portrait(box: SharedBox, *, beside: dict[str, Any] | None = None) -> Portrait:
    """All that an up leaves, without what AWS or chance chose: the account, settings, kubeconfig.

    `beside` is an inventory of what others have there, which must be as it was.
    """
    settle(box, 2)
    found = without(box.inventory(), beside or {})
    account = masked(found)
    for bucket in account["s3"].values():
        bucket["objects"] = object_names(bucket["objects"])
    return {
        "account": account,
        "remembered": remembered(box, bucket=only(name for name in found["s3"] if "-oidc-" not in name)),
        "master": _blank(master_settings(box)),
        "minions": _blank(minion_settings(box)),
        "kubeconfig": _entries(kubeconfig(box)),
    }


def object_names(entries: list[str]) -> list[str]:
    """Each name once: a manifest that changed is one more, beside the old; what was written twice has two versions.

    Claims are left out: who finds what another run made claims nothing.
    """
    return sorted({entry.rpartition(" x")[0] for entry in entries if "/claims/" not in entry})


def without(found: dict[str, Any], beside: dict[str, Any]) -> dict[str, Any]:
    """An inventory without what others have; raises AssertionError where that is not there as it was."""
    rest: dict[str, Any] = {"s3": _less(found.get("s3", {}), beside.get("s3", {}), "buckets")}
    for place in set(found) - {"s3"}:
        theirs = beside.get(place, {})
        left = {kind: _less(things, theirs.get(kind, {}), f"{place} {kind}") for kind, things in found[place].items()}
        rest[place] = {kind: things for kind, things in left.items() if things}
    return {place: things for place, things in rest.items() if things}


def _less(things: Any, theirs: Any, what: str) -> Any:
    if isinstance(things, list):
        assert set(theirs) <= set(things), f"others' {what} were {theirs} and are {things}"
        return sorted(set(things) - set(theirs))
    for key, thing in theirs.items():
        same(things.get(key), thing, f"others' {what} {key}")
    return {key: thing for key, thing in things.items() if key not in theirs}


def _blank(settings: dict[str, str]) -> dict[str, str]:
    public = r"\b127\.\d+\.\d+\.\d+\b|\b[0-9a-f]{64}\b|\b[a-z0-9]{6}\.[a-z0-9]{16}\b"
    return {name: re.sub(public, "<chance>", ALL_IDS.sub("<id>", value)) for name, value in settings.items()}


def _entries(path: Path) -> Any:
    """kubeconfig with keys, certificates and the elastic IP blanked."""
    text = re.sub(r"(-data: )\S+", r"\1<pem>", path.read_text())
    return yaml.safe_load(re.sub(r"https://127\.\d+\.\d+\.\d+", "https://<public>", text))


def same(found: Any, wanted: Any, what: str) -> None:
    """Raises AssertionError with the lines that differ."""
    if found == wanted:
        return
    before, after = (json.dumps(each, indent=1, sort_keys=True, default=str).splitlines() for each in (wanted, found))
    lines = difflib.unified_diff(before, after, "wanted", "found", n=2, lineterm="")
    raise AssertionError("\n".join([f"{what}: not as after an undisturbed run", *itertools.islice(lines, 60)]))
