"""What --help prints: one screen, all options (`--help all`), or one (`--help NAME`).

Needs no package, and so works before any is installed.
"""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lib.run.errors import SettingError
from lib.run.packages import how_to_install
from lib.settings.config import OPTIONS
from lib.settings.declare import Declared
from lib.settings.defaults import Option, options
from lib.settings.former import former
from lib.settings.nearest import nearest

UP, DOWN, LOGS = "kube_up.py", "kube_down.py", "-m lib.logs"
ALL = "all"


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag of a script: its name, what may follow it, and what it does."""

    name: str
    does: str
    takes: str = ""

    @property
    def written(self) -> str:
        """How it is written."""
        return f"{self.name} {self.takes}".rstrip()


_HELP = Flag("--help", "this; all options; or one of them", takes="[all|NAME]")
_SHOW_SETTINGS = Flag("--show-settings", "every setting with its value and where it comes from")
_DRY_RUN = Flag("--dry-run", "say what would be done; exit 3 if anything would")
_STOP = Flag("--stop", "no minions and a stopped master, until the next plain run")
_LIST = Flag("--list", "the account's clusters in all regions")
_STATUS = Flag("--status", "the cluster on one screen; exit 1 if its API is away")
_OUTPUT = Flag("--output", "for programs: --list, --status, --dry-run (docs/output.md)", takes="json")
_DOWN_OUTPUT = Flag("--output", "for programs: --dry-run (docs/output.md)", takes="json")
_KEEP_DISK = Flag("--keep-disk", "keep disk, volumes, elastic IP and bucket for the next up")
_YES = Flag("--yes", "go ahead without asking for the cluster's id")

FLAGS: Mapping[str, tuple[Flag, ...]] = {
    UP: (_HELP, _LIST, _STATUS, _SHOW_SETTINGS, _DRY_RUN, _STOP, _OUTPUT),
    DOWN: (_HELP, _SHOW_SETTINGS, _DRY_RUN, _DOWN_OUTPUT, _KEEP_DISK, _YES),
    LOGS: (Flag("--help", "print this and exit"),),
}

_DOES = {
    UP: "Brings up a Kubernetes cluster on AWS, or goes on where the last run stopped.",
    DOWN: "Takes a Kubernetes cluster on AWS down, and leaves nothing of it behind.",
    LOGS: "Collects the logs of a cluster's machines, however far it has come up, into a new folder: FOLDER.",
}
_EXAMPLES = {
    UP: (
        ("KUBE_AWS_ZONE=eu-central-1b python3 kube_up.py --dry-run", "what would be done"),
        ("KUBE_AWS_ZONE=eu-central-1b python3 kube_up.py", "a cluster"),
        ("NUM_NODES=6 python3 kube_up.py", "later: more minions"),
    ),
    DOWN: (
        ("KUBE_AWS_ZONE=eu-central-1b python3 kube_down.py --dry-run", "what would go"),
        ("KUBE_AWS_ZONE=eu-central-1b python3 kube_down.py", "it goes"),
        ("python3 kube_down.py --keep-disk", "but for its data"),
    ),
    LOGS: (),
}
# What most people set: the first screen has them.
_FIRST = {
    UP: (
        *("KUBE_AWS_ZONE", "KUBE_AWS_INSTANCE_PREFIX", "KUBERNETES_VERSION", "NUM_NODES", "MASTER_SIZE", "NODE_SIZE"),
        *("NODE_SPOT_PRICE", "SSH_CIDR", "HTTP_API_CIDR", "KUBE_CONFIG_FILE"),
    ),
    DOWN: (
        *("KUBE_AWS_ZONE", "KUBE_AWS_INSTANCE_PREFIX", "VPC_NAME", "KUBECONFIG", "KUBE_CONFIG_FILE", "AWS_S3_BUCKET"),
    ),
    LOGS: (),
}

_NARROWEST = 16  # columns of what a flag does
_HOW = (
    "Options are set in the environment, or as NAME=value in the file of KUBE_CONFIG_FILE; the cluster remembers them. "
    "Credentials are the AWS command's."
)
_EXITS = "0 done; 1 refused; 2 wrong setting; "
_EXIT_OF_DRY_RUN = "3 dry run: to do; "
_EXITS_OF_SIGNALS = "130 Ctrl-C."


def help_text(script: str, width: int = 80, *, topic: str = "") -> str:
    """What --help prints: at most `width` columns, but a name, a value or a word is never broken.

    `topic` is all, or an option's name in any case; SettingError for what is neither.
    """
    if topic.lower() == ALL:
        parts = [*_head(script, width), *_groups(script, width), *_foot(script, width)]
    elif topic:
        parts = list(_about(script, _named(topic), width))
    else:
        parts = [*_head(script, width), *_first(script, width), *_foot(script, width)]
    return "\n\n".join(parts) + "\n"


def lacking(missing: ModuleNotFoundError, script: str, argv: Sequence[str]) -> int:
    """Print the help that is asked for, or which package is not there; how to get it; and return the exit status."""
    words = how_to_install(missing)
    if not {"--help", "-h"} & set(argv):
        sys.stderr.write(f"{words}\n")
        return 1
    try:
        text = help_text(script, topic=next((word for word in argv if not word.startswith("-")), ""))
    except SettingError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    try:
        sys.stdout.write(f"{text}\nBefore it runs: {words}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has enough; what is left must not be tried again at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


# --- its parts


def _head(script: str, width: int) -> Iterator[str]:
    words = "[--help] FOLDER" if script == LOGS else "[FLAG ...]"
    usage = _wrapped(f"Usage: [NAME=value ...] python3 {script} {words}", width, later="  ")
    yield f"{_wrapped(_DOES[script], width)}\n{usage}"
    if _EXAMPLES[script]:
        yield _table(_EXAMPLES[script], width)
    yield _table([(flag.written, flag.does) for flag in FLAGS[script]], width)


def _first(script: str, width: int) -> Iterator[str]:
    if script == LOGS:
        yield _wrapped("The options are kube_up.py's: python3 kube_up.py --help lists them.", width)
        return
    read = _read_by(script)
    rows = [(f"{each.name}={each.default}", _clause(each.comment)) for each in read if each.name in _FIRST[script]]
    yield f"The first of {len(read)} options, with their defaults:\n{_table(rows, width)}"


def _groups(script: str, width: int) -> Iterator[str]:
    group = ""
    for each in _read_by(script):
        if each.group != group:
            group = each.group
            yield f"{group}:"
        yield _entry(each, width)


def _foot(script: str, width: int) -> Iterator[str]:
    exits = _EXITS + (_EXIT_OF_DRY_RUN if _DRY_RUN in FLAGS[script] else "") + _EXITS_OF_SIGNALS
    yield f"{_wrapped(_HOW, width)}\n{_wrapped(f'Exit status: {exits}', width)}"


def _about(script: str, option: Option, width: int) -> Iterator[str]:
    declared = OPTIONS[option.name]
    yield _entry(option, width)
    words = [later(declared), _readers(declared)]
    if script == DOWN and not declared.down:
        words.append("kube_down.py does not read it")
    yield _wrapped(f"{'. '.join(word for word in words if word)}.", width, first="  ", later="  ")


def _read_by(script: str) -> list[Option]:
    """The options that a script reads: kube_up.py reads all."""
    return [each for each in options() if script != DOWN or OPTIONS[each.name].down]


def _named(topic: str) -> Option:
    name = topic.upper().partition("=")[0]
    found = {each.name: each for each in options()}
    if name in found:
        return found[name]
    if name in former():
        raise SettingError("--help", f"{name} {former()[name]}", "--help all lists all options")
    having, near = [each for each in found if name in each], nearest(name, list(found))
    if len(having) > 1:
        right = f"{len(having)} have it in their names: {', '.join(having)}"
    else:
        right = f"did you mean {near}?" if near else "--help all lists all options"
    raise SettingError("--help", f"{topic} is no option", right)


def later(declared: Declared) -> str:
    """Whether an option of a cluster that is there can change, and what a later run knows of it, in a sentence."""
    if declared.remembered == "never":
        return "Not remembered"
    if declared.fixed:
        return f"Cannot change once there is {'a cluster' if declared.fixed.from_the_start else 'a master'}"
    if declared.only_grows:
        return "Can only grow"
    return "A cluster keeps its own until another is set" if declared.remembered == "as resolved" else "Can change"


def _readers(declared: Declared) -> str:
    who = {"no node": "", "master": "The master reads it", "minion": "Minions read it", "both": "All nodes read it"}
    return who[declared.read_by]


def _clause(comment: str) -> str:
    """The beginning of a comment, as far as it says what an option is."""
    return re.split(r"[.:;,](?: |$)", comment)[0]


def _entry(option: Option, width: int) -> str:
    return f"  {option.name}={option.default}\n" + _wrapped(option.comment, width, first="      ", later="      ")


def _table(rows: Sequence[tuple[str, str]], width: int) -> str:
    """Two columns, the right one below the left where both do not fit side by side."""
    left = max(len(first) for first, _ in rows) + 4
    if width - left < _NARROWEST:
        return "\n".join(
            f"  {first}\n{_wrapped(second, width, first='      ', later='      ')}" for first, second in rows
        )
    return "\n".join(
        _wrapped(second, width, first=f"  {first}".ljust(left), later=" " * left) for first, second in rows
    )


def _wrapped(text: str, width: int, *, first: str = "", later: str = "") -> str:
    room = max(width, len(later) + 1)
    return textwrap.fill(
        text, room, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )
