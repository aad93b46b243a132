"""What the nodes download, and the sha256 of each file (the original's find-release-tars and upload-server-tars).

Nothing is staged: nodes fetch from the release sites themselves, or from KUBE_DOWNLOAD_MIRROR. A sum that was read once
is kept in the cluster's bucket, so that every node of the cluster, however late, checks against the same one.
"""

from __future__ import annotations

import re
import string
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib.aws import objects
from lib.aws.changes import backoff
from lib.run.errors import KubeError, SettingError
from lib.settings.defaults import DEFAULTS
from lib.settings.layers import read_env

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.aws.objects import Bucket
    from lib.settings.config import Config

RELEASES = Path(__file__).parents[2] / "templates" / "releases.env"
NAMES = ("KUBEADM", "KUBELET", "KUBECTL", "CONTAINERD", "RUNC", "CNI", "ECR_CREDENTIAL_PROVIDER")
OBJECT = "downloads.sha256"  # lines as sha256sum writes them: <sum>  <url>

_ATTEMPTS = 4
_TIMEOUT = 20.0  # seconds for one sum file
_LARGEST = 1 << 20  # bytes; a sum file has a few hundred

_NOT_THERE = (403, 404)  # buckets answer 403 for what they do not have


@dataclass(frozen=True)
class Download:
    """One file: where nodes fetch it, where its sum stands, and the sum if templates/releases.env has it."""

    name: str
    url: str
    sums: str
    pinned: str = ""


def versions(kubernetes_version: str) -> dict[str, str]:
    """What templates/releases.env says for that version of Kubernetes, nothing filled in.

    NAME_1_36 stands there for what NAME is with a release of 1.36.
    """
    found = read_env(RELEASES.read_text(encoding="utf-8"))
    suffix = "_" + "_".join(kubernetes_version.split(".")[:2])
    return found | {name.removesuffix(suffix): text for name, text in found.items() if name.endswith(suffix)}


def default_kubernetes() -> str:
    """The version that is taken when none is asked for."""
    return read_env(DEFAULTS.read_text(encoding="utf-8"))["KUBERNETES_VERSION"]


def downloads(config: Config, architecture: str) -> list[Download]:
    """The files that a node of that architecture needs."""
    return published(config.kubernetes_version, architecture, mirror=config.kube_download_mirror)


def published(kubernetes_version: str, architecture: str, *, mirror: str = "") -> list[Download]:
    """The files of that version, at the release sites or at a mirror of them."""
    releases, is_default = versions(kubernetes_version), kubernetes_version == default_kubernetes()
    values = {**releases, "KUBERNETES_VERSION": kubernetes_version, "ARCH": architecture}

    def fill(text: str) -> str:
        return mirrored(string.Template(text).substitute(values), mirror=mirror)

    def pinned(name: str) -> str:
        # Of the sites' own files, in the default versions: a mirror may hold others (its own builds).
        other = "${KUBERNETES_VERSION}" in releases[f"URL_{name}"] and not is_default
        return "" if mirror or other else releases.get(f"SHA256_{name}_{architecture.upper()}", "")

    return [
        Download(name, url=fill(releases[f"URL_{name}"]), sums=fill(releases[f"SUMS_{name}"]), pinned=pinned(name))
        for name in NAMES
    ]


def mirrored(url: str, *, mirror: str) -> str:
    """https://HOST/PATH as $KUBE_DOWNLOAD_MIRROR/HOST/PATH, as it is without a mirror."""
    return f"{mirror}/{url.removeprefix('https://')}" if mirror else url


def known_sums(aws: Aws, bucket: Bucket | None) -> dict[str, str]:
    """The sums that the bucket remembers, by URL."""
    return _parse_remembered(objects.read_object(aws, bucket, OBJECT) if bucket else None)


def find_sums(aws: Aws, wanted: list[Download], *, known: Mapping[str, str]) -> dict[str, str]:
    """The sum of each wanted file by its URL: one that is known, pinned, or read from its site now.

    Raises SettingError for a version that its site does not have, KubeError when the site cannot be asked.
    """
    return {
        each.url: known.get(each.url) or each.pinned or _read_sum(aws.clock.sleep, each)
        for each in {each.url: each for each in wanted}.values()
    }


def remember_sums(aws: Aws, bucket: Bucket, sums: Mapping[str, str], *, known: Mapping[str, str]) -> None:
    """Keep the sums in the bucket; those of former versions stay, since nodes made from them may still be there."""
    if not sums.items() <= known.items():
        now = known_sums(aws, bucket)  # another run may have put some
        lines = "".join(f"{value}  {url}\n" for url, value in sorted({**now, **sums}.items()))
        objects.put_object(aws, bucket, OBJECT, lines.encode(), words=f"sums of {len(sums)} downloads")


def settings(wanted: list[Download], sums: Mapping[str, str]) -> dict[str, str]:
    """URL_<NAME> and SHA256_<NAME> as user-data carries them."""
    urls = {f"URL_{each.name}": each.url for each in wanted}
    return urls | {f"SHA256_{each.name}": sums[each.url] for each in wanted}


def _parse_remembered(content: bytes | None) -> dict[str, str]:
    """What is no line of `remember_sums` is dropped: the sums can be read anew from their sites."""
    lines = (content or b"").decode(errors="replace").splitlines()
    found = [re.fullmatch(r"([0-9a-f]{64})  (https?://\S+)", line) for line in lines]
    return {match[2]: match[1] for match in found if match}


def _read_sum(sleep: Callable[[float], None], download: Download) -> str:
    return sum_in(read_text(sleep, download.sums), download)


def sum_in(text: str, download: Download) -> str:
    """The file's sha256 as its sum file has it: a sum alone, or lines as sha256sum writes them.

    Raises KubeError when it is not there.
    """
    file = download.url.rsplit("/", 1)[-1]
    for line in text.splitlines():
        words = line.split()
        named = len(words) == 1 or (len(words) > 1 and words[1].lstrip("*").rsplit("/", 1)[-1] == file)
        if named and re.fullmatch(r"[0-9a-f]{64}", words[0]):
            return words[0]
    raise KubeError(f"{download.sums} has no sha256 of {file}", hint="KUBE_DOWNLOAD_MIRROR names a copy that has")


def read_text(sleep: Callable[[float], None], url: str) -> str:
    """The text at the URL, asked for a few times. urllib follows the proxy variables as curl does.

    Raises SettingError when the site does not have it, KubeError when the site cannot be asked.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:  # noqa: S310 rules.url allows http and https only
                return str(answer.read(_LARGEST).decode(errors="replace"))
        except urllib.error.HTTPError as error:
            if error.code in _NOT_THERE:
                raise _not_there(url, error.code) from error
            words = f"HTTP {error.code}"
        except OSError as error:
            words = " ".join(str(getattr(error, "reason", error)).split())
        if attempt < _ATTEMPTS:
            sleep(backoff(attempt))
    raise KubeError(
        f"{url} cannot be read: {words}",
        hint="the nodes' downloads are checked against it; KUBE_DOWNLOAD_MIRROR names a copy that can be reached",
    )


def _not_there(url: str, status: int) -> SettingError:
    newest = _newest(url)
    return SettingError(
        "KUBERNETES_VERSION" if "/release/v" in url else "KUBE_DOWNLOAD_MIRROR",
        f"{url} is not there (HTTP {status})",
        f"give a version that is published{newest}, and a mirror that has it",
    )


def _newest(url: str) -> str:
    """The newest patch of the minor release that a URL is of, in words, by the same site; '' if it does not say."""
    release = re.match(r"(.*/release/)v(\d+\.\d+)\.\d+/", url)
    if not release:
        return ""
    try:
        with urllib.request.urlopen(f"{release[1]}stable-{release[2]}.txt", timeout=_TIMEOUT) as answer:  # noqa: S310 as above
            said = str(answer.read(_LARGEST).decode(errors="replace")).strip()
    except OSError:
        return ""
    return f" (the newest of {release[2]} is {said[1:]})" if re.fullmatch(r"v\d+\.\d+\.\d+", said) else ""
