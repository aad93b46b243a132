"""The environment that a command gets inside the sandbox: nothing in it leads out of the machine."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Mapping
from pathlib import Path

from sandbox import downloads

# kube_up.py's own options that happen to begin with AWS_; everything else of that name is the SDK's.
OPTIONS = {"AWS_SSH_KEY", "AWS_S3_BUCKET", "AWS_S3_REGION", "AWS_IMAGE"}
REGION = {"AWS_REGION", "AWS_DEFAULT_REGION"}
PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy"}
PROBE = "127.80.255.254"
KEY = "sandbox"  # of no account
OUTSIDE = "run it within python -m sandbox -- ..."


def is_hostile(name: str) -> bool:
    """Whether a variable could lead a call elsewhere, or lend it real credentials."""
    if name.lower() in PROXIES:
        return True
    return name.startswith("AWS_") and name not in OPTIONS | REGION


def inside(environ: Mapping[str, str], endpoint: str, folder: Path) -> dict[str, str]:
    """The command's environment: `environ` without what is hostile, and with the sandbox's endpoint."""
    kept = {name: value for name, value in environ.items() if not is_hostile(name)}
    return kept | additions(environ, endpoint, folder)


def is_inside(environ: Mapping[str, str]) -> bool:
    """Whether this environment is one that the sandbox gives: what makes and removes a cluster unasked looks first."""
    here = environ.get("AWS_ENDPOINT_URL", "").startswith("http://127.0.0.1:")
    return here and environ.get("AWS_ACCESS_KEY_ID") == KEY


def additions(environ: Mapping[str, str], endpoint: str, folder: Path) -> dict[str, str]:
    """What the sandbox sets."""
    added = {
        "AWS_ENDPOINT_URL": endpoint,
        # botocore puts the account's number before this service's host, and there is no host of that name here; before
        # "account@" the number is a part of the user's name.
        "AWS_ENDPOINT_URL_S3_CONTROL": endpoint.replace("://", "://account@"),
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": KEY,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "*",
        "no_proxy": "*",
        "XDG_CACHE_HOME": str(folder / "cache"),  # the prices that a run keeps are not those of an account
    }
    if not environ.get("KUBE_DOWNLOAD_MIRROR"):
        added["KUBE_DOWNLOAD_MIRROR"] = endpoint + downloads.PREFIX.rstrip("/")
    for name, file in (("KUBECONFIG", "kubeconfig"), ("AWS_SSH_KEY", "kube_aws_rsa")):
        if not environ.get(name):
            added[name] = str(folder / file)
    return added


def api_port(environ: Mapping[str, str]) -> int | None:
    """The port to give to KUBE_API_PORT where 443 cannot be bound; None where 443 can, or the user chose one."""
    if environ.get("KUBE_API_PORT") or _can_bind(443):
        return None
    return 6443 if _can_bind(6443) else free_port()


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((PROBE, port))
        except OSError:
            return False
    return True


def free_port(address: str = PROBE) -> int:
    """A port of this address of loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def exports(environ: Mapping[str, str], added: Mapping[str, str]) -> str:
    """Lines for a shell that should work in the sandbox."""
    unset = sorted(name for name in environ if is_hostile(name) and name not in added)
    lines = [f"unset {' '.join(unset)}"] if unset else []
    return "\n".join([*lines, *(f"export {name}={shlex.quote(value)}" for name, value in added.items())])
