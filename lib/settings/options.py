"""What a person sees of the options beside --help: what is set, what nothing reads, and docs/options.md."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from lib.run.errors import SettingError
from lib.settings.config import OPTIONS, Config
from lib.settings.defaults import options
from lib.settings.former import former, today
from lib.settings.helptext import later
from lib.settings.layers import Layers
from lib.settings.nearest import edits, nearest

_SECRET = re.compile(r"SECRET|PASSWORD|TOKEN|CREDENTIAL|PRIVATE_KEY|ACCESS_KEY")


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
# features, checks of themselves), kube-ps1, Terraform's Kubernetes provider and backend; and what the run itself reads,
# by botocore and urllib: this computer's proxy is not the nodes', which is KUBE_HTTP_PROXY.
_READ_ELSEWHERE = re.compile(
    r"KUBE_(EDITOR(_CALLBACK)?|PS1_.*|FEATURE_\w*[a-z]\w*|CLIENT_BACKOFF_(BASE|DURATION)"
    r"|(CACHE_MUTATION|PATCH_CONVERSION|WATCHLIST_INCONSISTENCY)_DETECTOR|PANIC_WATCH_DECODE_ERROR"
    r"|HOST|INSECURE|TLS_SERVER_NAME|CLIENT_(CERT|KEY)_DATA|CLUSTER_CA_CERT_DATA|CONFIG_PATHS?|CTX(_AUTH_INFO|_CLUSTER)?"
    r"|TOKEN|PROXY_URL|NAMESPACE|IN_CLUSTER_CONFIG|LOAD_CONFIG_FILE)"
    r"|KUBERNETES_(SERVICE|PORT|MASTER).*|AWS_(DEFAULT_)?(REGION|PROFILE)|AWS_S3_(DISABLE|USE|US_EAST)_.*"
    r"|(NO|ALL|HTTPS?)_PROXY"
)
# What Kubernetes tells the containers of a pod about each service beside them.
_SERVICE = re.compile(r"(\w+?)_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")
_OURS = ("KUBE_", "MASTER_", "NODE_", "NUM_", "AWS_S3_")
# Names that begin so and are other programs' everywhere.
_OTHERS = re.compile(
    r"NODE_(ENV|PATH|OPTIONS|VERSION|EXTRA_CA_CERTS|NO_WARNINGS|DEBUG|HOME)|NUM_(THREADS|CPUS|WORKERS)"
)
_LETTERS_AN_EDIT = 8  # APP_NAME is not meant for VPC_NAME, nor VM_ID for VPC_ID
_UNSET = "set that, or unset this"


def unread(layers: Layers) -> tuple[list[str], list[SettingError]]:
    """What to warn of, and what to refuse, among the names in environment and KUBE_CONFIG_FILE that nothing reads.

    Refused is what was meant for us, since the run would be about other settings than its user thinks, or another
    cluster: what begins with KUBE_, what nearly is an option, and what has another name today and is not set under it.
    A name of former days that is gone is warned of.
    """
    warnings, wrong = list[str](), list[SettingError]()
    for name, (words, right) in {**_renamed_or_gone(layers), **_unread(layers)}.items():
        if right:
            wrong.append(SettingError(name.replace("\n", "\\n"), words, right))  # a line each
        else:
            warnings.append(f"{name}: {words}")
    return warnings, wrong


def _renamed_or_gone(layers: Layers) -> dict[str, tuple[str, str]]:
    """What became of each former name that is set, and for one that is refused what would be right."""
    named = {name: said for name, said in former().items() if _set(layers, name)}
    return {name: (said, "" if _set(layers, today(name) or name) else _UNSET) for name, said in named.items()}


def _set(layers: Layers, name: str) -> bool:
    return bool(layers.environment.get(name) or layers.file.get(name))


def _unread(layers: Layers) -> dict[str, tuple[str, str]]:
    """The same of each name that looks like an option and is none, by the option that may be meant.

    All that KUBE_CONFIG_FILE holds is meant for us; of the environment, what begins as options do or nearly is one.
    """
    old = former()
    known = {*layers.defaults, *old}
    asked = sorted(n for n in {*layers.environment, *layers.file} - known if not _is_elsewhere(layers, n))
    found = dict[str, tuple[str, str]]()
    for name in asked:
        near = nearest(name, list(layers.defaults))
        if name not in layers.file and (_OTHERS.fullmatch(name) or not (near or name.startswith(_OURS))):
            continue
        gone = "" if near else nearest(name, list(old))
        advice = f"did you mean {near or gone}?" if near or gone else "--help all lists all options"
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


# --- docs/options.md


def options_page() -> str:
    """docs/options.md: every option with its default, what it does and what is right, in config-default.env's order."""
    lines = [
        "# Options",
        "",
        "Made from config-default.env and lib/settings/config.py by `make docs`. Options are environment variables; "
        "README.md says which of several values counts. A variable that is set to nothing takes the default.",
    ]
    group = ""
    for option in options():
        if option.group != group:
            group = option.group
            lines += ["", f"## {group}", "", "| Option | Default | What it does | Later |", "|---|---|---|---|"]
        default = f"`{option.default}`" if option.default else "*empty*"
        lines.append(f"| `{option.name}` | {default} | {_cell(option.comment)} | {later(OPTIONS[option.name])} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([|<>*_])", r"\\\1", text)


if __name__ == "__main__":
    sys.stdout.write(options_page())
