"""One value at a time: the rule for each option, which makes its text into a typed value or refuses it in one line.

A rule is called with the option's name and its text, already found free of what a shell would act on (see `plain`), and
returns the value or raises SettingError. What two options must agree on is in lib/settings/limits.py.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from lib.run.errors import SettingError
from lib.settings import sizes

T = TypeVar("T")
Rule = Callable[[str, str], T]

_SHELL = frozenset("\"'`\\$;&|<>(){}[]*?!#^")
_LONGEST = 2000
ROUTES_AT_MOST = 1000  # the most that AWS raises a route table's quota to
# What says that a shell was to expand it: $NAME where a name in a path begins, ${, $(, and two `.
_EXPANSION = re.compile(r"(?:^|/)\$(?=[A-Za-z_])|\$(?=[{(])|`(?=[^`]*`)")


def shown(text: str) -> str:
    """The text as it stands in a message: quoted, on one line, and cut where it is long."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def plain(variable: str, text: str, *, allowed: str = "") -> str:
    """The text, unless it holds a character that a shell or user-data would act on. `allowed`: those that may stand."""
    if len(text) > _LONGEST:
        raise SettingError(variable, f"has {len(text)} characters", f"{_LONGEST} are the most")
    bad = next((c for c in text if not " " <= c <= "~" or (c in _SHELL and c not in allowed)), "")
    return _without(variable, text, bad, "without quotes, line breaks and what a shell acts on")


def plain_path(variable: str, text: str) -> str:
    """The same of a path, which no shell of a node reads: it may hold whatever can be printed, spaces and quotes too.

    But not what says that a shell was to expand it, such as $HOME/key; ssh expands ${HOME} of a key's path, too.
    """
    if len(text) > _LONGEST:
        return plain(variable, text)
    expansion = _EXPANSION.search(text)
    bad = expansion[0][-1] if expansion else next((c for c in text if not c.isprintable()), "")
    return _without(variable, text, bad, "without line breaks, $NAME, ${…}, $(…) and `…`")


def _without(variable: str, text: str, bad: str, right: str) -> str:
    if bad:
        problem = f"{shown(text)} has the character {bad!r}"
        raise SettingError(variable, problem, f"nothing is expanded here, so give a plain value {right}")
    return text


# --- numbers and choices


def whole(low: int, high: int, *, unit: str = "") -> Rule[int]:
    """A whole number from low to high."""
    words = f"{low} to {high}" + (f" {unit}" if unit else "")

    def rule(variable: str, text: str) -> int:
        if not re.fullmatch(r"-?(0|[1-9]\d{0,8})", text):
            raise SettingError(variable, f"{shown(text)} is not a whole number", f"give one from {words}")
        if not low <= int(text) <= high:
            raise SettingError(variable, f"{text} is out of range", f"give one from {words}")
        return int(text)

    return rule


def minions(least: int) -> Rule[int]:
    """How many minions: so many at least, and no more than a route table ever has routes for."""

    def rule(variable: str, text: str) -> int:
        return _minions(variable, text, least)

    return rule


def _minions(variable: str, text: str, least: int) -> int:
    at_most = ROUTES_AT_MOST - 3
    if re.fullmatch(r"[1-9]\d{0,8}", text) and int(text) > at_most:
        problem = f"{text} minions + the master + the local and the default route need {int(text) + 3} routes"
        right = f"a route table has {ROUTES_AT_MOST} at most; give one from {least} to {at_most} minions"
        raise SettingError(variable, problem, right)
    return whole(least, at_most, unit="minions")(variable, text)


def boolean(variable: str, text: str) -> bool:
    """true or false, in upper or lower case, as the original's scripts compared them."""
    if text.lower() not in ("true", "false"):
        raise SettingError(variable, f"{shown(text)} is neither true nor false", "say true or false")
    return text.lower() == "true"


def one_of(*choices: str, gone: Mapping[str, str] | None = None) -> Rule[str]:
    """One of the choices; `gone` maps choices of former days to what to say of them."""

    def rule(variable: str, text: str) -> str:
        if gone and text in gone:
            raise SettingError(variable, f"{shown(text)} {gone[text]}", f"say {' or '.join(choices)}")
        if text not in choices:
            raise SettingError(variable, f"{shown(text)} is not known", f"say {' or '.join(choices)}")
        return text

    return rule


_OLD_DEBIAN = "is a Debian of former days, and Kubernetes no longer runs on it: debian is Debian 13"
_OLD_UBUNTU = "is an Ubuntu of former days, and Kubernetes no longer runs on it: ubuntu is 24.04"
distribution = one_of(
    "debian",
    "ubuntu",
    gone={
        **dict.fromkeys(("jessie", "wheezy", "stretch"), _OLD_DEBIAN),
        **dict.fromkeys(("trusty", "vivid", "wily", "xenial"), _OLD_UBUNTU),
        "coreos": "is no longer made",
    },
)
disk_type = one_of(
    *sizes.DISK_LIMITS,
    gone={
        **dict.fromkeys(("st1", "sc1"), "is a hard disk that nothing can be booted from, too slow for etcd"),
        "standard": "is a magnetic disk, too slow for etcd and images",
    },
)
network_provider = one_of(
    "kubenet",
    gone=dict.fromkeys(("none", "opencontrail", "flannel", "calico", "cni"), "is not ported, see docs/porting.md"),
)


def monitoring(variable: str, text: str) -> bool:
    """true or false, with a word for those who come with the original's influxdb and none."""
    if text in ("influxdb", "none"):
        right = "true" if text == "influxdb" else "false"
        raise SettingError(variable, f"{shown(text)} was Heapster's choice", f"metrics-server took over; say {right}")
    return boolean(variable, text)


def price(variable: str, text: str) -> str:
    """US dollars an hour as a decimal number, kept as text as the API takes it."""
    if not re.fullmatch(r"(0|[1-9]\d{0,3})(\.\d{1,5})?", text) or float(text) == 0:
        raise SettingError(variable, f"{shown(text)} is not a price", "give US dollars an hour, such as 0.05")
    return text


def log_level(variable: str, text: str) -> str:
    """How much a part logs, 0 to 10, as the argument for it; the original's --v=4 and a plain 4 both give --v=4."""
    level = text.removeprefix("--v=")
    if level not in map(str, range(11)):
        raise SettingError(variable, f"{shown(text)} is not a log level", "give a number from 0 to 10, such as 4")
    return f"--v={level}"


# --- forms of text


def optional(rule: Rule[str]) -> Rule[str]:
    """The rule for an option that may be empty: '' stays ''."""
    return lambda variable, text: rule(variable, text) if text else ""


def form(pattern: str, right: str) -> Rule[str]:
    """Text that a regular expression matches whole; `right` ends the refusal."""

    def rule(variable: str, text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise SettingError(variable, f"{shown(text)} has the wrong form", right)
        return text

    return rule


def identifier(kind: str) -> Rule[str]:
    """An AWS id of that kind: vpc, subnet, ami, dopt."""
    return form(rf"{kind}-([0-9a-f]{{8}}|[0-9a-f]{{17}})", f"give an id such as {kind}-0123456789abcdef0")


cluster_id = form(
    r"[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?",
    "use 1 to 40 lower-case letters, digits, dashes or dots, with a letter or digit at both ends",
)
vpc_name = form(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", "use 1 to 40 letters, digits, dots, dashes or underscores")
context = form(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,252}", "use letters, digits and . _ - : / @")
iam_name = form(r"[A-Za-z0-9_+=,.@-]{1,128}", "give an instance profile's name, such as kubernetes-nodes, not its ARN")
instance_type = form(
    r"[a-z][a-z0-9-]*\.(nano|micro|small|medium|large|([1-9]\d*)?xlarge|metal(-\d+xl)?)",
    "give an EC2 instance type such as m6i.large",
)
SIZES_AT_MOST = 40  # instance types of a group (Auto Scaling API reference, LaunchTemplateOverrides)


def further_sizes(variable: str, text: str) -> tuple[str, ...]:
    """Instance types beside NODE_SIZE, separated by commas or spaces."""
    found = tuple(instance_type(variable, item) for item in _items(text))
    if text and not found:
        raise SettingError(variable, f"{shown(text)} holds no type", "give instance types, or nothing at all for none")
    _no_twins(variable, found)
    if len(found) >= SIZES_AT_MOST:
        raise SettingError(variable, f"has {len(found)} types", f"give {SIZES_AT_MOST - 1} at most")
    return found


snapshot = form(r"[A-Za-z0-9._~+/=-]{1,256}", "say latest, none, or a version's id as S3 lists it")
region = form(r"[a-z]{2}(-[a-z]+){1,2}-\d", "give a region such as us-west-2")


def path(variable: str, text: str) -> str:
    """The path of a file, or several separated by colons; a leading ~ is expanded later."""
    for part in text.split(":"):
        if re.match(r"~[^/]", part):
            raise SettingError(variable, f"{shown(part)} begins with another user's home", "write the whole path")
        if part.endswith("/") or part.rsplit("/", 1)[-1] in (".", "..", "~"):
            raise SettingError(variable, f"{shown(part)} is a directory", "give the path of a file")
    return text


def zone(variable: str, text: str) -> str:
    """An availability zone or local zone of the partitions aws, aws-cn and aws-us-gov."""
    if re.fullmatch(r"[a-z]{2,4}(-[a-z]+){1,2}-\d", text):
        raise SettingError(variable, f"{shown(text)} is a region", f"add the zone's letter, such as {text}a")
    if re.match(r"us-iso|eusc-|eu-isoe", text):
        raise SettingError(variable, f"{shown(text)} is in a partition that this does not know", "use another region")
    if not re.fullmatch(r"[a-z]{2}(-[a-z]+){1,2}-\d(-[a-z]{3}-\d)?[a-z]", text):
        raise SettingError(variable, f"{shown(text)} is not a zone's name", "give one such as us-west-2a")
    return text


def partition(region_name: str) -> str:
    """The partition of a region: what its ARNs begin with after arn:."""
    return {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region_name.rsplit("-", 2)[0], "aws")


# Of each minor release the first patch to give: kube-proxy of the earlier ones of 1.36 may fail (kubernetes 136786).
_FIRST_PATCHES = {"1.36": "1.36.3", "1.37": "1.37.2"}


def version(variable: str, text: str) -> str:
    """A release of Kubernetes that the bootstrap was made for, without a leading v."""
    series = text.removeprefix("v")
    if series in _FIRST_PATCHES:
        right = f"give a whole version, {_FIRST_PATCHES[series]} or a later one of {series}"
        newest = f"https://dl.k8s.io/release/stable-{series}.txt has the newest"
        raise SettingError(variable, f"{shown(text)} is a minor release", f"{right}: {newest}")
    right = "give " + ", or ".join(f"{patch} or a later one of {minor}" for minor, patch in _FIRST_PATCHES.items())
    match = re.fullmatch(r"v?(0|[1-9]\d?)\.(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2}))?", text)
    if not match:
        raise SettingError(variable, f"{shown(text)} is not a release of Kubernetes", right)
    if f"{match[1]}.{match[2]}" not in _FIRST_PATCHES:
        age = "older" if (int(match[1]), int(match[2])) < (1, 36) else "newer"
        raise SettingError(variable, f"{text} is {age} than what this can set up", right)
    return series


def bucket(variable: str, text: str) -> str:
    """A bucket's name by the rules of the S3 user guide."""
    right = "3 to 63 lower-case letters, digits, dashes or dots, with a letter or digit at both ends"
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", text) or ".." in text:
        raise SettingError(variable, f"{shown(text)} is not a bucket's name", right)
    if re.fullmatch(r"[\d.]+", text) and text.count(".") == 3:
        raise SettingError(variable, f"{shown(text)} looks like an address", "S3 refuses such a name; choose another")
    reserved = r"(xn--|sthree-|amzn-s3-demo-).*|.*(-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)"
    if re.fullmatch(reserved, text):
        raise SettingError(variable, f"{shown(text)} is a name that S3 keeps for itself", "choose another")
    return text


def public_bucket(variable: str, text: str) -> str:
    """The same of one that others read by its name as a host's: S3's certificate is for a name without dots."""
    if "." in text:
        raise SettingError(variable, f"{shown(text)} has a dot", "give a bucket whose name has none")
    return bucket(variable, text)


def url(variable: str, text: str) -> str:
    """An http or https address without a password, query or trailing slash."""
    if "@" in text:
        problem = "the address holds a user or password, and user-data can be read by everything on a node"
        raise SettingError(variable, problem, "give it without")
    label = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
    match = re.fullmatch(rf"https?://{label}(\.{label})*(:(?P<port>\d{{1,5}}))?(/[A-Za-z0-9._~/%-]*)?", text)
    if not match:
        raise SettingError(variable, f"{shown(text)} is not a URL", "give one such as https://mirror.example.com/k8s")
    if match["port"] and not 1 <= int(match["port"]) <= 65535:
        raise SettingError(variable, f"{shown(text)} has the port {match['port']}", "give one from 1 to 65535")
    return text.rstrip("/")


def proxy(variable: str, text: str) -> str:
    """A proxy's http or https address with its port, without user, password or path."""
    if "@" in text:
        problem = "the address holds a user or password, and user-data can be read by whoever may describe instances"
        raise SettingError(variable, problem, "give a proxy that lets the nodes' addresses through without one")
    if not re.fullmatch(r"https?://[^/:]+:\d+/?", text):
        right = "give one such as http://proxy.example.com:3128"
        raise SettingError(variable, f"{shown(text)} is not a URL that has a proxy's address with its port", right)
    return url(variable, text)


def domain(variable: str, text: str) -> str:
    """A DNS domain: labels of lower-case letters, digits and dashes."""
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if len(text) > 200 or not re.fullmatch(rf"{label}(\.{label})*", text) or _is_address(text):
        raise SettingError(variable, f"{shown(text)} is not a DNS domain", "give one such as cluster.local")
    return text


def host_name(variable: str, text: str) -> str:
    """A host's whole DNS name: a domain of two labels or more."""
    try:
        domain(variable, text)
    except SettingError as error:
        raise SettingError(variable, f"{shown(text)} is not a DNS name", _HOST_NAME) from error
    if "." not in text:
        raise SettingError(variable, f"{shown(text)} has no domain", _HOST_NAME)
    return text


_HOST_NAME = "give one in lower case and without a dot at the end, such as api.dev.example.com"

# --- addresses


def cidr(largest: int, smallest: int, *, unicast: bool = True) -> Rule[str]:
    """An IPv4 range with a prefix from /largest to /smallest and no host bits; `unicast`: one that hosts can have."""

    def rule(variable: str, text: str) -> str:
        network = _network(variable, text)
        if not largest <= network.prefixlen <= smallest:
            right = f"give one from /{largest} to /{smallest}"
            raise SettingError(variable, f"{network} has a prefix of /{network.prefixlen}", right)
        if unicast and not _for_hosts(network):
            raise SettingError(variable, f"{network} is a range that no host can have", "give one such as 10.1.0.0/16")
        return str(network)

    return rule


def _network(variable: str, text: str) -> ipaddress.IPv4Network:
    if "/" not in text:
        raise SettingError(variable, f"{shown(text)} has no prefix length", f"write {_meant(text)}")
    try:
        loose = ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        right = "give one such as 10.0.0.0/16 (IPv6 is not supported)"
        raise SettingError(variable, f"{shown(text)} is not an IPv4 range", right) from None
    if not re.fullmatch(r"(0|[1-9]\d?)", text.partition("/")[2]):
        raise SettingError(variable, f"{shown(text)} has no prefix length after the slash", f"write {loose}")
    if str(loose) != text:
        raise SettingError(variable, f"{shown(text)} is not where a range of that size begins", f"write {loose}")
    return loose


def _meant(text: str) -> str:
    return f"{text}/32 for that one address" if _is_address(text) else "one such as 10.0.0.0/16"


def _is_address(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


_NO_HOSTS = tuple(map(ipaddress.IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")))


def _for_hosts(network: ipaddress.IPv4Network) -> bool:
    first, last = network.network_address, network.broadcast_address
    return not any(network.overlaps(each) for each in _NO_HOSTS) and first < last


def address(variable: str, text: str) -> str:
    """An IPv4 address."""
    if not _is_address(text):
        raise SettingError(variable, f"{shown(text)} is not an IPv4 address", "give one such as 172.20.0.9")
    return text


def elastic_ip(variable: str, text: str) -> str:
    """A public IPv4 address; the original's `auto` is told that it is the default now."""
    if text == "auto":
        raise SettingError(variable, "'auto' was the original's word", "leave it empty, and an address is allocated")
    ip = ipaddress.IPv4Address(address(variable, text))
    private = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "0.0.0.0/8", "224.0.0.0/3")
    if any(ip in ipaddress.IPv4Network(each) for each in private):
        raise SettingError(variable, f"{text} is no public address", "give an elastic IP of this account and region")
    return text


def cidr_base(variable: str, text: str) -> str:
    """The first two numbers of a /16."""
    try:
        cidr(16, 16)(variable, f"{text}.0.0/16")
    except SettingError:
        right = "give the first two numbers of a range, such as 172.20"
        raise SettingError(variable, f"{shown(text)} does not begin an IPv4 range", right) from None
    return text


# --- lists


def _items(text: str) -> list[str]:
    return [item for item in re.split(r"[,\s]+", text) if item]


def cidrs(variable: str, text: str) -> tuple[str, ...]:
    """Ranges separated by commas or spaces; at most 20, since a security group holds 60 rules."""
    ranges = tuple(str(_network(variable, item)) for item in _items(text))
    if not 1 <= len(ranges) <= 20:
        raise SettingError(variable, f"has {len(ranges)} ranges", "give 1 to 20, such as 203.0.113.7/32")
    _no_twins(variable, ranges)
    return ranges


def cidrs_or_none(variable: str, text: str) -> tuple[str, ...]:
    """The same for an option that may be empty."""
    return cidrs(variable, text) if text else ()


def packages(variable: str, text: str) -> tuple[str, ...]:
    """Names of Debian packages separated by commas or spaces (Debian Policy 5.6.7).

    None ends with -, by which apt-get is told to remove one.
    """
    names = tuple(_items(text))
    for name in names:
        if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.]", name):
            right = "use lower-case letters, digits, '+', '-' and '.', such as nfs-common; no version, no architecture"
            raise SettingError(variable, f"{shown(name)} is not the name of a package", right)
    _no_twins(variable, names)
    return names


_POLICY = r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[A-Za-z0-9_+=.@/-]+"
policy_arn = form(_POLICY, "give a policy's ARN, such as arn:aws:iam::123456789012:policy/boundary")
POLICIES_AT_MOST = 20  # managed policies of a role, where the quota of 10 was raised


def policies(variable: str, text: str) -> tuple[str, ...]:
    """ARNs of managed policies separated by commas or spaces."""
    found = tuple(policy_arn(variable, item) for item in _items(text))
    if text and not found:
        raise SettingError(variable, f"{shown(text)} holds no policy", "give ARNs, or nothing at all for none")
    _no_twins(variable, found)
    if len(found) > POLICIES_AT_MOST:
        raise SettingError(variable, f"has {len(found)} policies", f"a role takes {POLICIES_AT_MOST} at most")
    return found


def _no_twins(variable: str, names: tuple[str, ...]) -> None:
    twin = next((name for name in names if names.count(name) > 1), None)
    if twin is not None:
        raise SettingError(variable, f"has {shown(twin)} twice", "give it once")


# A kubelet refuses to start when it is told to label itself with others of Kubernetes' own names
# (kubernetes.io/docs/reference/labels-annotations-taints and the kubelet's --node-labels).
_OWN_LABELS = frozenset(
    {
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)


def labels(variable: str, text: str) -> tuple[tuple[str, str], ...]:
    """Node labels: key=value pairs separated by commas."""
    pairs = tuple(_label(variable, item) for item in text.split(",") if item.strip())
    if text and not pairs:
        raise SettingError(variable, f"{shown(text)} holds no label", "give labels such as disk=ssd,team=web")
    _no_twins(variable, tuple(key for key, _ in pairs))
    return pairs


def _label(variable: str, item: str) -> tuple[str, str]:
    key, equals, value = item.strip().partition("=")
    prefix, _, name = key.rpartition("/")
    word = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
    host = r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
    if not equals:
        raise SettingError(variable, f"{shown(item)} is not key=value", "give labels such as disk=ssd,team=web")
    if not re.fullmatch(word, name) or not re.fullmatch(host, prefix or "a") or key.startswith("/"):
        right = "use letters, digits, '-', '_' and '.', 63 at most, after an optional domain and '/'"
        raise SettingError(variable, f"{shown(key)} is not a label's key", right)
    if value and not re.fullmatch(word, value):
        right = "use letters, digits, '-', '_' and '.', 63 at most"
        raise SettingError(variable, f"{shown(value)} is not a label's value", right)
    _not_kubernetes_own(variable, key, prefix)
    return key, value


def _not_kubernetes_own(variable: str, key: str, prefix: str) -> None:
    own = re.fullmatch(r"(.+\.)?(kubernetes|k8s)\.io", prefix)
    may = re.fullmatch(r"(.+\.)?(kubelet|node)\.kubernetes\.io", prefix)
    if own and not may and key not in _OWN_LABELS:
        problem = f"{shown(key)} is Kubernetes' own, and a kubelet may not set it"
        raise SettingError(variable, problem, "use a domain of yours or node.kubernetes.io/")


def each(pattern: str, right: str, *, separator: str = ",", once: str = "") -> Rule[str]:
    """Items of one form, given back as text with one separator between them.

    `once`: the characters at which an item's name ends, of which there may be one only.
    """

    def rule(variable: str, text: str) -> str:
        items = [item.strip() for item in text.split(separator) if item.strip()]
        bad = next((item for item in items if not re.fullmatch(pattern, item)), None)
        if bad is not None:
            raise SettingError(variable, f"{shown(bad)} has the wrong form", right)
        if text and not items:
            raise SettingError(variable, f"{shown(text)} holds nothing", right)
        if once:
            _no_twins(variable, tuple(re.split(f"[{once}]", item)[0] for item in items))
        return separator.join(items)

    return rule


_SIGNALS = r"((memory|nodefs|imagefs|containerfs|pid)\.available|(nodefs|imagefs|containerfs)\.inodesFree)"
evictions = each(
    # A kubelet does not start with a share over 100%, an amount of 0, or a signal twice: ParseThresholdConfig in
    # kubernetes/pkg/kubelet/eviction/helpers.go.
    rf"{_SIGNALS}<((100|\d{{1,2}}(\.\d+)?)%|(?=[0.]*[1-9])\d+(\.\d+)?([KMGT]i|[kMGT])?)",
    "give each signal once, such as memory.available<250Mi,nodefs.available<10%",
    once="<",
)
gates = each(r"[A-Z][A-Za-z0-9]*=(true|false)", "give features such as GracefulNodeShutdown=true", once="=")
arguments = each(
    r"--[a-z][a-z0-9-]*(=[A-Za-z0-9._:/,=@%+~-]*)?",
    "give arguments as --name=value, separated by spaces",
    separator=" ",
)
_places = each(
    r"\.?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d{1,5}|/\d{1,2})?",
    "give names, addresses or ranges such as .example.com,10.0.0.0/8",
)


def no_proxy(variable: str, text: str) -> str:
    """Names, addresses and ranges, separated by commas. What reads them passes over a range that is none in silence."""
    found = _places(variable, text)
    for item in (item for item in found.split(",") if "/" in item):
        _network(variable, item)
    return found


_api_versions = each(
    r"[a-z0-9.-]+(/[a-z0-9]+(/[a-z0-9]+)?)?(=(true|false))?",
    "give API versions such as batch/v2alpha1=true",
    once="=",
)


def runtime_config(variable: str, text: str) -> str:
    """API versions to switch; one without a value, as the original took it, is switched on."""
    items = _api_versions(variable, text).split(",")
    return ",".join(item if "=" in item or not item else f"{item}=true" for item in items)
