"""What a person sees of the options: help, the table of what is set, and what became of options of former days.

Everything is read from config-default.env and docs/porting.md when it is asked for, so nothing is written down twice.
"""

from __future__ import annotations

import difflib
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.run.errors import SettingError
from lib.settings.config import Config
from lib.settings.layers import DEFAULTS, Layers, read_env

PORTING = DEFAULTS.parent / "docs" / "porting.md"

_SECRET = re.compile(r"SECRET|PASSWORD|TOKEN|CREDENTIAL|PRIVATE_KEY|ACCESS_KEY")


@dataclass(frozen=True, slots=True)
class Option:
    """One option as config-default.env has it; `comment` is what stands above it, its lines joined by spaces."""

    name: str
    default: str
    comment: str
    group: str


def options(path: Path = DEFAULTS) -> list[Option]:
    """All options in the order of the file, whose groups begin with lines such as `### Network`."""
    text = path.read_text(encoding="utf-8")
    return list(_options(text.splitlines(), defaults=read_env(text)))


def _options(lines: Sequence[str], *, defaults: Mapping[str, str]) -> Iterator[Option]:
    group, comment = "", list[str]()
    for line in lines:
        name = line.partition("=")[0].strip()
        if line.startswith("###"):
            group = line.lstrip("# ")
        elif line.startswith("#"):
            comment.append(line.lstrip("# "))
            continue
        elif name in defaults:
            yield Option(name, defaults[name], " ".join(comment), group)
        comment = []


# --- help


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag of a script: how it is written, and what it does."""

    name: str
    does: str


_HELP = Flag("--help", "print this and exit")
_SHOW_SETTINGS = Flag("--show-settings", "print every setting with its value and where it comes from, and exit")
_DRY_RUN = Flag("--dry-run", "look at the account and say what would be done; change nothing, exit 3 if anything would")

_LIST = Flag("--list", "name the account's clusters in all regions, and what is left of others; exit 0")
_STATUS = Flag("--status", "print one screen of the cluster; exit 1 if its API does not answer, or it is not there")
_OUTPUT = Flag("--output json", "with --list, --status, --dry-run: one document for programs (docs/output.md)")

_LOGS, _FOLDER = "-m lib.logs", "FOLDER"
FLAGS: Mapping[str, tuple[Flag, ...]] = {
    "kube_up.py": (_HELP, _SHOW_SETTINGS, _LIST, _STATUS, _DRY_RUN, _OUTPUT),
    _LOGS: (_HELP,),
    "kube_down.py": (
        _HELP,
        _SHOW_SETTINGS,
        _DRY_RUN,
        _OUTPUT,
        Flag("--keep-disk", "keep the master's disk, volumes, elastic IP and bucket, so that the next up finds them"),
    ),
}

_AS_UPS = "The options are kube_up.py's: python kube_up.py --help lists them."
_DOES = {
    _LOGS: "Collects the logs of a cluster's machines, however far it has come up, into a new folder: FOLDER.",
    "kube_up.py": "Brings up a Kubernetes cluster on AWS, or goes on where the last run stopped.",
    "kube_down.py": "Takes a Kubernetes cluster on AWS down, and leaves nothing of it behind.",
}

_HOW = (
    "Options are set in the environment, or as NAME=value in the file that KUBE_CONFIG_FILE names. What is set is "
    "remembered in the cluster's bucket, so later runs need not repeat it. Credentials are found as by the AWS command."
)

_EXITS = "0 done; 1 AWS, the cluster or this computer said no; 2 a setting is wrong, nothing was changed; "
_EXIT_OF_DRY_RUN = "3 a dry run found something to do; "
_EXITS_OF_SIGNALS = "129 the terminal went; 130 Ctrl-C; 143 SIGTERM."


def help_text(script: str, width: int = 80, *, flags: Sequence[Flag] | None = None) -> str:
    """What --help prints: at most `width` columns, but a name, a value or a word is never broken.

    `flags` are the script's, if it has others than FLAGS says.
    """
    flags = FLAGS[script] if flags is None else flags
    words = [f"[{flag.name}]" for flag in flags] + ([_FOLDER] if script == _LOGS else [])
    usage = f"Usage: [NAME=value ...] python {script} {' '.join(words)}"
    exits = _EXITS + (_EXIT_OF_DRY_RUN if _DRY_RUN in flags else "") + _EXITS_OF_SIGNALS
    parts = [
        _wrapped(_DOES[script], width),
        _wrapped(usage, width, later="  "),
        "\n".join(_entry(flag.name, flag.does, width) for flag in flags),
        _wrapped(f"Exit status: {exits}", width),
        _wrapped(_HOW, width),
        *([_AS_UPS] if script == _LOGS else _groups(width)),
    ]
    return "\n\n".join(parts) + "\n"


def _groups(width: int) -> Iterator[str]:
    group = ""
    for option in options():
        if option.group != group:
            group = option.group
            yield f"{group}:"
        yield _entry(f"{option.name}={option.default}", option.comment, width)


def _entry(name: str, text: str, width: int) -> str:
    return f"  {name}\n" + _wrapped(text, width, first="      ", later="      ")


def _wrapped(text: str, width: int, *, first: str = "", later: str = "") -> str:
    room = max(width, len(later) + 1)
    return textwrap.fill(
        text, room, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )


# --- what is set


@dataclass(frozen=True, slots=True)
class Row:
    """A setting as --show-settings has it: its text, and the layer that it comes from or `computed`."""

    name: str
    value: str
    source: str


def settings_table(layers: Layers, config: Config) -> list[Row]:
    """Every setting with its resolved value, in the order of config-default.env. Secrets are hidden."""
    return [_row(name, layers, config) for name in layers.defaults]


def _row(name: str, layers: Layers, config: Config) -> Row:
    value = config.text(name)
    computed = bool(value) and not layers.value(name)
    return Row(name, hidden(name, value), "computed" if computed else layers.source(name))


def hidden(name: str, value: str) -> str:
    """The value, or a word in its place if the name says that it is a secret."""
    return "(hidden)" if value and _SECRET.search(name) else value


# --- what nothing reads


# Other tools' variables that begin as ours do, from their documents and sources: kubectl and client-go (backoff,
# features, checks of themselves), kube-ps1, Terraform's Kubernetes provider and backend; and what botocore reads.
_READ_ELSEWHERE = re.compile(
    r"KUBE_(EDITOR(_CALLBACK)?|PS1_.*|FEATURE_\w*[a-z]\w*|CLIENT_BACKOFF_(BASE|DURATION)"
    r"|(CACHE_MUTATION|PATCH_CONVERSION|WATCHLIST_INCONSISTENCY)_DETECTOR|PANIC_WATCH_DECODE_ERROR"
    r"|HOST|INSECURE|TLS_SERVER_NAME|CLIENT_(CERT|KEY)_DATA|CLUSTER_CA_CERT_DATA|CONFIG_PATHS?|CTX(_AUTH_INFO|_CLUSTER)?"
    r"|TOKEN|PROXY_URL|NAMESPACE|IN_CLUSTER_CONFIG|LOAD_CONFIG_FILE)"
    r"|KUBERNETES_(SERVICE|PORT|MASTER).*|AWS_(DEFAULT_)?(REGION|PROFILE)|AWS_S3_(DISABLE|USE|US_EAST)_.*"
)
# What Kubernetes tells the containers of a pod about each service beside them.
_SERVICE = re.compile(r"(\w+?)_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")
_OURS = ("KUBE_", "MASTER_", "NODE_", "NUM_", "AWS_S3_")
# Names that begin so and are other programs' everywhere.
_OTHERS = re.compile(
    r"NODE_(ENV|PATH|OPTIONS|VERSION|EXTRA_CA_CERTS|NO_WARNINGS|DEBUG|HOME)|NUM_(THREADS|CPUS|WORKERS)"
)
_FEW_EDITS = 2
_LETTERS_AN_EDIT = 8  # APP_NAME is not meant for VPC_NAME, nor VM_ID for VPC_ID
_UNSET = "set that, or unset this"


def unread(layers: Layers, *, porting: Path = PORTING) -> tuple[list[str], list[SettingError]]:
    """What to warn of, and what to refuse, among the names in environment and KUBE_CONFIG_FILE that nothing reads.

    Refused is what was meant for us, since the run would be about other settings than its user thinks, or another
    cluster: what begins with KUBE_, what nearly is an option, and what has another name today and is not set under it.
    A name of former days that is gone is warned of.
    """
    warnings, wrong = list[str](), list[SettingError]()
    for name, (words, right) in {**_renamed_or_gone(layers, porting), **_unread(layers, porting)}.items():
        if right:
            wrong.append(SettingError(name.replace("\n", "\\n"), words, right))  # a line each
        else:
            warnings.append(f"{name}: {words}")
    return warnings, wrong


def _renamed_or_gone(layers: Layers, porting: Path) -> dict[str, tuple[str, str]]:
    """What docs/porting.md says of each name that is set, and for one that is refused what would be right."""
    named = {name: said for name, said in obsolete(porting).items() if _set(layers, name)}
    new = {name: match[1] for name, said in named.items() if (match := re.match(r"is called (\w+) today", said))}
    return {name: (said, "" if _set(layers, new.get(name, name)) else _UNSET) for name, said in named.items()}


def _set(layers: Layers, name: str) -> bool:
    return bool(layers.environment.get(name) or layers.file.get(name))


def _unread(layers: Layers, porting: Path) -> dict[str, tuple[str, str]]:
    """The same of each name that looks like an option and is none, by the option that may be meant.

    All that KUBE_CONFIG_FILE holds is meant for us; of the environment, what begins as options do or nearly is one.
    """
    old = obsolete(porting)
    known = {*layers.defaults, *old}
    asked = sorted(n for n in {*layers.environment, *layers.file} - known if not _is_elsewhere(layers, n))
    found = dict[str, tuple[str, str]]()
    for name in asked:
        near = nearest(name, list(layers.defaults))
        if name not in layers.file and (_OTHERS.fullmatch(name) or not (near or name.startswith(_OURS))):
            continue
        gone = "" if near else nearest(name, list(old))
        advice = f"did you mean {near or gone}?" if near or gone else "--help lists all options"
        advice += f" It {old[gone]}" if gone else ""
        if _is_meant(layers, name, near or gone):
            found[name] = ("nothing reads it", advice)
        else:
            found[name] = (f"nothing reads it; {advice}", "")
    return found


def _is_elsewhere(layers: Layers, name: str) -> bool:
    """Whether another program reads it: by its name, or as one of a service's variables in a pod."""
    service = _SERVICE.fullmatch(name)
    return bool(_READ_ELSEWHERE.fullmatch(name) or (service and f"{service[1]}_SERVICE_HOST" in layers.environment))


def _is_meant(layers: Layers, name: str, near: str) -> bool:
    """Whether the name was surely meant for us, `near` being the option, today's or a former one, that it resembles."""
    if name.startswith("KUBE_") or (near and (name in layers.file or name.startswith((*_OURS, "AWS_")))):
        return True
    return bool(near) and edits(name, near) <= max(1, len(name) // _LETTERS_AN_EDIT)


def nearest(name: str, known: Sequence[str]) -> str:
    """The option that may be meant by a name that is none: within two edits, or most of its words; '' for none."""
    if (bare := name.removeprefix("KUBE_")) in known:
        return bare
    most = min(_FEW_EDITS, len(name) // 3)
    # One edit changes the length by one at most and, swaps aside, puts one letter in another's place: quickly known.
    alike = [o for o in known if abs(len(o) - len(name)) <= most and len(set(o) ^ set(name)) <= 2 * most]
    least = min(alike, key=lambda option: edits(name, option), default="")
    if least and edits(name, least) <= most:
        return least
    ends = [option for option in known if len(name) > len("AWS_") and option.endswith(f"_{name}")]
    return ends[0] if len(ends) == 1 else next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.85)), "")


def edits(one: str, other: str) -> int:
    """How many letters must be put in, taken out, changed or swapped with their neighbour to make one of the other."""
    before, last = list[int](), list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            row.append(min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b)))
            if i > 1 and j > 1 and (a, b) == (other[j - 2], one[i - 2]):
                row[j] = min(row[j], before[j - 2] + 1)
        before, last = last, row
    return last[-1]


def obsolete(porting: Path = PORTING) -> dict[str, str]:
    """The names in the tables of docs/porting.md that begin with a column `Gone` or `Renamed`, and their rows' text."""
    rows = dict[str, str]()
    wanted = False
    for line in porting.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")] if line.startswith("|") else []
        if len(cells) < 2:
            wanted = False
        elif cells[0] in ("Gone", "Renamed"):
            wanted = True
        elif wanted and not set(cells[0]) <= set("-: "):
            rows |= {name: cells[-1].replace("`", "") for name in re.findall(r"`([A-Z0-9_]+)`", cells[0])}
    return rows


# --- docs/options.md


def options_page() -> str:
    """docs/options.md: every option with its default, what it does and what is right, in config-default.env's order."""
    lines = [
        "# Options",
        "",
        "Made from config-default.env by `make docs`. Options are environment variables; README.md says which of "
        "several values counts. A variable that is set to nothing takes the default.",
    ]
    group = ""
    for option in options():
        if option.group != group:
            group = option.group
            lines += ["", f"## {group}", "", "| Option | Default | What it does |", "|---|---|---|"]
        default = f"`{option.default}`" if option.default else "*empty*"
        lines.append(f"| `{option.name}` | {default} | {_cell(option.comment)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([|<>*_])", r"\\\1", text)


if __name__ == "__main__":
    sys.stdout.write(options_page())
