"""What an upgrade would find in the settings that the new release of Kubernetes does not know any more.

A part that is given such a feature gate or argument does not start, so it is refused while the old release still runs.
templates/lost.txt says what each release has lost; a command makes it of Kubernetes' own code.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from lib.checks.fate import VERSION, numbers
from lib.run.errors import SettingError, raise_all
from lib.settings.config import OPTIONS, Config

LOST = Path(__file__).parents[2] / "templates" / "lost.txt"
_ARGS = "_TEST_ARGS"
# Arguments whose value is a list of what can be lost too, by what it is a list of.
_LISTS = {
    "feature-gates": "gate",
    "runtime-config": "api",
    "enable-admission-plugins": "admission",
    "disable-admission-plugins": "admission",
}


def refuse_lost(config: Config, *, was: str) -> None:
    """SettingError for each option with something that the release before knew and the new one does not.

    `was` is the release that the cluster has, '' for a new one, which has lost nothing.
    """
    before, after = numbers(was)[:2], numbers(config.kubernetes_version)[:2]
    gone = frozenset(name for release, name in _lost() if before < release <= after) if before else frozenset()
    names = ("FEATURE_GATES", "KUBE_RUNTIME_CONFIG", *(name for name in OPTIONS if name.endswith(_ARGS)))
    raise_all([error for name in names if gone and (error := _refused(config, name, gone))])


@functools.cache
def _lost() -> tuple[tuple[tuple[int, ...], str], ...]:
    lines = LOST.read_text(encoding="utf-8").splitlines()
    found = (line.split(maxsplit=1) for line in lines if not line.startswith("#"))
    return tuple((numbers(release), name) for release, name in found)


def _refused(config: Config, option: str, gone: frozenset[str]) -> SettingError | None:
    """The refusal of an option's items that cannot stay, with what of it can."""
    separator = " " if option.endswith(_ARGS) else ","
    items = config.text(option).split(separator)
    wrong = {item: why for item in items if (why := next(_lost_in(option, item, gone), ""))}
    if not wrong:
        return None
    minor = ".".join(map(str, numbers(config.kubernetes_version)[:2]))
    rest = separator.join(item for item in items if item not in wrong)
    right = f"take it out before: {option}={shlex.quote(rest) if rest else ''} with {VERSION}"
    return SettingError(option, f"Kubernetes {minor} {', '.join(wrong.values())}", right)


def _lost_in(option: str, item: str, gone: frozenset[str]) -> Iterator[str]:
    """Why an item of an option cannot stay, in words; nothing where it can."""
    if option == "FEATURE_GATES":
        yield from _lost_item("gate", item, gone)
    elif option == "KUBE_RUNTIME_CONFIG":
        yield from _lost_item("api", item, gone)
    else:
        name, _, value = item.removeprefix("--").partition("=")
        if f"{option.removesuffix(_ARGS)} {name}" in gone:
            yield f"has no --{name}"
        for each in value.split(",") if name in _LISTS else ():
            yield from _lost_item(_LISTS[name], each, gone)


def _lost_item(kind: str, item: str, gone: frozenset[str]) -> Iterator[str]:
    name, _, value = item.removeprefix("kube:").partition("=")
    if kind == "api":
        name = "/".join(name.split("/")[:2])
    if f"{kind} {name}" in gone:
        yield f"has no {_KINDS[kind]} {name}"
    only = next((each.rpartition("=")[2] for each in gone if re.match(f"gate {re.escape(name)}=", each)), value)
    if kind == "gate" and value != only:
        yield f"has {name}={only} for good"


_KINDS = {"gate": "feature gate", "api": "version of an API", "admission": "admission plugin"}
