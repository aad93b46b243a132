"""What an instance boots from: one gzipped shell script, the settings baked in, composed of the files in templates/.

A line `#@include NAME` in a template stands for the file templates/NAME, a line `#@settings` for the settings as
NAME=value, quoted for the shell: those that the templates read, no more and no less. What stands between `#@if NAME...`
and `#@end` is there only where one of these settings is not empty, so that a cluster pays no room for what it does not
use. Nothing else is replaced, so every template is what it looks like. Lines that are only a comment stay in the
templates, where people read them: they would take a quarter of the room.
"""

from __future__ import annotations

import functools
import gzip
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from lib.aws.changes import became
from lib.run.errors import KubeError
from lib.settings.config import OPTIONS
from lib.settings.declare import Role

TEMPLATES = Path(__file__).parents[2] / "templates"
LIMIT_BYTES = 16384  # EC2's for user-data, before base64: docs.aws.amazon.com, "Run commands at launch using user data"

_COMMENT = re.compile(r"^[ \t]*#(?![!@]).*\n", re.MULTILINE)
_INDENTATION = re.compile(r"^\t+", re.MULTILINE)  # for people too; what is put into files is indented by spaces
_INCLUDE = re.compile(r"^#@include (?P<file>\S+)\n", re.MULTILINE)
_PART = re.compile(r"^#@if (?P<names>[A-Z0-9_ ]+)\n(?P<text>.*?)^#@end\n(?P<gap>\n?)", re.MULTILINE | re.DOTALL)
_SETTINGS = re.compile(r"^#@settings\n", re.MULTILINE)

# A name that a template reads, and one that it sets by itself: NAME=, NAME+=, at the beginning of a word.
_READ = re.compile(r"\$\{?[!#]?(?P<name>[A-Z][A-Z0-9_]+)")
_SET = re.compile(r"(?:^|[\s;({])(?P<name>[A-Z][A-Z0-9_]+)\+?=", re.MULTILINE)
_ANY_OF = re.compile(r"\b(?P<start>[A-Z][A-Z0-9_]*_)\$")  # URL_$1, read as ${!url}
_NOT_SETTINGS = frozenset({"BASH_COMMAND", "LINENO", "SECONDS"} | {"KUBELET_KUBEADM_ARGS"})  # bash's; kubeadm's
_HERE_DOCUMENT = re.compile(r"(?<=<<'KUBE_ENV'\n)|^(?=KUBE_ENV\n)", re.MULTILINE)  # where the settings begin and end
_DOWNLOADS = ("URL_", "SHA256_")
_FACTS = {
    "KUBE_JOIN_TOKEN": "the join token",
    "CA_CERT_HASH": "the certificate authority",
    "NODE_SCRIPT": "the script of KUBE_NODE_SCRIPT",
    "NODE_SPOT": "AWS's notice to spot instances",
}
_NOT_READ = frozenset({"KUBE_ROLE"})  # for whoever looks at a machine or at its user-data


class SettingsMismatch(KubeError):
    """A bootstrap reads a setting that nothing gives, or is given one that it does not read: a mistake in this code."""


class UserDataTooLarge(KubeError):
    """The settings make user-data that EC2 refuses; nothing was changed."""

    exit_code = 2

    def __init__(self, role: str, size: int, longest: list[str], *, without_script: int) -> None:
        over, has = (
            size - LIMIT_BYTES,
            f"the {role}'s user-data is {size} bytes compressed, and EC2 takes {LIMIT_BYTES}",
        )
        if without_script > LIMIT_BYTES or without_script == size:
            super().__init__(f"{has}: shorten {', '.join(longest)} (the longest settings), by {over} bytes together")
        else:
            super().__init__(
                f"KUBE_NODE_SCRIPT: {has}: {without_script} of the bootstrap and its settings, "
                f"{size - without_script} of the script; shorten it by {over} bytes, or have it fetch what is long"
            )
        self.size = size


def render(role: Role, settings: Mapping[str, str]) -> bytes:
    """The user-data of a `role`, gzipped once and the same bytes for the same settings.

    Raises UserDataTooLarge over EC2's 16,384 bytes.
    """
    packed = _packed(script(role, settings))
    if len(packed) > LIMIT_BYTES:
        without = _packed(script(role, {**settings, "NODE_SCRIPT": ""}))
        raise UserDataTooLarge(role, len(packed), _longest(settings), without_script=len(without))
    return packed


@functools.lru_cache(maxsize=8)  # a run asks for the same several times
def _packed(text: str) -> bytes:
    return gzip.compress(_INDENTATION.sub("", text).encode(), compresslevel=9, mtime=0)


def script(role: Role, settings: Mapping[str, str]) -> str:
    """The user-data of a `role` as a person reads it: the shell script before it is compressed.

    Raises SettingsMismatch unless the settings are those that its templates read.
    """
    text = _PART.sub(functools.partial(_wanted, settings), _composed(f"bootstrap-{role}.sh", comments=False))
    return _SETTINGS.sub(lambda _: kube_env(role, settings, reader=text), text)


@functools.lru_cache(maxsize=8)
def bootstrap(role: Role, *, comments: bool = False) -> str:
    """The templates of a `role` put together, all parts of them, with the line `#@settings` where its settings will be.

    With `comments` it is what shellcheck wants to see, since some of them are for it.
    """
    return _PART.sub(r"\g<text>\g<gap>", _composed(f"bootstrap-{role}.sh", comments))


@functools.lru_cache(maxsize=8)
def _conditions(role: Role) -> frozenset[str]:
    """The settings by which it is decided which parts of a role's templates are there."""
    found = _PART.finditer(_composed(f"bootstrap-{role}.sh", comments=False))
    return frozenset(name for part in found for name in part["names"].split())


def _wanted(settings: Mapping[str, str], part: re.Match[str]) -> str:
    return part["text"] + part["gap"] if any(settings.get(name) for name in part["names"].split()) else ""


def kube_env(role: Role, settings: Mapping[str, str], *, reader: str = "") -> str:
    """The settings of a `role` as lines of NAME=value for a shell: those that its bootstrap reads, and no others.

    So the join token never gets into a master's user-data, what no node reads takes no room in it, and no node stops at
    a name that it does not know. Raises SettingsMismatch for one too few or too many. An empty one that `reader`, the
    script of this node, does not read is left out: then adding such an option changes no node that does without.
    """
    reads, any_of = _names(bootstrap(role))
    reads |= _conditions(role)
    place = f"templates/bootstrap-{role}.sh"
    for name in sorted(reads - _NOT_SETTINGS - settings.keys()):
        raise SettingsMismatch(
            f"{name}: {place}, or what it includes, reads it, and nothing gives it: an option is declared with "
            f'read_by="{role}" or "both" in lib/settings/config.py, a fact is added in lib/node/kubeenv.py'
        )
    for name in (each for each in settings if each not in reads | _NOT_READ and not each.startswith(any_of)):
        raise SettingsMismatch(
            f"{name}: a {role} is given it, and {place} does not read it: who reads an option is declared in "
            "lib/settings/config.py"
        )
    read_here = _names(reader)[0] | _NOT_READ if reader else settings.keys()
    return "".join(f"{n}={_quoted(n, value)}\n" for n, value in settings.items() if value or n in read_here)


@functools.lru_cache(maxsize=8)  # a script is long, and read for names several times a run
def _names(text: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """The names that a script reads and does not set, and the beginnings of those that it reads any of."""
    reads = {found["name"] for found in _READ.finditer(text)} - {found["name"] for found in _SET.finditer(text)}
    return frozenset(reads), tuple(found["start"] for found in _ANY_OF.finditer(text))


def differences(old: bytes, new: bytes) -> list[str]:
    """What two user-data of one role have otherwise, in a person's words: options by their names, and what else.

    The join token's value is not among them. Raises ValueError, OSError or EOFError for what is no user-data of ours.
    """
    (was, was_rest), (now, now_rest) = (_taken_apart(each) for each in (old, new))
    changed = [name for name in {**was, **now} if (was.get(name) or "") != (now.get(name) or "")]
    chosen = [became(name, was.get(name) or "none", now.get(name) or "none") for name in changed if name in OPTIONS]
    facts = [_FACTS.get(name, name) for name in changed if name not in OPTIONS and not name.startswith(_DOWNLOADS)]
    downloads = ["downloads"] if changed and not chosen + facts else []  # else they follow from the release
    # What comes or goes with an option is not the bootstrap's own change.
    parts = (_conditions("master") | _conditions("minion")).intersection(changed)
    bootstrap_too = ["the bootstrap itself"] if was_rest != now_rest and not parts else []
    return [*chosen, *facts, *downloads, *bootstrap_too]


def settings_of(data: bytes) -> dict[str, str]:
    """The settings in user-data by their names, {} of what is none of ours."""
    try:
        return _taken_apart(data)[0]
    except (ValueError, OSError, EOFError):
        return {}


def _taken_apart(data: bytes) -> tuple[dict[str, str], str]:
    """The settings of user-data by name, and all else of it."""
    before, settings, after = re.split(_HERE_DOCUMENT, gzip.decompress(data).decode())
    lines = [line.partition("=") for line in settings.splitlines()]
    return {name: " ".join(shlex.split(value)) for name, _, value in lines}, before + after


@functools.lru_cache(maxsize=64)  # a run composes the same files a dozen times
def _composed(name: str, comments: bool) -> str:
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    text = text if comments else _COMMENT.sub("", text)
    return _INCLUDE.sub(lambda found: _composed(found["file"], comments), text)


def _quoted(name: str, value: str) -> str:
    # A line break could end the here-document that kube_env travels in; no setting has use for one.
    if "\n" in value or "\0" in value:
        raise KubeError(f"{name}: a line break or a zero byte cannot be passed to a node")
    return shlex.quote(value) if value else ""


def _longest(settings: Mapping[str, str]) -> list[str]:
    """The three longest settings that a person chose; addresses and sums of downloads cannot be shortened."""
    chosen = {name: value for name, value in settings.items() if not name.startswith((*_DOWNLOADS, "NODE_SCRIPT"))}
    return sorted(chosen, key=lambda name: len(chosen[name]), reverse=True)[:3]
